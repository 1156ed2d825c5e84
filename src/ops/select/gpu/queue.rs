//! Bindings and dispatch of `shaders/select.wgsl`: as many as a queue in workgroup memory holds.

use super::choose;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, params},
    ops::{
        Ranked,
        selection::{self, Candidates, NUMBERS},
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

/// The `k` smallest numbers of each row, no more than a queue keeps.
pub(super) fn select(recording: &mut Recording, values: &DeviceArray<f32>, k: usize) -> Result<DeviceArray<Ranked>> {
    let slabs = selection::slabs(values.rows(), values.columns(), LEAST_COLUMNS);
    let per_part = [values.rows_per_part()];
    choose(recording, values.rows(), &per_part, slabs * k, k, |recording, batch, candidates| {
        let (part, row_place) = values.part(batch.first_row)?;
        let params = Params {
            rows: batch.rows as u32,
            row_place: row_place as u32,
            columns: values.columns() as u32,
            slabs: slabs as u32,
            slab_columns: values.columns().div_ceil(slabs) as u32,
            k: k as u32,
            found_place: 0,
        };
        let buffers = [("values", part), ("candidates", candidates)];
        recording.dispatch(kernel(true), &params, &buffers, batch.rows * slabs)
    })
}

/// The `k` nearest of each row's candidates, written from a row of `found` on.
pub(in crate::ops) fn merge(
    recording: &mut Recording,
    rows: usize,
    candidates: &Candidates,
    k: usize,
    (found, found_place): (&Part, usize),
) -> Result<()> {
    let buffers = [("candidates", &candidates.buffer), ("found", found)];
    recording.dispatch(kernel(false), &merge_params(rows, candidates, k, found_place), &buffers, rows)
}

/// [`merge`] for the rows, at most `rows`, of a list that has been planned. `candidates` has its columns for each slab planned.
pub(in crate::ops) fn merge_listed(
    recording: &mut Recording,
    rows: usize,
    list: &Part,
    candidates: &Candidates,
    k: usize,
    (found, found_place): (&Part, usize),
) -> Result<()> {
    let buffers = [("candidates", &candidates.buffer), ("found", found), ("listed", list)];
    let params = merge_params(0, candidates, k, found_place);
    recording.dispatch_listed(listed(), &params, &buffers, (list, 4), rows)
}

fn merge_params(rows: usize, candidates: &Candidates, k: usize, found_place: usize) -> Params {
    Params {
        rows: rows as u32,
        row_place: 0,
        columns: candidates.columns as u32,
        slabs: 1,
        slab_columns: candidates.columns as u32,
        k: k as u32,
        found_place: found_place as u32,
    }
}
