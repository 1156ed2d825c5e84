//! Nearest rows of a few queries on the CPU: rows are read once, as they lie in memory, and several of them meet several
//! queries in registers.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{panels::Merge, prefetch::prefetch_after, top::Offered};

/// Rows that meet queries at a time: one is slower at d = 100, four at d = 784 (both 1.2 for five queries).
const ROWS: usize = 2;

/// Bytes ahead of what is met that are asked for: half as far is 1.3 times as slow at d = 784, twice as far no faster.
const AHEAD: usize = 4096;

/// Most queries that meet rows at a time: their sums and the rows fill the 32 registers of AVX-512, or 16.
const fn most_queries(lanes: usize) -> usize {
    if lanes == 16 { 8 } else { 5 }
}

/// Numbers of rows that stay in the nearest cache until all queries have met them.
const CACHED: usize = 4096;

/// Rows that a thread takes at a time.
const PIECE: usize = 1024;

/// What is kept of each query by squared differences, summed in an order of their own: off by no more than [`least`] allows.
pub(super) fn nearest<K: Offered + Merge>(
    queries: &[f32],
    base: &[f32],
    dimension: usize,
    new: impl Fn() -> K + Sync,
) -> Vec<K> {
    let count = queries.len() / dimension;
    let pieces = base.par_chunks(PIECE * dimension).enumerate();
    let per_thread = base.len().div_ceil(PIECE * dimension).div_ceil(4 * rayon::current_num_threads());
    let fresh = || (0..count).map(|_| new()).collect::<Vec<_>>();
    let parts = pieces.with_min_len(per_thread).fold(fresh, |mut tops, (piece, rows)| {
        offer(queries, rows, (piece * PIECE) as u32, dimension, &mut tops);
        tops
    });
    parts.reduce(fresh, |a, b| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect())
}

/// Offers the squared differences of each query to rows, numbered from `first` on, to what is kept for it.
pub(super) fn offer<K: Offered>(queries: &[f32], rows: &[f32], first: u32, dimension: usize, tops: &mut [K]) {
    Arch::new().dispatch(Offer { queries, rows, first, dimension, tops });
}

/// No row is nearer, by differences in the order of the columns, that is no nearer than `distance` here: both are off by
/// (d + 2)u of themselves at most (Higham 2002, section 3.1).
pub(super) fn least(dimension: usize, distance: f64) -> f64 {
    distance - (2.0 * dimension as f64 + 8.0) * f64::from(f32::EPSILON / 2.0) * distance - f64::from(f32::MIN_POSITIVE)
}

struct Offer<'a, K> {
    queries: &'a [f32],
    rows: &'a [f32],
    /// Number of the first row.
    first: u32,
    dimension: usize,
    tops: &'a mut [K],
}

impl<K: Offered> WithSimd for Offer<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Offer { queries, rows, first, dimension, tops } = self;
        let groups = tops.len().div_ceil(const { most_queries(S::F32_LANES) });
        let together = tops.len().div_ceil(groups.max(1)).max(1);
        let cached = (CACHED / dimension).max(1).next_multiple_of(ROWS);
        for (number, rows) in rows.chunks(cached * dimension).enumerate() {
            let first = first + (number * cached) as u32;
            for (queries, tops) in queries.chunks(together * dimension).zip(tops.chunks_mut(together)) {
                let offer = Offer { queries, rows, first, dimension, tops };
                match offer.tops.len() {
                    1 => offer.meet::<S, 1>(simd),
                    2 => offer.meet::<S, 2>(simd),
                    3 => offer.meet::<S, 3>(simd),
                    4 => offer.meet::<S, 4>(simd),
                    5 => offer.meet::<S, 5>(simd),
                    6 => offer.meet::<S, 6>(simd),
                    7 => offer.meet::<S, 7>(simd),
                    _ => offer.meet::<S, 8>(simd),
                }
            }
        }
    }
}

impl<K: Offered> Offer<'_, K> {
    /// What there is of `N` queries.
    #[inline(always)]
    fn meet<S: Simd, const N: usize>(self, simd: S) {
        let Offer { queries, rows, first, dimension, tops } = self;
        // Loops, not `map`, whose closures are not compiled for the instruction set.
        let queries: [_; N] = array::from_fn(|query| halves::<S>(queries, dimension, query));
        for (number, rows) in rows.chunks(ROWS * dimension).enumerate() {
            let count = rows.len() / dimension;
            // The last row is repeated rather than that one is told from two.
            let rows: [_; ROWS] = array::from_fn(|row| halves::<S>(rows, dimension, row.min(count - 1)));
            let sums = squared_differences(simd, rows, queries);
            for (top, sums) in tops.iter_mut().zip(sums) {
                for (row, sum) in sums.into_iter().enumerate().take(count) {
                    top.offer_one(simd.reduce_sum_f32s(sum), first + (ROWS * number + row) as u32);
                }
            }
        }
    }
}

/// A vector's whole registers, and what is left.
type Halves<'a, S> = (&'a [<S as Simd>::f32s], &'a [f32]);

#[inline(always)]
fn halves<S: Simd>(rows: &[f32], dimension: usize, index: usize) -> Halves<'_, S> {
    let (whole, tail) = S::as_simd_f32s(&rows[index * dimension..][..dimension]);
    // The compiler sees that all are as long.
    (&whole[..dimension / S::F32_LANES], tail)
}

/// The sums of each query and each row, lane by lane.
#[inline(always)]
fn squared_differences<S: Simd, const N: usize>(
    simd: S,
    rows: [Halves<'_, S>; ROWS],
    queries: [Halves<'_, S>; N],
) -> [[S::f32s; ROWS]; N] {
    let mut sums = [[simd.splat_f32s(0.0); ROWS]; N];
    let mut add = |rows: [S::f32s; ROWS], queries: [S::f32s; N]| {
        for (sums, query) in sums.iter_mut().zip(queries) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let difference = simd.sub_f32s(query, row);
                *sum = simd.mul_add_e_f32s(difference, difference, *sum);
            }
        }
    };
    for column in 0..rows[0].0.len() {
        for (whole, _) in rows {
            prefetch_after(&whole[column], AHEAD);
        }
        add(array::from_fn(|row| rows[row].0[column]), array::from_fn(|query| queries[query].0[column]));
    }
    if !rows[0].1.is_empty() {
        add(
            array::from_fn(|row| simd.partial_load_f32s(rows[row].1)),
            array::from_fn(|query| simd.partial_load_f32s(queries[query].1)),
        );
    }
    sums
}
