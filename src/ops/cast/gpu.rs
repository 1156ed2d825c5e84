//! Bindings and dispatch of `shaders/cast.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{BufferRows, Kernel, Recording, Variant, bounded_segments, params},
    ops::tile::THREADS,
};

params! {
    struct Params {
        numbers: u32,
        columns: u32,
        // Of the rows to read: the first number's place, and numbers from row to row.
        first: u32,
        stride: u32,
        output_place: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(false), kernel(true)]
}

fn kernel(halves: bool) -> Kernel {
    Kernel {
        name: "cast",
        source: include_str!("../../../shaders/cast.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: if halves { vec!["HALVES"] } else { vec![] },
    }
}

pub(super) fn cast(recording: &mut Recording, source: &BufferRows) -> Result<DeviceArray<f32>> {
    let most = source.rows_per_binding(recording.device())?;
    let rows: DeviceArray<f32> = recording.array(source.rows, source.columns)?;
    for segment in bounded_segments(rows.rows(), &[rows.rows_per_part()], most) {
        let (part, first) = source.part(recording.device(), segment.first_row, segment.rows);
        let (output, output_row) = rows.part(segment.first_row)?;
        let params = Params {
            numbers: (segment.rows * rows.columns()) as u32,
            columns: rows.columns() as u32,
            first,
            stride: (source.stride(source.element()) / source.element() as u64) as u32,
            output_place: (output_row * rows.columns()) as u32,
        };
        recording.dispatch(
            kernel(source.f16),
            &params,
            &[("source", &part), ("rows", output)],
            (segment.rows * rows.columns()).div_ceil(THREADS),
        )?;
    }
    Ok(rows)
}
