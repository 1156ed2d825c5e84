//! Bindings and dispatch of `shaders/flat_scan.wgsl`, for all queries or for those of a list.

mod rounded;

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Part, Recording, Segment, Variant, params},
    ops::{
        Lists, Ranked, RoundedRows, is_l2,
        knn::gpu::share_out,
        lanes,
        select::gpu::merge_listed,
        selection::{self, Candidates, SCRATCH_BYTES, ScanPlan},
    },
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        probe_place: u32,
        nprobe: u32,
        nlist: u32,
        columns: u32,
        rows: u32,
        first_row: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
        // Candidates of a slab.
        room: u32,
    }
}

/// Fewest rows worth a workgroup of their own.
const LEAST_ROWS: usize = 512;

/// Workgroups that listed queries are shared out over, if they are fewer.
const LISTED_GROUPS: usize = 2048;

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let metrics = [Metric::L2, Metric::InnerProduct];
    let all = metrics.into_iter().flat_map(|metric| [false, true].map(|masked| (metric, masked)));
    let kernels = all.clone().flat_map(|all| [false, true].map(|long| kernel(variant, all, long)));
    let listed = all.map(|all| listed(variant, all)).filter(|_| variant.packed_integers);
    kernels.chain(listed).chain(rounded::kernels(variant)).collect()
}

fn kernel(variant: Variant, (metric, masked): (Metric, bool), long: bool) -> Kernel {
    let mut numbers = selection::NUMBERS.to_vec();
    // As many rounds as it takes for every thread's worth of rows to have been offered.
    numbers.extend([("LANES", lanes::count(variant) as u32), ("ROUNDS", lanes::count(variant) as u32)]);
    let mut flags = lanes::flags(variant);
    if is_l2(metric) {
        flags.push("L2");
    }
    flags.extend(masked.then_some("MASKED"));
    flags.extend(long.then_some("LONG"));
    Kernel {
        name: "flat_scan",
        source: include_str!("../../../../shaders/flat_scan.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags,
    }
}

/// The kernel for listed queries.
fn listed(variant: Variant, all: (Metric, bool)) -> Kernel {
    let mut kernel = kernel(variant, all, false);
    kernel.flags.push("LISTED");
    kernel
}

/// What is scanned, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub queries: &'a DeviceArray<f32>,
    pub rows: &'a DeviceArray<f32>,
    pub lists: &'a Lists,
    pub probes: &'a DeviceArray<Ranked>,
    pub metric: Metric,
}

pub(super) fn flat_scan(
    recording: &mut Recording,
    scan: &Scan<'_>,
    rounded: Option<&RoundedRows>,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    scan.queries.check_on(recording.device(), "queries")?;
    scan.rows.check_on(recording.device(), "rows")?;
    scan.probes.check_on(recording.device(), "probes")?;
    scan.lists.check_on(recording.device())?;
    match rounded.and_then(RoundedRows::blocks).filter(|_| rounded::can_find(k)) {
        Some(blocks) => rounded::flat_scan(recording, scan, blocks, k),
        None => plain(recording, scan, k),
    }
}

/// By exact distances alone.
fn plain(recording: &mut Recording, scan: &Scan<'_>, k: usize) -> Result<DeviceArray<Ranked>> {
    let Scan { queries, rows, lists, probes, metric } = *scan;
    let plan = ScanPlan::new(queries.rows(), lists, rows.rows_per_part(), probes.columns(), (k, LEAST_ROWS));
    let per_part = [queries.rows_per_part(), probes.rows_per_part()];
    let kernel = kernel(recording.device().variant(), (metric, lists.mask.is_some()), plan.is_long());
    plan.search(recording, queries.rows(), &per_part, |recording, batch, candidates| {
        for (stretch, first_slab) in plan.stretches() {
            let params = Params {
                queries: batch.rows as u32,
                slabs: plan.slabs as u32,
                first_slab: first_slab as u32,
                all_slabs: plan.all_slabs() as u32,
                keep: k as u32,
                room: plan.room as u32,
                ..scan.params(batch, stretch)?
            };
            let buffers = scan.buffers(batch, stretch, candidates)?;
            recording.expect(batch.rows * plan.probed(stretch) * queries.columns());
            recording.dispatch(kernel.clone(), &params, &buffers, batch.rows * plan.slabs)?;
        }
        Ok(())
    })
}

