//! Comparisons of rows with the groups of centroids that their bounds do not leave out.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Simd, WithSimd};

use super::{SIZE, groups::Moved};
use crate::ops::{
    Ranked,
    simd::{Square, Term},
    top::bits,
};

/// Rows that meet a group at a time, so that additions need not wait for each other.
const AT_ONCE: usize = 4;

/// What is left of a lower bound after a difference of it was rounded.
const KEPT: f32 = 1.0 - 2.0 * f32::EPSILON;

/// What a thread works in.
#[derive(Default)]
pub(super) struct Scratch {
    /// Of each group, the rows to compare with it.
    lists: Vec<Vec<u32>>,
    /// Of each row, a bound of the group of its centroid.
    own: Vec<f32>,
}

/// A block of rows that find their closest centroids.
pub(super) struct Pass<'a> {
    pub rows: &'a [f32],
    pub moved: &'a Moved,
    /// Those before, and those found.
    pub labels: &'a mut [u32],
    pub distances: &'a mut [f32],
    /// Before the centroids moved, and after it.
    pub lower: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl WithSimd for Pass<'_> {
    /// Groups that rows were compared with.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        match S::F32_LANES {
            16 => self.run::<S, 1>(simd),
            8 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            _ => self.run::<S, SIZE>(simd),
        }
    }
}

impl Pass<'_> {
    /// `PARTS` SIMD vectors hold a number of each of a group's centroids.
    #[inline(always)]
    fn run<S: Simd, const PARTS: usize>(mut self, simd: S) -> usize {
        let mut lists = std::mem::take(&mut self.scratch.lists);
        lists.resize_with(self.moved.groups(), Vec::new);
        for (row, &label) in self.labels.iter().enumerate() {
            lists[self.moved.group_of(label)].push(row as u32);
        }
        self.meet_own::<S, PARTS>(simd, &mut lists);
        self.list(simd, &mut lists);
        let met = self.labels.len() + lists.iter().map(Vec::len).sum::<usize>();
        self.meet_others::<S, PARTS>(simd, &mut lists);
        self.scratch.lists = lists;
        met
    }

    /// Compares rows with the groups of their centroids.
    #[inline(always)]
    fn meet_own<S: Simd, const PARTS: usize>(&mut self, simd: S, lists: &mut [Vec<u32>]) {
        self.scratch.own.resize(self.labels.len(), 0.0);
        for (group, list) in lists.iter_mut().enumerate() {
            let centroids = S::as_simd_f32s(self.moved.lines(group)).0.as_chunks::<PARTS>().0;
            for rows in list.chunks(AT_ONCE) {
                let met = meet(simd, centroids, rows, self.rows);
                for (&row, distances) in rows.iter().zip(met) {
                    let (row, (smallest, lanes)) = (row as usize, closest(simd, distances));
                    self.labels[row] = self.moved.lowest(group, lanes);
                    self.distances[row] = smallest;
                    self.scratch.own[row] = self.moved.rounding.below(second(simd, distances, (smallest, lanes)));
                }
            }
            list.clear();
        }
    }

    /// Lowers the bounds by how far centroids moved, and lists the rows that bounds do not keep from groups.
    #[inline(always)]
    fn list<S: Simd>(&mut self, simd: S, lists: &mut [Vec<u32>]) {
        let drifts = S::as_simd_f32s(self.moved.drifts()).0;
        let kept = simd.splat_f32s(KEPT);
        let own = self.labels.iter().zip(&*self.distances).zip(&self.scratch.own);
        for (row, (lower, ((&label, &distance), &bound))) in
            self.lower.chunks_exact_mut(self.moved.drifts().len()).zip(own).enumerate()
        {
            let upper = simd.splat_f32s(self.moved.rounding.above(distance));
            let own = self.moved.group_of(label);
            for (part, (lower, &drift)) in S::as_mut_simd_f32s(lower).0.iter_mut().zip(drifts).enumerate() {
                *lower = simd.mul_add_e_f32s(*lower, kept, simd.neg_f32s(drift));
                let met = u32::from(own / S::F32_LANES == part) << (own % S::F32_LANES);
                let mut open = bits::<S>(simd.less_than_or_equal_f32s(*lower, upper)) & !met;
                while open != 0 {
                    lists[part * S::F32_LANES + open.trailing_zeros() as usize].push(row as u32);
                    open &= open - 1;
                }
            }
            lower[own] = bound;
        }
    }

    /// Compares rows with other groups.
    #[inline(always)]
    fn meet_others<S: Simd, const PARTS: usize>(&mut self, simd: S, lists: &mut [Vec<u32>]) {
        let (rounding, bounds) = (self.moved.rounding, self.moved.drifts().len());
        for (group, list) in lists.iter_mut().enumerate() {
            let centroids = S::as_simd_f32s(self.moved.lines(group)).0.as_chunks::<PARTS>().0;
            for rows in list.chunks(AT_ONCE) {
                let met = meet(simd, centroids, rows, self.rows);
                for (&row, distances) in rows.iter().zip(met) {
                    let (row, (smallest, lanes)) = (row as usize, closest(simd, distances));
                    let lower = &mut self.lower[row * bounds..][..bounds];
                    let (label, distance) = (&mut self.labels[row], &mut self.distances[row]);
                    let number = self.moved.lowest(group, lanes);
                    lower[group] = rounding.below(smallest);
                    if Ranked::new(smallest, number) < Ranked::new(*distance, *label) {
                        lower[self.moved.group_of(*label)] = rounding.below(*distance);
                        lower[group] = rounding.below(second(simd, distances, (smallest, lanes)));
                        (*label, *distance) = (number, smallest);
                    }
                }
            }
            list.clear();
        }
    }
}

