//! What the kernels that compare by products share: rows less a centre, packed or measured by `shaders/centre.wgsl`.
//!
//! Squared distances are compared by |c|²/2 - r·c of rows and centroids less a centre: one operation a term where a
//! squared difference takes two. What rounding leaves open, by the bound of `shaders/shared/doubt.wgsl`, differences
//! decide. Where a subgroup multiplies matrices of f16, those come before: see `matrices`.
//!
//! On an H100, whose threads do 58 TFLOP/s of multiply-adds in registers, assigning 1,048,576 rows of 128 to 1,024 centroids
//! goes at 31.5 TFLOP/s, and `PyTorch`'s `a @ b.T` of a transposed shape (1,024 and 1,048,576 rows), in f32 by cuBLAS, at 35.
//!
//! # What was tried and is not done
//! - The next step's numbers asked for before this one's are multiplied: 0.97 of the speed on the H100 (122 registers).
//! - Subgroups of 8 x 4 threads of the 16 x 16, whose reads of workgroup memory share more: 0.92 to 0.99.

use super::{is_l2, tile::THREADS};
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, params},
};

/// Rows of a tile on either side: 16 x 16 invocations of 8 x 8 products.
pub(super) const SIDE: usize = 128;

/// Columns that go through workgroup memory at a time.
pub(super) const DEPTH: usize = 8;

const _: () = assert!(SIDE / 8 * SIDE / 8 == THREADS && DEPTH * SIDE / 4 == THREADS);

/// Fewer columns, or rows on either side, do not make up for packing: the tiles of differences do less in vain.
const FEWEST_COLUMNS: usize = 8;
const FEWEST_ROWS: usize = 65;

/// The bound on rounding holds to there.
pub(super) const MOST_COLUMNS: usize = 1 << 16;

/// Rows that a workgroup packs or measures at a time, or columns that it takes the mean of.
const TOGETHER: usize = 8;

/// How many times it does that. What is packed is few rows.
fn rounds(entry: &str) -> usize {
    if entry == "measure" { 8 } else { 1 }
}

/// Rows whose mean is the centre.
const SAMPLE: usize = 256;

pub(super) const NUMBERS: &[(&str, u32)] =
    &[("SIDE", SIDE as u32), ("DEPTH", DEPTH as u32), ("THREADS", THREADS as u32)];

params! {
    struct MeanParams {
        columns: u32,
        sample: u32,
        apart: u32,
    }
}

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        columns: u32,
        depth: u32,
        padded: u32,
        halves_place: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let packs = [Metric::L2, Metric::InnerProduct].map(|metric| kernel("pack", metric));
    packs.into_iter().chain([kernel("measure", Metric::L2), mean()]).collect()
}

fn mean() -> Kernel {
    let numbers = vec![("THREADS", THREADS as u32)];
    Kernel {
        params: MeanParams::WGSL,
        entry: "mean",
        numbers,
        flags: vec!["CENTRE"],
        ..kernel("mean", Metric::InnerProduct)
    }
}

fn kernel(entry: &'static str, metric: Metric) -> Kernel {
    let mut flags = if entry == "pack" { vec!["PACK"] } else { vec![] };
    if is_l2(metric) {
        flags.push("L2");
    }
    Kernel {
        name: "centre",
        source: include_str!("../../shaders/centre.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: [("SIDE", SIDE), ("THREADS", THREADS), ("ROUNDS", rounds(entry))]
            .map(|(name, number)| (name, number as u32))
            .to_vec(),
        flags,
    }
}

/// Whether products are the faster way to compare `left` rows with `right` ones.
pub(super) fn pay(left: usize, right: usize, columns: usize) -> bool {
    left >= FEWEST_ROWS && right >= FEWEST_ROWS && (FEWEST_COLUMNS..=MOST_COLUMNS).contains(&columns)
}

/// Columns of packed rows.
fn depth(columns: usize) -> usize {
    columns.next_multiple_of(DEPTH)
}

/// Most rows that fit a binding when packed with their norms: whole tiles, perhaps none.
pub(super) fn most_packed(gpu: &Gpu, columns: usize) -> usize {
    (gpu.max_part() / 4) as usize / (depth(columns) + 1) / SIDE * SIDE
}

/// Rows as the products' right side takes them.
pub(super) struct Packed {
    /// Tiles of rows, then half the squared norm of each row.
    pub buffer: Part,
    pub tiles: usize,
    /// Where the norms begin, in vec4s.
    pub halves_place: usize,
    /// The longest row's norm. Unused for inner products.
    pub reach: Part,
}

/// What rows are centred by: the mean of some of them for squared distances, nothing for inner products.
#[derive(Clone, Debug)]
pub(super) struct Centre {
    pub metric: Metric,
    pub buffer: Part,
}

impl Centre {
    /// The centre of `rows`, of which there is at least one.
    pub(super) fn of(recording: &mut Recording, rows: &DeviceArray<f32>, metric: Metric) -> Result<Self> {
        let columns = rows.columns();
        let buffer = recording.scratch(columns * size_of::<f32>())?;
        if is_l2(metric) {
            let (part, _) = rows.part(0)?;
            let count = rows.rows().min(rows.rows_per_part());
            let sample = count.min(SAMPLE);
            let params =
                MeanParams { columns: columns as u32, sample: sample as u32, apart: (count / sample.max(1)) as u32 };
            let buffers = [("rows", part), ("centre", &buffer)];
            recording.dispatch(mean(), &params, &buffers, columns.div_ceil(TOGETHER))?;
        }
        Ok(Centre { metric, buffer })
    }

    /// Packs a stretch of `rows` that lies in one part.
    pub(super) fn pack(&self, recording: &mut Recording, rows: &DeviceArray<f32>, stretch: &Segment) -> Result<Packed> {
        let tiles = stretch.rows.div_ceil(SIDE);
        let halves_place = tiles * SIDE * depth(rows.columns());
        let buffer = recording.scratch((halves_place + tiles * SIDE) * size_of::<f32>())?;
        let reach = recording.largest()?;
        self.record(recording, "pack", rows, stretch, (&buffer, halves_place), &reach)?;
        Ok(Packed { buffer, tiles, halves_place: halves_place / 4, reach })
    }

    /// Half the squared norm of each row of a stretch that lies in one part, and `reach` where it is less than the
    /// longest of them.
    pub(super) fn measure(
        &self,
        recording: &mut Recording,
        rows: &DeviceArray<f32>,
        stretch: &Segment,
        reach: &Part,
    ) -> Result<Part> {
        let halves = recording.scratch(stretch.rows.next_multiple_of(SIDE) * size_of::<f32>())?;
        self.record(recording, "measure", rows, stretch, (&halves, 0), reach)?;
        Ok(halves)
    }

    fn record(
        &self,
        recording: &mut Recording,
        entry: &'static str,
        rows: &DeviceArray<f32>,
        stretch: &Segment,
        (packed, halves_place): (&Part, usize),
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
            halves_place: halves_place as u32,
        };
        let mut buffers = vec![("rows", part), ("packed", packed)];
        if is_l2(self.metric) {
            buffers.extend([("centre", &self.buffer), ("reach", reach)]);
        }
        recording.dispatch(kernel(entry, self.metric), &params, &buffers, padded / (TOGETHER * rounds(entry)))
    }
}
