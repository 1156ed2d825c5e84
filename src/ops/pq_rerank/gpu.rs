//! Bindings and dispatch of `shaders/pq_rerank.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{Codebook, Lists, PqCodes, Ranked, pq_interleave::gpu::BLOCK, select::gpu::choose, tile::THREADS},
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        candidate_place: u32,
        candidates: u32,
        m: u32,
        nbits: u32,
        ksub: u32,
        dsub: u32,
        words: u32,
        bundles: u32,
        bundle_bits: u32,
        nlist: u32,
        entries: u32,
        rows: u32,
        first_row: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel()]
}

fn kernel() -> Kernel {
    Kernel {
        name: "pq_rerank",
        source: include_str!("../../../shaders/pq_rerank.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: vec![],
    }
}

#[expect(clippy::too_many_arguments, reason = "what decoding reads is many arrays, each its own")]
pub(super) fn pq_rerank(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    positions: &DeviceArray<u32>,
    centroids: &DeviceArray<f32>,
    candidates: &DeviceArray<Ranked>,
) -> Result<DeviceArray<Ranked>> {
    for (array, what) in [(queries, "queries"), (codebook.centroids(), "codebook"), (centroids, "centroids")] {
        array.check_on(recording.device(), what)?;
    }
    let blocks = codes.blocks(recording.device())?;
    let layout = codes.layout(recording.device());
    positions.check_on(recording.device(), "positions")?;
    candidates.check_on(recording.device(), "candidates")?;
    lists.check_on(recording.device())?;
    // In no list there is none.
    let entries = if lists.nlist() > 0 { codes.len() } else { 0 };
    let columns = candidates.columns();
    let per_part = [queries.rows_per_part(), candidates.rows_per_part()];
    choose(recording, queries.rows(), &per_part, columns, columns, |recording, batch, exact| {
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let (candidates_part, candidate_place) = candidates.part(batch.first_row)?;
        // Of no codes there is still to say that nothing is found.
        for stretch in segments(codes.len().max(1), &[codes.per_part()]) {
            let params = Params {
                queries: batch.rows as u32,
                query_place: query_place as u32,
                candidate_place: candidate_place as u32,
                candidates: columns as u32,
                m: codebook.m() as u32,
                nbits: codebook.nbits() as u32,
                ksub: codebook.ksub() as u32,
                dsub: codebook.dsub() as u32,
                words: layout.words as u32,
                bundles: layout.bundles as u32,
                bundle_bits: layout.bundle_bits(),
                nlist: lists.nlist() as u32,
                entries: entries as u32,
                rows: stretch.rows as u32,
                first_row: stretch.first_row as u32,
            };
            let buffers = [
                ("queries", queries_part),
                ("codebook", codebook.centroids().whole("bytes of a codebook")?),
                ("interleaved", blocks.part(stretch.first_row / BLOCK)?.0),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("positions", positions.whole("bytes of positions")?),
                ("centroids", centroids.whole("bytes of the centroids of a residual")?),
                ("candidates", candidates_part),
                ("exact", exact),
            ];
            recording.expect(batch.rows * columns * queries.columns());
            recording.dispatch(kernel(), &params, &buffers, (batch.rows * columns).div_ceil(THREADS))?;
        }
        Ok(())
    })
}