impl Scan<'_> {
    /// What the kernels are told of a batch of queries and a stretch of rows.
    fn params(&self, batch: &Segment, stretch: &Segment) -> Result<Params> {
        Ok(Params {
            queries: 0,
            query_place: self.queries.part(batch.first_row)?.1 as u32,
            probe_place: self.probes.part(batch.first_row)?.1 as u32,
            nprobe: self.probes.columns() as u32,
            nlist: self.lists.nlist() as u32,
            columns: self.queries.columns() as u32,
            rows: stretch.rows as u32,
            first_row: stretch.first_row as u32,
            slabs: 0,
            first_slab: 0,
            all_slabs: 0,
            keep: 0,
            room: 0,
        })
    }

    fn buffers<'a>(
        &'a self,
        batch: &Segment,
        stretch: &Segment,
        candidates: &'a Part,
    ) -> Result<Vec<(&'static str, &'a Part)>> {
        let buffers = [
            ("queries", self.queries.part(batch.first_row)?.0),
            ("rows", self.rows.part(stretch.first_row)?.0),
            ("offsets", self.lists.offsets.whole("bytes of list offsets")?),
            ("ids", self.lists.ids.whole("bytes of ids")?),
            ("probes", self.probes.part(batch.first_row)?.0),
            ("candidates", candidates),
        ];
        Ok(buffers.into_iter().chain(self.lists.mask_buffer()?).collect())
    }
}

/// The scan for queries that are listed on the GPU.
struct Listed {
    k: usize,
    plan: ScanPlan,
    most_queries: usize,
    /// Workgroups that fewer queries are shared out over.
    groups: usize,
    candidates: Part,
}

impl Listed {
    /// Makes room to look for the `k` closest rows, at most [`QUEUED`](selection::QUEUED).
    fn new(recording: &mut Recording, scan: &Scan<'_>, k: usize) -> Result<Self> {
        // For one query, it has as many slabs as there ever are.
        let plan = ScanPlan::new(1, scan.lists, scan.rows.rows_per_part(), scan.probes.columns(), (k, LEAST_ROWS));
        let per_group = plan.stretches().count().max(1) * k * size_of::<Ranked>();
        let most_queries = (SCRATCH_BYTES / per_group).clamp(1, scan.queries.rows().max(1));
        let most_groups = LISTED_GROUPS.min((SCRATCH_BYTES / per_group).max(1));
        let groups = most_groups.min(most_queries.saturating_mul(plan.slabs));
        let candidates = recording.scratch(groups.max(most_queries) * per_group)?;
        Ok(Listed { k, plan, most_queries, groups, candidates })
    }

    /// Most queries of a list.
    fn most(&self) -> usize {
        self.most_queries
    }

    /// Finds the neighbours of a batch's listed queries, in `found`.
    fn search(
        &self,
        recording: &mut Recording,
        scan: &Scan<'_>,
        batch: &Segment,
        list: &Part,
        found: &DeviceArray<Ranked>,
    ) -> Result<()> {
        let Listed { k, plan, groups, candidates, .. } = self;
        share_out(recording, list, *groups, plan.slabs)?;
        let kernel = listed(recording.device().variant(), (scan.metric, scan.lists.mask.is_some()));
        let stretches: Vec<_> = plan.stretches().map(|(stretch, _)| stretch).collect();
        for (number, stretch) in stretches.iter().enumerate() {
            let params = Params {
                first_slab: number as u32,
                all_slabs: stretches.len() as u32,
                keep: *k as u32,
                room: *k as u32,
                ..scan.params(batch, stretch)?
            };
            let mut buffers = scan.buffers(batch, stretch, candidates)?;
            buffers.push(("listed", list));
            // Numbers of f32 take four times as long to read.
            let operations = 4 * batch.rows * plan.probed(stretch) * scan.queries.columns();
            recording.expect_at_most(operations, "flat_scan_rounded");
            recording.dispatch_listed(kernel.clone(), &params, &buffers, (list, 0), batch.rows.max(*groups))?;
        }
        let candidates = Candidates { buffer: candidates.clone(), columns: stretches.len() * k };
        merge_listed(recording, batch.rows, list, &candidates, *k, found.part(batch.first_row)?)
    }
}
