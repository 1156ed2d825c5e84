//! Bindings and dispatch of `shaders/knn_matrices.wgsl`: cooperative matrices of f16 choose candidates, some more than k, where
//! `products` would take f32. Each is taken to be as near as it can be; the nearest so are ranked by differences, and where
//! the k-th is no nearer than the next that was left out may be, differences search again, in the same submission.

use super::{
    differences::Listed,
    products::{self, Form, Halves, QUEUE_BYTES, Scan, capacity, doubtful, room, sample_tiles, slabs},
};
use crate::{
    DeviceArray, Metric, Result,
    device::{Gpu, Kernel, Part, Recording, Segment, Variant, bounded_segments, params},
    ops::{
        Ranked, is_l2,
        matrices::{self, DIFFERENCE, MEASURE_BYTES, Packed},
        products::{Centre, SIDE},
        rerank,
        select::gpu::merge,
        selection::{Candidates, PARALLEL_GROUPS, QUEUE, QUEUED, SCRATCH_BYTES},
    },
};

params! {
    struct Params {
        groups: u32,
        queries: u32,
        depth: u32,
        rows: u32,
        // Of those, how many are scanned, every so many-th tile.
        scanned: u32,
        spread: u32,
        measures_place: u32,
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

/// One of so many tiles is in the sample: every candidate within the limit that it gives costs more here, beside the products.
const SPREAD: usize = 16;

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    if variant.matrices == 0 {
        return vec![];
    }
    let queued = |keep, limited| Form::Queued { capacity: capacity(keep), limited };
    let forms = [queued(1, false), queued(1, true), queued(QUEUED, false), queued(QUEUED, true), Form::Sample];
    let of = |metric| forms.map(|form| kernel(variant, metric, form));
    [of(Metric::L2), of(Metric::InnerProduct)].concat()
}

fn kernel(variant: Variant, metric: Metric, form: Form) -> Kernel {
    let mut numbers = matrices::numbers(variant);
    let mut flags = if is_l2(metric) { vec!["L2"] } else { vec![] };
    match form {
        Form::Queued { capacity, limited } => {
            numbers.extend([("QUEUE", QUEUE as u32), ("CAPACITY", capacity as u32)]);
            flags.push("QUEUED");
            flags.extend(limited.then_some("LIMITED"));
        }
        Form::Sample | Form::All => flags.push("SAMPLE"),
    }
    Kernel {
        name: "knn_matrices",
        source: include_str!("../../../../shaders/knn_matrices.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags,
    }
}

/// How many candidates are kept: what f16 leaves open are few. Of 300 queries to 60,000 word vectors and images, none would be
/// in doubt for k = 1, 10 and 100, by these bounds in f64; see [`round`](crate::ops::round) as well.
fn to_keep(k: usize) -> usize {
    products::to_keep(k, Metric::L2)
}

/// Whether matrices are the faster way.
pub(super) fn pay(gpu: &Gpu, queries: &DeviceArray<f32>, base: &DeviceArray<f32>, k: usize) -> bool {
    matrices::pay(gpu, queries.rows(), base.rows(), base.columns()) && to_keep(k) <= QUEUED
}

pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    let kept = recording.array(queries.rows(), to_keep(k))?;
    let search = Search::new(recording, queries, base, &kept, metric)?;
    for batch in &search.batches {
        search.scan(recording, batch)?;
    }
    let found = rerank::gpu::rerank(recording, queries, base, rerank::gpu::Naming::Alone, &kept, k, metric)?;
    let listed = Listed::new(recording, base, k, metric, (DIFFERENCE, "knn_matrices"))?;
    let per_part = [queries.rows_per_part(), kept.rows_per_part(), found.rows_per_part()];
    for batch in bounded_segments(queries.rows(), &per_part, listed.most()) {
        let halves = Halves::Matrices(&search.query_measures);
        let list = doubtful(recording, (queries, base), &batch, (&kept, &found), halves, (metric, &search.reach))?;
        listed.search(recording, queries, base, &batch, &list, &found)?;
    }
    Ok(found)
}

/// A stretch of the base that is packed at a time, and how it is shared out.
struct Stretch {
    rows: Segment,
    slabs: usize,
    first_slab: usize,
}

/// What the batches of a search share.
struct Search<'a> {
    queries: &'a DeviceArray<f32>,
    base: &'a DeviceArray<f32>,
    kept: &'a DeviceArray<Ranked>,
    centre: Centre,
    /// The longest row's norm.
    reach: Part,
    stretches: Vec<Stretch>,
    /// Tiles of the first stretch's sample, if that is worth having.
    sample: Option<usize>,
    all_slabs: usize,
    batches: Vec<Segment>,
    packed_base: Part,
    base_measures: Part,
    packed_queries: Part,
    query_measures: Part,
    queues: Part,
    candidates: Part,
}

