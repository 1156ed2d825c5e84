//! The k smallest of a stream of candidates, on the CPU.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::Simd;

use super::{
    Ranked,
    panels::{Keep, Merge, VECTORS},
};

/// Keeps the `k` smallest candidates that it is offered, in any order of offers.
///
/// A reservoir of about 2k: when full, it is cut to the k smallest, so that an offer costs O(1) on average for any k.
pub(super) struct Top {
    k: usize,
    kept: Vec<Ranked>,
    /// Nothing above it is among the k smallest.
    bound: Ranked,
    /// The distance of `bound`.
    threshold: f32,
}

impl Top {
    pub(super) fn new(k: usize) -> Self {
        Top { k, kept: vec![], bound: Ranked::NONE, threshold: f32::INFINITY }
    }

    #[inline(always)]
    pub(super) fn offer(&mut self, distance: f32, id: u32) {
        if distance <= self.threshold {
            self.push(Ranked::new(distance, id));
        }
    }

    /// Whether any of the distances may be among the smallest.
    #[inline(always)]
    pub(super) fn wants<S: Simd>(&self, simd: S, distances: [S::f32s; VECTORS]) -> bool {
        let threshold = simd.splat_f32s(self.threshold);
        let [a, b] = distances.map(|distances| simd.less_than_or_equal_f32s(distances, threshold));
        any::<S>(simd.or_m32s(a, b))
    }

    /// Takes in what another one keeps.
    pub(super) fn take_in(&mut self, other: Self) {
        for candidate in other.kept {
            self.push(candidate);
        }
    }

    /// What it is, leaving nothing of it behind.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Top::new(self.k))
    }

    fn push(&mut self, candidate: Ranked) {
        if candidate >= self.bound {
            return;
        }
        self.kept.push(candidate);
        if self.kept.len() >= self.k.saturating_add(self.k.max(32)) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.kept.len() > self.k {
            let (_, bound, _) = self.kept.select_nth_unstable(self.k - 1);
            self.bound = *bound;
            self.threshold = bound.distance();
            self.kept.truncate(self.k);
        }
    }

    /// The smallest in order, `k` at most.
    pub(super) fn into_sorted(mut self) -> Vec<Ranked> {
        self.cut();
        self.kept.sort_unstable();
        self.kept
    }

    /// Writes them in order to a row that holds [`Ranked::NONE`].
    pub(super) fn write(self, row: &mut [Ranked]) {
        row.iter_mut().zip(self.into_sorted()).for_each(|(place, candidate)| *place = candidate);
    }
}

impl Keep for Top {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]) {
        if self.wants(simd, distances) {
            let distances: &[f32] = bytemuck::cast_slice(&distances);
            (first..).zip(distances).for_each(|(id, &distance)| self.offer(distance, id));
        }
    }
}

impl Merge for Top {
    fn merge(mut self, other: Self) -> Self {
        self.take_in(other);
        self
    }
}

/// Whether any lane is set.
#[inline(always)]
fn any<S: Simd>(mask: S::m32s) -> bool {
    bytemuck::bytes_of(&mask).iter().fold(0, |all, &byte| all | byte) != 0
}
