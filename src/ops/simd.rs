//! Distances on the CPU with SIMD, one definition for every instruction set.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Arch, Simd, WithSimd};

use super::is_l2;
use crate::Metric;

/// What a distance adds up for each column.
pub(super) trait Term: Copy + Send + Sync {
    /// `sum` plus the term of `a` and `b`.
    fn add<S: Simd>(simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s;
}

/// The square of the difference.
#[derive(Clone, Copy)]
pub(super) struct Square;

impl Term for Square {
    #[inline(always)]
    fn add<S: Simd>(simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
        let difference = simd.sub_f32s(a, b);
        simd.mul_add_e_f32s(difference, difference, sum)
    }
}

/// Minus the product.
#[derive(Clone, Copy)]
pub(super) struct Product;

impl Term for Product {
    #[inline(always)]
    fn add<S: Simd>(simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
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
fn distance<S: Simd, T: Term>(simd: S, a: &[f32], b: &[f32], _: T) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = T::add(simd, *sum, a, b);
        }
    }
    for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum = T::add(simd, *sum, a, b);
    }
    // Lanes past the end are zero in both and add nothing.
    sums[3] = T::add(simd, sums[3], simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail));
    let [first, second, third, fourth] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(first, second), simd.add_f32s(third, fourth)))
}
