//! Bindings and dispatch of `shaders/pq_round.wgsl` and `shaders/pq_scan_rounded.wgsl`: whole numbers for two or four queries
//! side by side.
//!
//! A look-up of a query has 16 bits: the entries of its table, each less the smallest of its look-up, in units of a 65,000th
//! of what they add up to at most. So the numbers of a code fit 16 bits, two queries share a word, and one addition of a
//! word adds an entry of both. What they add up to is a bound: no code is nearer than its sum says, less what rounding of
//! f32 may change. What may be nearer than the k nearest so far is queued, and has its distance from the tables
//! themselves, in the order of `pq_scan`'s own sums, when the queue is settled: neighbours and distances are the same to
//! the bit.
//!
//! For each (code, look-up, query), in clocks of a compute unit for 64 lanes as in [`super`]:
//!
//! | queries side by side | vector instructions | workgroup memory | the table of a bundle of 8 bits, KiB |
//! | --- | --- | --- | --- |
//! | four, by whole numbers | 0.9 | 1.0 | 32 |
//! | two, by whole numbers | 1.6 | 2.0 | 16 |
//! | two, in f32 | 2.2 | 2.0 | 32 |
//! | one, in f32 | 3.3 | 4.0 | 16 |
//!
//! Two are where workgroup memory has 32 KiB, as in Direct3D and Metal. A number is off by half a unit on average and by
//! one at most, so that of 16 look-ups a sum is by 8 units, of the 65,000 that the farthest code could be away: some
//! hundredths more codes are queued than are nearer.
//!
//! It takes queries that all search the same list, for nothing may be added to sums, and codes whose look-ups are bundles
//! alone: those of an index without lists. Queues are short, so that k is at most 100 for four, which settle theirs whenever
//! one has 128 entries, and 200 for two.

use super::{TWO, table_rows, threads};
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

/// Queries side by side, most and least.
const SIDES: [usize; 2] = [4, 2];

/// Fewest queries and codes for which it is worth rounding tables, which takes a workgroup for four queries, and comparing all
/// of the first 2048 codes of a workgroup exactly: by counted instructions, that takes as long as seven tiles save. Of fewer
/// queries there would not be enough workgroups of as many codes.
const LEAST_QUERIES: usize = 32;
const LEAST_ENTRIES: usize = 32_768;

/// Most neighbours that queues of so many queries keep: settled where they have 512 entries together, they are not for every
/// few.
const fn most_kept(sides: usize) -> usize {
    400 / sides
}

/// Candidates of the queues together.
const QUEUE: usize = selection::QUEUE * TWO;

/// Workgroup memory beside the table: queues, what is known of each, and a little for what the driver adds.
const OTHER_BYTES: usize = QUEUE * size_of::<Ranked>() + 256;

/// How many queries are scanned for side by side in this way, of `queries` that search one list of `entries` alone and have
/// nothing added; none if they are not.
pub(super) fn sides(
    gpu: &Gpu,
    layout: Layout,
    nbits: usize,
    (queries, entries): (usize, usize),
    k: usize,
) -> Option<usize> {
    if queries < LEAST_QUERIES || entries < LEAST_ENTRIES {
        return None;
    }
    let most_bytes = gpu.max_part().min(SCRATCH_BYTES as u64);
    let fits = |sides: usize| table_bytes(layout, nbits, sides) as u64 <= most_bytes && k <= most_kept(sides);
    SIDES.into_iter().find(|&sides| holds(gpu.variant(), layout, nbits, sides) && fits(sides))
}

/// Whether workgroup memory has room for a bundle's table of so many queries, and nothing else is needed.
fn holds(variant: Variant, layout: Layout, nbits: usize, sides: usize) -> bool {
    let bytes = table_rows(nbits) * 16 * sides * size_of::<u16>() + OTHER_BYTES;
    let has_room = variant.workgroup_bytes as usize >= bytes && variant.invocations as usize >= threads(TWO);
    layout.bundles > 0 && layout.rest() == 0 && has_room
}

