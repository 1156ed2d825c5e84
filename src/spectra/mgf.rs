//! Mascot generic format (MGF), read one spectrum at a time.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;

use super::{
    Flaw, Peak, Polarity, Reason, Rejected, Source, Spectrum,
    values::{self, Charges},
};
use crate::{Error, Result};

/// Longer lines are passed over, so that a file without line ends does not fill the memory.
const LONGEST_LINE: u64 = 1 << 20;

/// The text of a file, decompressed where it has to be.
pub type BoxedReader = Box<dyn BufRead + Send>;

/// Reads the spectra of an MGF file one by one, as an iterator.
///
/// The format is that of the [Mascot documentation](https://www.matrixscience.com/help/data_file_help.html), with the
/// liberties that files take: keys in any case, charges missing or empty, `2+ and 3+` or `1-`, commas for decimal
/// points, unsorted peaks, a third column, comments, blank lines, a byte-order mark, a missing `END IONS`, text that is
/// not UTF-8. A charge without a sign takes that of the ion mode, and is positive where none is given. A `CHARGE` above
/// the first spectrum holds for all that have none.
///
/// What cannot be used is counted in [`MgfReader::rejected`] and never ends the reading; a failure to read the file
/// does, with an error as the last item.
#[derive(Debug)]
pub struct MgfReader<R> {
    lines: Lines<R>,
    /// Spectra begun so far.
    blocks: usize,
    /// A spectrum that has begun where the last one lacked its end.
    begun: Option<Block>,
    /// Charges for spectra that have none.
    charges: Charges,
    rejected: Rejected,
    ended: bool,
}

impl MgfReader<BoxedReader> {
    /// Opens a file, plain or gzipped: its first bytes decide, not its name.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || -> io::Result<BoxedReader> {
            let mut file = File::open(path)?;
            let mut start = Vec::new();
            Read::by_ref(&mut file).take(2).read_to_end(&mut start)?;
            let gzipped = start == [0x1f, 0x8b];
            let whole = BufReader::new(io::Cursor::new(start).chain(file));
            Ok(if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
        };
        let reader = open().map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(MgfReader::new(reader, path))
    }
}

impl<R: BufRead> MgfReader<R> {
    /// Reads uncompressed text; `file` is the name that spectra and errors bear.
    pub fn new(reader: R, file: impl AsRef<Path>) -> Self {
        MgfReader {
            lines: Lines { reader, file: file.as_ref().into(), line: Vec::new(), number: 0, offset: 0 },
            blocks: 0,
            begun: None,
            charges: Charges::default(),
            rejected: Rejected::default(),
            ended: false,
        }
    }

    /// How many spectra have begun so far, used or not.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// What could not be used so far.
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// What could not be used.
    #[must_use]
    pub fn into_rejected(self) -> Rejected {
        self.rejected
    }

    fn read(&mut self) -> Result<Option<Spectrum>> {
        let file = Arc::clone(&self.lines.file);
        let mut block = self.begun.take();
        while let Some((line, number)) = self.lines.next(&mut self.rejected)? {
            if line.eq_ignore_ascii_case("BEGIN IONS") {
                let source = Source { file: Arc::clone(&file), index: self.blocks, line: number };
                self.blocks += 1;
                let Some(cut_off) = block.replace(Block::new(source)) else { continue };
                self.rejected.flaw(Flaw::Unterminated);
                if let Some(spectrum) = cut_off.finish(&self.charges, &mut self.rejected) {
                    self.begun = block;
                    return Ok(Some(spectrum));
                }
            } else if line.eq_ignore_ascii_case("END IONS") {
                match block.take().map(|block| block.finish(&self.charges, &mut self.rejected)) {
                    Some(Some(spectrum)) => return Ok(Some(spectrum)),
                    Some(None) => {}
                    None => self.rejected.flaw(Flaw::OutsideSpectrum),
                }
            } else if let Some(block) = &mut block {
                if let Err(flaw) = block.take_line(&line) {
                    self.rejected.flaw(flaw);
                }
            } else if let Err(flaw) = take_header(&line, &mut self.charges) {
                self.rejected.flaw(flaw);
            }
        }
        Ok(block.and_then(|block| {
            self.rejected.flaw(Flaw::Unterminated);
            block.finish(&self.charges, &mut self.rejected)
        }))
    }
}

impl<R: BufRead> Iterator for MgfReader<R> {
    type Item = Result<Spectrum>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The lines of a file that say something.
#[derive(Debug)]
struct Lines<R> {
    reader: R,
    file: Arc<Path>,
    line: Vec<u8>,
    /// Lines read so far.
    number: u64,
    /// Bytes read so far.
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is neither blank nor a comment, trimmed, and its number.
    fn next(&mut self, rejected: &mut Rejected) -> Result<Option<(Cow<'_, str>, u64)>> {
        loop {
            if !self.fill(rejected)? {
                return Ok(None);
            }
            if !matches!(trimmed(&self.line).first(), None | Some(b'#' | b';' | b'!' | b'/')) {
                break;
            }
        }
        let text = String::from_utf8_lossy(trimmed(&self.line));
        if matches!(text, Cow::Owned(_)) {
            rejected.flaw(Flaw::Encoding);
        }
        Ok(Some((text, self.number)))
    }

