//! Bindings and dispatch of `shaders/pq_encode.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, bounded_segments, params},
    ops::{
        Codebook,
        selection::SCRATCH_BYTES,
        tile::{THREADS, TILE, Tiling},
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        label_place: u32,
        code_place: u32,
        columns: u32,
        m: u32,
        nbits: u32,
        ksub: u32,
        dsub: u32,
        words: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![assign(false), assign(true), pack()]
}

fn kernel(entry: &'static str, flags: Vec<&'static str>) -> Kernel {
    Kernel {
        name: "pq_encode",
        source: include_str!("../../../shaders/pq_encode.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: Tiling::SQUARE.numbers(),
        flags,
    }
}

fn assign(residual: bool) -> Kernel {
    kernel("assign", if residual { vec!["ASSIGN", "L2", "RESIDUAL"] } else { vec!["ASSIGN", "L2"] })
}

fn pack() -> Kernel {
    kernel("pack", vec![])
}

pub(super) fn pq_encode(
    recording: &mut Recording,
    rows: &DeviceArray<f32>,
    codebook: &Codebook,
    residual: Option<(&DeviceArray<f32>, &DeviceArray<u32>)>,
) -> Result<DeviceArray<u32>> {
    rows.check_on(recording.device(), "rows")?;
    codebook.centroids().check_on(recording.device(), "codebook")?;
    let codes: DeviceArray<u32> = recording.array(rows.rows(), codebook.words())?;
    let mut inputs = vec![("codebook", codebook.centroids().whole("bytes of a codebook")?)];
    if let Some((centroids, labels)) = residual {
        centroids.check_on(recording.device(), "centroids")?;
        labels.check_on(recording.device(), "labels")?;
        inputs.push(("centroids", centroids.whole("bytes of the centroids of a residual")?));
        inputs.push(("labels", labels.whole("bytes of labels")?));
    }
    let most_rows = SCRATCH_BYTES / (codebook.m() * size_of::<u32>());
    for batch in bounded_segments(rows.rows(), &[rows.rows_per_part(), codes.rows_per_part()], most_rows) {
        let subcodes = recording.scratch(batch.rows * codebook.m() * size_of::<u32>())?;
        let (rows_part, row_place) = rows.part(batch.first_row)?;
        let (codes_part, code_place) = codes.part(batch.first_row)?;
        let params = Params {
            rows: batch.rows as u32,
            row_place: row_place as u32,
            label_place: batch.first_row as u32,
            code_place: code_place as u32,
            columns: rows.columns() as u32,
            m: codebook.m() as u32,
            nbits: codebook.nbits() as u32,
            ksub: codebook.ksub() as u32,
            dsub: codebook.dsub() as u32,
            words: codebook.words() as u32,
        };
        let mut buffers = vec![("rows", rows_part), ("subcodes", &subcodes)];
        buffers.extend(&inputs);
        recording.expect(batch.rows * codebook.ksub() * rows.columns());
        recording.dispatch(assign(residual.is_some()), &params, &buffers, batch.rows.div_ceil(TILE) * codebook.m())?;
        let buffers = [("subcodes", &subcodes), ("codes", codes_part)];
        recording.dispatch(pack(), &params, &buffers, (batch.rows * codebook.words()).div_ceil(THREADS))?;
    }
    Ok(codes)
}
