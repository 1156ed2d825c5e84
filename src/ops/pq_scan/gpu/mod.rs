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
//! | look-up after look-up, all lanes in the same one | 2.5, 3.5 | 3.16 | 6.3 | 6.3 |
//! | the same of f16, two bytes an entry | ~4 | 2.80 | 5.6 | 5.6 |
//! | the same for two queries, eight bytes an entry | 1.8, 2.3 | 2.94 | 5.9 | 5.9 |
//! | rows of 16, lane `i` in column `n ^ i` | 3.3, 3.3 | 2.00 | 4.0 | 4.0 |
//! | rows of 16 for eight look-ups, each in two columns | 3.4, 3.4 | 2.00 | 4.0 | 4.0 |
//! | rows of 32, lane `i` in column `n ^ i` | ~3.4 | 1.00 | 2.0 | 3.4 |
//! | rows of 16 for two queries | 2.2, 2.2 | 1.00 | 2.0 | 2.2 |
//! | the same of f16, four bytes an entry | 2.2, 2.7 | 2.00 | 2.0 | 2.2, 2.7 |
//! | the same for two and for four queries, whole numbers of 16 bits | 1.6, 0.9 | 2.00, 1.00 | 2.0, 1.0 | 2.0, 1.0 |
//! | 4 bits, a look-up a sub-quantizer | ~3 | 1.00 | 2.0 | 3.0 |
//! | 4 bits, a look-up for two in rows of 16, by sub-quantizer | 1.7, 1.7 | 2.00 | 2.0 | 2.0 |
//! | the same for two queries | 1.1, 1.1 | 1.00 | 1.0 | 1.1 |
//! | 4 bits, tables in registers, a shuffle a sub-quantizer | 8.2, 10 and more | | | 8.2, 10 and more |
//!
//! So look-ups are made by sixteens in rows of 16, which [`PqCodes`] is laid out for, those of codes of fewer than
//! sixteen by eights, and what is left of a code one after the other; and two queries are scanned for side by side where
//! they probe mostly the same lists: see `probes`. A byte
//! of a code and the place of its table entry are then worked out once for both, the entries come in one read of eight
//! bytes, for which 16 lanes in 16 columns have 32 banks, and a list that both probe is read once. Sums are added up in
//! the same order as for a query alone: it has the same answer whoever is beside it. Where all queries search all codes, as
//! in an index without lists, and these are many, four go side by side, or two where there are 32 KiB, by whole numbers that
//! leave out what is not near: see `rounded`.
//!
//! Two queries' tables take 32 KiB for 16 look-ups of 8 bits, and a workgroup 42 KiB in all. AMD's GPUs have that and
//! NVIDIA's through Vulkan; where there are 32 KiB, as in Direct3D and Metal, two are scanned for side by side with fewer
//! look-ups or bits. Workgroups for two have 512 invocations, so that as many share a compute unit as for one.
//!
//! # A query alone
//! Its codes are read once, a byte a look-up. With 80 compute units at 2.25 GHz (RX 6900 XT) and 96 at 2.5 GHz
//! (RX 7900 XTX), the vendor's bandwidths and a tile's own instructions as below:
//!
//! | bound by | look-ups a second, 10^12 |
//! | --- | --- |
//! | memory: 512, 960 GB/s | 0.5, 1.0 |
//! | the last-level cache of 128, 96 MB: 1.66, 3.5 TB/s | 1.7, 3.5 |
//! | workgroup memory: 4.0 clocks for 64 | 2.9, 3.8 |
//! | vector instructions: 3.3 | 3.5, 4.6 |
//! | the same with the tile's own, M = 16 | 2.9, 3.9 |
//! | the same, M = 64 | 3.3, 4.4 |
//!
//! So 3.3 instructions cost a lone query nothing: its codes come from memory or the last-level cache more slowly, and where
//! many queries read a list at the same time and it comes from nearer caches, workgroup memory bounds it first, if
//! narrowly. Two and a half have not been found: a byte is cut out of its word, put with the column, and the entry added. A
//! product of packed bytes, `dot4U8Packed(word, 16 << 8n) + column`, cuts and puts in one, and is then shifted to count
//! bytes: 3.08 in machine code. Sums of whole numbers add two entries at once, and leave in doubt what f32 decides: 2.83, or
//! 2.58 with such products, for the same workgroup memory. Neither was timed. To make more of workgroup memory takes two queries a look-up: those that
//! probe mostly the same lists are put side by side.
//!
//! An H100, whose workgroup memory has 8.4 10^12 entries a second without conflicts, makes 3.3 10^12 look-ups a second where
//! all of 1,000,000 codes of 16 are scanned for 1,024 queries, two side by side in f32, and 1.1 in 32 of 1,024 lists, where tables
//! and selections begin anew for every 31,000 codes. Its machine code for a look-up is four instructions, the byte, its place
//! in the table, the read and the addition. Of the 0.51 ms that those lists took, codes were 0.04, look-ups 0.14 and offers
//! 0.14, a third of which was waiting for names: they are looked up when a queue is settled (0.48 ms; 0.94 of the time of a
//! scan of all codes).
//!
//! # Beside the look-ups
//! A tile of four codes a thread takes some 40 vector instructions to find its blocks and compare with the k-th distance
//! so far, or 75 for two queries: as many as 12 look-ups, or 34. To which lists codes belong is asked only of a subgroup that
//! has some that are near enough; asking first took 80 and 140.
//!
//! A table that does not fit goes through workgroup memory in parts for every tile: as many bytes as the tile's codes
//! have, a quarter of the look-ups' own time at most.
//!
//! More than 256 neighbours wait in storage, 2 k or more of a workgroup's, and are cut to k when there is no more room. A
//! cut reads them once for each of four digits of 8 bits, and once to move what stays: some 80 instructions each, as many
//! as 24 look-ups. Of 31,000 codes of 16 look-ups, that adds a fifth to the scan at k = 1,000, cut twice, and half at 5,000;
//! passes of 256 repeated it 4 and 20 times.
//!
//! Where lists have a mask, each thread looks at the word of a block, and those of 32 codes none of which is wanted are left
//! out of tiles: codes are not read in vain where filters go by something that lists or the order of addition know, or
//! accept few rows in a hundred of any. That takes some 46 instructions a tile more (of 430; by machine code): a tenth of the
//! time, if nearly every block has a wanted entry, as it has from 7 rows in a hundred on where chance decides.
//!
//! # What was tried and is not done
//! - Tables of 4 bits in registers, looked up by shuffles. RADV runs a workgroup in subgroups of 64, across which RDNA2
//!   shuffles by three passes through workgroup memory's crossbar: 8.2 instructions a look-up, where a read of it takes
//!   1.7. RDNA3 makes a loop of 8 instructions for every different number of a subgroup. NVIDIA's shuffles go through the
//!   same path as its shared memory, at the same rate.
//! - Tables of f16 with sums of f32. The entries of two queries in a word take the instructions of two words and the same
//!   time, bound by conflicts instead; those of four queries in two words would take ~1.5. Either halves workgroup memory
//!   and loses 13 of 24 bits: distances would no longer be those of the CPU, and which codes are nearest would be left
//!   open within a part in 2000 of the largest.
//! - Sums given up halfway, where even the least entries that can follow do not bring a code near enough. Of the codes
//!   beside word vectors (M = 20 and 50) 40 and 47 % could still be among the ten nearest after half of the look-ups, 1.9
//!   and 3.2 % after three quarters; but so could one of 64 lanes' codes in all subgroups, and in 63 and 75 % of them
//!   then, and one of the four codes of each lane in 92 and 96 %. A subgroup goes on while any lane does: at most one
//!   look-up in eleven would be saved, and one in 70 with four codes a lane, for several instructions a lane each time.
//!   Images (Fashion-MNIST, M = 56) would save a fifth at best.
//! - Two codes a thread instead of four, for more workgroups at a time (69 registers on the H100, not 113): 1.25 times as long,
//!   and 1.3 for all codes.
//! - Codes and blocks of the next tile asked for before this one's are looked up: 0.97 of the time, 0.94 for all codes, for
//!   which there must be blocks of two tiles.
//! - One k-th distance for all slabs of a query, which few queries have. A slab sorts its first 512 candidates, some 540
//!   vector instructions, where it does not know that distance; of two tiles of 16 look-ups, that is a third. Those that
//!   run at the same time, a few hundred, all begin before any knows: at most one in four of the instructions would be
//!   saved, for one query, whose scan is bound by reading codes. An atomic for every tile is the price.

