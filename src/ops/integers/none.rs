//! Where there are no instructions for them.

use pulp::{Simd, WithSimd};

use crate::ops::panels::{Group, Panel, Rounding, Sums, VECTORS};

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) enum Integers {}

impl Integers {
    pub(in crate::ops) fn new() -> Option<Self> {
        None
    }

    pub(in crate::ops) fn round<'a>(self, _: &[f32], _: f32, _: impl Iterator<Item = &'a mut f32>) -> Rounding {
        match self {}
    }

    pub(in crate::ops) fn round_panel(self, _: &[f32], _: f32, _: &mut [f32], _: &mut [f32]) -> f32 {
        match self {}
    }
}

impl Sums for Integers {
    fn dispatch<W: WithSimd>(self, _: W) -> W::Output {
        match self {}
    }

    fn sums<S: Simd, const N: usize>(
        self,
        _: S,
        _: Group<'_, N>,
        _: &Panel<'_, S>,
        _: impl Fn(usize) -> [S::f32s; VECTORS],
    ) -> [[S::f32s; VECTORS]; N] {
        match self {}
    }
}
