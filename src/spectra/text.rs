//! The text of files: decompressed where it has to be, and cut into lines.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use super::{Flaw, Rejected};
use crate::{Error, Result};

/// Longer lines are passed over, so that a file without line ends does not fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// The text of a file, decompressed where it has to be.
pub type BoxedReader = Box<dyn BufRead + Send>;

/// How much of a file was read so far, compressed as it is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// From 0 to 1.
    pub fn share(&self) -> f64 {
        let read = self.read.load(Ordering::Relaxed);
        if self.total == 0 { 1.0 } else { (read as f64 / self.total as f64).min(1.0) }
    }
}

/// A reader that counts what passes through it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Opens a file, plain or gzipped (of any number of members): its first bytes decide, not its name.
pub(super) fn open(path: &Path) -> Result<(BoxedReader, Progress)> {
    let open = || -> io::Result<_> {
        let file = File::open(path)?;
        let progress = Progress { read: Arc::default(), total: file.metadata()?.len() };
        let mut file = Counted { file, read: Arc::clone(&progress.read) };
        let mut start = Vec::new();
        Read::by_ref(&mut file).take(2).read_to_end(&mut start)?;
        let gzipped = start == [0x1f, 0x8b];
        let whole = BufReader::new(io::Cursor::new(start).chain(file));
        let reader: BoxedReader =
            if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) };
        Ok((reader, progress))
    };
    open().map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// What a failure to read means: contents that are not right or not whole, or the system's word.
pub(super) fn failure(file: &Path, offset: u64, error: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        // What a decoder says of contents that are not right or not whole.
        InvalidData | InvalidInput | UnexpectedEof => {
            Error::Format { offset, message: error.to_string() }.in_file(file)
        }
        _ => Error::Io { path: file.to_path_buf(), source: error },
    }
}

/// The lines of a file, which end with LF, CR LF or CR.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    pub file: Arc<Path>,
    line: Vec<u8>,
    /// Lines read so far.
    number: u64,
    /// Bytes read so far.
    offset: u64,
    /// Whether the last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R, file: Arc<Path>) -> Self {
        Lines { reader, file, line: Vec::new(), number: 0, offset: 0, after_return: false }
    }

    /// The next line, trimmed, and its number.
    pub fn next(&mut self, rejected: &mut Rejected) -> Result<Option<(Cow<'_, str>, u64)>> {
        if !self.fill(rejected)? {
            return Ok(None);
        }
        Ok(Some((self.text(rejected), self.number)))
    }

    /// The next line that is neither blank nor begins with one of these bytes.
    pub fn next_but(&mut self, comments: &[u8], rejected: &mut Rejected) -> Result<Option<(Cow<'_, str>, u64)>> {
        loop {
            if !self.fill(rejected)? {
                return Ok(None);
            }
            if trimmed(&self.line).first().is_some_and(|first| !comments.contains(first)) {
                break;
            }
        }
        Ok(Some((self.text(rejected), self.number)))
    }

    fn text(&self, rejected: &mut Rejected) -> Cow<'_, str> {
        // Spaces beyond ASCII, and the vertical tab, are trimmed here.
        match String::from_utf8_lossy(trimmed(&self.line)) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => {
                rejected.flaw(Flaw::Encoding);
                Cow::Owned(text.trim().to_owned())
            }
        }
    }

    /// Reads a line into `line`; false at the end of the file.
    fn fill(&mut self, rejected: &mut Rejected) -> Result<bool> {
        self.line.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failure(&self.file, self.offset, error)),
            };
            // The rest of the line end before.
            let rest = usize::from(std::mem::take(&mut self.after_return) && bytes.first() == Some(&b'\n'));
            let (text, ended) = match bytes[rest..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                Some(end) => (&bytes[rest..rest + end], true),
                None => (&bytes[rest..], false),
            };
            self.after_return = ended && bytes[rest + text.len()] == b'\r';
            too_long |= self.line.len() + text.len() > LONGEST_LINE;
            if !too_long {
                self.line.extend_from_slice(text);
            }
            let read = rest + text.len() + usize::from(ended);
            any |= read > rest;
            self.reader.consume(read);
            self.offset += read as u64;
            if ended || read == 0 {
                break;
            }
        }
        if too_long {
            self.line.clear();
            rejected.flaw(Flaw::LongLine);
        }
        self.number += 1;
        Ok(any)
    }
}

/// Without space around it, and without a byte-order mark: files are joined with theirs in the middle.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}
