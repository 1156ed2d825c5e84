//! Each row's closest of many centroids, on the CPU.
//!
//! Rows lie in the lanes of panels and centroids are broadcast, so that a lane keeps its own smallest distance and
//! nothing is compared across lanes.
//!
//! Squared distances are compared by |c|²/2 - r·c, of centroids and rows less the centroids' mean: one operation a
//! term where a difference takes two. Differences decide between centroids that rounding may have confused: the outcome
//! is theirs.

mod bounds;
mod centred;
mod scan;
mod within;

use std::sync::OnceLock;

use super::{
    Ranked,
    integers::Integers,
    is_l2,
    panels::{BLOCK, Form, Groups, Panels},
    row,
    simd::{Product, Square, chained},
};
use crate::Metric;
pub(super) use bounds::Bounds;
use centred::Centred;
pub(super) use centred::margin;
use scan::{Found, MOST, Near, scan};

/// Fewer centroids are compared by differences at once: distances to the closest ones, which those give as well, would
/// take longer than they save.
const FEWEST: usize = 64;

/// Centroids to compare rows with.
pub(super) struct Centroids<'a> {
    rows: &'a [f32],
    dimension: usize,
    metric: Metric,
    centred: Option<Centred>,
    plain: OnceLock<Groups>,
}

/// What a thread that compares rows works in.
#[derive(Default)]
pub(super) struct Scratch {
    panels: Panels,
    found: Found,
    doubtful: Vec<Doubtful>,
    rows: Vec<f32>,
    near: Vec<Near>,
}

/// A row whose closest centroid is not certain: it is among those no further than `limit`.
#[derive(Clone, Copy)]
struct Doubtful {
    row: usize,
    limit: f32,
}

impl<'a> Centroids<'a> {
    pub(super) fn new(rows: &'a [f32], dimension: usize, metric: Metric) -> Self {
        let products = is_l2(metric) && rows.len() / dimension >= FEWEST;
        let centred = products.then(|| Centred::new(rows, dimension, Integers::for_dimension(dimension)));
        Centroids { rows, dimension, metric, centred, plain: OnceLock::new() }
    }

    /// The number of the closest centroid of each row, the lower among equals. The rows are the first columns of
    /// rows `stride` apart. Doubts take less time when many rows come at once.
    pub(super) fn labels(&self, rows: &[f32], stride: usize, scratch: &mut Scratch, labels: &mut [u32]) {
        self.find(rows, stride, scratch, labels, None);
    }

    /// [`Centroids::labels`], and the distances to them.
    pub(super) fn closest(&self, rows: &[f32], scratch: &mut Scratch, labels: &mut [u32], distances: &mut [f32]) {
        self.find(rows, self.dimension, scratch, labels, Some(distances));
    }

    fn find(
        &self,
        rows: &[f32],
        stride: usize,
        scratch: &mut Scratch,
        labels: &mut [u32],
        mut distances: Option<&mut [f32]>,
    ) {
        let Some(centred) = &self.centred else {
            self.plain(rows, stride, scratch, labels, distances);
            return;
        };
        let Scratch { panels, found, doubtful, .. } = scratch;
        doubtful.clear();
        for (block, (rows, labels)) in rows.chunks(BLOCK * stride).zip(labels.chunks_mut(BLOCK)).enumerate() {
            centred.scan(rows, stride, panels, found);
            labels.copy_from_slice(&found.indices[..labels.len()]);
            if let Some(distances) = distances.as_mut().filter(|_| centred.finds_distances()) {
                distances[block * BLOCK..][..labels.len()].copy_from_slice(&found.distances);
            }
            let found = found.smallest.iter().zip(&found.second).zip(&found.margins).take(labels.len());
            for (index, ((&smallest, &second), &margin)) in found.enumerate() {
                let certain = second - smallest > margin;
                if !certain {
                    doubtful.push(Doubtful { row: block * BLOCK + index, limit: smallest + margin });
                }
            }
        }
        let doubtful = std::mem::take(&mut scratch.doubtful);
        for doubtful in doubtful.chunks(BLOCK) {
            self.decide(centred, (rows, stride), doubtful, scratch, labels);
        }
        if let Some(distances) = distances {
            if centred.finds_distances() {
                let rows_of = doubtful.iter().map(|doubtful| doubtful.row);
                self.measure((rows, stride), labels, rows_of, distances);
            } else {
                self.measure((rows, stride), labels, 0..labels.len(), distances);
            }
        }
        scratch.doubtful = doubtful;
    }

    /// The distances of some rows to the centroids of these labels.
    fn measure(
        &self,
        (rows, stride): (&[f32], usize),
        labels: &[u32],
        mut which: impl Iterator<Item = usize>,
        distances: &mut [f32],
    ) {
        loop {
            let mut pairs = [(&[] as &[f32], &[] as &[f32]); BLOCK];
            let (mut places, mut count) = ([0; BLOCK], 0);
            for (place, (pair, index)) in places.iter_mut().zip(pairs.iter_mut().zip(which.by_ref())) {
                *pair =
                    (row(self.rows, self.dimension, labels[index] as usize), &rows[index * stride..][..self.dimension]);
                *place = index;
                count += 1;
            }
            let mut measured = [0.0; BLOCK];
            chained(&pairs[..count], self.metric, &mut measured);
            places[..count].iter().zip(measured).for_each(|(&place, distance)| distances[place] = distance);
            if count < BLOCK {
                return;
            }
        }
    }

