//! Nearest rows of a few queries on the CPU: rows are read once, as they lie in memory, and several of them meet several
//! queries in registers.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{panels::Merge, prefetch::prefetch, top::Top};

/// Rows that meet queries at a time.
const ROWS: usize = 4;

/// Most queries that meet rows at a time. 3 and 4 rows: at d = 100 faster than 5 and 2 (1.1), 5 and 4 (1.2).
const QUERIES: usize = 3;

/// Numbers that are asked for ahead of short rows, which hardware is late with: 1.7 times as fast at d = 100.
const AHEAD: usize = 1024;

/// Queries that meet rows at a time: their sums, the rows and a query fill the registers.
const fn queries_of(lanes: usize) -> usize {
    if lanes == 16 { QUERIES } else { 2 }
}

/// Rows that a thread takes at a time.
const PIECE: usize = 1024;

/// The `keep` nearest of each query by squared differences, summed in an order of their own: off by no more than
/// [`least`] allows.
pub(super) fn nearest(queries: &[f32], base: &[f32], dimension: usize, keep: usize) -> Vec<Top> {
    let count = queries.len() / dimension;
    let pieces = base.par_chunks(PIECE * dimension).enumerate();
    let per_thread = base.len().div_ceil(PIECE * dimension).div_ceil(4 * rayon::current_num_threads());
    let fresh = || (0..count).map(|_| Top::new(keep)).collect::<Vec<_>>();
    let parts = pieces.with_min_len(per_thread).fold(fresh, |mut tops, (piece, rows)| {
        offer(queries, rows, (piece * PIECE) as u32, dimension, &mut tops);
        tops
    });
    parts.reduce(fresh, |a, b| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect())
}

/// Offers the squared differences of each query to rows, numbered from `first` on, to what is kept for it.
pub(super) fn offer(queries: &[f32], rows: &[f32], first: u32, dimension: usize, tops: &mut [Top]) {
    Arch::new().dispatch(Offer { queries, rows, first, dimension, tops });
}

/// No row is nearer, by differences in the order of the columns, that is no nearer than `distance` here: both are off by
/// (d + 2)u of themselves at most (Higham 2002, section 3.1).
pub(super) fn least(dimension: usize, distance: f64) -> f64 {
    distance - (2.0 * dimension as f64 + 8.0) * f64::from(f32::EPSILON / 2.0) * distance - f64::from(f32::MIN_POSITIVE)
}

struct Offer<'a> {
    queries: &'a [f32],
    rows: &'a [f32],
    /// Number of the first row.
    first: u32,
    dimension: usize,
    tops: &'a mut [Top],
}

impl WithSimd for Offer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut id = self.first;
        let at_once = ROWS * self.dimension;
        let ahead = AHEAD.div_ceil(at_once);
        let blocks = self.rows.chunks(at_once);
        let later = blocks.clone().skip(ahead).chain(std::iter::repeat(&[][..]));
        for (rows, later) in blocks.zip(later) {
            if at_once <= 2 * AHEAD {
                prefetch(later);
            }
            let count = rows.len() / self.dimension;
            // The last rows are repeated rather than that fewer are told apart.
            let rows: [&[f32]; ROWS] = array::from_fn(|row| vector(rows, self.dimension, row.min(count - 1)));
            let few = const { queries_of(S::F32_LANES) };
            let queries = self.queries.chunks(few * self.dimension);
            for (queries, tops) in queries.zip(self.tops.chunks_mut(few)) {
                let mut found = [[0.0; ROWS]; QUERIES];
                let last = tops.len() - 1;
                let query = |query: usize| vector(queries, self.dimension, query.min(last));
                match tops.len() {
                    1 => distances::<S, 1>(simd, rows, array::from_fn(query), &mut found),
                    2 => distances::<S, 2>(simd, rows, array::from_fn(query), &mut found),
                    _ => distances::<S, QUERIES>(simd, rows, array::from_fn(query), &mut found),
                }
                for (top, distances) in tops.iter_mut().zip(found) {
                    for (row, distance) in distances.into_iter().enumerate().take(count) {
                        top.offer(distance, id + row as u32);
                    }
                }
            }
            id += ROWS as u32;
        }
    }
}

fn vector(rows: &[f32], dimension: usize, index: usize) -> &[f32] {
    &rows[index * dimension..][..dimension]
}

/// The distances of each query to each row.
#[inline(always)]
fn distances<S: Simd, const N: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    queries: [&[f32]; N],
    found: &mut [[f32; ROWS]; QUERIES],
) {
    let mut sums = [[simd.splat_f32s(0.0); ROWS]; N];
    let mut add = |rows: [S::f32s; ROWS], queries: [S::f32s; N]| {
        for (sums, query) in sums.iter_mut().zip(queries) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let difference = simd.sub_f32s(query, row);
                *sum = simd.mul_add_e_f32s(difference, difference, *sum);
            }
        }
    };
    // Loops, not `map`, whose closures are not compiled for the instruction set.
    let columns = rows[0].len() / S::F32_LANES;
    let split = |vector| {
        let (whole, tail) = S::as_simd_f32s(vector);
        (&whole[..columns], tail)
    };
    let (rows, queries) = (rows.map(split), queries.map(split));
    for column in 0..columns {
        add(array::from_fn(|row| rows[row].0[column]), array::from_fn(|query| queries[query].0[column]));
    }
    if !rows[0].1.is_empty() {
        add(
            array::from_fn(|row| simd.partial_load_f32s(rows[row].1)),
            array::from_fn(|query| simd.partial_load_f32s(queries[query].1)),
        );
    }
    for (distances, sums) in found.iter_mut().zip(sums) {
        for (distance, sum) in distances.iter_mut().zip(sums) {
            *distance = simd.reduce_sum_f32s(sum);
        }
    }
}
