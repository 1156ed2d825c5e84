//! The k smallest of a stream of candidates, on the CPU.

use super::Ranked;

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

    /// Larger distances need not be offered.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
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

    /// The smallest of both.
    pub(super) fn merge(mut self, other: Self) -> Self {
        for candidate in other.kept {
            self.push(candidate);
        }
        self
    }

    /// Writes them in order to a row that holds [`Ranked::NONE`].
    pub(super) fn write(mut self, row: &mut [Ranked]) {
        self.cut();
        self.kept.sort_unstable();
        row.iter_mut().zip(self.kept).for_each(|(place, candidate)| *place = candidate);
    }
}
