//! Distances on the CPU with SIMD, one definition for every instruction set.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Arch, Simd, WithSimd};

use super::is_l2;
use crate::Metric;

/// What a distance adds up for each column.
pub(super) trait Term: Copy + Send + Sync {
    /// `sum` plus the term of `a` and `b`.
    fn add<S: Simd>(self, simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s;
}

/// The square of the difference.
#[derive(Clone, Copy)]
pub(super) struct Square;

impl Term for Square {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
        let difference = simd.sub_f32s(a, b);
        simd.mul_add_e_f32s(difference, difference, sum)
    }
}

/// Minus the product.
#[derive(Clone, Copy)]
pub(super) struct Product;

impl Term for Product {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.negate_mul_add_e_f32s(a, b, sum)
    }
}

/// Calls `visit` with the distance of `query` to each of `rows` and what comes with the row.
pub(super) fn distances<'a, I>(
    query: &[f32],
    rows: impl Iterator<Item = (I, &'a [f32])>,
    metric: Metric,
    visit: impl FnMut(f32, I),
) {
    if is_l2(metric) {
        Arch::new().dispatch(Distances { query, rows, term: Square, visit });
    } else {
        Arch::new().dispatch(Distances { query, rows, term: Product, visit });
    }
}

struct Distances<'a, R, T, V> {
    query: &'a [f32],
    rows: R,
    term: T,
    visit: V,
}

impl<'a, I, R: Iterator<Item = (I, &'a [f32])>, T: Term, V: FnMut(f32, I)> WithSimd for Distances<'_, R, T, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (item, row) in self.rows {
            (self.visit)(distance(simd, self.query, row, self.term), item);
        }
    }
}

/// The distance of two vectors: four sums of every fourth SIMD vector, so that additions need not wait for each other.
#[inline(always)]
fn distance<S: Simd, T: Term>(simd: S, a: &[f32], b: &[f32], term: T) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = term.add(simd, *sum, a, b);
        }
    }
    for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum = term.add(simd, *sum, a, b);
    }
    // Lanes past the end are zero in both and add nothing.
    sums[3] = term.add(simd, sums[3], simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail));
    let [first, second, third, fourth] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(first, second), simd.add_f32s(third, fourth)))
}

/// The distance of each pair, its terms added in the order of the columns: what [`panels`](super::panels) make of the
/// pair.
pub(super) fn chained(pairs: &[(&[f32], &[f32])], metric: Metric, distances: &mut [f32]) {
    if is_l2(metric) {
        Arch::new().dispatch(Chained { pairs, term: Square, distances });
    } else {
        Arch::new().dispatch(Chained { pairs, term: Product, distances });
    }
}

struct Chained<'a, T> {
    pairs: &'a [(&'a [f32], &'a [f32])],
    term: T,
    distances: &'a mut [f32],
}

impl<T: Term> WithSimd for Chained<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Four at a time, so that additions need not wait for each other.
        for (pairs, distances) in self.pairs.chunks(4).zip(self.distances.chunks_mut(4)) {
            let pair = |index: usize| pairs[index.min(pairs.len() - 1)];
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| pair(index).0.iter().zip(pair(index).1));
            let mut sums = [simd.splat_f32s(0.0); 4];
            for (((a, b), c), d) in a.zip(b).zip(c).zip(d) {
                for (sum, (&value, &row)) in sums.iter_mut().zip([a, b, c, d]) {
                    // All lanes alike: as fast as one, and rounded as in a panel.
                    *sum = self.term.add(simd, *sum, simd.splat_f32s(value), simd.splat_f32s(row));
                }
            }
            let sums = sums.map(|sum| bytemuck::cast_slice::<_, f32>(&[sum])[0]);
            distances.iter_mut().zip(sums).for_each(|(distance, sum)| *distance = sum);
        }
    }
}
