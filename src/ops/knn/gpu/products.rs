//! Bindings and dispatch of `shaders/knn_products.wgsl` and `shaders/knn_doubt.wgsl`: products choose candidates, some
//! more than k; differences rank them, and search again for queries whose outcome rounding may have changed.

use super::differences::Listed;
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        Ranked, is_l2,
        products::{self, Centre, SIDE},
        rerank,
        select::gpu::merge,
        selection::{self, Candidates, QUEUE, QUEUED, SCRATCH_BYTES},
        tile::{THREADS, TILE},
    },
};

params! {
    struct Params {
        groups: u32,
        queries: u32,
        columns: u32,
        rows: u32,
        base_number: u32,
        slabs: u32,
        slab_rows: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
    }
}

params! {
    struct DoubtParams {
        queries: u32,
        columns: u32,
        k: u32,
        keep: u32,
        kept_place: u32,
        found_place: u32,
    }
}

/// Fewest rows worth a workgroup of their own: whole tiles.
const LEAST_ROWS: usize = 8 * SIDE;

/// Bytes that the queues of a dispatch may take: what a binding has everywhere.
const QUEUE_BYTES: usize = 128 << 20;

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let metrics = [Metric::L2, Metric::InnerProduct];
    let scans = metrics.into_iter().flat_map(|metric| [1, QUEUED].map(|keep| kernel(metric, capacity(keep))));
    scans.chain([doubt()]).collect()
}

/// Length of a query's queue: room for another tile, and for as many again as are kept where that fits, so that queues
/// are cut less often.
fn capacity(keep: usize) -> usize {
    (2 * keep + SIDE).next_power_of_two().min(QUEUE)
}

const _: () = assert!(QUEUED + SIDE <= QUEUE);

fn kernel(metric: Metric, capacity: usize) -> Kernel {
    let mut numbers = products::NUMBERS.to_vec();
    numbers.extend([("QUEUE", QUEUE as u32), ("CAPACITY", capacity as u32)]);
    Kernel {
        name: "knn_products",
        source: include_str!("../../../../shaders/knn_products.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags: if is_l2(metric) { vec!["L2"] } else { vec![] },
    }
}

fn doubt() -> Kernel {
    Kernel {
        name: "knn_doubt",
        source: include_str!("../../../../shaders/knn_doubt.wgsl"),
        params: DoubtParams::WGSL,
        entry: "doubt",
        numbers: vec![("THREADS", THREADS as u32), ("TILE", TILE as u32)],
        flags: vec![],
    }
}

/// How many candidates are kept. Inner products are final.
fn to_keep(k: usize, metric: Metric) -> usize {
    if is_l2(metric) { k.saturating_add(8.max(k / 8)) } else { k }
}

/// Whether products are the faster way.
pub(super) fn pay(gpu: &Gpu, queries: &DeviceArray<f32>, base: &DeviceArray<f32>, k: usize, metric: Metric) -> bool {
    products::pay(queries.rows(), base.rows(), base.columns())
        && to_keep(k, metric) <= QUEUED
        && products::most_packed(gpu, base.columns()) > 0
}

pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    let keep = to_keep(k, metric);
    let kept = recording.array(queries.rows(), keep)?;
    let centre = Centre::of(recording, base, metric)?;
    let reach = recording.largest()?;
    let search = Search::new(recording, queries, base, &kept, centre, &reach)?;
    for batch in &search.batches {
        search.scan(recording, queries, base, batch, &kept)?;
    }
    if !is_l2(metric) {
        return Ok(kept);
    }
    let found = rerank::gpu::rerank(recording, queries, base, rerank::gpu::Naming::Rows, &kept, k, metric)?;
    let listed = Listed::new(recording, base, k)?;
    let per_part = [queries.rows_per_part(), kept.rows_per_part(), found.rows_per_part()];
    for batch in bounded_segments(queries.rows(), &per_part, listed.most()) {
        let list = search.doubtful(recording, queries, &batch, &kept, &found)?;
        listed.search(recording, queries, base, &batch, &list, &found)?;
    }
    Ok(found)
}

/// A stretch of the base that lies in one buffer.
struct Stretch {
    rows: Segment,
    slabs: usize,
    first_slab: usize,
    halves: Part,
}

/// What the batches of a search share.
struct Search<'a> {
    metric: Metric,
    centre: Centre,
    reach: &'a Part,
    stretches: Vec<Stretch>,
    all_slabs: usize,
    batches: Vec<Segment>,
    queues: Part,
    candidates: Part,
}

