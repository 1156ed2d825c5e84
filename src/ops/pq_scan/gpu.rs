//! Bindings and dispatch of `shaders/pq_scan.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Segment, Variant, params},
    ops::{
        Codebook, Lists, Ranked,
        selection::{self, Pass},
    },
};

params! {
    struct Params {
        queries: u32,
        table_place: u32,
        probe_place: u32,
        nprobe: u32,
        m: u32,
        nbits: u32,
        words: u32,
        rows: u32,
        first_row: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        k: u32,
        taken: u32,
        keep: u32,
        found_place: u32,
    }
}

/// Fewest codes worth a workgroup of their own.
const LEAST_CODES: usize = 1024;

/// Workgroup memory that the selection takes, and a little for what the driver adds.
const SELECTION_BYTES: usize = selection::QUEUE * size_of::<Ranked>() + 64;

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let mut kernels = vec![];
    for (m, nbits) in [(4, 4), (4, 6), (4, 8), (64, 4), (64, 6), (64, 8)] {
        for (terms, add_probe) in [(false, false), (false, true), (true, true)] {
            kernels.push(kernel(variant, m, nbits, terms, add_probe));
        }
    }
    kernels
}

fn kernel(variant: Variant, m: usize, nbits: usize, terms: bool, add_probe: bool) -> Kernel {
    let mut flags = vec![];
    let mut numbers = selection::NUMBERS.to_vec();
    numbers.push(("KSUB", 1 << nbits));
    if 32 % nbits == 0 {
        flags.push("WHOLE_CODES");
        numbers.extend([("NBITS", nbits as u32), ("PER_WORD", (32 / nbits) as u32)]);
    }
    // Powers of two, so that close values of M share a pipeline.
    let table = (m << nbits).next_power_of_two();
    if table * size_of::<f32>() + SELECTION_BYTES <= variant.workgroup_bytes as usize {
        flags.push("LOCAL_TABLE");
        numbers.push(("TABLE", table as u32));
    }
    if terms {
        flags.push("TERMS");
    }
    if add_probe {
        flags.push("ADD_PROBE");
    }
    Kernel {
        name: "pq_scan",
        source: include_str!("../../../shaders/pq_scan.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers,
        flags,
    }
}

#[expect(clippy::too_many_arguments, reason = "what a scan reads is many arrays, each its own")]
pub(super) fn pq_scan(
    recording: &mut Recording,
    tables: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &DeviceArray<u32>,
    lists: &Lists,
    terms: Option<&DeviceArray<f32>>,
    probes: &DeviceArray<Ranked>,
    add_probe: bool,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    tables.check_on(recording.device(), "tables")?;
    codes.check_on(recording.device(), "codes")?;
    probes.check_on(recording.device(), "probes")?;
    lists.check_on(recording.device())?;
    let found = recording.array(tables.rows(), k)?;
    let plan = selection::ScanPlan::new(tables.rows(), lists, codes.rows_per_part(), probes.columns(), LEAST_CODES);
    let per_part = [tables.rows_per_part(), probes.rows_per_part(), found.rows_per_part()];
    let kernel = kernel(recording.device().variant(), codebook.m(), codebook.nbits(), terms.is_some(), add_probe);
    let terms = terms.map(|terms| terms.whole("bytes of terms")).transpose()?;
    selection::passes(recording, &found, &plan.batches(tables.rows(), &per_part, k), |recording, batch, pass| {
        let candidates = plan.candidates(recording, batch, pass)?;
        for (stretch, first_slab) in plan.stretches() {
            let params = scan_params(codebook, tables, probes, batch, pass, &plan, stretch, first_slab)?;
            let mut buffers = vec![
                ("tables", tables.part(batch.first_row)?.0),
                ("codes", codes.part(stretch.first_row)?.0),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("ids", lists.ids.whole("bytes of ids")?),
                ("probes", probes.part(batch.first_row)?.0),
                ("found", pass.found),
                ("candidates", &candidates.buffer),
            ];
            buffers.extend(terms.map(|terms| ("terms", terms)));
            recording.expect(batch.rows * plan.probed(stretch) * codebook.m());
            recording.dispatch(kernel.clone(), &params, &buffers, batch.rows * plan.slabs)?;
        }
        Ok(candidates)
    })?;
    Ok(found)
}

#[expect(clippy::too_many_arguments, reason = "everything the kernel is told")]
fn scan_params(
    codebook: &Codebook,
    tables: &DeviceArray<f32>,
    probes: &DeviceArray<Ranked>,
    batch: &Segment,
    pass: &Pass<'_>,
    plan: &selection::ScanPlan,
    stretch: &Segment,
    first_slab: usize,
) -> Result<Params> {
    Ok(Params {
        queries: batch.rows as u32,
        table_place: tables.part(batch.first_row)?.1 as u32,
        probe_place: probes.part(batch.first_row)?.1 as u32,
        nprobe: probes.columns() as u32,
        m: codebook.m() as u32,
        nbits: codebook.nbits() as u32,
        words: codebook.words() as u32,
        rows: stretch.rows as u32,
        first_row: stretch.first_row as u32,
        slabs: plan.slabs as u32,
        first_slab: first_slab as u32,
        all_slabs: plan.all_slabs() as u32,
        k: pass.k as u32,
        taken: pass.taken as u32,
        keep: pass.keep as u32,
        found_place: pass.found_place as u32,
    })
}
