//! The closest within a group of centroids, by differences.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Arch, Simd, WithSimd};

use super::scan::Found;
use crate::ops::{
    panels::{group_size, lanes},
    simd::{Square, Term},
    top::bits,
};

/// Centroids in their groups, side by side: a lane belongs to a centroid.
pub(super) struct Within {
    /// Group after group: first columns, second columns, and so on; infinite past a group's end.
    lines: Vec<f32>,
    dimension: usize,
    /// Centroids of a group.
    size: usize,
    /// Numbers of a line: whole SIMD vectors.
    width: usize,
}

impl Within {
    pub(super) fn new(rows: &[f32], dimension: usize) -> Self {
        let (size, width) = (group_size(), group_size().next_multiple_of(lanes()));
        let mut lines = vec![];
        for group in rows.chunks(size * dimension) {
            for column in 0..dimension {
                let values = group.iter().skip(column).step_by(dimension).copied();
                lines.extend(values.chain(std::iter::repeat(f32::INFINITY)).take(width));
            }
        }
        Within { lines, dimension, size, width }
    }

    /// Turns the groups that rows found into the closest centroids there, the lower among equals.
    pub(super) fn find(&self, rows: &[f32], stride: usize, found: &mut Found) {
        let count = rows.len().div_ceil(stride);
        found.distances.resize(count, 0.0);
        let (indices, distances) = (&mut found.indices[..count], &mut found.distances[..]);
        Arch::new().dispatch(Find { within: self, rows, stride, indices, distances });
    }
}

struct Find<'a> {
    within: &'a Within,
    rows: &'a [f32],
    stride: usize,
    indices: &'a mut [u32],
    distances: &'a mut [f32],
}

impl WithSimd for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Of usual lengths, all is in registers.
        match self.within.dimension {
            2 => self.each(simd, |row| row.first_chunk::<2>()),
            4 => self.each(simd, |row| row.first_chunk::<4>()),
            8 => self.each(simd, |row| row.first_chunk::<8>()),
            dimension => self.each(simd, |row| row.get(..dimension)),
        }
    }
}

impl<'a> Find<'a> {
    /// For each row, of which `cut` takes the columns.
    #[inline(always)]
    fn each<S: Simd, R: AsRef<[f32]> + ?Sized + 'a>(self, simd: S, cut: impl Fn(&'a [f32]) -> Option<&'a R>) {
        let Within { lines, size, width, .. } = self.within;
        let lines = S::as_simd_f32s(lines).0;
        let parts = width / S::F32_LANES;
        let places = self.indices.iter_mut().zip(self.distances);
        for (row, (index, distance)) in self.rows.chunks(self.stride).filter_map(cut).zip(places) {
            let row = row.as_ref();
            let group = &lines[*index as usize * row.len() * parts..][..row.len() * parts];
            *distance = f32::INFINITY;
            let mut lane = 0;
            for part in 0..parts {
                let mut sums = simd.splat_f32s(0.0);
                for (column, &value) in row.iter().enumerate() {
                    sums = Square.add(simd, sums, simd.splat_f32s(value), group[column * parts + part]);
                }
                let smallest = simd.reduce_min_f32s(sums);
                if smallest < *distance {
                    *distance = smallest;
                    let equal = bits::<S>(simd.equal_f32s(sums, simd.splat_f32s(smallest)));
                    lane = part as u32 * S::F32_LANES as u32 + equal.trailing_zeros();
                }
            }
            *index = *index * *size as u32 + lane;
        }
    }
}
