//! A spectrum as it was read: its peaks, its precursor and where it came from.

use std::{fmt, path::Path, sync::Arc};

/// One peak of a spectrum.
///
/// m/z is kept in double precision, so that bins and tolerances in ppm fall as they do in other tools.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Mass-to-charge ratio.
    pub mz: f64,
    /// Intensity, in the file's own unit.
    pub intensity: f32,
}

/// The sign of the ions that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Polarity {
    /// Positive ions.
    Positive,
    /// Negative ions.
    Negative,
}

impl fmt::Display for Polarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Polarity::Positive => "positive",
            Polarity::Negative => "negative",
        })
    }
}

/// Where a spectrum stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The file, shared by all its spectra.
    pub file: Arc<Path>,
    /// The spectrum's number in the file, counted from 0, those that could not be used included.
    pub index: usize,
    /// The line on which it begins, counted from 1.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A spectrum: what the file says of it, read where it can be and kept as text where not.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Where it stands.
    pub source: Source,
    /// m/z of the precursor ion; `None` where the file does not say.
    pub precursor_mz: Option<f64>,
    /// Possible charges of the precursor, negative for negative ions; empty where the file does not say.
    pub charges: Vec<i32>,
    /// The sign of the ions; `None` where the file does not say.
    pub polarity: Option<Polarity>,
    /// Retention time in seconds.
    pub retention_time: Option<f64>,
    /// 1 for a survey spectrum, 2 and more for fragments; `None` where the file does not say, which is mostly 2.
    pub ms_level: Option<u8>,
    /// The peaks, in ascending order of m/z.
    pub peaks: Vec<Peak>,
    /// Every other field, its key in upper case, in the file's order; also what stands above but could not be read.
    /// What the formats call differently has one key in all: `NAME`, `SYNONYM`, `INCHIKEY`, `INCHI`, `SMILES`,
    /// `FORMULA`, `EXACTMASS`, `ADDUCT`, `INSTRUMENT_TYPE`, `COLLISION_ENERGY`, `FRAGMENTATION`, `RETENTION_INDEX`,
    /// `SEQ`, `SPECTRUMID`, `COMMENT`.
    pub fields: Vec<(String, String)>,
}

impl Spectrum {
    /// A spectrum of which only the place is known.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Spectrum {
            source,
            precursor_mz: None,
            charges: Vec::new(),
            polarity: None,
            retention_time: None,
            ms_level: None,
            peaks: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// The first value of a field that is not empty, for example `INCHIKEY`; the key's case does not matter.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        let matches = |(name, value): &&(String, String)| name.eq_ignore_ascii_case(key) && !value.is_empty();
        self.fields.iter().find(matches).map(|(_, value)| value.as_str())
    }

    /// What people call the spectrum within its file: its title, else its scan, its feature, its identifier, its name,
    /// or `index=` and its number.
    #[must_use]
    pub fn id(&self) -> String {
        ["TITLE", "SCANS", "FEATURE_ID", "SPECTRUMID", "NATIVEID", "NAME"]
            .iter()
            .find_map(|key| self.field(key))
            .map_or_else(|| format!("index={}", self.source.index), str::to_owned)
    }

    /// The charge of the precursor, where there is just one that it can be.
    #[must_use]
    pub fn charge(&self) -> Option<i32> {
        match self.charges[..] {
            [charge] => Some(charge),
            _ => None,
        }
    }
}
