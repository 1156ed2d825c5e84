//! Bindings and dispatch of `shaders/flat_scan_rounded.wgsl`: bounds choose candidates, some more than k; exact distances
//! rank them, and rows are scanned again for queries whose outcome that leaves open. See [`round`](crate::ops::round).

use super::{Listed, Scan};
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant, bounded_segments, params},
    ops::{
        Ranked, is_l2,
        rerank::gpu::{Naming, rerank},
        round::gpu::{Blocks, doubtful},
        selection::{self, QUEUED, ScanPlan},
    },
};

params! {
    struct Params {
        queries: u32,
        probe_place: u32,
        nprobe: u32,
        nlist: u32,
        columns: u32,
        quads: u32,
        entries: u32,
        first_entry: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
    }
}

/// Fewest rows worth a workgroup of their own: its sorting costs about as much as scanning them.
const LEAST_ROWS: usize = 2048;

pub(super) fn kernels(variant: Variant) -> Vec<Kernel> {
    if !variant.packed_integers {
        return vec![];
    }
    [Metric::L2, Metric::InnerProduct]
        .into_iter()
        .flat_map(|metric| [kernel(metric, false), kernel(metric, true)])
        .collect()
}

fn kernel(metric: Metric, masked: bool) -> Kernel {
    Kernel {
        name: "flat_scan_rounded",
        source: include_str!("../../../../shaders/flat_scan_rounded.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: selection::NUMBERS.to_vec(),
        flags: is_l2(metric).then_some("L2").into_iter().chain(masked.then_some("MASKED")).collect(),
    }
}

/// How many candidates are kept: see [`round`](crate::ops::round).
fn to_keep(k: usize) -> usize {
    k.saturating_add(k / 2 + 16)
}

/// Whether so many are found in this way: their candidates are kept in a queue.
pub(super) fn can_find(k: usize) -> bool {
    to_keep(k) <= QUEUED
}

pub(super) fn flat_scan(
    recording: &mut Recording,
    scan: &Scan<'_>,
    blocks: &Blocks,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    blocks.check_on(recording.device())?;
    let Scan { queries, rows, lists, probes, metric } = *scan;
    let keep = to_keep(k);
    let plan = ScanPlan::new(queries.rows(), lists, blocks.rows_per_part(), probes.columns(), (keep, LEAST_ROWS));
    let most_queries = (recording.device().max_part() as usize / blocks.query_bytes()).max(1);
    let per_part = [queries.rows_per_part(), probes.rows_per_part(), most_queries];
    let kept = plan.search(recording, queries.rows(), &per_part, |recording, batch, candidates| {
        let rounded = blocks.queries(recording, queries, batch)?;
        let (probes_part, probe_place) = probes.part(batch.first_row)?;
        for (stretch, first_slab) in plan.stretches() {
            let params = Params {
                queries: batch.rows as u32,
                probe_place: probe_place as u32,
                nprobe: probes.columns() as u32,
                nlist: lists.nlist() as u32,
                columns: queries.columns() as u32,
                quads: blocks.quads() as u32,
                entries: stretch.rows as u32,
                first_entry: stretch.first_row as u32,
                slabs: plan.slabs as u32,
                first_slab: first_slab as u32,
                all_slabs: plan.all_slabs() as u32,
                keep: keep as u32,
            };
            let mut buffers = vec![
                ("queries", &rounded),
                ("rows", blocks.part(stretch.first_row)?),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("probes", probes_part),
                ("candidates", candidates),
            ];
            buffers.extend(lists.mask_buffer()?);
            recording.expect(batch.rows * plan.probed(stretch) * queries.columns());
            recording.dispatch(kernel(metric, lists.mask.is_some()), &params, &buffers, batch.rows * plan.slabs)?;
        }
        Ok(())
    })?;
    let found = rerank(recording, queries, rows, Naming::After(&lists.ids), &kept, k, metric)?;
    let listed = Listed::new(recording, scan, k)?;
    let per_part = [queries.rows_per_part(), probes.rows_per_part(), kept.rows_per_part(), found.rows_per_part()];
    for batch in bounded_segments(queries.rows(), &per_part, listed.most()) {
        let list = doubtful(recording, &batch, &kept, &found)?;
        listed.search(recording, scan, &batch, &list, &found)?;
    }
    Ok(found)
}
