//! `MassBank` records, read one at a time.

use std::{io::BufRead, path::Path, sync::Arc};

use super::{
    Flaw, Rejected, Spectrum,
    draft::{Draft, TimeUnit},
    peaks::FreePeaks,
    reader::{OverText, Parser, Reader, Tally},
    text::Lines,
    values::Charges,
};
use crate::Result;

/// Reads the spectra of a file of `MassBank` records, one or many
/// ([format 2.6](https://github.com/MassBank/MassBank-web/blob/main/Documentation/MassBankRecordFormat.md)).
///
/// Subtags are fields of their own: `MS$FOCUSED_ION: PRECURSOR_TYPE [M+H]+` is `ADDUCT`. Of the three columns of peaks
/// the second is the intensity. A record ends with `//`, or where the next one begins.
pub type MassBankReader<R> = Reader<MassBank<R>>;

/// The format of [`MassBankReader`].
#[derive(Debug)]
pub struct MassBank<R> {
    lines: Lines<R>,
    record: Option<Record>,
}

/// A record on its way.
#[derive(Debug)]
struct Record {
    draft: Draft,
    section: Section,
    peaks: FreePeaks,
}

/// What lines without a tag are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Tags,
    Peaks,
    /// What is known of single peaks, which is not read.
    Annotation,
}

impl<R: BufRead> OverText for MassBank<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        MassBank { lines: Lines::new(text, file), record: None }
    }
}

impl<R: BufRead> Parser for MassBank<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let file = Arc::clone(&self.lines.file);
        while let Some((line, number)) = self.lines.next_but(b"#", &mut tally.rejected)? {
            let tagged = tagged(&line);
            let begins = tagged.is_some_and(|(tag, _)| tag == "ACCESSION");
            let ends = line == "//";
            let ended = if begins || ends { self.record.take() } else { None };
            if begins {
                let draft = Draft::new(tally.begin(&file, number), TimeUnit::Minutes);
                self.record = Some(Record { draft, section: Section::Tags, peaks: FreePeaks::default() });
                if ended.is_some() {
                    tally.rejected.flaw(Flaw::Unterminated);
                }
            }
            let taken = match &mut self.record {
                Some(record) => match tagged {
                    Some((tag, value)) => record.take_tag(tag, value),
                    None => record.take_line(&line),
                },
                None if ended.is_some() => Ok(()),
                None => Err(Flaw::OutsideSpectrum),
            };
            tally.rejected.note(taken);
            if let Some(spectrum) = ended.and_then(|record| record.finish(&mut tally.rejected)) {
                return Ok(Some(spectrum));
            }
        }
        Ok(self.record.take().and_then(|record| {
            tally.rejected.flaw(Flaw::Unterminated);
            record.finish(&mut tally.rejected)
        }))
    }
}

/// The tag of a line, in capitals before a colon, and what follows it.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let (tag, value) = line.split_once(':')?;
    let is_tag = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'$' | b'_');
    (tag.starts_with(|c: char| c.is_ascii_uppercase()) && tag.bytes().all(is_tag)).then(|| (tag, value.trim()))
}

impl Record {
    fn take_tag(&mut self, tag: &str, value: &str) -> Result<(), Flaw> {
        self.section = match tag {
            "PK$PEAK" => Section::Peaks,
            "PK$ANNOTATION" => Section::Annotation,
            _ => Section::Tags,
        };
        let (part, name) = tag.split_once('$').unwrap_or(("", tag));
        let (name, value) = match name {
            "PEAK" | "ANNOTATION" if part == "PK" => return Ok(()),
            "MASS_SPECTROMETRY" | "CHROMATOGRAPHY" | "FOCUSED_ION" | "DATA_PROCESSING" | "LINK" => {
                let (name, value) = value.split_once(' ').unwrap_or((value, ""));
                (name, value.trim())
            }
            _ => (name, value),
        };
        self.draft.take_field(name, value)
    }

    fn take_line(&mut self, line: &str) -> Result<(), Flaw> {
        match self.section {
            Section::Peaks => self.peaks.take_line(line),
            Section::Annotation => Ok(()),
            Section::Tags => Err(Flaw::Line),
        }
    }

    fn finish(self, rejected: &mut Rejected) -> Option<Spectrum> {
        let Record { mut draft, peaks, .. } = self;
        draft.spectrum.peaks = peaks.finish(draft.peak_count);
        draft.finish(&Charges::default(), rejected)
    }
}
