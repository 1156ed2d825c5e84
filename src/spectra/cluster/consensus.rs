//! One spectrum that stands for many.

use super::gaps;
use crate::spectra::{Peak, Spectrum, Tolerance};

/// A peak belongs to the consensus if at least one in so many spectra has it.
const ONE_IN: usize = 4;

/// The consensus of the spectra of a cluster, intensities not scaled; `None` if there are none.
///
/// Peaks of different spectra are put together where they lie within `tolerance`; where more do, they are cut at the widest
/// gaps until no peak is farther from another than that and none is of the same spectrum as another. Those that at least a quarter of the spectra have are kept, so that what few noisy spectra add is left out while the
/// fragments of each collision energy stay. m/z is the mean weighted by intensity, intensity the mean over all spectra
/// of what is relative to their strongest peak, from 0 to 100. Precursor and retention time are medians; charge and
/// polarity are those of the first spectrum, which all of a cluster share.
#[must_use]
pub fn consensus(spectra: &[Spectrum], tolerance: Tolerance) -> Option<Spectrum> {
    let first = spectra.first()?;
    // Peaks with their intensity relative to the spectrum's strongest one, and the spectrum they are of.
    let mut peaks: Vec<(f64, f64, usize)> = Vec::new();
    for (number, spectrum) in spectra.iter().enumerate() {
        let strongest = spectrum.peaks.iter().map(|peak| peak.intensity).fold(0.0, f32::max);
        let relative = |peak: &Peak| 100.0 * f64::from(peak.intensity) / f64::from(strongest.max(f32::MIN_POSITIVE));
        peaks.extend(spectrum.peaks.iter().map(|peak| (peak.mz, relative(peak), number)));
    }
    peaks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)).then(a.1.total_cmp(&b.1)));
    let mut merged = Vec::new();
    for chain in peaks.chunk_by(|a, b| tolerance.accepts(a.0, b.0)) {
        let mzs: Vec<f64> = chain.iter().map(|peak| peak.0).collect();
        let parts = gaps::cut(&mzs, |part| {
            tolerance.accepts(mzs[part.start], mzs[part.end - 1])
                && spectra_of(&chain[part.clone()]).len() == part.len()
        });
        merged.extend(parts.into_iter().filter_map(|part| merge(&chain[part], spectra.len())));
    }
    let mut whole = Spectrum::new(first.source.clone());
    whole.precursor_mz = median(spectra.iter().filter_map(|spectrum| spectrum.precursor_mz).collect());
    whole.retention_time = median(spectra.iter().filter_map(|spectrum| spectrum.retention_time).collect());
    (whole.charges, whole.polarity, whole.ms_level) = (first.charges.clone(), first.polarity, first.ms_level);
    whole.peaks = merged;
    Some(whole)
}

/// The spectra that have peaks, each once.
fn spectra_of(peaks: &[(f64, f64, usize)]) -> Vec<usize> {
    let mut spectra: Vec<usize> = peaks.iter().map(|peak| peak.2).collect();
    spectra.sort_unstable();
    spectra.dedup();
    spectra
}

/// One peak of several, if enough of all spectra have it.
fn merge(peaks: &[(f64, f64, usize)], spectra: usize) -> Option<Peak> {
    let having = spectra_of(peaks);
    let total: f64 = peaks.iter().map(|peak| peak.1).sum();
    let weighted: f64 = peaks.iter().map(|peak| peak.0 * peak.1).sum();
    let enough = having.len() * ONE_IN >= spectra && total > 0.0;
    enough.then(|| Peak { mz: weighted / total, intensity: (total / spectra as f64) as f32 })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}