/// The distances of some rows to the centroids of a group, in their lanes.
#[inline(always)]
fn meet<S: Simd, const PARTS: usize>(
    simd: S,
    group: &[[S::f32s; PARTS]],
    which: &[u32],
    rows: &[f32],
) -> [[S::f32s; PARTS]; AT_ONCE] {
    let row = |index: usize| {
        let row = which[index.min(which.len() - 1)] as usize;
        &rows[row * group.len()..][..group.len()]
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(row);
    let mut sums = [[simd.splat_f32s(0.0); PARTS]; AT_ONCE];
    for ((((line, &a), &b), &c), &d) in group.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, value) in sums.iter_mut().zip([a, b, c, d]) {
            let value = simd.splat_f32s(value);
            for (sum, &line) in sums.iter_mut().zip(line) {
                *sum = Square.add(simd, *sum, line, value);
            }
        }
    }
    sums
}

/// The smallest of distances, and the lanes that have it.
#[inline(always)]
fn closest<S: Simd, const PARTS: usize>(simd: S, distances: [S::f32s; PARTS]) -> (f32, u32) {
    let smallest = smallest(simd, distances);
    let equal = distances.map(|part| bits::<S>(simd.equal_f32s(part, simd.splat_f32s(smallest))));
    (smallest, equal.into_iter().rev().fold(0, |lanes, part| lanes << (SIZE / PARTS) | part))
}

/// The smallest of distances but for one of those that are `closest`.
#[inline(always)]
fn second<S: Simd, const PARTS: usize>(simd: S, distances: [S::f32s; PARTS], closest: (f32, u32)) -> f32 {
    if closest.1.count_ones() > 1 {
        return closest.0;
    }
    let (infinite, closest) = (simd.splat_f32s(f32::INFINITY), simd.splat_f32s(closest.0));
    let others = distances.map(|part| simd.select_f32s(simd.equal_f32s(part, closest), infinite, part));
    smallest(simd, others)
}

#[inline(always)]
fn smallest<S: Simd, const PARTS: usize>(simd: S, distances: [S::f32s; PARTS]) -> f32 {
    let smallest = distances.into_iter().fold(distances[0], |smallest, part| simd.min_f32s(smallest, part));
    simd.reduce_min_f32s(smallest)
}
