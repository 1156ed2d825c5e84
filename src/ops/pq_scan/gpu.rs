//! Bindings and dispatch of `shaders/pq_scan.wgsl`.
//!
//! # What bounds it
//! A look-up has one byte of a code to load, four bytes of workgroup memory to read, and an addition: no scan of f32
//! tables does with less. A compute unit of RDNA reads 32 words of workgroup memory and issues 64 lanes of a vector
//! instruction a clock, but words that lie in one of the 32 banks come one after the other, and random ones do. What 64
//! lanes' look-ups take, in clocks; conflicts are the mean over random codes of the most different words in a bank,
//! instructions are counted in the machine code for RDNA2 and RDNA3, or estimated (~) from it:
//!
//! | tables | vector instructions | conflicts | workgroup memory | the more |
//! | --- | --- | --- | --- | --- |
//! | look-up after look-up, all lanes in the same one | 2.2, 3.2 | 3.16 | 6.3 | 6.3 |
//! | the same of f16, two bytes an entry | ~4 | 2.80 | 5.6 | 5.6 |
//! | the same for two queries, eight bytes an entry | ~1.6, 2.1 | 2.94 | 5.9 | 5.9 |
//! | rows of 16, lane `i` in column `n ^ i` | 3.4, 3.4 | 2.00 | 4.0 | 4.0 |
//! | rows of 32, the same | ~3.4 | 1.00 | 2.0 | 3.4 |
//! | rows of 16 for two queries | ~2.2 | 1.00 | 2.0 | 2.2 |
//! | 4 bits, a look-up a sub-quantizer | ~3 | 1.00 | 2.0 | 3.0 |
//! | 4 bits, a look-up for two in rows of 16, by sub-quantizer | 1.7, 1.7 | 2.00 | 2.0 | 2.0 |
//!
//! So look-ups are made by sixteens in rows of 16, which [`PqCodes`] is laid out for, and what is left of a code one
//! after the other: one clock in three is saved. Rows of 32 would take twice the memory to save another one in seven.
//! Two queries a workgroup would pay where both scan the same lists. They seldom do in inverted files, where a table, of
//! 1024 bytes a sub-quantizer, is as large as the codes of a list of 1024: tables loaded again for every list move more
//! than codes read again from the second-level cache. Instead, queries that probe the same list first are scanned at the
//! same time. Tables of 4 bits in registers, looked up by shuffles, would save nothing: these go through the same banks.
//!
//! Beside the look-ups, a tile of four codes a thread takes some 100 vector instructions to find its blocks and compare
//! with the k-th distance so far, as many as 30 look-ups. Sums are never given up halfway: table entries may be negative,
//! and lanes that have finished would wait for others.
//!
//! A table that does not fit goes through workgroup memory in parts for every tile: as many bytes as the tile's codes
//! have, a quarter of the look-ups' own time at most.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Segment, Variant, params},
    ops::{
        Codebook, Lists, PqCodes, Ranked, group,
        pq_interleave::gpu::{BLOCK, Layout, QUAD},
        selection::{self, Pass},
        tile::THREADS,
    },
};

params! {
    struct Params {
        queries: u32,
        table_place: u32,
        // Fours of entries of a query's table.
        table_quarters: u32,
        probe_place: u32,
        nprobe: u32,
        m: u32,
        words: u32,
        quads: u32,
        entries: u32,
        first_entry: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        k: u32,
        taken: u32,
        keep: u32,
        found_place: u32,
    }
}

/// Fewest codes worth a workgroup of their own, whose table and final sorting cost about as much as scanning them.
const LEAST_CODES: usize = 2048;

/// Blocks that a workgroup scans at a time: four a thread.
const TILE: usize = 4 * THREADS / BLOCK;

/// Lists that a workgroup has open at a time.
const PROBES: usize = 64;

/// Workgroup memory that the selection and the open lists take, and a little for what the driver adds.
const OTHER_BYTES: usize =
    selection::QUEUE * size_of::<Ranked>() + PROBES * 6 * size_of::<u32>() + TILE * 5 * size_of::<u32>() + 64;

/// Most quads, and most words that are in none, whose tables the kernel holds at a time.
const MOST: usize = 3;

/// Fewest queries that are worth ordering by list: fewer leave no two of a list running at the same time.
const ORDERED_QUERIES: usize = 256;

/// Entries of the table of a look-up.
fn table_rows(nbits: usize) -> usize {
    if nbits == 4 { 256 } else { 1 << nbits }
}

/// Words of a code, four look-ups each, for whose tables workgroup memory has room.
pub(in crate::ops) fn words_held(variant: Variant, nbits: usize) -> usize {
    (variant.workgroup_bytes as usize).saturating_sub(OTHER_BYTES) / (4 * table_rows(nbits) * size_of::<f32>())
}

/// What a workgroup holds of a query's table at a time.
struct Held {
    quads: usize,
    /// Words that are in no quad.
    words: usize,
    /// Whether that is less than all.
    parts: bool,
}