    /// Reads a line into `line`; false at the end of the file.
    fn fill(&mut self, rejected: &mut Rejected) -> Result<bool> {
        self.line.clear();
        let read = Read::by_ref(&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        let mut read = read.map_err(|error| self.failure(error))? as u64;
        if read == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            read += self.reader.skip_until(b'\n').map_err(|error| self.failure(error))? as u64;
            self.line.clear();
            rejected.flaw(Flaw::LongLine);
        }
        self.offset += read;
        self.number += 1;
        Ok(read > 0)
    }

    fn failure(&self, error: io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            // What a decoder says of contents that are not right or not whole.
            InvalidData | InvalidInput | UnexpectedEof => {
                let offset = self.offset + self.line.len() as u64;
                Error::Format { offset, message: error.to_string() }.in_file(&*self.file)
            }
            _ => Error::Io { path: self.file.to_path_buf(), source: error },
        }
    }
}

/// Without space around it, and without a byte-order mark: files are joined with theirs in the middle.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// A line above, between or below the spectra.
fn take_header(line: &str, charges: &mut Charges) -> Result<(), Flaw> {
    let (key, value) = line.split_once('=').ok_or(Flaw::OutsideSpectrum)?;
    if key.trim().eq_ignore_ascii_case("CHARGE") {
        *charges = values::charges(value).ok_or(Flaw::Charge)?;
    }
    Ok(())
}

/// A spectrum on its way.
#[derive(Debug)]
struct Block {
    spectrum: Spectrum,
    charges: Charges,
}

impl Block {
    fn new(source: Source) -> Self {
        Block { spectrum: Spectrum::new(source), charges: Charges::default() }
    }

    fn take_line(&mut self, line: &str) -> Result<(), Flaw> {
        if let Some(peak) = peak(line) {
            self.spectrum.peaks.push(peak);
            return Ok(());
        }
        let (key, value) = line.split_once('=').ok_or(Flaw::Line)?;
        let (key, value) = (key.trim().to_uppercase(), value.trim());
        match self.take_field(&key, value) {
            Ok(true) => Ok(()),
            // An empty field says that the value is not known, and that is no flaw.
            Err(_) if value.is_empty() => Ok(()),
            other => {
                self.spectrum.fields.push((key, value.to_owned()));
                other.map(|_| ())
            }
        }
    }

    /// Whether the field is one of those that are read, or what is wrong with its value.
    fn take_field(&mut self, key: &str, value: &str) -> Result<bool, Flaw> {
        let spectrum = &mut self.spectrum;
        match key {
            "PEPMASS" | "PRECURSOR_MZ" | "PRECURSORMZ" => {
                let mz = value.split_whitespace().next().and_then(values::positive);
                spectrum.precursor_mz = Some(mz.ok_or(Flaw::Precursor)?);
            }
            "CHARGE" => self.charges = values::charges(value).ok_or(Flaw::Charge)?,
            "IONMODE" | "ION_MODE" | "POLARITY" => {
                spectrum.polarity = Some(values::polarity(value).ok_or(Flaw::Polarity)?);
            }
            "RTINSECONDS" => spectrum.retention_time = Some(values::seconds(value).ok_or(Flaw::RetentionTime)?),
            "MSLEVEL" | "MS_LEVEL" => spectrum.ms_level = Some(values::ms_level(value).ok_or(Flaw::MsLevel)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The spectrum, or nothing if it has no peaks.
    fn finish(self, default: &Charges, rejected: &mut Rejected) -> Option<Spectrum> {
        let Block { mut spectrum, charges } = self;
        if spectrum.peaks.is_empty() {
            rejected.add(spectrum.source, Reason::NoPeaks);
            return None;
        }
        let charges = if charges.magnitudes.is_empty() { default } else { &charges };
        if charges.sign.is_some() && spectrum.polarity.is_some() && charges.sign != spectrum.polarity {
            rejected.flaw(Flaw::Polarity);
        }
        if !charges.magnitudes.is_empty() {
            let polarity = spectrum.polarity.or(charges.sign).unwrap_or(Polarity::Positive);
            let sign = if polarity == Polarity::Negative { -1 } else { 1 };
            spectrum.charges = charges.magnitudes.iter().map(|magnitude| sign * magnitude).collect();
            spectrum.polarity = Some(polarity);
        }
        spectrum.peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
        Some(spectrum)
    }
}

/// m/z and intensity, and whatever follows them.
fn peak(line: &str) -> Option<Peak> {
    let mut words = line.split_whitespace();
    let mz = values::positive(words.next()?)?;
    let intensity = values::number(words.next()?)? as f32;
    (intensity.is_finite() && intensity >= 0.0).then_some(Peak { mz, intensity })
}