mod probes;
mod rounded;

use probes::{MERGED_BYTES, ORDERED_QUERIES, meet};

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Segment, Variant, params},
    ops::{
        Codebook, Lists, PqCodes, Ranked,
        pq_interleave::gpu::{BLOCK, Layout, PAIR, QUAD},
        selection::{self, SCRATCH_BYTES},
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
        // Lists of a workgroup: those of its query, or of two.
        ranks: u32,
        nlist: u32,
        m: u32,
        words: u32,
        bundles: u32,
        entries: u32,
        first_entry: u32,
        slabs: u32,
        first_slab: u32,
        all_slabs: u32,
        keep: u32,
        // Candidates of a slab.
        room: u32,
    }
}

/// Fewest codes worth a workgroup of their own, whose table and final sorting cost about as much as scanning them.
const LEAST_CODES: usize = 2048;

/// Bytes of codes that a large GPU's last-level cache holds, in whatever order they are read. An H100 scans 16 MB in the
/// same time with and without an order of queries (0.70 ms), which takes ten short kernels.
const CACHED_BYTES: usize = 16 << 20;

/// Queries side by side, where two are.
const TWO: usize = 2;

/// Most workgroup memory that is used a query: with more, a compute unit would hold too few invocations to hide how long
/// a look-up takes.
const MOST_BYTES: usize = 32 << 10;

