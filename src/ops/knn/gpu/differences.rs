//! Bindings and dispatch of `shaders/knn.wgsl`.

use super::way::Way;
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Part, Recording, Segment, Variant, params, segments},
    ops::{
        Ranked,
        select::gpu::{choose, merge_listed},
        selection::{self, Candidates, PARALLEL_GROUPS, QUEUE, QUEUED, SCRATCH_BYTES},
    },
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        columns: u32,
        rows: u32,
        first_row: u32,
        base_number: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
    }
}

params! {
    struct PlanParams {
        most_groups: u32,
        most_slabs: u32,
        widest: u32,
    }
}

/// Length of a query's queue: the `keep` nearest and room for another tile, a power of two.
const fn capacity(keep: usize, way: Way) -> usize {
    (keep + way.right()).next_power_of_two()
}

const _: () = assert!(capacity(QUEUED, Way::Wide) <= QUEUE);

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let mut kernels = vec![plan_kernel()];
    for metric in [Metric::L2, Metric::InnerProduct] {
        for way in Way::ALL {
            kernels.extend([1, 65, QUEUED].map(|keep| kernel(variant, metric, way, keep)));
        }
    }
    for metric in [Metric::L2, Metric::InnerProduct] {
        kernels.extend([1, 65, QUEUED].map(|keep| listed(variant, metric, keep)));
    }
    kernels
}

fn kernel(variant: Variant, metric: Metric, way: Way, keep: usize) -> Kernel {
    let mut numbers = way.numbers();
    numbers.extend([("QUEUE", QUEUE as u32), ("CAPACITY", capacity(keep, way) as u32)]);
    Kernel {
        name: "knn",
        source: include_str!("../../../../shaders/knn.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags: way.flags(variant, metric),
    }
}

/// The kernel for listed queries.
fn listed(variant: Variant, metric: Metric, keep: usize) -> Kernel {
    let mut kernel = kernel(variant, metric, Way::Square, keep);
    kernel.flags.push("LISTED");
    kernel
}

/// Shares the search for listed queries out.
fn plan_kernel() -> Kernel {
    Kernel {
        name: "knn_doubt",
        source: include_str!("../../../../shaders/knn_doubt.wgsl"),
        params: PlanParams::WGSL,
        entry: "share_out",
        numbers: vec![],
        flags: vec!["PLAN"],
    }
}

/// Shares the work for a list's tiles out over at most so many workgroups, unless the tiles are more, and slabs.
pub(in crate::ops) fn share_out(
    recording: &mut Recording,
    list: &Part,
    most_groups: usize,
    most_slabs: usize,
) -> Result<()> {
    let widest = recording.device().max_workgroups() as u32;
    let plan = PlanParams { most_groups: most_groups as u32, most_slabs: most_slabs as u32, widest };
    recording.dispatch(plan_kernel(), &plan, &[("plan", list)], 1)
}

/// The slabs of one buffer of the base.
struct Slabs {
    stretch: Segment,
    count: usize,
    first: usize,
}

/// The `k` closest rows, at most [`QUEUED`].
pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    (metric, way): (Metric, Way),
) -> Result<DeviceArray<Ranked>> {
    let most_groups = most_groups(way, k);
    let tiles = queries.rows().div_ceil(way.left()).min(most_groups);
    let mut all_slabs = 0;
    let mut slabs = vec![];
    for stretch in segments(base.rows(), &[base.rows_per_part()]) {
        // Few rows are shared out more finely, so that they keep a GPU busy.
        let least = (stretch.rows * tiles / PARALLEL_GROUPS).clamp(way.right(), way.least_rows());
        let count = selection::slabs(tiles, stretch.rows, least).min((most_groups / tiles.max(1)).max(1));
        slabs.push(Slabs { stretch, count, first: all_slabs });
        all_slabs += count;
    }
    let per_part = [queries.rows_per_part(), most_groups * way.left()];
    let most_slabs = slabs.iter().map(|slabs| slabs.count).max().unwrap_or(0);
    let queues = recording.scratch(tiles * most_slabs * queue_bytes(way, k))?;
    choose(recording, queries.rows(), &per_part, all_slabs * k, k, |recording, batch, candidates| {
        scan(recording, (queries, batch), base, k, &slabs, (&queues, candidates), (metric, way))
    })
}

/// Bytes of a workgroup's queues.
fn queue_bytes(way: Way, keep: usize) -> usize {
    capacity(keep, way) * way.left() * size_of::<Ranked>()
}

/// Workgroups whose queues are within bounds.
fn most_groups(way: Way, keep: usize) -> usize {
    SCRATCH_BYTES / queue_bytes(way, keep)
}

