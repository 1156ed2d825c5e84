//! Bindings and dispatch of `shaders/flat_scan.wgsl`.

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant, params},
    ops::{
        Lists, Ranked, is_l2, lanes,
        selection::{self, ScanPlan},
    },
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        probe_place: u32,
        nprobe: u32,
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

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let metrics = [Metric::L2, Metric::InnerProduct];
    metrics.into_iter().flat_map(|metric| [false, true].map(|long| kernel(variant, metric, long))).collect()
}

fn kernel(variant: Variant, metric: Metric, long: bool) -> Kernel {
    let mut numbers = selection::NUMBERS.to_vec();
    // As many rounds as it takes for every thread's worth of rows to have been offered.
    numbers.extend([("LANES", lanes::count(variant) as u32), ("ROUNDS", lanes::count(variant) as u32)]);
    let mut flags = lanes::flags(variant);
    if is_l2(metric) {
        flags.push("L2");
    }
    if long {
        flags.push("LONG");
    }
    Kernel {
        name: "flat_scan",
        source: include_str!("../../../shaders/flat_scan.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags,
    }
}

pub(super) fn flat_scan(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    rows: &DeviceArray<f32>,
    lists: &Lists,
    probes: &DeviceArray<Ranked>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    queries.check_on(recording.device(), "queries")?;
    rows.check_on(recording.device(), "rows")?;
    probes.check_on(recording.device(), "probes")?;
    lists.check_on(recording.device())?;
    let probed = probes.columns();
    let plan = ScanPlan::new(queries.rows(), lists, rows.rows_per_part(), probed, (k, LEAST_ROWS));
    let per_part = [queries.rows_per_part(), probes.rows_per_part()];
    let kernel = kernel(recording.device().variant(), metric, plan.is_long());
    plan.search(recording, queries.rows(), &per_part, |recording, batch, candidates| {
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let (probes_part, probe_place) = probes.part(batch.first_row)?;
        for (stretch, first_slab) in plan.stretches() {
            let params = Params {
                queries: batch.rows as u32,
                query_place: query_place as u32,
                probe_place: probe_place as u32,
                nprobe: probed as u32,
                columns: queries.columns() as u32,
                rows: stretch.rows as u32,
                first_row: stretch.first_row as u32,
                slabs: plan.slabs as u32,
                first_slab: first_slab as u32,
                all_slabs: plan.all_slabs() as u32,
                keep: k as u32,
                room: plan.room as u32,
            };
            let buffers = [
                ("queries", queries_part),
                ("rows", rows.part(stretch.first_row)?.0),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("ids", lists.ids.whole("bytes of ids")?),
                ("probes", probes_part),
                ("candidates", candidates),
            ];
            recording.expect(batch.rows * plan.probed(stretch) * queries.columns());
            recording.dispatch(kernel.clone(), &params, &buffers, batch.rows * plan.slabs)?;
        }
        Ok(())
    })
}