impl<'a> Search<'a> {
    fn new(
        recording: &mut Recording,
        queries: &'a DeviceArray<f32>,
        base: &'a DeviceArray<f32>,
        kept: &'a DeviceArray<Ranked>,
        metric: Metric,
    ) -> Result<Self> {
        let keep = kept.columns();
        let centre = Centre::of(recording, base, metric)?;
        let reach = recording.largest()?;
        let row_bytes = matrices::row_bytes(base.columns());
        let most_rows = matrices::most_rows(recording.device(), base.rows(), base.columns());
        let queue_bytes = capacity(keep) * SIDE * size_of::<Ranked>();
        let most_groups = QUEUE_BYTES / queue_bytes;
        let tiles = queries.rows().div_ceil(SIDE).min(most_groups);
        let (mut stretches, mut all_slabs): (Vec<Stretch>, _) = (vec![], 0);
        let segments = bounded_segments(base.rows(), &[base.rows_per_part()], most_rows);
        // As many as run at the same time twice over, and no more than leave room for a tile of queries: for every batch of
        // them the base is packed again.
        let most_slabs = (2 * PARALLEL_GROUPS / tiles)
            .min(SCRATCH_BYTES / (SIDE * room(keep) * size_of::<Ranked>()) / segments.len())
            .max(1);
        for rows in segments {
            let slabs = slabs(tiles, rows.rows, most_groups).min(most_slabs);
            stretches.push(Stretch { rows, slabs, first_slab: all_slabs });
            all_slabs += slabs;
        }
        let longest = stretches.iter().map(|stretch| stretch.rows.rows).max().unwrap_or(0);
        let most_slabs = stretches.iter().map(|stretch| stretch.slabs).max().unwrap_or(0);
        let sample = stretches.first().and_then(|stretch| sample_tiles(stretch.rows.rows, keep, SPREAD));
        let per_query = sample.unwrap_or(0).max(all_slabs * room(keep)) * size_of::<Ranked>();
        let most_queries = (SCRATCH_BYTES / per_query.max(1)).clamp(1, most_rows.min(most_groups * SIDE));
        let per_part = [queries.rows_per_part(), kept.rows_per_part()];
        let batches = bounded_segments(queries.rows(), &per_part, most_queries);
        let largest = batches.iter().map(|batch| batch.rows).max().unwrap_or(0).next_multiple_of(SIDE);
        Ok(Search {
            queries,
            base,
            kept,
            centre,
            reach,
            packed_base: recording.scratch(longest.next_multiple_of(SIDE) * row_bytes)?,
            base_measures: recording.scratch(longest.next_multiple_of(SIDE) * MEASURE_BYTES)?,
            packed_queries: recording.scratch(largest * row_bytes)?,
            query_measures: recording.scratch((queries.rows() + SIDE) * MEASURE_BYTES)?,
            queues: recording.scratch(largest / SIDE * most_slabs * queue_bytes)?,
            candidates: recording.scratch(largest * per_query)?,
            stretches,
            sample,
            all_slabs,
            batches,
        })
    }

    /// Keeps what may be nearest to each query of a batch.
    fn scan(&self, recording: &mut Recording, batch: &Segment) -> Result<()> {
        let unused = recording.largest()?;
        let queries =
            Packed { rows: &self.packed_queries, measures: &self.query_measures, measures_place: batch.first_row };
        queries.pack(recording, self.queries, batch, &self.centre, &unused)?;
        let base = Packed { rows: &self.packed_base, measures: &self.base_measures, measures_place: 0 };
        for (number, stretch) in self.stretches.iter().enumerate() {
            base.pack(recording, self.base, &stretch.rows, &self.centre, &self.reach)?;
            if let Some(tiles) = self.sample.filter(|_| number == 0) {
                let sample = Scan {
                    form: Form::Sample,
                    scanned: tiles * SIDE,
                    spread: stretch.rows.rows / SIDE / tiles,
                    slabs: tiles,
                    first_slab: 0,
                    all_slabs: tiles,
                    room: 1,
                };
                self.scan_stretch(recording, batch, stretch, &sample)?;
                self.keep(recording, batch, tiles)?;
            }
            let &Stretch { slabs, first_slab, .. } = stretch;
            let keep = self.kept.columns();
            let scan = Scan {
                form: Form::Queued { capacity: capacity(keep), limited: self.sample.is_some() },
                scanned: stretch.rows.rows,
                spread: 1,
                slabs,
                first_slab,
                all_slabs: self.all_slabs,
                room: room(keep),
            };
            self.scan_stretch(recording, batch, stretch, &scan)?;
        }
        self.keep(recording, batch, self.all_slabs * room(self.kept.columns()))
    }

    fn scan_stretch(&self, recording: &mut Recording, batch: &Segment, stretch: &Stretch, scan: &Scan) -> Result<()> {
        let groups = batch.rows.div_ceil(SIDE) * scan.slabs;
        let (kept_part, kept_place) = self.kept.part(batch.first_row)?;
        let params = Params {
            groups: groups as u32,
            queries: batch.rows as u32,
            depth: matrices::depth(self.queries.columns()) as u32,
            rows: stretch.rows.rows as u32,
            scanned: scan.scanned as u32,
            spread: scan.spread as u32,
            measures_place: batch.first_row as u32,
            kept_place: kept_place as u32,
            base_number: stretch.rows.first_row as u32,
            slabs: scan.slabs as u32,
            slab_rows: scan.scanned.div_ceil(scan.slabs).next_multiple_of(SIDE) as u32,
            first_slab: scan.first_slab as u32,
            all_slabs: scan.all_slabs as u32,
            keep: self.kept.columns() as u32,
            room: scan.room as u32,
        };
        let mut buffers = vec![
            ("base", &self.packed_base),
            ("base_measures", &self.base_measures),
            ("packed", &self.packed_queries),
            ("packed_measures", &self.query_measures),
            ("candidates", &self.candidates),
        ];
        if let Form::Queued { limited, .. } = scan.form {
            buffers.push(("queues", &self.queues));
            buffers.extend(limited.then_some(("kept", kept_part)));
        }
        let variant = recording.device().variant();
        recording.expect(batch.rows * scan.scanned * self.queries.columns());
        recording.dispatch(kernel(variant, self.centre.metric, scan.form), &params, &buffers, groups)
    }

    /// The nearest of so many candidates of each query of a batch.
    fn keep(&self, recording: &mut Recording, batch: &Segment, columns: usize) -> Result<()> {
        let candidates = Candidates { buffer: self.candidates.clone(), columns };
        merge(recording, batch.rows, &candidates, self.kept.columns(), self.kept.part(batch.first_row)?)
    }
}