/// Invocations of a workgroup that scans for so many queries.
const fn threads(queries: usize) -> usize {
    THREADS * queries
}

/// Lists that a workgroup has open at a time.
const fn open_lists(queries: usize) -> usize {
    if queries == TWO { 24 } else { 64 }
}

/// Workgroup memory that the selection and the open lists take, and a little for what the driver adds.
const fn other_bytes(queries: usize) -> usize {
    let queue = selection::QUEUE * queries * size_of::<Ranked>();
    // Four blocks a thread.
    let blocks = 4 * threads(queries) / BLOCK;
    // A list has 5 words or 8, and its number of blocks; a block has 5 words or 8.
    queue + open_lists(queries) * 9 * size_of::<u32>() + blocks * 8 * size_of::<u32>() + 64
}

/// Most bundles, and most words that are in none, whose tables the kernel holds at a time.
const MOST: usize = 3;

/// Entries of the table of a look-up.
fn table_rows(nbits: usize) -> usize {
    if nbits == 4 { 256 } else { 1 << nbits }
}

/// Words of a code, four look-ups each, for whose tables of so many queries workgroup memory has room.
pub(in crate::ops) fn words_held(variant: Variant, queries: usize, nbits: usize) -> usize {
    let bytes = (variant.workgroup_bytes as usize).min(MOST_BYTES * queries);
    bytes.saturating_sub(other_bytes(queries)) / (4 * table_rows(nbits) * size_of::<f32>() * queries)
}

/// Whether a workgroup can scan for two queries.
fn holds_two(variant: Variant, layout: Layout, nbits: usize) -> bool {
    let least = QUAD * layout.bundles.min(1) + layout.rest().min(1);
    variant.invocations as usize >= threads(TWO) && words_held(variant, TWO, nbits) >= least
}

/// What a workgroup holds of its queries' tables at a time.
struct Held {
    bundles: usize,
    /// Whether bundles are of eight look-ups, not of sixteen.
    eights: bool,
    /// Words that are in no bundle.
    words: usize,
    /// Whether that is less than all.
    parts: bool,
}

