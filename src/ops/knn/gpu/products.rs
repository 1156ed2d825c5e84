//! Bindings and dispatch of `shaders/knn_products.wgsl` and `shaders/knn_doubt.wgsl`: products choose candidates, some
//! more than k; differences rank them, and search again for queries whose outcome rounding may have changed.

use super::differences::Listed;
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        Ranked, is_l2,
        products::{self, Centre, Packed, SIDE},
        rerank,
        select::gpu::merge,
        selection::{self, Candidates, PARALLEL_GROUPS, QUEUE, QUEUED, SCRATCH_BYTES},
        tile::{THREADS, TILE},
    },
};

params! {
    struct Params {
        groups: u32,
        queries: u32,
        columns: u32,
        rows: u32,
        // Of those, how many are scanned, every so many-th tile.
        scanned: u32,
        spread: u32,
        kept_place: u32,
        base_number: u32,
        slabs: u32,
        slab_rows: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
        // Candidates of a query's slab.
        room: u32,
    }
}

params! {
    struct DoubtParams {
        queries: u32,
        rows: u32,
        columns: u32,
        k: u32,
        keep: u32,
        kept_place: u32,
        found_place: u32,
        halves_place: u32,
    }
}

/// Fewest rows worth a workgroup of their own, whole tiles, where there are workgroups enough with so many.
const LEAST_ROWS: usize = 8 * SIDE;

/// One of so many tiles is in the sample that tells where queues begin. That spares most of the queueing, and all cuts but
/// perhaps the last: on an H100 1,000,000 x 128 took 12.7 ms for 1,024 queries and k = 10 without, 15.1 ms for k = 40.
const SPREAD: usize = 64;

/// Most rows that are all candidates: queues would be filled and sorted once and leave most of them.
const ALL_ROWS: usize = 8192;

/// Bytes that the queues of a dispatch may take: what a binding has everywhere.
pub(super) const QUEUE_BYTES: usize = 128 << 20;

/// What becomes of a tile's distances.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Rows are queued, those alone that are within limits if there are some.
    Queued { capacity: usize, limited: bool },
    /// The nearest of each tile is kept.
    Sample,
    /// All rows are candidates.
    All,
}

/// Half the squared norms of queries.
pub(super) enum Halves<'a> {
    /// Of a batch.
    Products(&'a Part),
    /// Of all, the first of four numbers.
    Matrices(&'a Part),
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let queued = |keep, limited| Form::Queued { capacity: capacity(keep), limited };
    let forms =
        [queued(1, false), queued(1, true), queued(QUEUED, false), queued(QUEUED, true), Form::Sample, Form::All];
    let of = |metric| forms.map(|form| kernel(metric, form));
    let doubts = [doubt(false, Metric::L2), doubt(true, Metric::L2), doubt(true, Metric::InnerProduct)];
    [of(Metric::L2), of(Metric::InnerProduct)].concat().into_iter().chain(doubts).collect()
}

/// Length of a query's queue: room for another tile, and for as many again as are kept where that fits, so that queues
/// are cut less often.
pub(super) fn capacity(keep: usize) -> usize {
    (2 * keep + SIDE).next_power_of_two().min(QUEUE)
}

const _: () = assert!(QUEUED + SIDE <= QUEUE);

fn kernel(metric: Metric, form: Form) -> Kernel {
    let mut numbers = products::NUMBERS.to_vec();
    let mut flags = if is_l2(metric) { vec!["L2"] } else { vec![] };
    match form {
        Form::Queued { capacity, limited } => {
            numbers.extend([("QUEUE", QUEUE as u32), ("CAPACITY", capacity as u32)]);
            flags.push("QUEUED");
            flags.extend(limited.then_some("LIMITED"));
        }
        Form::Sample => flags.push("SAMPLE"),
        Form::All => flags.push("ALL"),
    }
    Kernel {
        name: "knn_products",
        source: include_str!("../../../../shaders/knn_products.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags,
    }
}

/// By products of f32, or of `matrices`.
fn doubt(matrices: bool, metric: Metric) -> Kernel {
    let flags = [("MATRICES", matrices), ("L2", is_l2(metric))];
    Kernel {
        name: "knn_doubt",
        source: include_str!("../../../../shaders/knn_doubt.wgsl"),
        params: DoubtParams::WGSL,
        entry: "doubt",
        numbers: vec![("THREADS", THREADS as u32), ("TILE", TILE as u32)],
        flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
    }
}

/// How many candidates are kept: what rounding leaves open are few. Inner products are final.
pub(super) fn to_keep(k: usize, metric: Metric) -> usize {
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
        search.scan(recording, batch)?;
    }
    if !is_l2(metric) {
        return Ok(kept);
    }
    let found = rerank::gpu::rerank(recording, queries, base, rerank::gpu::Naming::Alone, &kept, k, metric)?;
    // A squared difference is two operations where a product is one.
    let listed = Listed::new(recording, base, k, metric, (2, "knn_products"))?;
    let per_part = [queries.rows_per_part(), kept.rows_per_part(), found.rows_per_part()];
    for batch in bounded_segments(queries.rows(), &per_part, listed.most()) {
        let unused = recording.largest()?;
        let halves = search.centre.measure(recording, queries, &batch, &unused)?;
        let list =
            doubtful(recording, (queries, base), &batch, (&kept, &found), Halves::Products(&halves), (metric, &reach))?;
        listed.search(recording, queries, base, &batch, &list, &found)?;
    }
    Ok(found)
}

/// A stretch of the base that lies in one buffer.
struct Stretch {
    rows: Segment,
    halves: Part,
    slabs: usize,
    first_slab: usize,
}

/// How a stretch is scanned.
pub(super) struct Scan {
    pub form: Form,
    /// Rows, of every so many-th tile.
    pub scanned: usize,
    pub spread: usize,
    pub slabs: usize,
    pub first_slab: usize,
    /// Slabs of all stretches, and candidates of each.
    pub all_slabs: usize,
    pub room: usize,
}

/// What the batches of a search share.
struct Search<'a> {
    queries: &'a DeviceArray<f32>,
    base: &'a DeviceArray<f32>,
    kept: &'a DeviceArray<Ranked>,
    centre: Centre,
    stretches: Vec<Stretch>,
    /// Tiles of the first stretch's sample, if that is worth having.
    sample: Option<usize>,
    form: Form,
    all_slabs: usize,
    room: usize,
    batches: Vec<Segment>,
    queues: Part,
    candidates: Part,
}

