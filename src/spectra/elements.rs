//! The elements of spectra in an XML file, found one by one without reading the file into memory.

use std::{
    io::{BufRead, Read},
    path::Path,
    sync::Arc,
};

use quick_xml::{XmlVersion, events::BytesStart};

use super::{
    Flaw, Reason, Rejected, Spectrum,
    draft::{Draft, TimeUnit},
    reader::Tally,
    text,
    values::Charges,
};
use crate::Result;

/// An element of more bytes is passed over, so that a file without its tags does not fill the memory.
const LONGEST_ELEMENT: usize = 1 << 27;

/// What elements of spectra are called, and whether there may be others in one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub name: &'static str,
    pub nested: bool,
}

/// The elements of a kind. One that stands in another ends that one.
#[derive(Debug)]
pub(super) struct Elements<R> {
    reader: R,
    file: Arc<Path>,
    kind: Kind,
    /// Bytes and line ends read so far.
    offset: u64,
    line_ends: u64,
    /// Text up to the end of a tag.
    tag: Vec<u8>,
    /// The line of the element that has begun, if one has; `tag` is its start then.
    begun: Option<u64>,
    /// What was read of that element, or of what stands above the first.
    element: Vec<u8>,
    above: Option<String>,
}

/// How much of an element there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    CutOff,
    TooLong,
}

/// What a tag does to elements.
enum Tag {
    /// Begins one, at this place in the text.
    Start(usize),
    End,
    Other,
}

impl<R: BufRead> Elements<R> {
    pub fn new(reader: R, file: Arc<Path>, kind: Kind) -> Self {
        let (tag, element) = (Vec::new(), Vec::new());
        Elements { reader, file, kind, offset: 0, line_ends: 0, tag, begun: None, element, above: None }
    }

    /// What stands above the first element; nothing before that was found.
    pub fn above(&self) -> Option<&str> {
        self.above.as_deref()
    }

    /// The element that was found last.
    pub fn xml(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.element)
    }

    /// Reads elements until one can be used as a spectrum: `read` puts it into a draft, or says why it cannot be used, and
    /// what it read before is in the draft all the same. `None` at the end.
    pub fn next_spectrum(
        &mut self,
        time_unit: TimeUnit,
        tally: &mut Tally,
        mut read: impl FnMut(&Self, &mut Draft, &mut Rejected) -> Result<(), Reason>,
    ) -> Result<Option<Spectrum>> {
        while let Some((line, extent)) = self.advance()? {
            let mut draft = Draft::new(tally.begin(&self.file, line), time_unit);
            let mut read = read(self, &mut draft, &mut tally.rejected);
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
        Ok(None)
    }

    /// Reads the next element; the line on which it begins, and how much of it there is.
    fn advance(&mut self) -> Result<Option<(u64, Extent)>> {
        let mut extent = Extent::Whole;
        self.element.clear();
        if self.begun.is_some() {
            self.element.append(&mut self.tag);
        }
        while self.next_tag()? {
            match tag(&self.tag, self.kind.name) {
                Tag::Start(at) => {
                    let line = self.line_ends - line_ends(&self.tag[at..]) + 1;
                    let before = self.begun.replace(line);
                    if before.is_none() {
                        self.element.extend(&self.tag[..at]);
                        let above = || String::from_utf8_lossy(&self.element).into_owned();
                        self.above.get_or_insert_with(above);
                        self.element.clear();
                        self.element.extend(&self.tag[at..]);
                    }
                    let empty = self.tag.ends_with(b"/>");
                    self.tag.drain(..at);
                    match before {
                        Some(line) if self.kind.nested => return Ok(Some((line, extent))),
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
                // Nothing between and below elements is of use.
                Tag::Other if self.begun.is_none() && self.above.is_some() => {}
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
fn tag(text: &[u8], wanted: &str) -> Tag {
    let mut found = Tag::Other;
    for at in (0..text.len()).filter(|&at| text[at] == b'<') {
        let (name, end) = match &text[at + 1..] {
            [b'/', name @ ..] => (name, true),
            name => (name, false),
        };
        let length = name.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
        let name = &name[..length.unwrap_or(name.len())];
        match (name.rsplit(|&byte| byte == b':').next() == Some(wanted.as_bytes()), end) {
            (true, true) => found = Tag::End,
            (true, false) => return Tag::Start(at),
            _ => {}
        }
    }
    found
}

/// A reader of a piece of a document.
pub(super) fn xml_reader(xml: &str) -> quick_xml::Reader<&[u8]> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    reader
}

/// The attributes of a tag that can be read, by their local names.
pub(super) fn attributes(tag: &BytesStart) -> impl Iterator<Item = (String, String)> {
    let attributes = tag.attributes().filter_map(Result::ok).map(|attribute| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_or_else(|_| attribute.value.clone().into_owned(), std::borrow::Cow::into_owned);
        (attribute.key.local_name().as_ref().to_owned(), value)
    });
    attributes.collect::<Vec<_>>().into_iter()
}

/// The attribute of a tag that has this local name.
pub(super) fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    attributes(tag).find(|(key, _)| key == name).map(|(_, value)| value)
}
