//! Comparisons of the rows of panels with groups of centroids.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Simd, WithSimd};

use crate::ops::{
    panels::{Groups, Panels, Sums, VECTORS, group_of},
    top::bits,
};

/// What the rows of panels find, padding included.
#[derive(Default)]
pub(super) struct Found {
    pub indices: Vec<u32>,
    pub smallest: Vec<f32>,
    pub second: Vec<f32>,
    /// By how much the second smallest must be larger, where that is asked.
    pub margins: Vec<f32>,
    /// To the closest of the groups found, where rows find groups.
    pub distances: Vec<f32>,
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.indices.clear();
        self.smallest.clear();
        self.second.clear();
    }
}

/// What each row finds among the centroids; among groups of them, each with the smallest sum in it, if those are asked
/// for.
pub(super) fn scan<T: Sums>(panels: &Panels, groups: &Groups, sums: T, whole_groups: bool, found: &mut Found) {
    found.clear();
    sums.dispatch(Scan { panels, groups, sums, whole_groups, found });
}

struct Scan<'a, T> {
    panels: &'a Panels,
    groups: &'a Groups,
    sums: T,
    whole_groups: bool,
    found: &'a mut Found,
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
            let mut closest = Closest::new(simd);
            let mut index = 0;
            for group in self.groups.groups::<N>() {
                let start = |place: usize| [simd.splat_f32s(group.starts[place]); VECTORS];
                let sums = self.sums.sums(simd, group, &panel, start);
                if self.whole_groups {
                    closest.offer(simd, index, smallest(simd, sums));
                    index += 1;
                    continue;
                }
                for sums in sums {
                    closest.offer(simd, index, sums);
                    index += 1;
                }
            }
            self.found.smallest.extend_from_slice(bytemuck::cast_slice(&closest.smallest));
            self.found.second.extend_from_slice(bytemuck::cast_slice(&closest.second));
            self.found.indices.extend_from_slice(bytemuck::cast_slice(&closest.indices));
        }
    }
}

/// The smallest of a group's sums.
#[inline(always)]
fn smallest<S: Simd, const N: usize>(simd: S, sums: [[S::f32s; VECTORS]; N]) -> [S::f32s; VECTORS] {
    let infinite = [simd.splat_f32s(f32::INFINITY); VECTORS];
    let smaller = |a: S::f32s, b| simd.min_f32s(a, b);
    sums.into_iter().fold(infinite, |[a, b], [c, d]| [smaller(a, c), smaller(b, d)])
}

/// What the rows of a panel have found.
struct Closest<S: Simd> {
    smallest: [S::f32s; VECTORS],
    second: [S::f32s; VECTORS],
    indices: [S::u32s; VECTORS],
}

impl<S: Simd> Closest<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let infinite = [simd.splat_f32s(f32::INFINITY); VECTORS];
        Closest { smallest: infinite, second: infinite, indices: [simd.splat_u32s(0); VECTORS] }
    }

    #[inline(always)]
    fn offer(&mut self, simd: S, index: u32, sums: [S::f32s; VECTORS]) {
        let number = simd.splat_u32s(index);
        for (vector, sum) in sums.into_iter().enumerate() {
            let (smallest, second) = (&mut self.smallest[vector], &mut self.second[vector]);
            let nearer = simd.less_than_f32s(sum, *smallest);
            *second = simd.min_f32s(*second, simd.max_f32s(*smallest, sum));
            *smallest = simd.min_f32s(sum, *smallest);
            self.indices[vector] = simd.select_u32s(nearer, number, self.indices[vector]);
        }
    }
}

/// Most centroids of a row between which differences decide one by one.
pub(super) const MOST: usize = 8;

/// Centroids near a row.
#[derive(Clone, Copy, Default)]
pub(super) struct Near {
    pub centroids: [u32; MOST],
    /// May be more than fit.
    pub count: usize,
}

/// Finds the centroids no further from each row than a limit.
pub(super) struct FindNear<'a, T> {
    pub panels: &'a Panels,
    pub groups: &'a Groups,
    pub sums: T,
    /// Of each row, and of padding.
    pub limits: &'a [f32],
    pub near: &'a mut [Near],
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