impl<'a> Search<'a> {
    fn new(
        recording: &mut Recording,
        queries: &'a DeviceArray<f32>,
        base: &'a DeviceArray<f32>,
        kept: &'a DeviceArray<Ranked>,
        centre: Centre,
        reach: &'a Part,
    ) -> Result<Self> {
        let (keep, all) = (kept.columns(), base.rows() <= ALL_ROWS);
        let queue_bytes = capacity(keep) * SIDE * size_of::<Ranked>();
        let most_groups = QUEUE_BYTES / queue_bytes;
        let tiles = queries.rows().div_ceil(SIDE).min(most_groups);
        let (mut stretches, mut all_slabs): (Vec<Stretch>, _) = (vec![], 0);
        let segments = segments(base.rows(), &[base.rows_per_part()]);
        // No more than leave room for a tile of queries.
        let most_slabs = (SCRATCH_BYTES / (SIDE * room(keep) * size_of::<Ranked>()) / segments.len().max(1)).max(1);
        for rows in segments {
            let halves = if is_l2(centre.metric) {
                centre.measure(recording, base, &rows, reach)?
            } else {
                recording.scratch(0)?
            };
            let slabs =
                if all { rows.rows.div_ceil(SIDE) } else { slabs(tiles, rows.rows, most_groups).min(most_slabs) };
            let first_slab = all_slabs;
            all_slabs += if all { slabs * SIDE } else { slabs };
            stretches.push(Stretch { rows, halves, slabs, first_slab });
        }
        let sample =
            stretches.first().filter(|_| !all).and_then(|stretch| sample_tiles(stretch.rows.rows, keep, SPREAD));
        let (form, room) = if all {
            (Form::All, 1)
        } else {
            (Form::Queued { capacity: capacity(keep), limited: sample.is_some() }, room(keep))
        };
        let per_query = sample.unwrap_or(0).max(all_slabs * room) * size_of::<Ranked>();
        let most_packed = products::most_packed(recording.device(), queries.columns());
        let most_queries = (SCRATCH_BYTES / per_query.max(1)).clamp(1, most_packed.min(most_groups * SIDE));
        let per_part = [queries.rows_per_part(), kept.rows_per_part()];
        let batches = bounded_segments(queries.rows(), &per_part, most_queries);
        let largest = batches.iter().map(|batch| batch.rows).max().unwrap_or(0);
        let most_slabs = stretches.iter().map(|stretch| stretch.slabs).max().unwrap_or(0);
        let queues = if all { 0 } else { largest.div_ceil(SIDE) * most_slabs * queue_bytes };
        let queues = recording.scratch(queues)?;
        let candidates = recording.scratch(largest.next_multiple_of(SIDE) * per_query)?;
        Ok(Search {
            queries,
            base,
            kept,
            centre,
            stretches,
            sample,
            form,
            all_slabs,
            room,
            batches,
            queues,
            candidates,
        })
    }

    /// Keeps what may be nearest to each query of a batch.
    fn scan(&self, recording: &mut Recording, batch: &Segment) -> Result<()> {
        let packed = self.centre.pack(recording, self.queries, batch)?;
        if let Some((tiles, stretch)) = self.sample.zip(self.stretches.first()) {
            let sample = Scan {
                form: Form::Sample,
                scanned: tiles * SIDE,
                spread: stretch.rows.rows / SIDE / tiles,
                slabs: tiles,
                first_slab: 0,
                all_slabs: tiles,
                room: 1,
            };
            self.scan_stretch(recording, batch, &packed, stretch, &sample)?;
            self.keep(recording, batch, tiles)?;
        }
        for stretch in &self.stretches {
            let &Stretch { slabs, first_slab, .. } = stretch;
            let &Search { form, all_slabs, room, .. } = self;
            let scan = Scan { form, scanned: stretch.rows.rows, spread: 1, slabs, first_slab, all_slabs, room };
            self.scan_stretch(recording, batch, &packed, stretch, &scan)?;
        }
        self.keep(recording, batch, self.all_slabs * self.room)
    }

