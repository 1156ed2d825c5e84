//! Bindings and dispatch of `shaders/pq_terms.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{Codebook, tile::THREADS},
};

params! {
    struct Params {
        rows: u32,
        first_row: u32,
        m: u32,
        nbits: u32,
        ksub: u32,
        dsub: u32,
        words: u32,
        nlist: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel()]
}

fn kernel() -> Kernel {
    Kernel {
        name: "pq_terms",
        source: include_str!("../../../shaders/pq_terms.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: vec![],
    }
}

pub(super) fn pq_terms(
    recording: &mut Recording,
    codes: &DeviceArray<u32>,
    codebook: &Codebook,
    centroids: &DeviceArray<f32>,
    labels: &DeviceArray<u32>,
    origin: &DeviceArray<f32>,
) -> Result<DeviceArray<f32>> {
    for (array, what) in [(centroids, "centroids"), (codebook.centroids(), "codebook"), (origin, "origin")] {
        array.check_on(recording.device(), what)?;
    }
    codes.check_on(recording.device(), "codes")?;
    labels.check_on(recording.device(), "labels")?;
    let terms = recording.array(codes.rows(), 1)?;
    for segment in segments(codes.rows(), &[codes.rows_per_part()]) {
        let params = Params {
            rows: segment.rows as u32,
            first_row: segment.first_row as u32,
            m: codebook.m() as u32,
            nbits: codebook.nbits() as u32,
            ksub: codebook.ksub() as u32,
            dsub: codebook.dsub() as u32,
            words: codebook.words() as u32,
            nlist: centroids.rows() as u32,
        };
        let buffers = [
            ("codes", codes.part(segment.first_row)?.0),
            ("codebook", codebook.centroids().whole("bytes of a codebook")?),
            ("centroids", centroids.whole("bytes of the centroids of a residual")?),
            ("labels", labels.whole("bytes of labels")?),
            ("origin", origin.whole("bytes of an origin")?),
            ("terms", terms.whole("bytes of terms")?),
        ];
        recording.dispatch(kernel(), &params, &buffers, segment.rows.div_ceil(THREADS))?;
    }
    Ok(terms)
}
