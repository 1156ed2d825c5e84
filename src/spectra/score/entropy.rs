//! Weighted spectral entropy similarity, as the authors' package `ms_entropy` has it.

use super::{Prepared, Scored};
use crate::spectra::{Spectrum, Tolerance};

/// Spectra of less entropy (nats) than this have their weak peaks raised.
const RICH: f64 = 3.0;

/// Merged peaks whose weights add up to 1.
pub(super) fn prepare(spectrum: &Spectrum, tolerance: Tolerance) -> Prepared {
    let mut prepared = Prepared::of(spectrum);
    prepared.divide(prepared.weights.iter().copied().fold(0.0, f64::max));
    let apart = tolerance.doubled();
    while !is_centroided(&prepared.mzs, apart) {
        let before = prepared.len();
        merge(&mut prepared, apart);
        // At the limit itself rounding may have them both too near and too far.
        if prepared.len() == before {
            break;
        }
    }
    prepared.divide(prepared.weights.iter().sum());
    let entropy = -prepared.weights.iter().map(|weight| weight * weight.ln()).sum::<f64>();
    if entropy < RICH {
        let power = 0.25 + 0.25 * entropy;
        prepared.weights.iter_mut().for_each(|weight| *weight = weight.powf(power));
        prepared.divide(prepared.weights.iter().sum());
    }
    prepared.parts = prepared.weights.iter().copied().map(part).collect();
    prepared
}

fn part(weight: f64) -> f64 {
    weight * weight.log2()
}

fn is_centroided(mzs: &[f64], apart: Tolerance) -> bool {
    mzs.windows(2).all(|pair| pair[1] - pair[0] >= apart.width(pair[1]))
}

/// Merges into each peak, from the strongest on, those around it; of equal peaks the one of higher m/z is first.
fn merge(prepared: &mut Prepared, apart: Tolerance) {
    let Prepared { mzs, weights, .. } = prepared;
    let mut order: Vec<usize> = (0..mzs.len()).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(b.cmp(&a)));
    let mut merged = Vec::with_capacity(mzs.len());
    for peak in order {
        if weights[peak] <= 0.0 {
            continue;
        }
        let mz = mzs[peak];
        let first = mzs[..peak].iter().rposition(|&other| !apart.accepts(other, mz)).map_or(0, |last| last + 1);
        let more = mzs[peak..].iter().position(|&other| !apart.accepts(other, mz)).unwrap_or(mzs.len() - peak);
        let around = first..peak + more;
        let weight: f64 = weights[around.clone()].iter().sum();
        let moment: f64 = around.clone().map(|other| weights[other] * mzs[other]).sum();
        merged.push((moment / weight, weight));
        weights[around].fill(0.0);
    }
    merged.sort_by(|a, b| a.0.total_cmp(&b.0));
    (*mzs, *weights) = merged.into_iter().unzip();
}

/// The similarity of two prepared spectra. Their peaks are at least twice the tolerance apart, so each meets one at most.
pub(super) fn similarity(a: &Prepared, b: &Prepared, tolerance: Tolerance) -> Scored {
    let (mut first, mut second) = (0, 0);
    let mut scored = Scored::default();
    while let (Some(&mz), Some(&other)) = (a.mzs.get(first), b.mzs.get(second)) {
        if tolerance.accepts(mz, other) {
            let both = part(a.weights[first] + b.weights[second]);
            scored.score += both - a.parts[first] - b.parts[second];
            scored.matched += 1;
            first += 1;
            second += 1;
        } else if mz < other {
            first += 1;
        } else {
            second += 1;
        }
    }
    scored.score = (scored.score / 2.0).clamp(0.0, 1.0);
    scored
}
