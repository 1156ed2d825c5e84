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

    pub(super) fn offer(&mut self, distance: f32, id: u32) {
        if distance <= self.threshold {
            self.push(Ranked::new(distance, id));
        }
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

    /// Writes them in order to a row that holds [`Ranked::NONE`].
    pub(super) fn write(mut self, row: &mut [Ranked]) {
        self.cut();
        self.kept.sort_unstable();
        row.iter_mut().zip(self.kept).for_each(|(place, candidate)| *place = candidate);
    }
}

impl Keep for Top {
    type Lanes<S: Simd> = ();

    #[inline(always)]
    fn begin<S: Simd>(_: S) {}

    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, (): &mut (), first: u32, distances: [S::f32s; VECTORS]) {
        let threshold = simd.splat_f32s(self.threshold);
        let [a, b] = distances.map(|distances| simd.less_than_or_equal_f32s(distances, threshold));
        let near = select(simd, simd.or_m32s(a, b), simd.splat_f32s(-1.0), simd.splat_f32s(1.0));
        if simd.reduce_min_f32s(near) < 0.0 {
            let distances: &[f32] = bytemuck::cast_slice(&distances);
            (first..).zip(distances).for_each(|(id, &distance)| self.offer(distance, id));
        }
    }

    #[inline(always)]
    fn end<S: Simd>(&mut self, (): &()) {}
}

impl Merge for Top {
    fn merge(mut self, other: Self) -> Self {
        for candidate in other.kept {
            self.push(candidate);
        }
        self
    }
}

/// `a` where `mask` is set, `b` elsewhere: `select_f32s`, which is not always inlined.
#[inline(always)]
fn select<S: Simd>(simd: S, mask: S::m32s, a: S::f32s, b: S::f32s) -> S::f32s {
    let (a, b) = (simd.transmute_u32s_f32s(a), simd.transmute_u32s_f32s(b));
    simd.transmute_f32s_u32s(simd.select_u32s(mask, a, b))
}

/// Keeps the smallest distance and its id, the lower one among equals.
#[derive(Clone, Copy)]
pub(super) struct Best(pub Ranked);

impl Best {
    pub(super) fn new() -> Self {
        Best(Ranked::new(f32::INFINITY, 0))
    }
}

/// The smallest distance in each lane and the first row of its panel.
#[derive(Clone, Copy)]
pub(super) struct BestLanes<S: Simd> {
    distances: [S::f32s; VECTORS],
    firsts: [S::u32s; VECTORS],
}

impl Keep for Best {
    type Lanes<S: Simd> = BestLanes<S>;

    #[inline(always)]
    fn begin<S: Simd>(simd: S) -> BestLanes<S> {
        BestLanes { distances: [simd.splat_f32s(f32::INFINITY); VECTORS], firsts: [simd.splat_u32s(0); VECTORS] }
    }

    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, lanes: &mut BestLanes<S>, first: u32, distances: [S::f32s; VECTORS]) {
        let first = simd.splat_u32s(first);
        for ((best, firsts), distances) in lanes.distances.iter_mut().zip(&mut lanes.firsts).zip(distances) {
            let nearer = simd.less_than_f32s(distances, *best);
            *best = select(simd, nearer, distances, *best);
            *firsts = simd.select_u32s(nearer, first, *firsts);
        }
    }

    #[inline(always)]
    fn end<S: Simd>(&mut self, lanes: &BestLanes<S>) {
        let distances: &[f32] = bytemuck::cast_slice(&lanes.distances);
        let firsts: &[u32] = bytemuck::cast_slice(&lanes.firsts);
        for (lane, (&distance, &first)) in (0..).zip(distances.iter().zip(firsts)) {
            self.0 = self.0.min(Ranked::new(distance, first + lane));
        }
    }
}

impl Merge for Best {
    fn merge(self, other: Self) -> Self {
        Best(self.0.min(other.0))
    }
}
