//! mzML, read one spectrum at a time.

mod arrays;
mod numpress;
mod spectrum;

use std::{
    io::{BufRead, Read},
    path::Path,
    sync::Arc,
};

use self::spectrum::Header;
use super::{
    Flaw, Reason, Spectrum,
    draft::{Draft, TimeUnit},
    reader::{OverText, Parser, Reader, Tally},
    text,
    values::Charges,
};
use crate::Result;

/// A spectrum of more bytes is passed over, so that a file without its tags does not fill the memory.
const LONGEST_ELEMENT: usize = 1 << 27;

/// Reads the fragment spectra of an mzML file ([HUPO-PSI](https://www.psidev.info/mzML) 1.1).
///
/// Survey spectra (MS1) and spectra in profile mode are counted as rejected, and so is a spectrum whose arrays are
/// damaged or encoded in a way that is not read. Arrays may be of integers or floats, plain, zlib or MS-Numpress. The
/// first of several precursors is taken, and the middle of the isolation window where no ion is selected. The native
/// identifier is kept as the field `NATIVEID`, its scan number as `SCANS`. Where the XML is broken, the spectrum is lost
/// and the next one read; a count of spectra that is not right is a flaw. The index at the end is not used, so a file may be cut off.
pub type MzmlReader<R> = Reader<Mzml<R>>;

/// The format of [`MzmlReader`].
#[derive(Debug)]
pub struct Mzml<R> {
    reader: R,
    file: Arc<Path>,
    /// Bytes and line ends read so far.
    offset: u64,
    line_ends: u64,
    /// Text up to the end of a tag.
    tag: Vec<u8>,
    /// The line of the spectrum that has begun, if one has; `tag` is its start then.
    begun: Option<u64>,
    /// What was read of that spectrum, or of what stands above the first.
    element: Vec<u8>,
    header: Option<Header>,
}

/// What was found of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    CutOff,
    TooLong,
}

/// What a tag does to spectra.
enum Tag {
    /// Begins one, at this place in the text.
    Start(usize),
    End,
    Other,
}

impl<R: BufRead> OverText for Mzml<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        let (tag, element) = (Vec::new(), Vec::new());
        Mzml { reader: text, file, offset: 0, line_ends: 0, tag, begun: None, element, header: None }
    }
}

impl<R: BufRead> Parser for Mzml<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        while let Some((line, extent)) = self.next_element()? {
            let mut draft = Draft::new(tally.begin(&self.file, line), TimeUnit::Minutes);
            let xml = String::from_utf8_lossy(&self.element);
            let mut read = spectrum::read(&xml, self.header.as_ref(), &mut draft, &mut tally.rejected);
            if extent != Extent::Whole {
                read = read.and(Err(Reason::Unreadable));
            }
            if extent == Extent::CutOff {
                tally.rejected.flaw(Flaw::Unterminated);
            }
            match read {
                Err(reason) => tally.rejected.add(&draft.spectrum, reason),
                Ok(()) => {
                    if let Some(spectrum) = draft.finish(&Charges::default(), &mut tally.rejected) {
                        return Ok(Some(spectrum));
                    }
                }
            }
        }
        let promised = self.header.as_mut().and_then(|header| header.spectra.take());
        if promised.is_some_and(|count| count != tally.begun) {
            tally.rejected.flaw(Flaw::SpectrumCount);
        }
        Ok(None)
    }
}

impl<R: BufRead> Mzml<R> {
    /// Reads the text of the next spectrum into `element`; the line on which it begins, and how much of it there is.
    fn next_element(&mut self) -> Result<Option<(u64, Extent)>> {
        let mut extent = Extent::Whole;
        self.element.clear();
        if self.begun.is_some() {
            self.element.append(&mut self.tag);
        }
        while self.next_tag()? {
            match tag(&self.tag) {
                Tag::Start(at) => {
                    let line = self.line_ends - line_ends(&self.tag[at..]) + 1;
                    let before = self.begun.replace(line);
                    if before.is_none() {
                        self.element.extend(&self.tag[..at]);
                        self.header.get_or_insert_with(|| Header::read(&String::from_utf8_lossy(&self.element)));
                        self.element.clear();
                        self.element.extend(&self.tag[at..]);
                    }
                    let empty = self.tag.ends_with(b"/>");
                    self.tag.drain(..at);
                    match before {
                        Some(line) => return Ok(Some((line, Extent::CutOff))),
                        None if empty => {
                            self.begun = None;
                            return Ok(Some((line, Extent::Whole)));
                        }
                        None => {}
                    }
                }
                Tag::End => {
                    self.element.extend(&self.tag);
                    if let Some(line) = self.begun.take() {
                        return Ok(Some((line, extent)));
                    }
                    self.element.clear();
                }
                // Nothing between and below spectra is of use.
                Tag::Other if self.begun.is_none() && self.header.is_some() => {}
                Tag::Other if self.element.len() + self.tag.len() > LONGEST_ELEMENT => extent = Extent::TooLong,
                Tag::Other => self.element.extend(&self.tag),
            }
        }
        Ok(self.begun.take().map(|line| (line, Extent::CutOff)))
    }

    /// Reads text up to the end of a tag; false at the end of the file.
    fn next_tag(&mut self) -> Result<bool> {
        self.tag.clear();
        let read = Read::by_ref(&mut self.reader).take(LONGEST_ELEMENT as u64).read_until(b'>', &mut self.tag);
        let read = read.map_err(|error| text::failure(&self.file, self.offset + self.tag.len() as u64, error))?;
        self.offset += read as u64;
        self.line_ends += line_ends(&self.tag);
        Ok(read > 0)
    }
}

fn line_ends(text: &[u8]) -> u64 {
    text.split(|&byte| byte == b'\n').count() as u64 - 1
}

/// What the tags of a text do: one of them, or several where a tag is broken; a beginning counts for more than an end.
fn tag(text: &[u8]) -> Tag {
    let mut found = Tag::Other;
    for at in (0..text.len()).filter(|&at| text[at] == b'<') {
        let (name, end) = match &text[at + 1..] {
            [b'/', name @ ..] => (name, true),
            name => (name, false),
        };
        let length = name.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
        let name = &name[..length.unwrap_or(name.len())];
        match (name.rsplit(|&byte| byte == b':').next(), end) {
            (Some(b"spectrum"), true) => found = Tag::End,
            (Some(b"spectrum"), false) => return Tag::Start(at),
            _ => {}
        }
    }
    found
}