    /// Compares doubtful rows by differences with the centroids that may be closest; with all, if that is as fast.
    fn decide(
        &self,
        centred: &Centred,
        (rows, stride): (&[f32], usize),
        doubtful: &[Doubtful],
        scratch: &mut Scratch,
        labels: &mut [u32],
    ) {
        let vector = |row: usize| &rows[row * stride..][..self.dimension];
        scratch.rows.clear();
        scratch.rows.extend(doubtful.iter().flat_map(|doubtful| vector(doubtful.row)));
        let limits = doubtful.iter().map(|doubtful| doubtful.limit).collect();
        centred.find_near(&scratch.rows, limits, &mut scratch.panels, &mut scratch.near);
        scratch.rows.clear();
        let mut open = vec![];
        for (&Doubtful { row, .. }, near) in doubtful.iter().zip(&scratch.near) {
            match near.centroids.get(..near.count) {
                None | Some([]) => {
                    open.push(row);
                    scratch.rows.extend_from_slice(vector(row));
                }
                Some(&[only]) => labels[row] = only,
                Some(several) => labels[row] = self.closest_of(several, vector(row)),
            }
        }
        let again = std::mem::take(&mut scratch.rows);
        let mut found = [0; BLOCK];
        self.plain(&again, self.dimension, scratch, &mut found[..open.len()], None);
        open.iter().zip(found).for_each(|(&row, label)| labels[row] = label);
        scratch.rows = again;
    }

    fn closest_of(&self, centroids: &[u32], vector: &[f32]) -> u32 {
        let mut pairs = [(&[] as &[f32], vector); MOST];
        for (pair, &centroid) in pairs.iter_mut().zip(centroids) {
            pair.0 = row(self.rows, self.dimension, centroid as usize);
        }
        let mut distances = [0.0; MOST];
        chained(&pairs[..centroids.len()], self.metric, &mut distances);
        let ranked = centroids.iter().zip(distances).map(|(&centroid, distance)| Ranked::new(distance, centroid));
        ranked.min().map_or(0, Ranked::id)
    }

    /// By differences or products as they are.
    fn plain(
        &self,
        rows: &[f32],
        stride: usize,
        scratch: &mut Scratch,
        labels: &mut [u32],
        mut distances: Option<&mut [f32]>,
    ) {
        let groups = self
            .plain
            .get_or_init(|| Groups::pack(self.rows.chunks_exact(self.dimension), self.dimension, Form::Plain));
        let Scratch { panels, found, .. } = scratch;
        for (block, (rows, labels)) in rows.chunks(BLOCK * stride).zip(labels.chunks_mut(BLOCK)).enumerate() {
            panels.repack(rows, stride, self.dimension, Form::Plain);
            if is_l2(self.metric) {
                scan(panels, groups, Square, false, found);
            } else {
                scan(panels, groups, Product, false, found);
            }
            labels.copy_from_slice(&found.indices[..labels.len()]);
            if let Some(distances) = &mut distances {
                let distances = distances[block * BLOCK..].iter_mut().zip(&found.smallest);
                distances.take(labels.len()).for_each(|(distance, &smallest)| *distance = smallest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Centred, Centroids, Scratch};
    use crate::{
        Metric,
        ops::{integers::Integers, panels::BLOCK},
    };

    proptest! {
        /// Whatever products may confuse: duplicates, near-duplicates, clusters far apart, far from the origin.
        #[test]
        fn products_find_what_differences_find(
            dimension in 1_usize..40,
            count in 64_usize..200,
            rows in 1_usize..=3 * BLOCK,
            steps in 1_u32..2000,
            offset in prop_oneof![Just(0.0_f32), Just(1000.0), Just(1e6)],
            apart in prop_oneof![Just(0.0_f32), Just(1e4)],
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let mut vectors = |rows: usize| -> Vec<f32> {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state >> 8
                };
                let mut vector = || {
                    let far = if next() % 2 == 0 { apart } else { 0.0 };
                    (0..dimension).map(|_| offset + far + (next() % steps) as f32 / 7.0).collect::<Vec<_>>()
                };
                (0..rows).flat_map(|_| vector()).collect()
            };
            let (centroids, rows) = (vectors(count), vectors(rows));
            let compared_by = |centred| Centroids { centred, ..Centroids::new(&centroids, dimension, Metric::L2) };
            let found = |centroids: &Centroids<'_>| {
                let mut labels = vec![0; rows.len() / dimension];
                let mut distances = vec![0.0; labels.len()];
                centroids.closest(&rows, &mut Scratch::default(), &mut labels, &mut distances);
                (labels, distances)
            };
            let differences = found(&compared_by(None));
            for integers in [None, Integers::new()] {
                let centred = Centred::new(&centroids, dimension, integers);
                prop_assert_eq!(&found(&compared_by(Some(centred))), &differences);
            }
        }
    }
}
