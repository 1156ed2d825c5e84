//! Cleaning: the peaks that are worth comparing, on a scale on which they can be compared.

use std::{fmt, str::FromStr};

use rayon::prelude::*;

use super::{Peak, Reason, Rejected, Rejection, Spectrum};
use crate::{Error, Result};

/// Mass of a proton in Da (CODATA 2018).
const PROTON: f64 = 1.007_276_466_62;

/// How intensities are scaled. Without it a few strong peaks decide every comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// As they are.
    Off,
    /// Their square root.
    #[default]
    Root,
    /// The logarithm of one more than the intensity.
    Log,
    /// Their rank: the strongest peak has [`Cleaning::max_peaks`] (the number of peaks if that is not set), the next
    /// one less, and so on; of two equal peaks the one of lower m/z is first.
    Rank,
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scaling::Off => "off",
            Scaling::Root => "root",
            Scaling::Log => "log",
            Scaling::Rank => "rank",
        })
    }
}

impl FromStr for Scaling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Scaling::Off),
            "root" => Ok(Scaling::Root),
            "log" => Ok(Scaling::Log),
            "rank" => Ok(Scaling::Rank),
            _ => Err(Error::parameter("scaling", name, "off, root, log or rank")),
        }
    }
}

/// What is done to a spectrum before it is compared, in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleaning {
    /// Peaks outside of this range of m/z are dropped; both ends belong to it.
    pub mz_range: Option<(f64, f64)>,
    /// Peaks this near (m/z) to the precursor are dropped, also to the precursor at each lower charge.
    pub precursor_window: Option<f64>,
    /// Peaks below this share of the strongest one are dropped.
    pub min_relative_intensity: f32,
    /// At most this many of the strongest peaks are kept.
    pub max_peaks: Option<usize>,
    /// A spectrum needs this many peaks, and always one.
    pub min_peaks: usize,
    /// A spectrum's peaks must cover this range of m/z.
    pub min_span: f64,
    /// How the intensities are scaled.
    pub scaling: Scaling,
}

impl Cleaning {
    /// For small molecules: every peak of 1 % and more, the 100 strongest, square roots. No spectrum with a peak is
    /// lost, since small molecules give few fragments, close together, and often the precursor alone.
    #[must_use]
    pub fn metabolomics() -> Self {
        Cleaning {
            mz_range: None,
            precursor_window: None,
            min_relative_intensity: 0.01,
            max_peaks: Some(100),
            min_peaks: 1,
            min_span: 0.0,
            scaling: Scaling::Root,
        }
    }

    /// For peptides, with the limits of [falcon](https://doi.org/10.1002/rcm.9153): m/z 101 to 1500 without the
    /// precursor (1.5), peaks of 1 % and more, the 50 strongest, square roots; at least 5 peaks over at least 250 m/z.
    #[must_use]
    pub fn proteomics() -> Self {
        Cleaning {
            mz_range: Some((101.0, 1500.0)),
            precursor_window: Some(1.5),
            min_relative_intensity: 0.01,
            max_peaks: Some(50),
            min_peaks: 5,
            min_span: 250.0,
            scaling: Scaling::Root,
        }
    }

