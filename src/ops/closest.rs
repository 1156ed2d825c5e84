//! Each row's closest of many centroids, on the CPU.
//!
//! Rows lie in the lanes of panels and centroids are broadcast, so that a lane keeps its own smallest distance and
//! nothing is compared across lanes.
//!
//! Squared distances are compared by |c|²/2 - r·c, of centroids and rows less the centroids' mean: one operation a
//! term where a difference takes two. What rounding may have confused is compared again by differences: the outcome
//! is theirs.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::sync::OnceLock;

use pulp::{Simd, WithSimd};

use super::{
    integers::Integers,
    is_l2,
    panels::{BLOCK, Form, Groups, Panels, Reach, Sums, VECTORS, group_of},
    row,
    simd::{Product, Square, chained},
};
use crate::Metric;

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

/// Centroids as inner products take them.
struct Centred {
    centre: Vec<f32>,
    groups: Groups,
    /// Of all of them.
    reach: Reach,
    integers: Option<Integers>,
}

impl Centred {
    fn new(rows: &[f32], dimension: usize, integers: Option<Integers>) -> Self {
        let count = rows.len() / dimension;
        let mut centre = vec![0.0; dimension];
        for row in rows.chunks_exact(dimension) {
            centre.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value / count as f32);
        }
        let groups = Groups::pack(rows.chunks_exact(dimension), dimension, form(&centre, integers));
        let reach = (0..count).map(|row| groups.reach(row)).fold(Reach::default(), Reach::max);
        Centred { centre, groups, reach, integers }
    }
}

/// What is packed of rows and centroids.
fn form(centre: &[f32], integers: Option<Integers>) -> Form<'_> {
    integers.map_or(Form::Centred(centre), |integers| Form::Rounded(centre, integers))
}

/// What a thread that compares rows works in.
#[derive(Default)]
pub(super) struct Scratch {
    panels: Panels,
    closest: Vec<Lane>,
    doubtful: Vec<f32>,
}

/// What a lane found.
#[derive(Clone, Copy, Default)]
struct Lane {
    index: u32,
    smallest: f32,
    second: f32,
}

impl<'a> Centroids<'a> {
    pub(super) fn new(rows: &'a [f32], dimension: usize, metric: Metric) -> Self {
        let products = is_l2(metric) && rows.len() / dimension >= FEWEST;
        let centred = products.then(|| Centred::new(rows, dimension, Integers::for_dimension(dimension)));
        Centroids { rows, dimension, metric, centred, plain: OnceLock::new() }
    }

    /// The number of the closest centroid of each row, the lower among equals. The rows are the first columns of
    /// rows `stride` apart, at most [`BLOCK`].
    pub(super) fn labels(&self, rows: &[f32], stride: usize, scratch: &mut Scratch, labels: &mut [u32]) {
        let Some(centred) = &self.centred else {
            self.plain(rows, stride, scratch, labels, None);
            return;
        };
        let Scratch { panels, closest, doubtful } = scratch;
        panels.repack(rows, stride, self.dimension, form(&centred.centre, centred.integers));
        match centred.integers {
            Some(integers) => scan(panels, &centred.groups, integers, closest),
            None => scan(panels, &centred.groups, Product, closest),
        }
        let doubt = panels.reach().doubt(centred.reach);
        doubtful.clear();
        let mut doubts = [0; BLOCK];
        let mut count = 0;
        for (index, ((label, lane), &half)) in labels.iter_mut().zip(&*closest).zip(panels.starts()).enumerate() {
            *label = lane.index;
            let margin = margin(self.dimension, (2.0 * half).sqrt() + centred.reach.norm);
            let certain = lane.second - lane.smallest > margin + doubt;
            if !certain {
                doubtful.extend_from_slice(&rows[index * stride..][..self.dimension]);
                doubts[count] = index;
                count += 1;
            }
        }
        if count > 0 {
            let again = std::mem::take(&mut scratch.doubtful);
            let mut found = [0; BLOCK];
            self.plain(&again, self.dimension, scratch, &mut found[..count], None);
            doubts[..count].iter().zip(found).for_each(|(&index, label)| labels[index] = label);
            scratch.doubtful = again;
        }
    }

    /// [`Centroids::labels`], and the distances to them.
    pub(super) fn closest(&self, rows: &[f32], scratch: &mut Scratch, labels: &mut [u32], distances: &mut [f32]) {
        if self.centred.is_none() {
            self.plain(rows, self.dimension, scratch, labels, Some(distances));
            return;
        }
        self.labels(rows, self.dimension, scratch, labels);
        let mut pairs = [(&[] as &[f32], &[] as &[f32]); BLOCK];
        for ((pair, vector), &label) in pairs.iter_mut().zip(rows.chunks_exact(self.dimension)).zip(&*labels) {
            *pair = (row(self.rows, self.dimension, label as usize), vector);
        }
        chained(&pairs[..labels.len()], self.metric, distances);
    }

