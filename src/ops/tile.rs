//! Sizes that the tiled kernels share.

/// Rows of a square tile on either side: 16 x 16 invocations of 4 x 4 distances.
pub(super) const TILE: usize = 64;

/// Invocations a workgroup.
pub(super) const THREADS: usize = 256;

/// How many rows on the left meet how many on the right at a time, 4 x 4 of them an invocation.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    pub left: usize,
    pub right: usize,
    /// Columns that go through workgroup memory at a time.
    step: usize,
}

impl Tiling {
    pub(super) const SQUARE: Tiling = Tiling::new(TILE, TILE, 16);

    /// For few rows on the left: less is computed in vain.
    pub(super) const WIDE: Tiling = Tiling::new(16, 256, 8);

    /// For few rows on the right.
    pub(super) const TALL: Tiling = Tiling::new(256, 16, 8);

    /// Up to so many rows on a side are few.
    pub(super) const FEW: usize = 32;

    const fn new(left: usize, right: usize, step: usize) -> Self {
        assert!(left / 4 * (right / 4) == THREADS);
        // What a binding's least workgroup memory of 16 KiB has left beside a queue.
        assert!((left / 4 + right / 4 + 2) * step * 16 < 10 << 10);
        Tiling { left, right, step }
    }

    pub(super) fn numbers(self) -> Vec<(&'static str, u32)> {
        let Tiling { left, right, step } = self;
        let numbers = [("LEFT", left), ("RIGHT", right), ("STEP", step), ("THREADS", THREADS)];
        numbers.map(|(name, number)| (name, number as u32)).to_vec()
    }
}
