//! Each row's closest of many centroids, on the CPU.
//!
//! Rows lie in the lanes of panels and centroids are broadcast, so that a lane keeps its own smallest distance and
//! nothing is compared across lanes.
//!
//! Squared distances are compared by |c|²/2 - r·c, of centroids and rows less the centroids' mean: one operation a
//! term where a difference takes two. Differences decide between centroids that rounding may have confused: the outcome
//! is theirs.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::sync::OnceLock;

use pulp::{Simd, WithSimd};

use super::{
    Ranked,
    integers::Integers,
    is_l2,
    panels::{BLOCK, Form, Groups, Panels, Reach, Sums, VECTORS, group_of, width},
    row,
    simd::{Product, Square, chained},
    top::bits,
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

    /// Packs rows, and gives what rounding to integers may add to the difference of two of their sums.
    fn pack(&self, rows: &[f32], stride: usize, panels: &mut Panels) -> f32 {
        panels.repack(rows, stride, self.centre.len(), form(&self.centre, self.integers));
        panels.reach().doubt(self.reach)
    }

    fn scan(&self, panels: &Panels, found: &mut Vec<Lane>) {
        match self.integers {
            Some(integers) => scan(panels, &self.groups, integers, found),
            None => scan(panels, &self.groups, Product, found),
        }
    }

    /// The centroids no further from each row than its limit.
    fn find_near(&self, panels: &Panels, mut limits: Vec<f32>, near: &mut Vec<Near>) {
        near.clear();
        near.resize(limits.len(), Near::default());
        limits.resize(limits.len().next_multiple_of(width()), f32::NEG_INFINITY);
        let (groups, limits) = (&self.groups, &limits[..]);
        match self.integers {
            Some(integers) => integers.dispatch(FindNear { panels, groups, sums: integers, limits, near }),
            None => Product.dispatch(FindNear { panels, groups, sums: Product, limits, near }),
        }
    }
}

/// What is packed of rows and centroids.
fn form(centre: &[f32], integers: Option<Integers>) -> Form<'_> {
    integers.map_or(Form::Centred(centre), |integers| Form::Rounded(centre, integers))
}

/// Most centroids of a row between which differences decide one by one.
const MOST: usize = 8;

/// What a thread that compares rows works in.
#[derive(Default)]
pub(super) struct Scratch {
    panels: Panels,
    closest: Vec<Lane>,
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

/// Centroids near a row.
#[derive(Clone, Copy, Default)]
struct Near {
    centroids: [u32; MOST],
    /// May be more than fit.
    count: usize,
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
    /// rows `stride` apart. Doubts take less time when many rows come at once.
    pub(super) fn labels(&self, rows: &[f32], stride: usize, scratch: &mut Scratch, labels: &mut [u32]) {
        let Some(centred) = &self.centred else {
            self.plain(rows, stride, scratch, labels, None);
            return;
        };
        scratch.doubtful.clear();
        let blocks = rows.chunks(BLOCK * stride).zip(labels.chunks_mut(BLOCK)).enumerate();
        for (block, (rows, labels)) in blocks {
            let Scratch { panels, closest, doubtful, .. } = scratch;
            let doubt = centred.pack(rows, stride, panels);
            centred.scan(panels, closest);
            for (index, ((label, lane), &half)) in labels.iter_mut().zip(&*closest).zip(panels.starts()).enumerate() {
                *label = lane.index;
                let margin = margin(self.dimension, (2.0 * half).sqrt() + centred.reach.norm) + doubt;
                let certain = lane.second - lane.smallest > margin;
                if !certain {
                    doubtful.push(Doubtful { row: block * BLOCK + index, limit: lane.smallest + margin });
                }
            }
        }
        let doubtful = std::mem::take(&mut scratch.doubtful);
        for doubtful in doubtful.chunks(BLOCK) {
            self.decide(centred, (rows, stride), doubtful, scratch, labels);
        }
        scratch.doubtful = doubtful;
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
        let doubt = centred.pack(&scratch.rows, self.dimension, &mut scratch.panels);
        let limits = doubtful.iter().map(|doubtful| doubtful.limit + doubt).collect();
        centred.find_near(&scratch.panels, limits, &mut scratch.near);
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

    /// [`Centroids::labels`], and the distances to them.
    pub(super) fn closest(&self, rows: &[f32], scratch: &mut Scratch, labels: &mut [u32], distances: &mut [f32]) {
        if self.centred.is_none() {
            self.plain(rows, self.dimension, scratch, labels, Some(distances));
            return;
        }
        self.labels(rows, self.dimension, scratch, labels);
        let blocks = rows.chunks(BLOCK * self.dimension).zip(labels.chunks(BLOCK)).zip(distances.chunks_mut(BLOCK));
        for ((rows, labels), distances) in blocks {
            let mut pairs = [(&[] as &[f32], &[] as &[f32]); BLOCK];
            for ((pair, vector), &label) in pairs.iter_mut().zip(rows.chunks_exact(self.dimension)).zip(labels) {
                *pair = (row(self.rows, self.dimension, label as usize), vector);
            }
            chained(&pairs[..labels.len()], self.metric, distances);
        }
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
        for (block, (rows, labels)) in rows.chunks(BLOCK * stride).zip(labels.chunks_mut(BLOCK)).enumerate() {
            scratch.panels.repack(rows, stride, self.dimension, Form::Plain);
            if is_l2(self.metric) {
                scan(&scratch.panels, groups, Square, &mut scratch.closest);
            } else {
                scan(&scratch.panels, groups, Product, &mut scratch.closest);
            }
            labels.iter_mut().zip(&scratch.closest).for_each(|(label, lane)| *label = lane.index);
            if let Some(distances) = &mut distances {
                let distances = distances[block * BLOCK..].iter_mut();
                distances.zip(&scratch.closest).for_each(|(distance, lane)| *distance = lane.smallest);
            }
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

struct FindNear<'a, T> {
    panels: &'a Panels,
    groups: &'a Groups,
    sums: T,
    /// Of each row, and of padding.
    limits: &'a [f32],
    near: &'a mut [Near],
}

impl<T: Sums> WithSimd for FindNear<'_, T> {
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

impl<T: Sums> FindNear<'_, T> {
    #[inline(always)]
    fn in_groups<S: Simd, const N: usize>(self, simd: S) {
        let limits = S::as_simd_f32s(self.limits).0.as_chunks::<VECTORS>().0;
        let near = self.near.chunks_mut(VECTORS * S::F32_LANES);
        for ((panel, limits), near) in self.panels.panels::<S>().zip(limits).zip(near) {
            let mut centroid = 0;
            for group in self.groups.groups::<N>() {
                let start = |place: usize| [simd.splat_f32s(group.starts[place]); VECTORS];
                for sums in self.sums.sums(simd, group, &panel, start) {
                    for (vector, sum) in sums.into_iter().enumerate() {
                        let mut lanes = bits::<S>(simd.less_than_or_equal_f32s(sum, limits[vector]));
                        while lanes != 0 {
                            let near = &mut near[vector * S::F32_LANES + lanes.trailing_zeros() as usize];
                            if let Some(place) = near.centroids.get_mut(near.count) {
                                *place = centroid;
                            }
                            near.count += 1;
                            lanes &= lanes - 1;
                        }
                    }
                    centroid += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Centred, Centroids, Integers, Scratch};
    use crate::{Metric, ops::panels::BLOCK};

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