    /// By differences or products as they are.
    fn plain(
        &self,
        rows: &[f32],
        stride: usize,
        scratch: &mut Scratch,
        labels: &mut [u32],
        distances: Option<&mut [f32]>,
    ) {
        let groups = self
            .plain
            .get_or_init(|| Groups::pack(self.rows.chunks_exact(self.dimension), self.dimension, Form::Plain));
        scratch.panels.repack(rows, stride, self.dimension, Form::Plain);
        if is_l2(self.metric) {
            scan(&scratch.panels, groups, Square, &mut scratch.closest);
        } else {
            scan(&scratch.panels, groups, Product, &mut scratch.closest);
        }
        labels.iter_mut().zip(&scratch.closest).for_each(|(label, lane)| *label = lane.index);
        if let Some(distances) = distances {
            distances.iter_mut().zip(&scratch.closest).for_each(|(distance, lane)| *distance = lane.smallest);
        }
    }
}

/// By how much two centred half distances must differ so that differences would order them alike, where `reach` is
/// no less than the norms of a vector and of the longest row together.
///
/// A half distance s is a chain of d products begun with a half norm of d squares, of numbers rounded once when
/// centred: off by (2d + 5)u (|c|²/2 + |r||c|) at most, and a squared difference by (d + 2)u of itself (Higham 2002,
/// section 3.1), which is at most reach². Two of each: (3d + 8)u reach², and a little for the margin's own rounding.
pub(super) fn margin(dimension: usize, reach: f32) -> f32 {
    const UNIT: f32 = f32::EPSILON / 2.0;
    1.01 * (3.0 * dimension as f32 + 8.0) * UNIT * reach * reach + f32::MIN_POSITIVE
}

/// What each row's lane finds among the centroids.
fn scan<T: Sums>(panels: &Panels, groups: &Groups, sums: T, found: &mut Vec<Lane>) {
    found.clear();
    sums.dispatch(Scan { panels, groups, sums, found });
}

struct Scan<'a, T> {
    panels: &'a Panels,
    groups: &'a Groups,
    sums: T,
    found: &'a mut Vec<Lane>,
}

impl<T: Sums> WithSimd for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if const { group_of(S::F32_LANES) == 4 } {
            self.in_groups::<S, 4>(simd);
        } else {
            self.in_groups::<S, 12>(simd);
        }
    }
}

impl<T: Sums> Scan<'_, T> {
    #[inline(always)]
    fn in_groups<S: Simd, const N: usize>(self, simd: S) {
        for panel in self.panels.panels::<S>() {
            let mut smallest = [simd.splat_f32s(f32::INFINITY); VECTORS];
            let mut second = smallest;
            let mut indices = [simd.splat_u32s(0); VECTORS];
            let mut index = 0;
            for group in self.groups.groups::<N>() {
                let start = |place: usize| [simd.splat_f32s(group.starts[place]); VECTORS];
                for sums in self.sums.sums(simd, group, &panel, start) {
                    let number = simd.splat_u32s(index);
                    for (vector, sum) in sums.into_iter().enumerate() {
                        let nearer = simd.less_than_f32s(sum, smallest[vector]);
                        second[vector] = simd.min_f32s(second[vector], simd.max_f32s(smallest[vector], sum));
                        smallest[vector] = simd.min_f32s(sum, smallest[vector]);
                        indices[vector] = simd.select_u32s(nearer, number, indices[vector]);
                    }
                    index += 1;
                }
            }
            let smallest: &[f32] = bytemuck::cast_slice(&smallest);
            let second: &[f32] = bytemuck::cast_slice(&second);
            let indices: &[u32] = bytemuck::cast_slice(&indices);
            let lanes = smallest.iter().zip(second).zip(indices);
            self.found.extend(lanes.map(|((&smallest, &second), &index)| Lane { index, smallest, second }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Centroids, Scratch};
    use crate::{Metric, ops::panels::BLOCK};

    proptest! {
        /// Whatever products may confuse: duplicates, near-duplicates, clusters far apart, far from the origin.
        #[test]
        fn products_find_what_differences_find(
            dimension in 1_usize..40,
            count in 64_usize..200,
            rows in 1_usize..=BLOCK,
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
            let products = Centroids::new(&centroids, dimension, Metric::L2);
            prop_assert!(products.centred.is_some());
            let differences = Centroids { centred: None, ..Centroids::new(&centroids, dimension, Metric::L2) };
            let found = |centroids: &Centroids<'_>| {
                let mut labels = vec![0; rows.len() / dimension];
                let mut distances = vec![0.0; labels.len()];
                centroids.closest(&rows, &mut Scratch::default(), &mut labels, &mut distances);
                (labels, distances)
            };
            prop_assert_eq!(found(&products), found(&differences));
        }
    }
}
