//! Bindings and dispatch of `shaders/round.wgsl` and `shaders/round_doubt.wgsl`.

use super::QUAD;
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, params, segments},
    ops::{
        Ranked, is_l2,
        products::{Centre, MOST_COLUMNS},
        tile::THREADS,
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        rounded_place: u32,
        columns: u32,
        quads: u32,
    }
}

params! {
    struct DoubtParams {
        queries: u32,
        k: u32,
        keep: u32,
        kept_place: u32,
        found_place: u32,
    }
}

/// Rows of a block.
const BLOCK: usize = 32;

/// Bytes of a quad of 8-bit integers, and of a record.
const QUAD_BYTES: usize = 16;

/// Rows that a workgroup rounds.
const TOGETHER: usize = THREADS / 32;

/// How rounded rows lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Blocks,
    Queries,
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    if !variant.packed_integers {
        return vec![];
    }
    let forms = [Form::Blocks, Form::Queries];
    let of = |metric| forms.map(|form| kernel(metric, form));
    [of(Metric::L2), of(Metric::InnerProduct)].concat().into_iter().chain([doubt()]).collect()
}

fn kernel(metric: Metric, form: Form) -> Kernel {
    let (entry, flag) = match form {
        Form::Blocks => ("round_blocks", None),
        Form::Queries => ("round_queries", Some("QUERIES")),
    };
    Kernel {
        name: "round",
        source: include_str!("../../../shaders/round.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32)],
        flags: flag.into_iter().chain(is_l2(metric).then_some("L2")).collect(),
    }
}

/// Queries are looked at again one by one: a tile of the list is one.
fn doubt() -> Kernel {
    Kernel {
        name: "round_doubt",
        source: include_str!("../../../shaders/round_doubt.wgsl"),
        params: DoubtParams::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32), ("TILE", 1)],
        flags: vec![],
    }
}

/// Rounded rows in blocks of 32, a row each, with what they were centred by.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Blocks {
    array: DeviceArray<u32>,
    centre: Centre,
    columns: usize,
}

pub(super) fn round(recording: &mut Recording, rows: &DeviceArray<f32>, metric: Metric) -> Result<Option<Blocks>> {
    rows.check_on(recording.device(), "rows")?;
    let columns = rows.columns();
    let block = BLOCK * (columns.div_ceil(QUAD) + 1) * QUAD_BYTES;
    if rows.rows() == 0 || !can_round(recording.device(), columns) || block as u64 > recording.device().max_part() {
        return Ok(None);
    }
    let array = recording.array(rows.rows().div_ceil(BLOCK), block / size_of::<u32>())?;
    let blocks = Blocks { array, centre: Centre::of(recording, rows, metric)?, columns };
    for segment in segments(rows.rows(), &[rows.rows_per_part(), blocks.rows_per_part()]) {
        let (part, block) = blocks.array.part(segment.first_row / BLOCK)?;
        let place = block * BLOCK + segment.first_row % BLOCK;
        record(recording, &blocks.centre, rows, &segment, Form::Blocks, (part, place))?;
    }
    Ok(Some(blocks))
}

/// Whether rows of so many columns are rounded on a GPU: products of their integers must fit 32 bits.
fn can_round(gpu: &Gpu, columns: usize) -> bool {
    gpu.variant().packed_integers && (1..=MOST_COLUMNS).contains(&columns)
}

impl Blocks {
    pub(super) fn bytes(&self) -> u64 {
        self.array.bytes()
    }

    pub(in crate::ops) fn check_on(&self, gpu: &Gpu) -> Result<()> {
        self.array.check_on(gpu, "rounded rows")
    }

    /// Quads of a row, but for its record.
    pub(in crate::ops) fn quads(&self) -> usize {
        self.columns.div_ceil(QUAD)
    }

    /// Rows that one buffer holds.
    pub(in crate::ops) fn rows_per_part(&self) -> usize {
        self.array.rows_per_part().saturating_mul(BLOCK)
    }

    /// The buffer that begins with `row`.
    pub(in crate::ops) fn part(&self, row: usize) -> Result<&Part> {
        self.array.part(row / BLOCK).map(|(part, _)| part)
    }

    /// Bytes of a rounded query.
    pub(in crate::ops) fn query_bytes(&self) -> usize {
        (2 * self.quads() + 1) * QUAD_BYTES
    }

    /// The queries of a batch that lies in one part, rounded.
    pub(in crate::ops) fn queries(
        &self,
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        batch: &Segment,
    ) -> Result<Part> {
        let rounded = recording.scratch(batch.rows * self.query_bytes())?;
        record(recording, &self.centre, queries, batch, Form::Queries, (&rounded, 0))?;
        Ok(rounded)
    }
}

fn record(
    recording: &mut Recording,
    centre: &Centre,
    rows: &DeviceArray<f32>,
    segment: &Segment,
    form: Form,
    (rounded, rounded_place): (&Part, usize),
) -> Result<()> {
    let (part, row_place) = rows.part(segment.first_row)?;
    let params = Params {
        rows: segment.rows as u32,
        row_place: row_place as u32,
        rounded_place: rounded_place as u32,
        columns: rows.columns() as u32,
        quads: rows.columns().div_ceil(QUAD) as u32,
    };
    let mut buffers = vec![("rows", part), ("rounded", rounded)];
    if is_l2(centre.metric) {
        buffers.push(("centre", &centre.buffer));
    }
    recording.dispatch(kernel(centre.metric, form), &params, &buffers, segment.rows.div_ceil(TOGETHER))
}

/// A list of a batch's queries whose neighbours are not certain: the last of those kept may be no further than the last of
/// those found.
pub(in crate::ops) fn doubtful(
    recording: &mut Recording,
    batch: &Segment,
    kept: &DeviceArray<Ranked>,
    found: &DeviceArray<Ranked>,
) -> Result<Part> {
    let list = recording.list(batch.rows)?;
    let (kept_part, kept_place) = kept.part(batch.first_row)?;
    let (found_part, found_place) = found.part(batch.first_row)?;
    let params = DoubtParams {
        queries: batch.rows as u32,
        k: found.columns() as u32,
        keep: kept.columns() as u32,
        kept_place: kept_place as u32,
        found_place: found_place as u32,
    };
    let buffers = [("kept", kept_part), ("found", found_part), ("listed", &list)];
    recording.dispatch(doubt(), &params, &buffers, batch.rows.div_ceil(THREADS))?;
    Ok(list)
}