impl Held {
    fn new(variant: Variant, layout: Layout, queries: usize, nbits: usize) -> Self {
        let room = words_held(variant, queries, nbits);
        let words = layout.rest().min(if layout.bundles > 0 { room - QUAD } else { room }).min(MOST);
        // Parts of about the same size.
        let most = ((room - words) / QUAD).clamp(1, MOST);
        let bundles = layout.bundles.div_ceil(layout.bundles.div_ceil(most).max(1));
        let eights = bundles > 0 && layout.together == PAIR;
        Held { bundles, eights, words, parts: bundles < layout.bundles || words < layout.rest() }
    }
}

/// What a kernel is made for.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kernel of its own")]
struct Scan {
    m: usize,
    nbits: usize,
    terms: bool,
    add_probe: bool,
    /// Queries of a workgroup.
    queries: usize,
    ordered: bool,
    /// Whether what is kept lies in storage.
    long: bool,
    masked: bool,
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let mut kernels = [probes::kernels(), rounded::kernels(variant)].concat();
    for (m, nbits) in [(4, 8), (8, 8), (12, 8), (16, 8), (24, 8), (32, 8), (64, 8), (16, 4), (64, 4), (48, 6)] {
        for (terms, add_probe) in [(false, false), (false, true), (true, true)] {
            let scan = Scan { m, nbits, terms, add_probe, queries: 1, ordered: false, long: false, masked: false };
            kernels.push(kernel(variant, scan));
            if holds_two(variant, Layout::new(variant, m, nbits), nbits) {
                kernels.push(kernel(variant, Scan { queries: TWO, ..scan }));
            }
        }
    }
    let plain =
        Scan { m: 16, nbits: 8, terms: true, add_probe: true, queries: 1, ordered: false, long: false, masked: false };
    let scan = Scan { ordered: true, ..plain };
    kernels.extend([scan, Scan { long: true, ..scan }].map(|scan| kernel(variant, scan)));
    let masked = Scan { masked: true, ..plain };
    let unprobed = Scan { terms: false, add_probe: false, ..masked };
    kernels.extend([masked, unprobed, Scan { long: true, ..masked }].map(|scan| kernel(variant, scan)));
    if holds_two(variant, Layout::new(variant, plain.m, plain.nbits), plain.nbits) {
        let two = [Scan { long: true, ..plain }, masked, unprobed, Scan { long: true, ..masked }];
        kernels.extend(two.map(|scan| kernel(variant, Scan { queries: TWO, ..scan })));
    }
    kernels
}

