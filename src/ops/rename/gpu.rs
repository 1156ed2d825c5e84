//! Bindings and dispatch of `shaders/rename.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Segment, Variant, params, segments},
    ops::{Ranked, tile::THREADS},
};

params! {
    struct Params {
        candidates: u32,
        candidate_place: u32,
        columns: u32,
        output_place: u32,
        output_columns: u32,
        first_name: u32,
        // From there on.
        names: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel()]
}

fn kernel() -> Kernel {
    Kernel {
        name: "rename",
        source: include_str!("../../../shaders/rename.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: vec![],
    }
}

pub(in crate::ops) fn rename(
    recording: &mut Recording,
    candidates: &DeviceArray<Ranked>,
    names: &DeviceArray<u32>,
) -> Result<DeviceArray<Ranked>> {
    candidates.check_on(recording.device(), "candidates")?;
    names.check_on(recording.device(), "names")?;
    let renamed: DeviceArray<Ranked> = recording.array(candidates.rows(), candidates.columns())?;
    for segment in segments(candidates.rows(), &[candidates.rows_per_part(), renamed.rows_per_part()]) {
        let output = renamed.part(segment.first_row)?;
        rename_into(recording, candidates, &segment, (names, 0), output, (candidates.columns(), 0))?;
    }
    Ok(renamed)
}

/// Renames the candidates of a segment of rows by the names from number `first_name` on, to rows of `output_columns` from
/// row `output_row` and column `first_column` of `output` on.
pub(in crate::ops) fn rename_into(
    recording: &mut Recording,
    candidates: &DeviceArray<Ranked>,
    segment: &Segment,
    (names, first_name): (&DeviceArray<u32>, usize),
    (output, output_row): (&Part, usize),
    (output_columns, first_column): (usize, usize),
) -> Result<()> {
    let (part, row) = candidates.part(segment.first_row)?;
    let columns = candidates.columns();
    let count = segment.rows * columns;
    let params = Params {
        candidates: count as u32,
        candidate_place: (row * columns) as u32,
        columns: columns as u32,
        output_place: (output_row * output_columns + first_column) as u32,
        output_columns: output_columns as u32,
        first_name: first_name as u32,
        names: names.rows().saturating_sub(first_name) as u32,
    };
    let buffers = [("candidates", part), ("names", names.whole("bytes of names")?), ("renamed", output)];
    recording.dispatch(kernel(), &params, &buffers, count.div_ceil(THREADS))
}
