//! Bindings and dispatch of `shaders/pq_round.wgsl` and `shaders/pq_scan_rounded.wgsl`: whole numbers for four queries side
//! by side.
//!
//! A look-up of a query has 16 bits: the entries of its table, each less the smallest of its look-up, in units of a 65,000th
//! of what they add up to at most. So the numbers of a code fit 16 bits, two queries share a word, and one addition of two
//! words adds an entry of each of four queries, in the workgroup memory and the registers that two take in f32. What they
//! add up to is a bound: no code is nearer than its sum says, less what rounding of f32 may change. What may be nearer
//! than the k nearest so far is queued, and has its distance from the tables themselves, in the order of `pq_scan`'s own
//! sums, when the queue is settled: neighbours and distances are the same to the bit.
//!
//! For each (code, look-up, query), in clocks of a compute unit for 64 lanes as in [`super`]: 1.1 of vector instructions and
//! 1.0 of workgroup memory, where two side by side take 2.2 and 2.0. A number is off by half a unit on average and by one at
//! most, so that of 16 look-ups a sum is by 8 units, of the 65,000 that the farthest code could be away: some hundredths
//! more codes are queued than are nearer.
//!
//! It takes queries that all search the same list, for nothing may be added to sums, and codes whose look-ups are bundles
//! alone: those of an index without lists. A queue is a fourth as long as that of a query alone, so that k is at most
//! [`MOST_KEPT`].

use super::{LEAST_CODES, TWO, holds_two, threads};
use crate::{
    DeviceArray, Result,
    device::{Gpu, Kernel, Recording, Variant, params},
    ops::{
        Codebook, Lists, PqCodes, Ranked,
        pq_interleave::gpu::{BLOCK, Layout},
        selection::{self, SCRATCH_BYTES, ScanPlan},
        tile::THREADS,
    },
};

params! {
    struct RoundParams {
        queries: u32,
        table_place: u32,
        // Numbers of a query's table.
        columns: u32,
        m: u32,
        bundles: u32,
    }
}

params! {
    struct Params {
        queries: u32,
        table_place: u32,
        columns: u32,
        m: u32,
        probe_place: u32,
        ranks: u32,
        words: u32,
        bundles: u32,
        bundle_bits: u32,
        entries: u32,
        first_entry: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
    }
}

/// Queries side by side.
const FOUR: usize = 4;

/// Most neighbours that a queue of one of four keeps: settled whenever it has 128 entries, it is not for every few.
const MOST_KEPT: usize = 100;

/// Whether so many queries are scanned for in this way, if they search one list alone and nothing is added.
pub(super) fn can_find(gpu: &Gpu, layout: Layout, nbits: usize, queries: usize, k: usize) -> bool {
    let fits = four_bytes(layout, nbits) as u64 <= gpu.max_part().min(SCRATCH_BYTES as u64);
    queries > TWO && k <= MOST_KEPT && fits && holds_four(gpu.variant(), layout, nbits)
}

/// Whether workgroup memory has room for a bundle's table and nothing else is needed.
fn holds_four(variant: Variant, layout: Layout, nbits: usize) -> bool {
    layout.bundles > 0 && layout.rest() == 0 && holds_two(variant, layout, nbits)
}

/// Bytes of four queries' tables, rounded, and of what is known of each query.
fn four_bytes(layout: Layout, nbits: usize) -> usize {
    (layout.bundles * super::table_rows(nbits) * 16 + FOUR) * size_of::<[u32; 2]>()
}

pub(super) fn kernels(variant: Variant) -> Vec<Kernel> {
    let shapes = [(8, 8), (16, 8), (64, 8), (16, 4), (64, 4), (48, 6)];
    let held = shapes.into_iter().map(|(m, nbits)| (Layout::new(variant, m, nbits), nbits));
    let held = held.filter(|(layout, nbits)| holds_four(variant, *layout, *nbits));
    held.flat_map(|(layout, nbits)| [round_kernel(layout, nbits), scan_kernel(layout, nbits)]).collect()
}