impl<'a> Search<'a> {
    fn new(
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        base: &DeviceArray<f32>,
        kept: &DeviceArray<Ranked>,
        centre: Centre,
        reach: &'a Part,
    ) -> Result<Self> {
        let metric = centre.metric;
        let queue_bytes = capacity(kept.columns()) * SIDE * size_of::<Ranked>();
        let most_groups = QUEUE_BYTES / queue_bytes;
        let tiles = queries.rows().div_ceil(SIDE).min(most_groups);
        let (mut stretches, mut all_slabs) = (vec![], 0);
        for rows in segments(base.rows(), &[base.rows_per_part()]) {
            let slabs = selection::slabs(tiles, rows.rows, LEAST_ROWS).min((most_groups / tiles.max(1)).max(1));
            let halves =
                if is_l2(metric) { centre.measure(recording, base, &rows, reach)? } else { recording.scratch(0)? };
            stretches.push(Stretch { rows, slabs, first_slab: all_slabs, halves });
            all_slabs += slabs;
        }
        let per_query = all_slabs * kept.columns() * size_of::<Ranked>();
        let most_packed = products::most_packed(recording.device(), queries.columns());
        let most_queries = (SCRATCH_BYTES / per_query.max(1)).clamp(1, most_packed.min(most_groups * SIDE));
        let per_part = [queries.rows_per_part(), kept.rows_per_part()];
        let batches = bounded_segments(queries.rows(), &per_part, most_queries);
        let largest = batches.iter().map(|batch| batch.rows).max().unwrap_or(0);
        let most_slabs = stretches.iter().map(|stretch| stretch.slabs).max().unwrap_or(0);
        let queues = recording.scratch(largest.div_ceil(SIDE) * most_slabs * queue_bytes)?;
        let candidates = recording.scratch(largest * per_query)?;
        Ok(Search { metric, centre, reach, stretches, all_slabs, batches, queues, candidates })
    }

    /// Keeps what may be nearest to each query of a batch.
    fn scan(
        &self,
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        base: &DeviceArray<f32>,
        batch: &Segment,
        kept: &DeviceArray<Ranked>,
    ) -> Result<()> {
        let keep = kept.columns();
        let packed = self.centre.pack(recording, queries, batch)?;
        for Stretch { rows, slabs, first_slab, halves } in &self.stretches {
            let groups = packed.tiles * slabs;
            let (base_part, first_row) = base.part(rows.first_row)?;
            let params = Params {
                groups: groups as u32,
                queries: batch.rows as u32,
                columns: queries.columns() as u32,
                rows: rows.rows as u32,
                base_number: (rows.first_row - first_row) as u32,
                slabs: *slabs as u32,
                slab_rows: rows.rows.div_ceil(*slabs).next_multiple_of(SIDE) as u32,
                first_slab: *first_slab as u32,
                all_slabs: self.all_slabs as u32,
                keep: keep as u32,
            };
            let mut buffers = vec![
                ("base", base_part),
                ("packed", &packed.buffer),
                ("queues", &self.queues),
                ("candidates", &self.candidates),
            ];
            if is_l2(self.metric) {
                buffers.extend([("centre", &self.centre.buffer), ("halves", halves)]);
            }
            recording.expect(batch.rows * rows.rows * queries.columns());
            recording.dispatch(kernel(self.metric, capacity(keep)), &params, &buffers, groups)?;
        }
        let candidates = Candidates { buffer: self.candidates.clone(), columns: self.all_slabs * keep };
        merge(recording, batch.rows, &candidates, keep, kept.part(batch.first_row)?)
    }

    /// A list of a batch's queries whose neighbours are not certain.
    fn doubtful(
        &self,
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        batch: &Segment,
        kept: &DeviceArray<Ranked>,
        found: &DeviceArray<Ranked>,
    ) -> Result<Part> {
        let list = recording.list(batch.rows)?;
        let unused = recording.largest()?;
        let halves = self.centre.measure(recording, queries, batch, &unused)?;
        let (kept_part, kept_place) = kept.part(batch.first_row)?;
        let (found_part, found_place) = found.part(batch.first_row)?;
        let params = DoubtParams {
            queries: batch.rows as u32,
            columns: queries.columns() as u32,
            k: found.columns() as u32,
            keep: kept.columns() as u32,
            kept_place: kept_place as u32,
            found_place: found_place as u32,
        };
        let buffers =
            [("kept", kept_part), ("found", found_part), ("halves", &halves), ("reach", self.reach), ("listed", &list)];
        recording.dispatch(doubt(), &params, &buffers, batch.rows.div_ceil(THREADS))?;
        Ok(list)
    }
}