fn scan(
    recording: &mut Recording,
    (queries, batch): (&DeviceArray<f32>, &Segment),
    base: &DeviceArray<f32>,
    keep: usize,
    slabs: &[Slabs],
    (queues, candidates): (&Part, &Part),
    (metric, way): (Metric, Way),
) -> Result<()> {
    let all_slabs: usize = slabs.iter().map(|slabs| slabs.count).sum();
    let kernel = kernel(recording.device().variant(), metric, way, keep);
    let (queries_part, query_place) = queries.part(batch.first_row)?;
    for Slabs { stretch, count, first } in slabs {
        let groups = batch.rows.div_ceil(way.left()) * count;
        let (base_part, first_row) = base.part(stretch.first_row)?;
        let params = Params {
            queries: batch.rows as u32,
            query_place: query_place as u32,
            columns: (queries.columns() / way.width()) as u32,
            rows: stretch.rows as u32,
            first_row: first_row as u32,
            base_number: (stretch.first_row - first_row) as u32,
            slabs: *count as u32,
            first_slab: *first as u32,
            all_slabs: all_slabs as u32,
            keep: keep as u32,
        };
        let buffers = [("queries", queries_part), ("base", base_part), ("queues", queues), ("candidates", candidates)];
        recording.expect(batch.rows * stretch.rows * queries.columns());
        recording.dispatch(kernel.clone(), &params, &buffers, groups)?;
    }
    Ok(())
}

/// The search for queries that are listed on the GPU.
pub(super) struct Listed {
    k: usize,
    metric: Metric,
    /// A term takes as long as so many of another kernel.
    pace: (usize, &'static str),
    stretches: Vec<Segment>,
    most_groups: usize,
    queues: Part,
    candidates: Part,
}

impl Listed {
    /// Makes room to look for the `k` closest rows of `base`, at most [`QUEUED`].
    pub(super) fn new(
        recording: &mut Recording,
        base: &DeviceArray<f32>,
        k: usize,
        metric: Metric,
        pace: (usize, &'static str),
    ) -> Result<Self> {
        let way = Way::Square;
        let stretches = segments(base.rows(), &[base.rows_per_part()]);
        let most_groups = (most_groups(way, k) / stretches.len().max(1)).max(1);
        let lines = most_groups * way.left() * size_of::<Ranked>();
        let queues = recording.scratch(lines * capacity(k, way))?;
        let candidates = recording.scratch(lines * k * stretches.len())?;
        Ok(Listed { k, metric, pace, stretches, most_groups, queues, candidates })
    }

    /// Most queries of a list.
    pub(super) fn most(&self) -> usize {
        self.most_groups * Way::Square.left()
    }

    /// Finds the neighbours of a batch's listed queries, in `found`.
    pub(super) fn search(
        &self,
        recording: &mut Recording,
        queries: &DeviceArray<f32>,
        base: &DeviceArray<f32>,
        batch: &Segment,
        list: &Part,
        found: &DeviceArray<Ranked>,
    ) -> Result<()> {
        let Listed { k, metric, pace: (terms, paced_as), stretches, most_groups, queues, candidates } = self;
        let most_slabs = base.rows().div_ceil(Way::Square.least_rows());
        share_out(recording, list, *most_groups, most_slabs)?;
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let tiles = batch.rows.div_ceil(Way::Square.left());
        let most = tiles.saturating_mul(most_slabs).min(*most_groups);
        for (number, stretch) in stretches.iter().enumerate() {
            let (base_part, first_row) = base.part(stretch.first_row)?;
            let params = Params {
                queries: 0,
                query_place: query_place as u32,
                columns: queries.columns() as u32,
                rows: stretch.rows as u32,
                first_row: first_row as u32,
                base_number: (stretch.first_row - first_row) as u32,
                slabs: 0,
                first_slab: number as u32,
                all_slabs: stretches.len() as u32,
                keep: *k as u32,
            };
            let buffers = [
                ("queries", queries_part),
                ("base", base_part),
                ("listed", list),
                ("queues", queues),
                ("candidates", candidates),
            ];
            recording.expect_at_most(terms * batch.rows * stretch.rows * queries.columns(), paced_as);
            recording.dispatch_listed(
                listed(recording.device().variant(), *metric, *k),
                &params,
                &buffers,
                (list, 0),
                most,
            )?;
        }
        let candidates = Candidates { buffer: candidates.clone(), columns: stretches.len() * k };
        merge_listed(recording, batch.rows, list, &candidates, *k, found.part(batch.first_row)?)
    }
}
