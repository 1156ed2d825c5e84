//! Bindings and dispatch of `shaders/knn_rounded.wgsl`: bounds from rows and queries rounded to 8-bit integers choose
//! candidates, some more than k; differences rank them, and search again for queries whose outcome that leaves open. See
//! [`round`](crate::ops::round).

use super::differences::Listed;
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, bounded_segments, params},
    ops::{
        Ranked, is_l2,
        products::{self, Centre, SIDE},
        rerank::gpu::{Naming, rerank},
        round::gpu::{Tiles, doubtful},
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
        quads: u32,
        rows: u32,
        base_number: u32,
        row_records: u32,
        query_records: u32,
        slabs: u32,
        slab_rows: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
    }
}

/// Words that go through workgroup memory at a time: half of the threads load each side.
const DEPTH: usize = 4;

const _: () = assert!(DEPTH * SIDE / 4 == THREADS / 2);

/// Fewest rows worth a workgroup of their own: whole tiles.
const LEAST_ROWS: usize = 8 * SIDE;

/// Bytes that the queues of a dispatch may take: what a binding has everywhere.
const QUEUE_BYTES: usize = 128 << 20;

/// Fewer columns are products of f32 as fast: words hold four, tiles sixteen.
const FEWEST_COLUMNS: usize = 32;

pub(super) fn kernels(variant: Variant) -> Vec<Kernel> {
    if variant.packed_integers { [1, QUEUED].map(|keep| kernel(capacity(keep))).to_vec() } else { vec![] }
}

/// Length of a query's queue: room for another tile, and for as many again as are kept where that fits.
fn capacity(keep: usize) -> usize {
    (2 * keep + SIDE).next_power_of_two().min(QUEUE)
}

const _: () = assert!(QUEUED + SIDE <= QUEUE);

fn kernel(capacity: usize) -> Kernel {
    let numbers = [("SIDE", SIDE), ("DEPTH", DEPTH), ("THREADS", THREADS), ("QUEUE", QUEUE), ("CAPACITY", capacity)];
    Kernel {
        name: "knn_rounded",
        source: include_str!("../../../../shaders/knn_rounded.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: numbers.map(|(name, number)| (name, number as u32)).to_vec(),
        flags: vec!["L2"],
    }
}

/// How many candidates are kept.
fn to_keep(k: usize) -> usize {
    k.saturating_mul(2).saturating_add(16)
}

/// Whether rounded rows are the faster way. Inner products of f32 are final, and leave nothing to search again for.
pub(super) fn pay(gpu: &Gpu, queries: &DeviceArray<f32>, base: &DeviceArray<f32>, k: usize, metric: Metric) -> bool {
    is_l2(metric)
        && products::pay(queries.rows(), base.rows(), base.columns())
        && base.columns() >= FEWEST_COLUMNS
        && to_keep(k) <= QUEUED
        && most_rounded(gpu, base.columns()) > 0
}

/// Rows that are rounded at a time: whole tiles.
fn most_rounded(gpu: &Gpu, columns: usize) -> usize {
    Tiles::most(gpu, columns, SCRATCH_BYTES.min(gpu.max_part() as usize))
}

pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    let kept = recording.array(queries.rows(), to_keep(k))?;
    let search = Search::new(recording, queries, base, &kept)?;
    for batch in &search.batches {
        search.scan(recording, queries, base, batch, &kept)?;
    }
    let found = rerank(recording, queries, base, Naming::Rows, &kept, k, Metric::L2)?;
    let listed = Listed::new(recording, base, k)?;
    let per_part = [queries.rows_per_part(), kept.rows_per_part(), found.rows_per_part()];
    for batch in bounded_segments(queries.rows(), &per_part, listed.most()) {
        let list = doubtful(recording, &batch, &kept, &found, TILE)?;
        listed.search(recording, queries, base, &batch, &list, &found)?;
    }
    Ok(found)
}

