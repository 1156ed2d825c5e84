//! What of a spectrum is compared.

use crate::spectra::{Peak, Spectrum};

/// What of a spectrum is compared: its peaks, their intensities on the scale of a score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// Ascending.
    pub(super) mzs: Vec<f64>,
    pub(super) weights: Vec<f64>,
    /// For the entropy: what each peak adds to it, `weight * log2(weight)`.
    pub(super) parts: Vec<f64>,
    pub(super) precursor_mz: Option<f64>,
}

impl Prepared {
    /// The number of peaks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mzs.len()
    }

    /// Whether there are no peaks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mzs.is_empty()
    }

    /// Intensities whose squares add up to 1.
    pub(super) fn of_unit_length(spectrum: &Spectrum) -> Self {
        let mut prepared = Self::of(spectrum);
        // Relative to the strongest, so that squares stay in range.
        prepared.divide(prepared.weights.iter().copied().fold(0.0, f64::max));
        prepared.divide(prepared.weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt());
        prepared
    }

    /// The peaks as they are, but for those of no intensity and those that are not finite.
    pub(super) fn of(spectrum: &Spectrum) -> Self {
        let present = |peak: &&Peak| peak.mz.is_finite() && peak.intensity.is_finite() && peak.intensity > 0.0;
        let mut peaks: Vec<_> = spectrum.peaks.iter().filter(present).collect();
        peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
        Prepared {
            mzs: peaks.iter().map(|peak| peak.mz).collect(),
            weights: peaks.iter().map(|peak| f64::from(peak.intensity)).collect(),
            parts: Vec::new(),
            precursor_mz: spectrum.precursor_mz,
        }
    }

    pub(super) fn divide(&mut self, by: f64) {
        self.weights.iter_mut().for_each(|weight| *weight /= by);
    }
}
