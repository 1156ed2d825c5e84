//! Bindings and dispatch of `shaders/rename.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{Ranked, tile::THREADS},
};

params! {
    struct Params {
        candidates: u32,
        candidate_place: u32,
        output_place: u32,
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

pub(super) fn rename(
    recording: &mut Recording,
    candidates: &DeviceArray<Ranked>,
    names: &DeviceArray<u32>,
) -> Result<DeviceArray<Ranked>> {
    candidates.check_on(recording.device(), "candidates")?;
    names.check_on(recording.device(), "names")?;
    let columns = candidates.columns();
    let renamed: DeviceArray<Ranked> = recording.array(candidates.rows(), columns)?;
    for segment in segments(candidates.rows(), &[candidates.rows_per_part(), renamed.rows_per_part()]) {
        let (part, row) = candidates.part(segment.first_row)?;
        let (output, output_row) = renamed.part(segment.first_row)?;
        let count = segment.rows * columns;
        let params = Params {
            candidates: count as u32,
            candidate_place: (row * columns) as u32,
            output_place: (output_row * columns) as u32,
        };
        let buffers = [("candidates", part), ("names", names.whole("bytes of names")?), ("renamed", output)];
        recording.dispatch(kernel(), &params, &buffers, count.div_ceil(THREADS))?;
    }
    Ok(renamed)
}
