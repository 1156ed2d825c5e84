//! Spectra as they are compared.

use std::cell::RefCell;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::{ClusterOptions, Ion, bucket::may_share, gaps};
use crate::spectra::{Cleaning, Prepared, Scaling, Scorer, Scratch, Spectrum};

/// At most so many members of a cluster are what its members are compared with to find the medoid.
const MEDOID_WITNESSES: usize = 32;

/// Scores that differ by less are equal.
const ROUNDING: f64 = 1e-9;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A bucket's spectra, ready to be compared, in the order of their precursors.
pub(super) struct Comparable<'a> {
    pub(super) spectra: Vec<Spectrum>,
    prepared: Vec<Prepared>,
    mzs: Vec<Option<f64>>,
    /// Vectors that were made elsewhere, one row a spectrum.
    pub(super) vectors: Option<Array2<f32>>,
    pub(super) options: &'a ClusterOptions,
}

impl<'a> Comparable<'a> {
    pub(super) fn new(spectra: Vec<Spectrum>, options: &'a ClusterOptions) -> Self {
        let mzs = spectra.iter().map(|spectrum| Ion::of(spectrum).mz).collect();
        let spectra: Vec<_> = spectra.into_par_iter().map(|spectrum| comparable(spectrum, options)).collect();
        let scorer = scorer(options);
        let prepared = spectra.par_iter().map(|spectrum| scorer.prepare(spectrum)).collect();
        Comparable { spectra, prepared, mzs, vectors: None, options }
    }

    pub(super) fn len(&self) -> usize {
        self.spectra.len()
    }

    /// The score of two spectra, from 0 to 1, the same whichever is named first; 1 where rounding alone keeps it from 1.
    pub(super) fn score(&self, a: u32, b: u32) -> f64 {
        let (first, second) = (&self.prepared[a.min(b) as usize], &self.prepared[a.max(b) as usize]);
        let scorer = scorer(self.options);
        let score = SCRATCH.with_borrow_mut(|scratch| scorer.score(first, second, scratch).score);
        if score > 1.0 - ROUNDING { 1.0 } else { score.max(0.0) }
    }

    /// Whether the precursors of two spectra are near enough for one cluster.
    pub(super) fn may_share(&self, a: u32, b: u32) -> bool {
        may_share(self.mzs[a.min(b) as usize], self.mzs[a.max(b) as usize], self.options.precursor_tolerance)
    }

    /// For each of some spectra, ascending: how many of them come before the first one whose precursor is too far above.
    pub(super) fn window_ends(&self, places: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let places: Vec<u32> = places.into_iter().collect();
        let mut end = 0;
        let ends = places.iter().enumerate().map(|(number, &place)| {
            end = end.max(number + 1);
            while places.get(end).is_some_and(|&other| self.may_share(place, other)) {
                end += 1;
            }
            end
        });
        ends.collect()
    }

    /// These spectra alone, ascending.
    pub(super) fn only(mut self, places: &[u32]) -> Self {
        let mut wanted = vec![false; self.len()];
        for &place in places {
            wanted[place as usize] = true;
        }
        keep(&mut self.spectra, &wanted);
        keep(&mut self.prepared, &wanted);
        keep(&mut self.mzs, &wanted);
        let rows: Vec<usize> = places.iter().map(|&place| place as usize).collect();
        self.vectors = self.vectors.map(|vectors| vectors.select(Axis(0), &rows));
        self
    }

    /// Parts of a cluster, ascending, in which no two precursors are too far apart.
    pub(super) fn split_by_precursor(&self, members: Vec<u32>) -> Vec<Vec<u32>> {
        let mzs: Option<Vec<f64>> = members.iter().map(|&member| self.mzs[member as usize]).collect();
        let (Some(mzs), Some(tolerance)) = (mzs, self.options.precursor_tolerance) else { return vec![members] };
        let narrow = |part: std::ops::Range<usize>| tolerance.accepts(mzs[part.start], mzs[part.end - 1]);
        gaps::cut(&mzs, narrow).into_iter().map(|part| members[part].to_vec()).collect()
    }

    /// The one of `candidates` that is most similar to the other members on average, the first of equals. Of a large
    /// cluster the others are a sample, evenly spread over the precursors.
    pub(super) fn medoid(&self, candidates: &[u32], members: &[u32]) -> u32 {
        let step = members.len().div_ceil(MEDOID_WITNESSES).max(1);
        let mut best = (f64::NEG_INFINITY, candidates[0]);
        if members.len() > 2 {
            for &member in candidates {
                let others = members.iter().step_by(step).filter(|&&other| other != member);
                let (sum, count) = others.fold((0.0, 0), |(sum, n), &other| (sum + self.score(member, other), n + 1));
                let mean = sum / f64::from(count.max(1));
                if mean > best.0 {
                    best = (mean, member);
                }
            }
        }
        best.1
    }
}

/// Takes out the precursor's own peaks, unless none other is left, and scales the intensities.
///
/// All spectra of a bucket have the same precursor, so that its peak says nothing about which of them are of one
/// molecule, while it can be most of what there is.
pub(super) fn comparable(mut spectrum: Spectrum, options: &ClusterOptions) -> Spectrum {
    let scaled = Cleaning {
        mz_range: None,
        precursor_window: None,
        min_relative_intensity: 0.0,
        max_peaks: None,
        min_peaks: 1,
        min_span: 0.0,
        scaling: options.scaling(),
    };
    spectrum.fields = Vec::new();
    let fragments = Cleaning { precursor_window: options.precursor_window, ..scaled.clone() }.clean(spectrum.clone());
    // What cannot be scaled (a survey spectrum) is compared as it is.
    fragments.or_else(|_| scaled.clean(spectrum.clone())).unwrap_or(spectrum)
}

/// Spectra for [`Vectorizer`](crate::spectra::Vectorizer): square roots, whatever the score is made from.
pub(super) fn rooted(spectrum: &Spectrum, scaling: Scaling) -> Spectrum {
    let mut spectrum = spectrum.clone();
    if scaling == Scaling::Off {
        spectrum.peaks.iter_mut().for_each(|peak| peak.intensity = peak.intensity.sqrt());
    }
    spectrum
}

fn keep<T>(items: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    items.retain(|_| wanted.next().copied().unwrap_or_default());
}

fn scorer(options: &ClusterOptions) -> Scorer {
    Scorer { score: options.score, tolerance: options.fragment_tolerance }
}

impl ClusterOptions {
    /// The scaling of intensities that the score is best with, unless one was chosen.
    pub(super) fn scaling(&self) -> Scaling {
        self.scaling.unwrap_or(self.score.scaling())
    }
}
