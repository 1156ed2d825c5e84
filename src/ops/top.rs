//! The k smallest of a stream of candidates, on the CPU.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::Simd;

use super::{
    Ranked,
    mask::Bits,
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

    /// How many it keeps.
    pub(super) fn wanted(&self) -> usize {
        self.k
    }

    /// Larger distances are not among the smallest.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
    }

    /// What is no nearer than the `k` smallest.
    pub(super) fn bound(&self) -> Ranked {
        self.bound
    }

    /// Leaves out what is no nearer than `bound`, which is kept, here or elsewhere, with `k` - 1 that are nearer.
    pub(super) fn lower(&mut self, bound: Ranked) {
        if bound < self.bound {
            self.bound = bound;
            self.threshold = bound.distance();
        }
    }

    #[inline(always)]
    pub(super) fn offer(&mut self, distance: f32, id: u32) {
        if distance <= self.threshold {
            self.push(Ranked::new(distance, id));
        }
    }

    /// Offers distances of rows whose numbers `id` gives, lane by lane.
    #[inline(always)]
    pub(super) fn offer_lanes<S: Simd>(
        &mut self,
        simd: S,
        distances: [S::f32s; VECTORS],
        id: impl Fn(usize) -> Option<u32>,
    ) {
        let threshold = simd.splat_f32s(self.threshold);
        let near = distances.map(|distances| simd.less_than_or_equal_f32s(distances, threshold));
        if any::<S>(simd.or_m32s(near[0], near[1])) {
            let distances: &[f32] = bytemuck::cast_slice(&distances);
            let mut lanes = bits::<S>(near[0]) | bits::<S>(near[1]) << S::F32_LANES;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                if let (Some(id), Some(&distance)) = (id(lane), distances.get(lane)) {
                    self.offer(distance, id);
                }
            }
        }
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
            let bound = *bound;
            self.kept.truncate(self.k);
            self.lower(bound);
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
        self.offer_lanes(simd, distances, |lane| Some(first + lane as u32));
    }
}

/// Keeps the nearest of rows by their names, but for those that have none.
pub(super) struct Named<'a> {
    pub names: &'a [u32],
    pub top: &'a mut Top,
}

/// The name of a row without one: no row has that number.
pub(super) const NAMELESS: u32 = u32::MAX;

fn name_of(names: &[u32], row: usize) -> Option<u32> {
    names.get(row).copied().filter(|&name| name != NAMELESS)
}

impl Keep for Named<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]) {
        let Named { names, ref mut top } = *self;
        top.offer_lanes(simd, distances, |lane| name_of(names, first as usize + lane));
    }
}

/// Keeps the nearest of the rows that a mask has, or of all.
pub(super) struct Among<'a> {
    pub top: Top,
    pub mask: Option<Bits<'a>>,
}

fn has(mask: Option<Bits<'_>>, row: u32) -> bool {
    mask.is_none_or(|mask| mask.is_set(row as usize))
}

impl Keep for Among<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]) {
        let Among { ref mut top, mask } = *self;
        top.offer_lanes(simd, distances, |lane| Some(first + lane as u32).filter(|&row| has(mask, row)));
    }
}

impl Merge for Among<'_> {
    fn merge(mut self, other: Self) -> Self {
        self.top.take_in(other.top);
        self
    }
}

/// What is offered rows one by one.
pub(super) trait Offered {
    fn offer_one(&mut self, distance: f32, row: u32);
}

impl Offered for Top {
    #[inline(always)]
    fn offer_one(&mut self, distance: f32, row: u32) {
        self.offer(distance, row);
    }
}

impl Offered for Named<'_> {
    #[inline(always)]
    fn offer_one(&mut self, distance: f32, row: u32) {
        if distance <= self.top.threshold()
            && let Some(name) = name_of(self.names, row as usize)
        {
            self.top.offer(distance, name);
        }
    }
}

impl Offered for Among<'_> {
    #[inline(always)]
    fn offer_one(&mut self, distance: f32, row: u32) {
        if distance <= self.top.threshold() && has(self.mask, row) {
            self.top.offer(distance, row);
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
pub(super) fn any<S: Simd>(mask: S::m32s) -> bool {
    bytemuck::bytes_of(&mask).iter().fold(0, |all, &byte| all | byte) != 0
}

/// The lanes that are set, as bits.
#[inline(always)]
pub(super) fn bits<S: Simd>(mask: S::m32s) -> u32 {
    let bytes = bytemuck::bytes_of(&mask);
    match *bytes {
        [low, high] if S::F32_LANES == 16 => u32::from(low) | u32::from(high) << 8,
        _ => {
            let lanes = bytes.iter().step_by(bytes.len() / S::F32_LANES);
            lanes.enumerate().map(|(lane, &byte)| u32::from(byte & 1) << lane).sum()
        }
    }
}
