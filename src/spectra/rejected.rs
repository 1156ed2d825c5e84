//! What could not be used, and why.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use super::{Source, Spectrum};

/// Why a spectrum is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The file gives no peak that can be read.
    NoPeaks,
    /// The file's peaks are there but cannot be read: encoded in an unknown way, damaged or cut off.
    Unreadable,
    /// A spectrum in profile mode: its points are samples of a curve, not peaks.
    Profile,
    /// A survey spectrum (MS1): it shows what was there, not how one molecule breaks.
    SurveySpectrum,
    /// Fewer peaks than [`Cleaning::min_peaks`](super::Cleaning::min_peaks) are left after cleaning.
    TooFewPeaks,
    /// The peaks left after cleaning lie within less than [`Cleaning::min_span`](super::Cleaning::min_span).
    NarrowSpan,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NoPeaks => "no peaks",
            Reason::Unreadable => "peaks not readable",
            Reason::Profile => "profile mode",
            Reason::SurveySpectrum => "survey spectrum (MS1)",
            Reason::TooFewPeaks => "too few peaks",
            Reason::NarrowSpan => "m/z span too narrow",
        })
    }
}

/// What was wrong with a file where reading could go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flaw {
    /// A precursor m/z that is not a positive number.
    Precursor,
    /// A charge that cannot be read.
    Charge,
    /// An ion mode that cannot be read, or that contradicts the sign of the charge; the ion mode is believed.
    Polarity,
    /// A retention time that cannot be read.
    RetentionTime,
    /// An MS level that cannot be read.
    MsLevel,
    /// A number of peaks that cannot be read, or is not that of the peaks that were.
    PeakCount,
    /// A number of spectra that is not that of the spectra that were found.
    SpectrumCount,
    /// A peak, of those that are no lines of text, without a positive m/z and a finite, non-negative intensity.
    Peak,
    /// A line in a spectrum that is neither a field nor a peak of positive m/z and finite, non-negative intensity.
    Line,
    /// A line longer than 1 MiB.
    LongLine,
    /// A line outside the spectra that means nothing there.
    OutsideSpectrum,
    /// Text that is not UTF-8; what could not be decoded became U+FFFD.
    Encoding,
    /// A spectrum that the next one or the end of the file cut off; it is used as far as it goes, unless it is one of
    /// mzML or mzXML.
    Unterminated,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Precursor => "precursor m/z not readable",
            Flaw::Charge => "charge not readable",
            Flaw::Polarity => "ion mode not readable or against the charge",
            Flaw::RetentionTime => "retention time not readable",
            Flaw::MsLevel => "MS level not readable",
            Flaw::PeakCount => "number of peaks not right",
            Flaw::SpectrumCount => "number of spectra not right",
            Flaw::Peak => "peak not possible",
            Flaw::Line => "line not readable",
            Flaw::LongLine => "line too long",
            Flaw::OutsideSpectrum => "line outside of spectra",
            Flaw::Encoding => "text not UTF-8",
            Flaw::Unterminated => "spectrum without an end",
        })
    }
}

/// A spectrum that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Where it stands.
    pub source: Source,
    /// What people call it, see [`Spectrum::id`].
    pub id: String,
    /// Why it was not used.
    pub reason: Reason,
}

impl Rejection {
    pub(super) fn of(spectrum: &Spectrum, reason: Reason) -> Self {
        Rejection { source: spectrum.source.clone(), id: spectrum.id(), reason }
    }
}

/// What could not be used: whole spectra by reason and place, and smaller flaws by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many spectra were not used, by reason.
    pub reasons: BTreeMap<Reason, usize>,
    /// Each of those spectra.
    pub spectra: Vec<Rejection>,
    /// How many fields and lines were passed over, by kind; their spectra are used all the same.
    pub flaws: BTreeMap<Flaw, usize>,
}

impl Rejected {
    /// The number of spectra that were not used.
    #[must_use]
    pub fn total(&self) -> usize {
        self.spectra.len()
    }

    /// Adds a spectrum.
    pub fn add(&mut self, spectrum: &Spectrum, reason: Reason) {
        self.push(Rejection::of(spectrum, reason));
    }

    pub(super) fn push(&mut self, rejection: Rejection) {
        *self.reasons.entry(rejection.reason).or_default() += 1;
        self.spectra.push(rejection);
    }

    /// Adds what was rejected elsewhere, for example by cleaning after reading.
    pub fn merge(&mut self, other: Rejected) {
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (flaw, count) in other.flaws {
            *self.flaws.entry(flaw).or_default() += count;
        }
        self.spectra.extend(other.spectra);
    }

    /// Writes the spectra that were not used as tab-separated values under a header: file, index in it (from 0), line
    /// (from 1), id and reason. What would break the table in a name is written as a space.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_tsv(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "file\tindex\tline\tid\treason")?;
        for Rejection { source, id, reason } in &self.spectra {
            let file = source.file.to_string_lossy().replace(char::is_control, " ");
            let id = id.replace(char::is_control, " ");
            writeln!(out, "{file}\t{}\t{}\t{id}\t{reason}", source.index, source.line)?;
        }
        Ok(())
    }

    /// Counts the flaw in what was read, if there is one.
    pub(super) fn note(&mut self, read: Result<(), Flaw>) {
        if let Err(flaw) = read {
            self.flaw(flaw);
        }
    }

    /// Counts a flaw.
    pub(super) fn flaw(&mut self, flaw: Flaw) {
        *self.flaws.entry(flaw).or_default() += 1;
    }
}
