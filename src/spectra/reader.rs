//! One reader for every format: an iterator over the spectra of a file.

use std::{path::Path, sync::Arc};

use super::{
    Rejected, Source, Spectrum,
    text::{self, BoxedReader, Progress},
};
use crate::Result;

/// Reads the spectra of a file one by one, as an iterator; `P` is the format, see [`MgfReader`](super::MgfReader) and
/// its kin, or [`SpectrumReader`](super::SpectrumReader), which finds out. Only one spectrum is held at a time, so a
/// file may be of any size.
///
/// What cannot be used is counted in [`Reader::rejected`] and never ends the reading: the spectra that the iterator
/// gives and those rejected are together [`Reader::blocks`]. A failure to read the file ends it, with an error as the
/// last item.
#[derive(Debug)]
pub struct Reader<P> {
    pub(super) parser: P,
    pub(super) tally: Tally,
    progress: Progress,
    ended: bool,
}

/// What was met so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Spectra begun.
    pub begun: usize,
    /// What could not be used.
    pub rejected: Rejected,
}

impl Tally {
    /// The place of the spectrum that begins here.
    pub(super) fn begin(&mut self, file: &Arc<Path>, line: u64) -> Source {
        let index = self.begun;
        self.begun += 1;
        Source { file: Arc::clone(file), index, line }
    }
}

/// Finds spectra in a text.
pub trait Parser {
    /// The next spectrum that can be used; `None` at the end.
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>>;
}

/// A parser that needs nothing but the text.
pub trait OverText: Parser + Sized {
    /// The text, uncompressed.
    type Text;

    /// A parser of this text.
    fn over(text: Self::Text, file: Arc<Path>) -> Self;
}

impl<P: OverText> Reader<P> {
    /// Reads uncompressed text; `file` is the name that spectra and errors bear.
    pub fn new(text: P::Text, file: impl AsRef<Path>) -> Self {
        Reader::with(P::over(text, file.as_ref().into()), Progress::default())
    }
}

impl<P: OverText<Text = BoxedReader>> Reader<P> {
    /// Opens a file, plain or gzipped: its first bytes decide, not its name.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (reader, progress) = text::open(path)?;
        Ok(Reader::with(P::over(reader, path.into()), progress))
    }
}

impl<P> Reader<P> {
    pub(super) fn with(parser: P, progress: Progress) -> Self {
        Reader { parser, tally: Tally::default(), progress, ended: false }
    }

    /// How many spectra have begun so far, used or not.
    pub fn blocks(&self) -> usize {
        self.tally.begun
    }

    /// What could not be used so far.
    pub fn rejected(&self) -> &Rejected {
        &self.tally.rejected
    }

    /// What could not be used.
    #[must_use]
    pub fn into_rejected(self) -> Rejected {
        self.tally.rejected
    }

    /// The share of the file, compressed as it may be, that was read so far: from 0 to 1, and 1 for text that is no
    /// file.
    pub fn progress(&self) -> f64 {
        self.progress.share()
    }
}

impl<P: Parser> Iterator for Reader<P> {
    type Item = Result<Spectrum>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.parser.read(&mut self.tally).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
