//! Bindings and dispatch of `shaders/select.wgsl`: as many as a queue in workgroup memory holds.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Segment, bounded_segments, params},
    ops::{
        Ranked,
        selection::{self, Candidates, NUMBERS, Pass, SCRATCH_BYTES},
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        columns: u32,
        slabs: u32,
        slab_columns: u32,
        k: u32,
        taken: u32,
        keep: u32,
        found_place: u32,
    }
}

/// Fewest numbers worth a workgroup of their own.
const LEAST_COLUMNS: usize = 4096;

pub(super) fn kernels() -> Vec<Kernel> {
    vec![kernel(true), kernel(false), listed()]
}

fn kernel(collect: bool) -> Kernel {
    Kernel {
        name: "select",
        source: include_str!("../../../../shaders/select.wgsl"),
        params: Params::WGSL,
        entry: if collect { "collect" } else { "merge" },
        numbers: NUMBERS.to_vec(),
        flags: if collect { vec!["COLLECT"] } else { vec![] },
    }
}

fn listed() -> Kernel {
    Kernel { flags: vec!["LISTED"], ..kernel(false) }
}

/// Writes the smallest numbers of each row to `found`, which has no more columns than a pass keeps.
pub(super) fn select(recording: &mut Recording, values: &DeviceArray<f32>, found: &DeviceArray<Ranked>) -> Result<()> {
    let slabs = selection::slabs(values.rows(), values.columns(), LEAST_COLUMNS);
    let most_rows = SCRATCH_BYTES / (slabs * found.columns() * size_of::<Ranked>());
    let batches = bounded_segments(values.rows(), &[values.rows_per_part(), found.rows_per_part()], most_rows);
    selection::passes(recording, found, &batches, |recording, batch, pass| {
        collect(recording, values, batch, pass, slabs)
    })
}

fn collect(
    recording: &mut Recording,
    values: &DeviceArray<f32>,
    batch: &Segment,
    pass: &Pass<'_>,
    slabs: usize,
) -> Result<Candidates> {
    let columns = slabs * pass.keep;
    let candidates = recording.scratch(batch.rows * columns * size_of::<Ranked>())?;
    let (values_part, row_place) = values.part(batch.first_row)?;
    let params = Params {
        rows: batch.rows as u32,
        row_place: row_place as u32,
        columns: values.columns() as u32,
        slabs: slabs as u32,
        slab_columns: values.columns().div_ceil(slabs) as u32,
        k: pass.k as u32,
        taken: pass.taken as u32,
        keep: pass.keep as u32,
        found_place: pass.found_place as u32,
    };
    let buffers = [("values", values_part), ("candidates", &candidates)];
    recording.dispatch(kernel(true), &params, &buffers, batch.rows * slabs)?;
    Ok(Candidates { buffer: candidates, columns })
}

/// The nearest of each row's candidates, written where the pass wants them.
pub(in crate::ops) fn merge(
    recording: &mut Recording,
    rows: usize,
    candidates: &Candidates,
    pass: &Pass<'_>,
) -> Result<()> {
    let buffers = [("candidates", &candidates.buffer), ("found", pass.found)];
    recording.dispatch(kernel(false), &merge_params(rows, candidates, pass), &buffers, rows)
}

/// [`merge`] for the rows, at most `rows`, of a list that has been planned. `candidates` has its columns for each slab planned.
pub(in crate::ops) fn merge_listed(
    recording: &mut Recording,
    rows: usize,
    list: &Part,
    candidates: &Candidates,
    pass: &Pass<'_>,
) -> Result<()> {
    let buffers = [("candidates", &candidates.buffer), ("found", pass.found), ("listed", list)];
    recording.dispatch_listed(listed(), &merge_params(0, candidates, pass), &buffers, (list, 4), rows)
}

fn merge_params(rows: usize, candidates: &Candidates, pass: &Pass<'_>) -> Params {
    Params {
        rows: rows as u32,
        row_place: 0,
        columns: candidates.columns as u32,
        slabs: 1,
        slab_columns: candidates.columns as u32,
        k: pass.k as u32,
        taken: pass.taken as u32,
        keep: pass.keep as u32,
        found_place: pass.found_place as u32,
    }
}