/// A stretch of the base that is rounded at a time.
struct Stretch {
    rows: Segment,
    slabs: usize,
    first_slab: usize,
}

/// What the batches of a search share.
struct Search {
    centre: Centre,
    stretches: Vec<Stretch>,
    all_slabs: usize,
    batches: Vec<Segment>,
    /// Room for a stretch, and for a batch of queries, as integers.
    rounded: Part,
    rounded_queries: Part,
    queues: Part,
    candidates: Part,
}

impl Search {
    fn new(
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        base: &DeviceArray<f32>,
        kept: &DeviceArray<Ranked>,
    ) -> Result<Self> {
        let columns = base.columns();
        let queue_bytes = capacity(kept.columns()) * SIDE * size_of::<Ranked>();
        let most_groups = QUEUE_BYTES / queue_bytes;
        let tiles = queries.rows().div_ceil(SIDE).min(most_groups);
        let most_rounded = most_rounded(recording.device(), columns);
        let (mut stretches, mut all_slabs) = (vec![], 0);
        for rows in bounded_segments(base.rows(), &[base.rows_per_part()], most_rounded) {
            let slabs = selection::slabs(tiles, rows.rows, LEAST_ROWS).min((most_groups / tiles.max(1)).max(1));
            stretches.push(Stretch { rows, slabs, first_slab: all_slabs });
            all_slabs += slabs;
        }
        let per_query = all_slabs * kept.columns() * size_of::<Ranked>();
        let most_queries = (SCRATCH_BYTES / per_query.max(1)).clamp(1, most_rounded.min(most_groups * SIDE));
        let batches = bounded_segments(queries.rows(), &[queries.rows_per_part(), kept.rows_per_part()], most_queries);
        let largest = batches.iter().map(|batch| batch.rows).max().unwrap_or(0);
        let longest = stretches.iter().map(|stretch| stretch.rows.rows).max().unwrap_or(0);
        let most_slabs = stretches.iter().map(|stretch| stretch.slabs).max().unwrap_or(0);
        let centre = Centre::of(recording, base, Metric::L2)?;
        let rounded = Tiles::room(recording, longest, columns)?;
        let rounded_queries = Tiles::room(recording, largest, columns)?;
        let queues = recording.scratch(largest.div_ceil(SIDE) * most_slabs * queue_bytes)?;
        let candidates = recording.scratch(largest * per_query)?;
        Ok(Search { centre, stretches, all_slabs, batches, rounded, rounded_queries, queues, candidates })
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
        let of_queries = Tiles::of(recording, &self.centre, queries, batch, &self.rounded_queries)?;
        for Stretch { rows, slabs, first_slab } in &self.stretches {
            let of_rows = Tiles::of(recording, &self.centre, base, rows, &self.rounded)?;
            let groups = batch.rows.div_ceil(SIDE) * slabs;
            let params = Params {
                groups: groups as u32,
                queries: batch.rows as u32,
                columns: queries.columns() as u32,
                quads: Tiles::quads(queries.columns()) as u32,
                rows: rows.rows as u32,
                base_number: rows.first_row as u32,
                row_records: of_rows.records_place as u32,
                query_records: of_queries.records_place as u32,
                slabs: *slabs as u32,
                slab_rows: rows.rows.div_ceil(*slabs).next_multiple_of(SIDE) as u32,
                first_slab: *first_slab as u32,
                all_slabs: self.all_slabs as u32,
                keep: keep as u32,
            };
            let buffers = [
                ("base", &of_rows.buffer),
                ("rounded", &of_queries.buffer),
                ("queues", &self.queues),
                ("candidates", &self.candidates),
            ];
            recording.expect(batch.rows * rows.rows * queries.columns());
            recording.dispatch(kernel(capacity(keep)), &params, &buffers, groups)?;
        }
        let candidates = Candidates { buffer: self.candidates.clone(), columns: self.all_slabs * keep };
        merge(recording, batch.rows, &candidates, keep, kept.part(batch.first_row)?)
    }
}
