//! Bindings and dispatch of `shaders/knn.wgsl`.

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        Ranked, is_l2,
        selection::{self, Candidates, PASS, Pass, QUEUE, SCRATCH_BYTES},
        tile::{self, TILE},
    },
};

params! {
    struct Params {
        groups: u32,
        queries: u32,
        query_place: u32,
        columns: u32,
        rows: u32,
        first_row: u32,
        base_number: u32,
        slabs: u32,
        slab_rows: u32,
        first_slab: u32,
        all_slabs: u32,
        k: u32,
        taken: u32,
        keep: u32,
        found_place: u32,
    }
}

/// Fewest rows worth a workgroup of their own.
const LEAST_ROWS: usize = 256;

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let metrics = [Metric::L2, Metric::InnerProduct];
    metrics.into_iter().flat_map(|metric| [1, 65, PASS].map(|keep| kernel(metric, capacity(keep)))).collect()
}

/// Length of a query's queue: the `keep` nearest and room for another tile, a power of two.
fn capacity(keep: usize) -> usize {
    (keep + TILE).next_power_of_two()
}

fn kernel(metric: Metric, capacity: usize) -> Kernel {
    let mut numbers = tile::NUMBERS.to_vec();
    numbers.extend([("QUEUE", QUEUE as u32), ("CAPACITY", capacity as u32)]);
    Kernel {
        name: "knn",
        source: include_str!("../../../shaders/knn.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags: if is_l2(metric) { vec!["L2"] } else { vec![] },
    }
}

/// The slabs of one buffer of the base.
struct Slabs {
    stretch: Segment,
    count: usize,
    first: usize,
}

pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    queries.check_on(recording.device(), "queries")?;
    base.check_on(recording.device(), "base")?;
    let found = recording.array(queries.rows(), k)?;
    let capacity = capacity(PASS.min(k));
    let most_groups = SCRATCH_BYTES / (capacity * TILE * size_of::<Ranked>());
    let tiles = queries.rows().div_ceil(TILE).min(most_groups);
    let mut all_slabs = 0;
    let mut slabs = vec![];
    for stretch in segments(base.rows(), &[base.rows_per_part()]) {
        let count = selection::slabs(tiles, stretch.rows, LEAST_ROWS).min((most_groups / tiles.max(1)).max(1));
        slabs.push(Slabs { stretch, count, first: all_slabs });
        all_slabs += count;
    }
    let per_query = all_slabs * PASS.min(k) * size_of::<Ranked>();
    let most_queries = (SCRATCH_BYTES / per_query.max(1)).clamp(1, most_groups * TILE);
    let batches = bounded_segments(queries.rows(), &[queries.rows_per_part(), found.rows_per_part()], most_queries);
    selection::passes(recording, &found, &batches, |recording, batch, pass| {
        scan(recording, queries, base, batch, pass, &slabs, all_slabs, metric)
    })?;
    Ok(found)
}

#[expect(clippy::too_many_arguments, reason = "one call, all of it the scan's own")]
fn scan(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    batch: &Segment,
    pass: &Pass<'_>,
    slabs: &[Slabs],
    all_slabs: usize,
    metric: Metric,
) -> Result<Candidates> {
    let columns = all_slabs * pass.keep;
    let candidates = recording.scratch(batch.rows * columns * size_of::<Ranked>())?;
    let capacity = capacity(pass.keep);
    let (queries_part, query_place) = queries.part(batch.first_row)?;
    for Slabs { stretch, count, first } in slabs {
        let groups = batch.rows.div_ceil(TILE) * count;
        let queues = recording.scratch(groups * TILE * capacity * size_of::<Ranked>())?;
        let (base_part, first_row) = base.part(stretch.first_row)?;
        let params = Params {
            groups: groups as u32,
            queries: batch.rows as u32,
            query_place: query_place as u32,
            columns: queries.columns() as u32,
            rows: stretch.rows as u32,
            first_row: first_row as u32,
            base_number: (stretch.first_row - first_row) as u32,
            slabs: *count as u32,
            slab_rows: stretch.rows.div_ceil(*count) as u32,
            first_slab: *first as u32,
            all_slabs: all_slabs as u32,
            k: pass.k as u32,
            taken: pass.taken as u32,
            keep: pass.keep as u32,
            found_place: pass.found_place as u32,
        };
        let buffers = [
            ("queries", queries_part),
            ("base", base_part),
            ("found", pass.found),
            ("queues", &queues),
            ("candidates", &candidates),
        ];
        recording.dispatch(kernel(metric, capacity), &params, &buffers, groups)?;
    }
    Ok(Candidates { buffer: candidates, columns })
}