fn round_kernel(layout: Layout, nbits: usize) -> Kernel {
    let lookups = 1 << layout.bundle_bits();
    Kernel {
        name: "pq_round",
        source: include_str!("../../../../shaders/pq_round.wgsl"),
        params: RoundParams::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32), ("LOOKUPS", lookups), ("ROWS", super::table_rows(nbits) as u32)],
        flags: if nbits == 4 { vec!["PAIRS"] } else { vec![] },
    }
}

fn scan_kernel(layout: Layout, nbits: usize) -> Kernel {
    let flags = [
        ("FOUR_QUERIES", true),
        ("EIGHTS", layout.bundle_bits() == 3),
        ("PARTS", layout.bundles > 1),
        ("PAIRS", nbits == 4),
    ];
    Kernel {
        name: "pq_scan_rounded",
        source: include_str!("../../../../shaders/pq_scan_rounded.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![
            ("THREADS", threads(TWO) as u32),
            ("QUEUE", (selection::QUEUE * TWO) as u32),
            ("ROWS", super::table_rows(nbits) as u32),
        ],
        flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
    }
}

/// [`pq_scan`](super::pq_scan) in one list, whose probes say which queries search it.
pub(super) fn pq_scan(
    recording: &mut Recording,
    tables: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    probes: &DeviceArray<Ranked>,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    let blocks = codes.blocks(recording.device())?;
    let layout = codes.layout(recording.device());
    let (m, nbits) = (codebook.m(), codebook.nbits());
    let least = (k, LEAST_CODES * FOUR);
    let plan = ScanPlan::new(tables.rows().div_ceil(FOUR), lists, codes.per_part(), 1, least);
    let most_fours = SCRATCH_BYTES.min(recording.device().max_part() as usize) / four_bytes(layout, nbits);
    let per_part = [tables.rows_per_part(), probes.rows_per_part(), FOUR * most_fours];
    plan.search(recording, tables.rows(), &per_part, |recording, batch, candidates| {
        let fours = batch.rows.div_ceil(FOUR);
        let rounded = recording.scratch(fours * four_bytes(layout, nbits))?;
        let (tables_part, table_place) = tables.part(batch.first_row)?;
        let round = RoundParams {
            queries: batch.rows as u32,
            table_place: table_place as u32,
            columns: tables.columns() as u32,
            m: m as u32,
            bundles: layout.bundles as u32,
        };
        let buffers = [("tables", tables_part), ("rounded", &rounded)];
        recording.dispatch(round_kernel(layout, nbits), &round, &buffers, fours)?;
        let (probes_part, probe_place) = probes.part(batch.first_row)?;
        for (stretch, first_slab) in plan.stretches() {
            let params = Params {
                queries: batch.rows as u32,
                table_place: table_place as u32,
                columns: tables.columns() as u32,
                m: m as u32,
                probe_place: probe_place as u32,
                ranks: probes.columns() as u32,
                words: layout.words as u32,
                bundles: layout.bundles as u32,
                bundle_bits: layout.bundle_bits(),
                entries: stretch.rows as u32,
                first_entry: stretch.first_row as u32,
                slabs: plan.slabs as u32,
                first_slab: first_slab as u32,
                all_slabs: plan.all_slabs() as u32,
                keep: k as u32,
            };
            let codes = blocks.part(stretch.first_row / BLOCK)?.0;
            let buffers = [
                ("tables", tables_part),
                ("codes", codes),
                ("interleaved", codes),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("ids", lists.ids.whole("bytes of ids")?),
                ("probes", probes_part),
                ("rounded", &rounded),
                ("candidates", candidates),
            ];
            recording.expect(batch.rows * stretch.rows * m);
            recording.dispatch(scan_kernel(layout, nbits), &params, &buffers, fours * plan.slabs)?;
        }
        Ok(())
    })
}
