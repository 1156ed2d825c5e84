//! The text form of mzSpecLib, read one spectrum at a time.

use std::{collections::HashMap, io::BufRead, path::Path, sync::Arc};

use super::{
    Flaw, Spectrum,
    draft::{Draft, TimeUnit},
    keys::{self, Key},
    reader::{OverText, Parser, Reader, Tally},
    text::Lines,
    values::{self, Charges},
};
use crate::Result;

/// Reads the spectra of a library in the text form of mzSpecLib ([HUPO-PSI](https://www.psidev.info/mzspeclib) 1.0).
///
/// Attributes of the spectrum and of its analytes are fields under the names of their terms; those that other formats
/// have too go under the same key. Sets of attributes are applied. Interpretations and clusters are passed over. The
/// key of the spectrum in the library is its `SPECTRUMID`.
pub type MzSpecLibReader<R> = Reader<MzSpecLib<R>>;

/// The format of [`MzSpecLibReader`].
#[derive(Debug)]
pub struct MzSpecLib<R> {
    lines: Lines<R>,
    draft: Option<Draft>,
    section: Section,
    /// Attributes by the kind and name of their set.
    sets: HashMap<(String, String), Vec<(String, String)>>,
    /// The name that an attribute without a term announced.
    other_name: String,
    /// Whether the last attribute was a retention time, whose unit follows.
    time: bool,
}

/// What the lines after a mark belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Section {
    /// The library, a cluster, or an interpretation.
    Other,
    /// The attributes of this set.
    Set(String, String),
    /// A spectrum, or an analyte of it.
    Attributes(&'static str),
    Peaks,
}

impl<R: BufRead> OverText for MzSpecLib<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        MzSpecLib {
            lines: Lines::new(text, file),
            draft: None,
            section: Section::Other,
            sets: HashMap::new(),
            other_name: String::new(),
            time: false,
        }
    }
}

impl<R: BufRead> Parser for MzSpecLib<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let file = Arc::clone(&self.lines.file);
        while let Some((line, number)) = self.lines.next_but(b"#", &mut tally.rejected)? {
            let line = line.into_owned();
            let Some(mark) = line.strip_prefix('<').map(|mark| mark.trim_end_matches('>')) else {
                tally.rejected.note(self.take_line(&line));
                continue;
            };
            let (kind, key) = mark.split_once('=').unwrap_or((mark, ""));
            let ended = if matches!(kind, "Spectrum" | "LibraryEntry" | "Cluster") { self.draft.take() } else { None };
            match kind {
                "Spectrum" | "LibraryEntry" => {
                    let mut draft = Draft::new(tally.begin(&file, number), TimeUnit::Seconds);
                    draft.take_if_missing("SPECTRUMID", key);
                    self.draft = Some(draft);
                    self.section = Section::Attributes("Spectrum");
                    self.apply("Spectrum", "all");
                }
                "Analyte" => {
                    self.section = Section::Attributes("Analyte");
                    self.apply("Analyte", "all");
                }
                "Peaks" => self.section = Section::Peaks,
                _ => {
                    let set = kind.strip_prefix("AttributeSet ").map(|kind| kind.replace("LibraryEntry", "Spectrum"));
                    self.section = set.map_or(Section::Other, |kind| Section::Set(kind, key.to_owned()));
                }
            }
            if let Some(spectrum) = ended.and_then(|draft| draft.finish(&Charges::default(), &mut tally.rejected)) {
                return Ok(Some(spectrum));
            }
        }
        Ok(self.draft.take().and_then(|draft| draft.finish(&Charges::default(), &mut tally.rejected)))
    }
}

impl<R> MzSpecLib<R> {
    fn take_line(&mut self, line: &str) -> Result<(), Flaw> {
        match (&self.section, &mut self.draft) {
            (Section::Peaks, Some(draft)) => {
                draft.spectrum.peaks.push(values::peak(line).ok_or(Flaw::Line)?);
                Ok(())
            }
            (Section::Attributes(kind), Some(_)) => {
                let (name, value) = attribute(line).ok_or(Flaw::Line)?;
                if name == "library attribute set name" {
                    self.apply(kind, &value);
                    return Ok(());
                }
                self.take_attribute(&name, &value)
            }
            (Section::Set(kind, name), _) => {
                let set = self.sets.entry((kind.clone(), name.clone())).or_default();
                set.push(attribute(line).ok_or(Flaw::OutsideSpectrum)?);
                Ok(())
            }
            (Section::Peaks | Section::Attributes(_), None) => Err(Flaw::OutsideSpectrum),
            // What the library says of itself looks the same.
            (Section::Other, _) => attribute(line).map(|_| ()).ok_or(Flaw::OutsideSpectrum),
        }
    }

    /// Gives the spectrum the attributes of a set; what it says itself comes later and is believed.
    fn apply(&mut self, kind: &str, name: &str) {
        for (name, value) in self.sets.get(&(kind.to_owned(), name.to_owned())).cloned().unwrap_or_default() {
            // Flaws of a set would be counted once for each spectrum.
            let _flaw = self.take_attribute(&name, &value);
        }
    }

    fn take_attribute(&mut self, name: &str, value: &str) -> Result<(), Flaw> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        let is_time = keys::key(name) == Key::Time;
        match name {
            "unit" => {
                if self.time && value == "minute" {
                    draft.spectrum.retention_time = draft.spectrum.retention_time.map(|time| time * 60.0);
                }
                self.time = false;
                return Ok(());
            }
            "other attribute name" => value.clone_into(&mut self.other_name),
            "other attribute value" => return draft.take_field(&std::mem::take(&mut self.other_name), value),
            // Scans are numbered anew in each of the runs that a library comes from.
            "scan number" => draft.spectrum.fields.push(("SCAN_NUMBER".to_owned(), value.to_owned())),
            _ => {
                self.time = is_time;
                return draft.take_field(name, value);
            }
        }
        Ok(())
    }
}

/// The name of an attribute's term and its value, which may be a term too: `[1]MS:1000045|collision energy=46`,
/// `MS:1000465|scan polarity=MS:1000130|positive scan`.
fn attribute(line: &str) -> Option<(String, String)> {
    let line = match line.strip_prefix('[') {
        Some(grouped) => grouped.split_once(']')?.1,
        None => line,
    };
    let (term, value) = line.split_once('=')?;
    let (_, name) = term.split_once('|')?;
    let value = match value.split_once('|') {
        Some((accession, name)) if is_accession(accession) => name,
        _ => value.trim_matches('"'),
    };
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// `MS:1000130`
fn is_accession(text: &str) -> bool {
    let Some((vocabulary, number)) = text.split_once(':') else { return false };
    !number.is_empty()
        && vocabulary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}
