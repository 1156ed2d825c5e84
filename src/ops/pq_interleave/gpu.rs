//! Bindings and dispatch of `shaders/pq_interleave.wgsl`, and how codes lie in blocks.

use super::PqCodes;
use crate::{
    DeviceArray, Result,
    device::{Gpu, Kernel, Recording, Segment, Variant, params, segments},
    ops::{Codebook, pq_scan::gpu::words_held, tile::THREADS},
};

/// Codes of a block.
pub(in crate::ops) const BLOCK: usize = 32;

/// Words of a bundle: sixteen look-ups, or eight, of a code that has fewer than sixteen.
pub(in crate::ops) const QUAD: usize = 4;
pub(in crate::ops) const PAIR: usize = 2;

/// How codes lie in blocks.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Layout {
    /// Look-ups of a code, a byte each.
    pub lookups: usize,
    /// Words that they take.
    pub words: usize,
    /// Bundles that come first, and the words of each that lie side by side. None where workgroup memory has no room for
    /// their tables.
    pub bundles: usize,
    pub together: usize,
}

impl Layout {
    pub(in crate::ops) fn new(variant: Variant, m: usize, nbits: usize) -> Self {
        let lookups = if nbits == 4 { m.div_ceil(2) } else { m };
        let words = lookups.div_ceil(4);
        let together = if words < QUAD { PAIR } else { QUAD };
        // One word more, for what is in no bundle.
        let bundles = if words_held(variant, 1, nbits) > QUAD { words / together } else { 0 };
        Layout { lookups, words, bundles, together }
    }

    /// Words that are in no bundle.
    pub(in crate::ops) fn rest(&self) -> usize {
        self.words - self.together * self.bundles
    }

    /// The logarithm of a bundle's look-ups.
    pub(in crate::ops) fn bundle_bits(&self) -> u32 {
        (4 * self.together).ilog2()
    }

    /// Words of a block.
    fn columns(&self) -> usize {
        BLOCK * self.words
    }
}

impl PqCodes {
    /// The blocks, a row each.
    pub(in crate::ops) fn blocks(&self, gpu: &Gpu) -> Result<&DeviceArray<u32>> {
        self.array.check_on(gpu, "codes")?;
        Ok(&self.array)
    }

    /// Codes that one buffer holds.
    pub(in crate::ops) fn per_part(&self) -> usize {
        self.array.rows_per_part().saturating_mul(BLOCK)
    }

    pub(in crate::ops) fn layout(&self, gpu: &Gpu) -> Layout {
        Layout::new(gpu.variant(), self.m, self.nbits)
    }
}

params! {
    struct Params {
        rows: u32,
        // Where the rows are in the buffer of rows, and in that of blocks; and where what is written there ends.
        code_row: u32,
        interleaved_row: u32,
        interleaved_end: u32,
        row_words: u32,
        lookups: u32,
        // Bits of a look-up in a row.
        width: u32,
        words: u32,
        bundles: u32,
        // The logarithm of a bundle's look-ups.
        bundle_bits: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel("interleave", vec![]), kernel("restore", vec!["RESTORE"])]
}

fn kernel(entry: &'static str, flags: Vec<&'static str>) -> Kernel {
    Kernel {
        name: "pq_interleave",
        source: include_str!("../../../shaders/pq_interleave.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32)],
        flags,
    }
}

pub(super) fn interleave(
    recording: &mut Recording,
    codes: &DeviceArray<u32>,
    codebook: &Codebook,
) -> Result<DeviceArray<u32>> {
    codes.check_on(recording.device(), "codes")?;
    let layout = Layout::new(recording.device().variant(), codebook.m(), codebook.nbits());
    let blocks = recording.array(codes.rows().div_ceil(BLOCK), layout.columns())?;
    each_segment(codes, &blocks, codes.rows(), |segment| {
        let params = params(codes, &blocks, layout, codebook.nbits(), segment)?;
        let first_block = params.interleaved_row as usize / BLOCK;
        let words = ((params.interleaved_end as usize).div_ceil(BLOCK) - first_block) * layout.columns();
        let buffers =
            [("codes", codes.part(segment.first_row)?.0), ("interleaved", blocks.part(segment.first_row / BLOCK)?.0)];
        recording.dispatch(kernel("interleave", vec![]), &params, &buffers, words.div_ceil(THREADS))
    })?;
    Ok(blocks)
}

pub(super) fn restore(recording: &mut Recording, codes: &PqCodes) -> Result<DeviceArray<u32>> {
    let blocks = codes.blocks(recording.device())?;
    let layout = codes.layout(recording.device());
    let rows = recording.array(codes.len, (codes.m * codes.nbits).div_ceil(32))?;
    each_segment(&rows, blocks, codes.len, |segment| {
        let params = params(&rows, blocks, layout, codes.nbits, segment)?;
        let buffers =
            [("interleaved", blocks.part(segment.first_row / BLOCK)?.0), ("codes", rows.part(segment.first_row)?.0)];
        let words = segment.rows * rows.columns();
        recording.dispatch(kernel("restore", vec!["RESTORE"]), &params, &buffers, words.div_ceil(THREADS))
    })?;
    Ok(rows)
}

/// Does something for each stretch of codes that lies in one buffer of rows and one of blocks.
fn each_segment(
    rows: &DeviceArray<u32>,
    blocks: &DeviceArray<u32>,
    count: usize,
    step: impl FnMut(&Segment) -> Result<()>,
) -> Result<()> {
    let per_part = [rows.rows_per_part(), blocks.rows_per_part().saturating_mul(BLOCK)];
    segments(count, &per_part).iter().try_for_each(step)
}

fn params(
    rows: &DeviceArray<u32>,
    blocks: &DeviceArray<u32>,
    layout: Layout,
    nbits: usize,
    segment: &Segment,
) -> Result<Params> {
    let first = blocks.part(segment.first_row / BLOCK)?.1 * BLOCK + segment.first_row % BLOCK;
    let end = first + segment.rows;
    let last = segment.first_row + segment.rows == rows.rows();
    Ok(Params {
        rows: segment.rows as u32,
        code_row: rows.part(segment.first_row)?.1 as u32,
        interleaved_row: first as u32,
        interleaved_end: if last { end.next_multiple_of(BLOCK) } else { end } as u32,
        row_words: rows.columns() as u32,
        lookups: layout.lookups as u32,
        width: if nbits == 4 { 8 } else { nbits } as u32,
        words: layout.words as u32,
        bundles: layout.bundles as u32,
        bundle_bits: layout.bundle_bits(),
    })
}
