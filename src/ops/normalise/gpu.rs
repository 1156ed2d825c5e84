//! Bindings and dispatch of `shaders/normalise.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{lanes, tile::THREADS},
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        output_place: u32,
        columns: u32,
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    vec![kernel(variant)]
}

fn kernel(variant: Variant) -> Kernel {
    Kernel {
        name: "normalise",
        source: include_str!("../../../shaders/normalise.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32), ("LANES", lanes::count(variant) as u32)],
        flags: lanes::flags(variant),
    }
}

pub(super) fn normalise(recording: &mut Recording, rows: &DeviceArray<f32>) -> Result<DeviceArray<f32>> {
    rows.check_on(recording.device(), "rows")?;
    let normalised: DeviceArray<f32> = recording.array(rows.rows(), rows.columns())?;
    let variant = recording.device().variant();
    for segment in segments(rows.rows(), &[rows.rows_per_part(), normalised.rows_per_part()]) {
        let (part, row_place) = rows.part(segment.first_row)?;
        let (output, output_place) = normalised.part(segment.first_row)?;
        let params = Params {
            rows: segment.rows as u32,
            row_place: row_place as u32,
            output_place: output_place as u32,
            columns: rows.columns() as u32,
        };
        let groups = segment.rows.div_ceil(THREADS / lanes::count(variant));
        recording.dispatch(kernel(variant), &params, &[("rows", part), ("normalised", output)], groups)?;
    }
    Ok(normalised)
}