impl Held {
    fn new(variant: Variant, layout: Layout, nbits: usize) -> Self {
        let room = words_held(variant, nbits);
        let rest = layout.words - QUAD * layout.quads;
        let words = rest.min(if layout.quads > 0 { room - QUAD } else { room }).min(MOST);
        // Parts of about the same size.
        let most = ((room - words) / QUAD).clamp(1, MOST);
        let quads = layout.quads.div_ceil(layout.quads.div_ceil(most).max(1));
        Held { quads, words, parts: quads < layout.quads || words < rest }
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let mut kernels = vec![];
    for (m, nbits) in [(8, 8), (16, 8), (24, 8), (32, 8), (64, 8), (64, 4), (48, 6)] {
        for (terms, add_probe) in [(false, false), (false, true), (true, true)] {
            kernels.push(kernel(variant, m, nbits, terms, add_probe, false));
        }
    }
    kernels.extend([kernel(variant, 16, 8, true, true, true), first_lists()]);
    kernels
}

fn kernel(variant: Variant, m: usize, nbits: usize, terms: bool, add_probe: bool, ordered: bool) -> Kernel {
    let held = Held::new(variant, Layout::new(variant, m, nbits), nbits);
    let flags = [
        ("QUADS", held.quads > 0),
        ("SECOND_QUAD", held.quads > 1),
        ("THIRD_QUAD", held.quads > 2),
        ("WORDS", held.words > 0),
        ("SECOND_WORD", held.words > 1),
        ("THIRD_WORD", held.words > 2),
        ("PARTS", held.parts),
        ("PAIRS", nbits == 4),
        ("TERMS", terms),
        ("ADD_PROBE", add_probe),
        ("ORDERED", ordered),
    ];
    let mut numbers = selection::NUMBERS.to_vec();
    numbers.push(("PROBES", PROBES as u32));
    numbers.push(("ROWS", table_rows(nbits) as u32));
    numbers.extend((held.quads > 0).then_some(("QUADS", held.quads as u32)));
    numbers.extend((held.words > 0).then_some(("WORDS", held.words as u32)));
    entry("main", numbers, flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect())
}

fn first_lists() -> Kernel {
    entry("first_lists", vec![("THREADS", THREADS as u32)], vec!["FIRST_LISTS"])
}

fn entry(entry: &'static str, numbers: Vec<(&'static str, u32)>, flags: Vec<&'static str>) -> Kernel {
    let source = include_str!("../../../shaders/pq_scan.wgsl");
    Kernel { name: "pq_scan", source, params: Params::WGSL, entry, numbers, flags }
}

/// The queries of a batch in the order of the lists that they probe first, so that what runs at the same time reads much
/// of the same.
fn order(recording: &mut Recording, params: &Params, probes: &Part, nlist: usize) -> Result<DeviceArray<u32>> {
    let labels: DeviceArray<u32> = recording.array(params.queries as usize, 1)?;
    let buffers = [("probes", probes), ("labels", labels.whole("bytes of labels")?)];
    recording.dispatch(first_lists(), params, &buffers, (params.queries as usize).div_ceil(THREADS))?;
    Ok(group::gpu::group(recording, &labels, nlist)?.order)
}

#[expect(clippy::too_many_arguments, reason = "what a scan reads is many arrays, each its own")]
pub(super) fn pq_scan(
    recording: &mut Recording,
    tables: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    terms: Option<&DeviceArray<f32>>,
    probes: &DeviceArray<Ranked>,
    add_probe: bool,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    tables.check_on(recording.device(), "tables")?;
    let blocks = codes.blocks(recording.device())?;
    let layout = codes.layout(recording.device());
    probes.check_on(recording.device(), "probes")?;
    lists.check_on(recording.device())?;
    let found = recording.array(tables.rows(), k)?;
    let plan = selection::ScanPlan::new(tables.rows(), lists, codes.per_part(), probes.columns(), LEAST_CODES);
    let per_part = [tables.rows_per_part(), probes.rows_per_part(), found.rows_per_part()];
    let (variant, m, nbits) = (recording.device().variant(), codebook.m(), codebook.nbits());
    let terms = terms.map(|terms| terms.whole("bytes of terms")).transpose()?;
    selection::passes(recording, &found, &plan.batches(tables.rows(), &per_part, k), |recording, batch, pass| {
        let candidates = plan.candidates(recording, batch, pass)?;
        let probes_part = probes.part(batch.first_row)?.0;
        let mut ordered = None;
        for (stretch, first_slab) in plan.stretches() {
            let params = scan_params(codebook, layout, tables, probes, batch, pass, &plan, stretch, first_slab)?;
            if ordered.is_none() && pass.taken == 0 && batch.rows >= ORDERED_QUERIES && lists.nlist() > 1 {
                ordered = Some(order(recording, &params, probes_part, lists.nlist())?);
            }
            let mut buffers = vec![
                ("tables", tables.part(batch.first_row)?.0),
                ("codes", blocks.part(stretch.first_row / BLOCK)?.0),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("ids", lists.ids.whole("bytes of ids")?),
                ("probes", probes_part),
                match &ordered {
                    Some(order) => ("order", order.whole("bytes of row numbers")?),
                    None => ("found", pass.found),
                },
                ("candidates", &candidates.buffer),
            ];
            buffers.extend(terms.map(|terms| ("terms", terms)));
            let kernel = kernel(variant, m, nbits, terms.is_some(), add_probe, ordered.is_some());
            recording.expect(batch.rows * plan.probed(stretch) * codebook.m());
            recording.dispatch(kernel, &params, &buffers, batch.rows * plan.slabs)?;
        }
        Ok(candidates)
    })?;
    Ok(found)
}

#[expect(clippy::too_many_arguments, reason = "everything the kernel is told")]
fn scan_params(
    codebook: &Codebook,
    layout: Layout,
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
        table_quarters: (tables.columns() / 4) as u32,
        probe_place: probes.part(batch.first_row)?.1 as u32,
        nprobe: probes.columns() as u32,
        m: codebook.m() as u32,
        words: layout.words as u32,
        quads: layout.quads as u32,
        entries: stretch.rows as u32,
        first_entry: stretch.first_row as u32,
        slabs: plan.slabs as u32,
        first_slab: first_slab as u32,
        all_slabs: plan.all_slabs() as u32,
        k: pass.k as u32,
        taken: pass.taken as u32,
        keep: pass.keep as u32,
        found_place: pass.found_place as u32,
    })
}
