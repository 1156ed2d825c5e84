//! A candidate neighbour that sorts by distance, then id.

use std::fmt;

/// A candidate neighbour: a distance (smaller is nearer) and a row number, in 8 bytes that order as numbers.
///
/// The high half is the distance, mapped so that it orders as an unsigned number (-0 and +0 are one value); the low
/// half is the row number. Kernels see it as `vec2<u32>(id, key)`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Ranked(u64);

impl Ranked {
    /// No candidate: what pads a row with fewer than k. Sorts last.
    pub const NONE: Ranked = Ranked(u64::MAX);

    /// The candidate `id` at `distance`, which must not be NaN.
    #[must_use]
    pub fn new(distance: f32, id: u32) -> Self {
        // Adding zero turns -0 into +0.
        let bits = (distance + 0.0).to_bits();
        let key = if bits >> 31 == 0 { bits | 0x8000_0000 } else { !bits };
        Ranked(u64::from(key) << 32 | u64::from(id))
    }

    /// Its distance; infinite for [`Ranked::NONE`].
    #[must_use]
    pub fn distance(self) -> f32 {
        let key = (self.0 >> 32) as u32;
        match key {
            u32::MAX => f32::INFINITY,
            _ if key >> 31 == 1 => f32::from_bits(key & 0x7fff_ffff),
            _ => f32::from_bits(!key),
        }
    }

    /// Its row number.
    #[must_use]
    pub fn id(self) -> u32 {
        self.0 as u32
    }

    /// Whether this is padding.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Debug for Ranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() { f.write_str("none") } else { write!(f, "{} at {}", self.id(), self.distance()) }
    }
}
