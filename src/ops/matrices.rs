//! What the kernels of cooperative matrices share: rows less a centre, rounded to f16 by `shaders/matrices_pack.wgsl`.
//!
//! A subgroup multiplies two matrices in a few instructions, several times as fast as its invocations do one by one. Where a
//! driver offers that for f16 with sums of f32, it takes the place of [`products`](super::products): see
//! `shaders/shared/matrices.wgsl`. What f16 leaves out is known. Of a row x = x' + e and a query q = q' + f,
//! |x·q - x'·q'| ≤ |e||q| + |x'||f| (Cauchy-Schwarz), and both are taken less a centre and scaled by powers of two of their own,
//! so that neither their place nor their size matters. That bound goes with every product, and what it leaves open
//! differences decide, in the same submission.
//!
//! # What bounds it
//! On an H100, whose machine code multiplies a step by 32 `HMMA` of what 12 `LDSM` read, multiplication alone goes at some 320
//! TFLOP/s, where products of f32 go at 31. Of the 2.6 ms of 1,024 queries to 1,000,000 x 128 it is 1.2 ms at most, loading
//! steps 0.7 and settling blocks 0.7: a multiprocessor has registers for one workgroup (164 an invocation), and waits with it.
//! On RDNA3 a step is 16 `v_wmma`; by its machine code `knn` has 120 registers, eight subgroups a SIMD and 88 % of the peak of
//! matrices, `nearest` 252, six and 86 % (see [`ceilings`](super::ceilings)); it has not run there.
//!
//! # What was tried and is not done
//! On the H100, beside those 2.6 ms:
//! - Steps loaded when they are needed, not one ahead: 3.2 ms, though 134 registers.
//! - Workgroups of 512 invocations, 2 x 2 blocks a subgroup: 2.8 ms, 101 registers; 3.0 ms without loading ahead.
//! - Two blocks settled at a time: 2.7 ms.
//! - Matrices loaded from storage, without workgroup memory: 1.3 times as long.
//! - What is near enough looked for row by row, not bit by bit, and a sample of one tile in 64, not 16: 4.0 ms.

use super::{
    lanes,
    products::{Centre, SIDE},
    tile::THREADS,
};
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, params},
    ops::is_l2,
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        columns: u32,
        depth: u32,
        padded: u32,
        measures_place: u32,
    }
}

/// Fewer columns are padded to as much as f32 takes.
const FEWEST_COLUMNS: usize = 32;

/// The bound on what is lost holds to there.
const MOST_COLUMNS: usize = 1 << 16;

/// Fewer rows on one side do not make up for packing the other, which has many.
const FEWEST_ROWS: usize = 65;
const MANY_ROWS: usize = 8193;

/// Bytes that are packed at a time, or a quarter of all where that is more: what passes over many stretches is more than what
/// passes over few.
const PACKED_BYTES: usize = 256 << 20;
const STRETCHES: usize = 4;

/// Bytes of what is measured of a row: four numbers.
pub(super) const MEASURE_BYTES: usize = 4 * size_of::<f32>();

/// How many times a workgroup packs some rows.
const ROUNDS: usize = 4;

/// Numbers that it loads at a time, where rows are made of such.
const WIDE: usize = 4;

/// Terms that matrices are through with while a difference is taken: seven times as many on an H100, eight or four by the
/// numbers of other GPUs.
pub(super) const DIFFERENCE: usize = 8;

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    if variant.matrices == 0 {
        return vec![];
    }
    let of = |metric| [1, WIDE].map(|width| pack(variant, metric, width));
    [of(Metric::L2), of(Metric::InnerProduct)].concat()
}

fn pack(variant: Variant, metric: Metric, width: usize) -> Kernel {
    let mut numbers = numbers(variant);
    numbers.extend([("ROUNDS", ROUNDS as u32), ("LANES", lanes::count(variant) as u32)]);
    let mut flags = lanes::flags(variant);
    flags.extend((width == WIDE).then_some("WIDE"));
    flags.extend(is_l2(metric).then_some("L2"));
    Kernel {
        name: "matrices_pack",
        source: include_str!("../../shaders/matrices_pack.wgsl"),
        params: Params::WGSL,
        entry: "pack",
        numbers,
        flags,
    }
}

pub(super) fn numbers(variant: Variant) -> Vec<(&'static str, u32)> {
    // Columns that go through workgroup memory at a time.
    let depth = if variant.matrices == 16 { 32 } else { 16 };
    vec![("SIDE", SIDE as u32), ("DEPTH", depth), ("THREADS", THREADS as u32), ("MATRIX", variant.matrices)]
}

/// Whether matrices are the faster way to compare few rows, or some, with many.
pub(super) fn pay(gpu: &Gpu, few: usize, many: usize, columns: usize) -> bool {
    gpu.variant().matrices > 0
        && few >= FEWEST_ROWS
        && many >= MANY_ROWS
        && (FEWEST_COLUMNS..=MOST_COLUMNS).contains(&columns)
        && SIDE * row_bytes(columns) <= gpu.max_part() as usize
        && (few + SIDE) * MEASURE_BYTES <= gpu.max_part() as usize
}

/// Columns of packed rows.
pub(super) fn depth(columns: usize) -> usize {
    columns.next_multiple_of(32)
}

/// Bytes of a packed row.
pub(super) fn row_bytes(columns: usize) -> usize {
    depth(columns) * size_of::<u16>()
}

/// Most of so many rows that are packed at a time: whole tiles.
pub(super) fn most_rows(gpu: &Gpu, rows: usize, columns: usize) -> usize {
    let row_bytes = row_bytes(columns).max(MEASURE_BYTES);
    let most = PACKED_BYTES.max(rows.div_ceil(STRETCHES).next_multiple_of(SIDE) * row_bytes);
    ((gpu.max_part() as usize).min(most) / row_bytes / SIDE * SIDE).max(SIDE)
}

/// Rows as kernels of matrices take them, and what was measured of them, from a place on.
pub(super) struct Packed<'a> {
    pub rows: &'a Part,
    pub measures: &'a Part,
    pub measures_place: usize,
}

impl Packed<'_> {
    /// Packs a stretch of `rows` that lies in one part, less a centre. `reach` becomes no less than the longest row's norm,
    /// unless it is more.
    pub(super) fn pack(
        &self,
        recording: &mut Recording,
        rows: &DeviceArray<f32>,
        stretch: &Segment,
        centre: &Centre,
        reach: &Part,
    ) -> Result<()> {
        let (part, row_place) = rows.part(stretch.first_row)?;
        let padded = stretch.rows.next_multiple_of(SIDE);
        let params = Params {
            rows: stretch.rows as u32,
            row_place: row_place as u32,
            columns: rows.columns() as u32,
            depth: depth(rows.columns()) as u32,
            padded: padded as u32,
            measures_place: self.measures_place as u32,
        };
        let mut buffers = vec![("rows", part), ("packed", self.rows), ("measures", self.measures), ("reach", reach)];
        if is_l2(centre.metric) {
            buffers.push(("centre", &centre.buffer));
        }
        let variant = recording.device().variant();
        let width = if rows.columns().is_multiple_of(WIDE) { WIDE } else { 1 };
        let rows_of_group = ROUNDS * THREADS / lanes::count(variant);
        recording.dispatch(pack(variant, centre.metric, width), &params, &buffers, padded.div_ceil(rows_of_group))
    }
}
