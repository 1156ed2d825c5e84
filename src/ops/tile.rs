//! Sizes that the tiled kernels share.

/// Rows of a tile on either side: 16 x 16 invocations of 4 x 4 distances.
pub(super) const TILE: usize = 64;

/// Columns that go through workgroup memory at a time; a thread loads one of them for four rows.
const STEP: usize = 16;

/// Invocations a workgroup.
pub(super) const THREADS: usize = 256;

const _: () = assert!(TILE / 4 * TILE / 4 == THREADS && STEP * TILE / 4 == THREADS);

pub(super) const NUMBERS: &[(&str, u32)] = &[("TILE", TILE as u32), ("STEP", STEP as u32), ("THREADS", THREADS as u32)];