/// Bytes of so many queries' tables, rounded, and of what is known of each query.
fn table_bytes(layout: Layout, nbits: usize, sides: usize) -> usize {
    sides * (layout.bundles * table_rows(nbits) * 16 * size_of::<u16>() + size_of::<[f32; 2]>())
}

pub(super) fn kernels(variant: Variant) -> Vec<Kernel> {
    let shapes = [(8, 8), (16, 8), (64, 8), (16, 4), (64, 4), (48, 6)];
    let shapes = shapes.into_iter().flat_map(|shape| SIDES.map(|sides| (shape, sides)));
    let held = shapes.map(|((m, nbits), sides)| (Layout::new(variant, m, nbits), nbits, sides));
    let held = held.filter(|(layout, nbits, sides)| holds(variant, *layout, *nbits, *sides));
    held.flat_map(|(layout, nbits, sides)| [round_kernel(layout, nbits, sides), scan_kernel(layout, nbits, sides)])
        .collect()
}

fn round_kernel(layout: Layout, nbits: usize, sides: usize) -> Kernel {
    Kernel {
        name: "pq_round",
        source: include_str!("../../../../shaders/pq_round.wgsl"),
        params: RoundParams::WGSL,
        entry: "main",
        numbers: vec![
            ("THREADS", THREADS as u32),
            ("SIDES", sides as u32),
            ("LOOKUPS", 1 << layout.bundle_bits()),
            ("ROWS", table_rows(nbits) as u32),
        ],
        flags: if nbits == 4 { vec!["PAIRS"] } else { vec![] },
    }
}

fn scan_kernel(layout: Layout, nbits: usize, sides: usize) -> Kernel {
    let flags = [
        ("ROUNDED", true),
        ("FOUR_QUERIES", sides == 4),
        ("TWO_QUERIES", sides == TWO),
        ("EIGHTS", layout.bundle_bits() == 3),
        ("PARTS", layout.bundles > 1),
        ("PAIRS", nbits == 4),
    ];
    Kernel {
        name: "pq_scan_rounded",
        source: include_str!("../../../../shaders/pq_scan_rounded.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", threads(TWO) as u32), ("QUEUE", QUEUE as u32), ("ROWS", table_rows(nbits) as u32)],
        flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
    }
}

/// [`pq_scan`](super::pq_scan) in one list, whose probes say which queries search it.
#[expect(clippy::too_many_arguments, reason = "what a scan reads is many arrays, each its own")]
pub(super) fn pq_scan(
    recording: &mut Recording,
    tables: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    probes: &DeviceArray<Ranked>,
    sides: usize,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    let blocks = codes.blocks(recording.device())?;
    let layout = codes.layout(recording.device());
    let (m, nbits) = (codebook.m(), codebook.nbits());
    let least = (k, LEAST_ENTRIES);
    let plan = ScanPlan::new(tables.rows().div_ceil(sides), lists, codes.per_part(), 1, least);
    let group_bytes = table_bytes(layout, nbits, sides);
    let most_groups = SCRATCH_BYTES.min(recording.device().max_part() as usize) / group_bytes;
    let per_part = [tables.rows_per_part(), probes.rows_per_part(), sides * most_groups];
    plan.search(recording, tables.rows(), &per_part, |recording, batch, candidates| {
        let groups = batch.rows.div_ceil(sides);
        let rounded = recording.scratch(groups * group_bytes)?;
        let (tables_part, table_place) = tables.part(batch.first_row)?;
        let round = RoundParams {
            queries: batch.rows as u32,
            table_place: table_place as u32,
            columns: tables.columns() as u32,
            m: m as u32,
            bundles: layout.bundles as u32,
        };
        let buffers = [("tables", tables_part), ("rounded", &rounded)];
        recording.dispatch(round_kernel(layout, nbits, sides), &round, &buffers, groups)?;
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
            recording.dispatch(scan_kernel(layout, nbits, sides), &params, &buffers, groups * plan.slabs)?;
        }
        Ok(())
    })
}