fn kernel(variant: Variant, scan: Scan) -> Kernel {
    let Scan { m, nbits, terms, add_probe, queries, ordered, long, masked } = scan;
    let held = Held::new(variant, Layout::new(variant, m, nbits), queries, nbits);
    let flags = [
        ("TWO_QUERIES", queries == TWO),
        ("BUNDLES", held.bundles > 0),
        ("EIGHTS", held.eights),
        ("SECOND_BUNDLE", held.bundles > 1),
        ("THIRD_BUNDLE", held.bundles > 2),
        ("WORDS", held.words > 0),
        ("SECOND_WORD", held.words > 1),
        ("THIRD_WORD", held.words > 2),
        ("PARTS", held.parts),
        ("PAIRS", nbits == 4),
        ("TERMS", terms),
        ("ADD_PROBE", add_probe),
        ("ORDERED", ordered),
        ("LONG", long),
        ("MASKED", masked),
        ("NAMES_LATER", !long),
    ];
    let mut numbers = vec![
        ("THREADS", threads(queries)),
        ("QUEUE", selection::QUEUE * queries),
        ("PROBES", open_lists(queries)),
        ("ROWS", table_rows(nbits)),
    ];
    numbers.extend((held.bundles > 0).then_some(("BUNDLES", held.bundles)));
    numbers.extend((held.words > 0).then_some(("WORDS", held.words)));
    Kernel {
        name: "pq_scan",
        source: include_str!("../../../../shaders/pq_scan.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: numbers.into_iter().map(|(name, number)| (name, number as u32)).collect(),
        flags: flags.into_iter().filter_map(|(flag, holds)| holds.then_some(flag)).collect(),
    }
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
    let (variant, m, nbits) = (recording.device().variant(), codebook.m(), codebook.nbits());
    let bare = lists.nlist() == 1 && lists.mask.is_none() && terms.is_none() && !add_probe;
    let size = (tables.rows(), lists.entries());
    let sides = rounded::sides(recording.device(), layout, nbits, size, k).filter(|_| bare);
    if let Some(sides) = sides {
        return rounded::pq_scan(recording, tables, codebook, codes, lists, probes, sides, k);
    }
    let queries =
        if holds_two(variant, layout, nbits) && meet(tables.rows(), probes.columns(), lists.nlist()) { TWO } else { 1 };
    let groups = tables.rows().div_ceil(queries);
    let least = (k, LEAST_CODES * queries);
    let plan = selection::ScanPlan::new(groups, lists, codes.per_part(), probes.columns(), least);
    let merged_queries = (SCRATCH_BYTES / (probes.columns() * MERGED_BYTES)).max(TWO);
    let per_part = [tables.rows_per_part(), probes.rows_per_part(), merged_queries];
    let terms = terms.map(|terms| terms.whole("bytes of terms")).transpose()?;
    plan.search(recording, tables.rows(), &per_part, |recording, batch, candidates| {
        let mut params = scan_params(codebook, layout, tables, probes, batch, k, &plan)?;
        params.nlist = lists.nlist() as u32;
        let probes_part = probes.part(batch.first_row)?.0;
        let cached = lists.ids.rows() * layout.words * size_of::<u32>() <= CACHED_BYTES;
        // A masked scan has no binding left for an order.
        let may_order = queries == 1 && lists.nlist() > 1 && lists.mask.is_none();
        let order = if may_order && batch.rows >= ORDERED_QUERIES && !cached {
            Some(probes::order(recording, batch, probes, lists.nlist())?)
        } else {
            None
        };
        let order = order.as_ref().map(|order| order.whole("bytes of row numbers")).transpose()?;
        let ordered = order.is_some();
        let merged = if queries == TWO { Some(probes::merge(recording, batch, probes)?) } else { None };
        params.ranks *= queries as u32;
        for (stretch, first_slab) in plan.stretches() {
            params.entries = stretch.rows as u32;
            params.first_entry = stretch.first_row as u32;
            params.first_slab = first_slab as u32;
            let mut buffers = vec![
                ("tables", tables.part(batch.first_row)?.0),
                ("codes", blocks.part(stretch.first_row / BLOCK)?.0),
                ("offsets", lists.offsets.whole("bytes of list offsets")?),
                ("ids", lists.ids.whole("bytes of ids")?),
                merged.as_ref().map_or(("probes", probes_part), |merged| ("merged", merged)),
                ("candidates", candidates),
            ];
            buffers.extend(order.map(|order| ("order", order)));
            buffers.extend(lists.mask_buffer()?);
            buffers.extend(terms.map(|terms| ("terms", terms)));
            let (long, masked) = (plan.is_long(), lists.mask.is_some());
            let scan = Scan { m, nbits, terms: terms.is_some(), add_probe, queries, ordered, long, masked };
            let kernel = kernel(variant, scan);
            recording.expect(batch.rows * plan.probed(stretch) * codebook.m());
            recording.dispatch(kernel, &params, &buffers, batch.rows.div_ceil(queries) * plan.slabs)?;
        }
        Ok(())
    })
}

/// What the kernels are told but for the stretch of entries.
fn scan_params(
    codebook: &Codebook,
    layout: Layout,
    tables: &DeviceArray<f32>,
    probes: &DeviceArray<Ranked>,
    batch: &Segment,
    k: usize,
    plan: &selection::ScanPlan,
) -> Result<Params> {
    Ok(Params {
        queries: batch.rows as u32,
        table_place: tables.part(batch.first_row)?.1 as u32,
        table_quarters: (tables.columns() / 4) as u32,
        probe_place: probes.part(batch.first_row)?.1 as u32,
        ranks: probes.columns() as u32,
        nlist: 0,
        m: codebook.m() as u32,
        words: layout.words as u32,
        bundles: layout.bundles as u32,
        entries: 0,
        first_entry: 0,
        slabs: plan.slabs as u32,
        first_slab: 0,
        all_slabs: plan.all_slabs() as u32,
        keep: k as u32,
        room: plan.room as u32,
    })
}