    /// The options by the names of the command line, for files to say how they came about; the scaling is left to what
    /// the spectra are then used for.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        fn or_none<T: ToString>(value: Option<T>) -> String {
            value.map_or_else(|| "none".to_owned(), |value| value.to_string())
        }
        vec![
            ("mz-range", or_none(self.mz_range.map(|(low, high)| format!("{low}-{high}")))),
            ("remove-precursor", or_none(self.precursor_window)),
            ("min-relative-intensity", self.min_relative_intensity.to_string()),
            ("max-peaks", or_none(self.max_peaks)),
            ("min-peaks", self.min_peaks.to_string()),
            ("min-span", self.min_span.to_string()),
        ]
    }

    /// Cleans one spectrum.
    ///
    /// # Errors
    /// Why the spectrum cannot be used.
    pub fn clean(&self, mut spectrum: Spectrum) -> Result<Spectrum, Reason> {
        self.clean_in_place(&mut spectrum)?;
        Ok(spectrum)
    }

    /// Cleans spectra on all threads and keeps their order.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an option that no spectrum could meet.
    pub fn clean_all(&self, spectra: Vec<Spectrum>) -> Result<(Vec<Spectrum>, Rejected)> {
        self.check()?;
        let cleaned: Vec<_> = spectra
            .into_par_iter()
            .map(|mut spectrum| match self.clean_in_place(&mut spectrum) {
                Ok(()) => Ok(spectrum),
                Err(reason) => Err(Rejection::of(&spectrum, reason)),
            })
            .collect();
        let mut kept = Vec::with_capacity(cleaned.len());
        let mut rejected = Rejected::default();
        for spectrum in cleaned {
            match spectrum {
                Ok(spectrum) => kept.push(spectrum),
                Err(rejection) => rejected.push(rejection),
            }
        }
        Ok((kept, rejected))
    }

    fn check(&self) -> Result<()> {
        let (low, high) = self.mz_range.unwrap_or((0.0, f64::INFINITY));
        let window = self.precursor_window.unwrap_or_default();
        let share = self.min_relative_intensity;
        let most = self.max_peaks.unwrap_or(usize::MAX);
        let checks = [
            (low < high, "mz_range", format!("{low} to {high}"), "from a lower to a higher m/z"),
            (window >= 0.0, "precursor_window", window.to_string(), "0 or more"),
            ((0.0..=1.0).contains(&share), "min_relative_intensity", share.to_string(), "from 0 to 1"),
            (most >= self.min_peaks.max(1), "max_peaks", most.to_string(), "at least one, and no fewer than min_peaks"),
            (self.min_span >= 0.0, "min_span", self.min_span.to_string(), "0 or more"),
        ];
        match checks.into_iter().find(|(possible, ..)| !possible) {
            Some((_, name, value, expected)) => Err(Error::parameter(name, value, expected)),
            None => Ok(()),
        }
    }

    fn clean_in_place(&self, spectrum: &mut Spectrum) -> Result<(), Reason> {
        if spectrum.ms_level == Some(1) {
            return Err(Reason::SurveySpectrum);
        }
        let precursors = self.precursor_window.map(|window| (precursors(spectrum), window));
        spectrum.peaks.retain(|peak| {
            peak.intensity > 0.0
                && self.mz_range.is_none_or(|(low, high)| (low..=high).contains(&peak.mz))
                && precursors.as_ref().is_none_or(|(mzs, window)| mzs.iter().all(|mz| (peak.mz - mz).abs() > *window))
        });
        keep_strongest(&mut spectrum.peaks, self.min_relative_intensity, self.max_peaks);
        let span = match &spectrum.peaks[..] {
            [first, .., last] => last.mz - first.mz,
            _ => 0.0,
        };
        if spectrum.peaks.len() < self.min_peaks.max(1) {
            return Err(Reason::TooFewPeaks);
        }
        if span < self.min_span {
            return Err(Reason::NarrowSpan);
        }
        self.scale(&mut spectrum.peaks);
        Ok(())
    }

    pub(super) fn scale(&self, peaks: &mut [Peak]) {
        match self.scaling {
            Scaling::Off => {}
            Scaling::Root => peaks.iter_mut().for_each(|peak| peak.intensity = peak.intensity.sqrt()),
            Scaling::Log => peaks.iter_mut().for_each(|peak| peak.intensity = peak.intensity.ln_1p()),
            Scaling::Rank => {
                let highest = self.max_peaks.unwrap_or(peaks.len());
                let mut strongest: Vec<&mut Peak> = peaks.iter_mut().collect();
                strongest.sort_by(|a, b| b.intensity.total_cmp(&a.intensity));
                for (rank, peak) in strongest.into_iter().enumerate() {
                    peak.intensity = highest.saturating_sub(rank) as f32;
                }
            }
        }
    }
}

/// m/z of the precursor, and of the same molecule at each lower charge.
fn precursors(spectrum: &Spectrum) -> Vec<f64> {
    let Some(mz) = spectrum.precursor_mz else { return Vec::new() };
    let mut all = vec![mz];
    for &charge in &spectrum.charges {
        let proton = if charge < 0 { -PROTON } else { PROTON };
        let mass = (mz - proton) * f64::from(charge.unsigned_abs());
        all.extend((1..charge.unsigned_abs()).map(|lower| mass / f64::from(lower) + proton));
    }
    all
}

/// Drops peaks below a share of the strongest, then all but the `most` strongest; of equal ones the lower m/z stays.
fn keep_strongest(peaks: &mut Vec<Peak>, share: f32, most: Option<usize>) {
    let strongest = peaks.iter().map(|peak| peak.intensity).fold(0.0, f32::max);
    let least = f64::from(share) * f64::from(strongest);
    peaks.retain(|peak| f64::from(peak.intensity) >= least);
    if let Some(most) = most
        && peaks.len() > most
    {
        peaks.sort_by(|a, b| b.intensity.total_cmp(&a.intensity).then(a.mz.total_cmp(&b.mz)));
        peaks.truncate(most);
    }
    // Spectra made by hand may come unsorted; for those read from files this costs one pass.
    peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
}
