//! Buckets: spectra that may share a cluster, so far as their ions tell.

use std::ops::Range;

use super::gaps;
use crate::spectra::{Polarity, Source, Spectrum, Tolerance};

/// A chain of precursors of more spectra than this is cut at its widest gaps.
const MOST_IN_BUCKET: usize = 1 << 15;

/// What is known of a spectrum's precursor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ion {
    /// The sign of the ions.
    pub polarity: Option<Polarity>,
    /// The charge, where there is just one that it can be.
    pub charge: Option<i32>,
    /// m/z, positive and finite where it is known.
    pub mz: Option<f64>,
}

impl Ion {
    /// The precursor of a spectrum.
    #[must_use]
    pub fn of(spectrum: &Spectrum) -> Self {
        let mz = spectrum.precursor_mz.filter(|mz| mz.is_finite() && *mz > 0.0);
        Ion { polarity: spectrum.polarity, charge: spectrum.charge(), mz }
    }

    /// m/z, those that are not known last.
    fn place(&self) -> f64 {
        self.mz.unwrap_or(f64::INFINITY)
    }
}

/// Spectra in order of their buckets.
pub(super) struct Buckets {
    /// The numbers of all spectra by polarity, charge, precursor and source, whatever order they came in.
    pub(super) order: Vec<u32>,
    /// Where each bucket lies in `order`.
    pub(super) ranges: Vec<Range<usize>>,
}

/// Puts spectra into buckets: same polarity, same charge and a chain of precursors, each within the tolerance of the
/// next. What is not known makes a bucket of its own. Without a tolerance every precursor is in the same chain.
pub(super) fn buckets<'a>(
    count: usize,
    ion: impl Fn(u32) -> Ion,
    source: impl Fn(u32) -> &'a Source,
    tolerance: Option<Tolerance>,
) -> Buckets {
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_by(|&a, &b| {
        let (x, y) = (ion(a), ion(b));
        let (s, t) = (source(a), source(b));
        let by_kind = (x.polarity, x.charge).cmp(&(y.polarity, y.charge));
        let by_place = by_kind.then(x.place().total_cmp(&y.place()));
        by_place.then_with(|| (&s.file, s.index, s.line).cmp(&(&t.file, t.index, t.line)))
    });
    let joined = |a: u32, b: u32| {
        let (a, b) = (ion(a), ion(b));
        (a.polarity, a.charge) == (b.polarity, b.charge) && may_share(a.mz, b.mz, tolerance)
    };
    let mut ranges = Vec::new();
    let mut start = 0;
    for end in 1..=count {
        if end == count || !joined(order[end - 1], order[end]) {
            ranges.extend(cut_long(start, &order[start..end], &ion));
            start = end;
        }
    }
    Buckets { order, ranges }
}

/// Whether precursors are near enough for one cluster, the lower one first.
pub(super) fn may_share(a: Option<f64>, b: Option<f64>, tolerance: Option<Tolerance>) -> bool {
    match (a, b, tolerance) {
        (_, _, None) | (None, None, _) => true,
        (Some(a), Some(b), Some(tolerance)) => tolerance.accepts(a, b),
        _ => false,
    }
}

fn cut_long(start: usize, chain: &[u32], ion: impl Fn(u32) -> Ion) -> Vec<Range<usize>> {
    if chain.len() <= MOST_IN_BUCKET {
        return vec![start..start + chain.len()];
    }
    let mzs: Vec<f64> = chain.iter().map(|&number| ion(number).mz.unwrap_or_default()).collect();
    let parts = gaps::cut(&mzs, |part| part.len() <= MOST_IN_BUCKET);
    parts.into_iter().map(|part| start + part.start..start + part.end).collect()
}