    fn scan_stretch(
        &self,
        recording: &mut Recording,
        batch: &Segment,
        packed: &Packed,
        Stretch { rows, halves, .. }: &Stretch,
        scan: &Scan,
    ) -> Result<()> {
        let metric = self.centre.metric;
        let groups = packed.tiles * scan.slabs;
        let (base_part, first_row) = self.base.part(rows.first_row)?;
        let (kept_part, kept_place) = self.kept.part(batch.first_row)?;
        let params = Params {
            groups: groups as u32,
            queries: batch.rows as u32,
            columns: self.queries.columns() as u32,
            rows: rows.rows as u32,
            scanned: scan.scanned as u32,
            spread: scan.spread as u32,
            kept_place: kept_place as u32,
            base_number: (rows.first_row - first_row) as u32,
            slabs: scan.slabs as u32,
            slab_rows: scan.scanned.div_ceil(scan.slabs).next_multiple_of(SIDE) as u32,
            first_slab: scan.first_slab as u32,
            all_slabs: scan.all_slabs as u32,
            keep: self.kept.columns() as u32,
            room: scan.room as u32,
        };
        let mut buffers = vec![("base", base_part), ("packed", &packed.buffer), ("candidates", &self.candidates)];
        if is_l2(metric) {
            buffers.extend([("centre", &self.centre.buffer), ("halves", halves)]);
        }
        if let Form::Queued { limited, .. } = scan.form {
            buffers.push(("queues", &self.queues));
            buffers.extend(limited.then_some(("kept", kept_part)));
        }
        recording.expect(batch.rows * scan.scanned * self.queries.columns());
        recording.dispatch(kernel(metric, scan.form), &params, &buffers, groups)
    }

    /// The nearest of so many candidates of each query of a batch.
    fn keep(&self, recording: &mut Recording, batch: &Segment, columns: usize) -> Result<()> {
        let candidates = Candidates { buffer: self.candidates.clone(), columns };
        merge(recording, batch.rows, &candidates, self.kept.columns(), self.kept.part(batch.first_row)?)
    }
}

/// A list of a batch's queries whose neighbours are not certain. `halves` are half their squared norms, by products of f32, or
/// what was measured of them by matrices, and where the batch's begin.
pub(super) fn doubtful(
    recording: &mut Recording,
    (queries, base): (&DeviceArray<f32>, &DeviceArray<f32>),
    batch: &Segment,
    (kept, found): (&DeviceArray<Ranked>, &DeviceArray<Ranked>),
    halves: Halves,
    (metric, reach): (Metric, &Part),
) -> Result<Part> {
    let list = recording.list(batch.rows)?;
    let (kept_part, kept_place) = kept.part(batch.first_row)?;
    let (found_part, found_place) = found.part(batch.first_row)?;
    let (matrices, halves, halves_place) = match halves {
        Halves::Products(halves) => (false, halves, 0),
        Halves::Matrices(measures) => (true, measures, batch.first_row),
    };
    let params = DoubtParams {
        queries: batch.rows as u32,
        rows: base.rows() as u32,
        columns: queries.columns() as u32,
        k: found.columns() as u32,
        keep: kept.columns() as u32,
        kept_place: kept_place as u32,
        found_place: found_place as u32,
        halves_place: halves_place as u32,
    };
    let buffers = [("kept", kept_part), ("found", found_part), ("halves", halves), ("reach", reach), ("listed", &list)];
    recording.dispatch(doubt(matrices, metric), &params, &buffers, batch.rows.div_ceil(THREADS))?;
    Ok(list)
}

/// Slabs of so many rows: enough for the workgroups that run at the same time, of whole tiles.
pub(super) fn slabs(query_tiles: usize, rows: usize, most_groups: usize) -> usize {
    let least = (rows * query_tiles / PARALLEL_GROUPS).clamp(SIDE, LEAST_ROWS);
    selection::slabs(query_tiles, rows, least).min((most_groups / query_tiles.max(1)).max(1))
}

/// Candidates of a slab: more than are kept, so that queues of about that length need not be sorted at the end.
pub(super) fn room(keep: usize) -> usize {
    (keep + keep / 2 + 16).min(capacity(keep))
}

/// Tiles of a sample of so many rows, one of `spread` or more, if it is small beside them. The `keep` nearest of all rows are
/// no further away than the last of the `keep` nearest of its tiles, and hardly nearer if these are many more.
pub(super) fn sample_tiles(rows: usize, keep: usize, spread: usize) -> Option<usize> {
    let tiles = rows / SIDE;
    let sample = (tiles / spread).max(2 * keep);
    (8 * sample <= tiles).then_some(sample)
}
