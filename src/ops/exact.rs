//! Exact nearest rows out of some more candidates that a faster comparison kept, on the CPU.
//!
//! Differences summed in the order of the columns rank the candidates; where they cannot rule out that a row not kept is
//! as near, they decide on all rows. So it does not matter what compared first.

use rayon::prelude::*;

use super::{Ranked, closest::margin, panels::Reach, prefetch::prefetch, row, simd::chained};
use crate::Metric;

/// Rows whose mean is the centre.
const SAMPLE: usize = 256;

/// Queries and rows by whose differences candidates are ranked.
pub(super) struct Exact<'a> {
    pub queries: &'a [f32],
    pub rows: &'a [f32],
    pub dimension: usize,
    /// Neighbours wanted.
    pub k: usize,
}

/// How many candidates are kept to be ranked.
pub(super) fn to_keep(k: usize) -> usize {
    k.saturating_add(8.max(k / 8))
}

impl Exact<'_> {
    /// The k nearest of each query's candidates, which are the nearest [`to_keep`] of as many rows as `offered` says, in
    /// order. Rows are known by their places; `name` gives what they are called.
    ///
    /// `least` is given the number of a query and what the last of its candidates was kept by, and gives a distance that
    /// no other row is below. `again` finds the neighbours of the queries of which that leaves doubts.
    pub(super) fn ranked(
        &self,
        candidates: impl IndexedParallelIterator<Item = Vec<Ranked>>,
        offered: impl Fn(usize) -> usize + Sync,
        name: impl Fn(u32) -> u32 + Sync,
        least: impl Fn(usize, f64) -> f64 + Sync,
        again: impl FnOnce(&[usize]) -> Vec<Ranked>,
    ) -> Vec<Ranked> {
        let k = self.k;
        let mut found = vec![Ranked::NONE; candidates.len() * k];
        let queries = found.par_chunks_mut(k).zip(candidates).enumerate();
        let doubtful = queries.filter_map(|(query, (found, candidates))| {
            let rest = candidates.get(to_keep(k) - 1).map(|last| least(query, last.distance().into()));
            let all = candidates.len() == offered(query);
            let last = self.rank(query, candidates, &name, found);
            let certain = all || rest.is_some_and(|rest| f64::from(last) < rest);
            (!certain).then_some(query)
        });
        let doubtful: Vec<_> = doubtful.collect();
        if !doubtful.is_empty() {
            for (query, row) in doubtful.iter().zip(again(&doubtful).chunks_exact(k)) {
                found[query * k..][..k].copy_from_slice(row);
            }
        }
        found
    }

    /// Writes the nearest candidates, by difference, and gives the distance of the last one.
    fn rank(&self, query: usize, mut candidates: Vec<Ranked>, name: impl Fn(u32) -> u32, found: &mut [Ranked]) -> f32 {
        let query = row(self.queries, self.dimension, query);
        let row = |candidate: &Ranked| row(self.rows, self.dimension, candidate.id() as usize);
        for candidate in &candidates {
            prefetch(row(candidate));
        }
        let pairs: Vec<_> = candidates.iter().map(|candidate| (query, row(candidate))).collect();
        let mut distances = vec![0.0; pairs.len()];
        chained(&pairs, Metric::L2, &mut distances);
        for (candidate, distance) in candidates.iter_mut().zip(distances) {
            *candidate = Ranked::new(distance, name(candidate.id()));
        }
        candidates.sort_unstable();
        found.iter_mut().zip(&candidates).for_each(|(place, &candidate)| *place = candidate);
        candidates.get(found.len() - 1).or(candidates.last()).map_or(f32::NEG_INFINITY, |last| last.distance())
    }
}

/// No row is nearer to `query`, by differences, whose half distance by products is no less than `last`; the two `reach`
/// are those of the query and of all rows.
pub(super) fn least_by_products(query: &[f32], centre: &[f32], reach: Reach, rows: Reach, last: f64) -> f64 {
    let norm = query.iter().zip(centre).map(|(a, b)| f64::from(a - b)).map(|value| value * value).sum::<f64>();
    let margin = margin(query.len() + 1, norm.sqrt() as f32 + rows.norm) + rows.doubt(reach);
    2.0 * last + norm - f64::from(margin)
}

/// The mean of some rows. Where exactly it lies does not matter.
pub(super) fn centre(rows: &[f32], dimension: usize) -> Vec<f32> {
    let count = rows.len() / dimension;
    let step = (count / SAMPLE).max(1);
    let share = 1.0 / count.div_ceil(step).max(1) as f32;
    let mut centre = vec![0.0; dimension];
    for row in rows.chunks_exact(dimension).step_by(step) {
        centre.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value * share);
    }
    centre
}
