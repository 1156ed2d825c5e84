// Asymmetric distances over the probed lists, selection fused. A workgroup takes a query, or two side by side, and its
// share of the blocks of 32 codes that the probed lists lie in, 32 threads a block and four blocks a thread at a time, so
// that lists need neither begin at a block nor be long. The queries' tables lie in workgroup memory, as much of them at
// a time as there is room for. How codes and tables are laid out, and why, is said in `src/ops/pq_scan/gpu`. LONG: what
// is kept lies in storage. MASKED: of the entries that a mask has, and of their blocks alone; then queries are in no order.

@group(0) @binding(1) var<storage, read> tables: array<vec4<f32>>;
#if BUNDLES
// The words of a bundle.
#if EIGHTS
alias Words = vec2<u32>;
const TOGETHER = 2u;
#else
alias Words = vec4<u32>;
const TOGETHER = 4u;
#endif
@group(0) @binding(2) var<storage, read> codes: array<Words>;
const BLOCK_SIZE = 32u / TOGETHER;
#else
const TOGETHER = 0u;
@group(0) @binding(2) var<storage, read> codes: array<u32>;
const BLOCK_SIZE = 32u;
#endif
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
#if TWO_QUERIES
@group(0) @binding(5) var<storage, read> merged: array<vec4<u32>>;
#else
@group(0) @binding(5) var<storage, read> probes: array<vec2<u32>>;
#endif
#if ORDERED
@group(0) @binding(6) var<storage, read> order: array<u32>;
#endif
#if MASKED
@group(0) @binding(6) var<storage, read> masks: array<u32>;
#endif
@group(0) @binding(7) var<storage, read_write> candidates: array<vec2<u32>>;
#if TERMS
@group(0) @binding(8) var<storage, read> terms: array<f32>;
#endif

#include ranked
#if LONG
#include list
#else
#include queue
#endif

// A count and a sum for each query, and four sums.
#if TWO_QUERIES
alias Count = vec2<u32>;
alias Sum = vec2<f32>;
alias Sums = mat4x2<f32>;
#else
alias Count = u32;
alias Sum = f32;
alias Sums = vec4<f32>;
#endif

// No entry.
const NOTHING = 0xffffffffu;

// No distance is more.
const MOST = 3.4028234e38;

// A block for every 32 threads, four times.
const UNITS = {{THREADS}}u / 32u;
const TILE = 4u * UNITS;

// A list that is scanned.
struct Probed {
    // Where in the blocks of all lists its own end, and what to add there to get a block's number.
    end: u32,
    offset: u32,
    // Its first entry, and how many follow for each query: none for one that does not probe it.
    begin: u32,
    entries: Count,
#if ADD_PROBE
    distances: Sum,
#endif
}

// The lists that are scanned, {{PROBES}} at a time.
var<workgroup> probed: array<Probed, {{PROBES}}>;
var<workgroup> probed_blocks: array<u32, {{PROBES}}>;

// Opens the lists of the ranks from `rank` on and gives the number of their blocks; the first of all ranks is at
// `first_probe`. Holds barriers.
fn open_lists(thread: u32, first_probe: u32, rank: u32) -> u32 {
    workgroupBarrier();
    var list = Probed();
    var blocks = 0u;
    if (thread < {{PROBES}}u && rank + thread < params.ranks) {
#if TWO_QUERIES
        let probe = merged[first_probe + rank + thread];
        let probing = vec2<bool>((probe.w & 1u) != 0u, (probe.w & 2u) != 0u);
        let any_probing = probe.w != 0u && probe.x < params.nlist;
#else
        let probe = probes[first_probe + rank + thread];
        let probing = !is_none(probe);
        let any_probing = probing && probe.x < params.nlist;
#endif
        if (any_probing) {
            let begin = max(offsets[probe.x], params.first_entry);
            let end = min(offsets[probe.x + 1u], params.first_entry + params.entries);
            if (begin < end) {
                blocks = (end - 1u) / 32u + 1u - begin / 32u;
                list.offset = begin / 32u;
                list.begin = begin;
                list.entries = select(Count(0u), Count(end - begin), probing);
            }
#if ADD_PROBE
#if TWO_QUERIES
            list.distances = vec2<f32>(distance_of(probe.xy), distance_of(probe.xz));
#else
            list.distances = distance_of(probe);
#endif
#endif
        }
    }
    if (thread < {{PROBES}}u) {
        probed_blocks[thread] = blocks;
    }
    workgroupBarrier();
    if (thread < {{PROBES}}u) {
        var before = 0u;
        for (var rank = 0u; rank < thread; rank++) {
            before += probed_blocks[rank];
        }
        list.end = before + blocks;
        list.offset -= before;
        probed[thread] = list;
    }
    return workgroupUniformLoad(&probed[{{PROBES}}u - 1u].end);
}

// 32 codes that are scanned.
struct Block {
    // Where they begin in `codes`, and the number of the first.
    place: u32,
    first: u32,
    // The first entry of their list, and how many follow for each query.
    begin: u32,
#if MASKED
    mask: u32,
#endif
    entries: Count,
#if ADD_PROBE
    distances: Sum,
#endif
}

// The blocks that are scanned together.
var<workgroup> tile_blocks: array<Block, TILE>;

// The block of that place in those of the opened lists, in one of `rank` or later.
fn block_at(place: u32, rank: ptr<function, u32>) -> Block {
    while (probed[*rank].end <= place) {
        *rank += 1u;
    }
    let list = probed[*rank];
    let number = place + list.offset;
    var block: Block;
    block.place = (number - params.first_entry / 32u) * params.words * BLOCK_SIZE;
    block.first = 32u * number;
    block.begin = list.begin;
#if MASKED
    block.mask = masks[number];
#endif
    block.entries = list.entries;
#if ADD_PROBE
    block.distances = list.distances;
#endif
    return block;
}

#if MASKED
// A bit for each thread whose block has wanted entries.
var<workgroup> wanted: array<atomic<u32>, {{THREADS}} / 32>;
// One word, and one so that they are even in number: see `bundle_table`.
var<workgroup> tile_end: vec2<u32>;

// Finds the next blocks that have wanted entries, from `first` to `end` of those that the opened lists have: every thread
// looks at one. `rank` is that of a list that is not past the thread's. Gives what comes after the tile. Holds barriers.
fn open_tile(thread: u32, first: u32, end: u32, rank: ptr<function, u32>) -> u32 {
    if (thread < {{THREADS}}u / 32u) {
        atomicStore(&wanted[thread], 0u);
    }
    workgroupBarrier();
    // Past the end are codes of no list.
    var block = Block();
    if (first + thread < end) {
        block = block_at(first + thread, rank);
    }
    if (block.mask != 0u) {
        atomicOr(&wanted[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    var slot = countOneBits(atomicLoad(&wanted[thread / 32u]) & ((1u << (thread % 32u)) - 1u));
    var all = 0u;
    for (var word = 0u; word < {{THREADS}}u / 32u; word++) {
        let here = countOneBits(atomicLoad(&wanted[word]));
        slot += select(0u, here, word < thread / 32u);
        all += here;
    }
    if (block.mask != 0u && slot < TILE) {
        tile_blocks[slot] = block;
    }
    if (thread >= all && thread < TILE) {
        tile_blocks[thread] = Block();
    }
    // The thread whose block is the last that fits, or the last thread.
    let is_last = select(thread == {{THREADS}}u - 1u, block.mask != 0u && slot == TILE - 1u, all >= TILE);
    if (is_last) {
        tile_end.x = first + thread + 1u;
    }
    return workgroupUniformLoad(&tile_end).x;
}
#else
// Finds the blocks from `first` to `end` of those that the opened lists have, a thread a block; `rank` is that of a
// list that is not past the thread's. Gives what comes after the tile. Holds a barrier.
fn open_tile(thread: u32, first: u32, end: u32, rank: ptr<function, u32>) -> u32 {
    if (thread < TILE) {
        // Past the end are codes of no list.
        var block = Block();
        if (first + thread < end) {
            block = block_at(first + thread, rank);
        }
        tile_blocks[thread] = block;
    }
    workgroupBarrier();
    return first + TILE;
}
#endif

#include lookups

// Those of four entries that are near enough to a query, of a list that it probes and wanted. Few are, so that the lists
// are asked last.
fn near(side: u32, blocks: vec4<u32>, entries: vec4<u32>, distances: vec4<f32>) -> vec4<u32> {
    let bound = select(distance_of(queue_bounds[side]), MOST, is_none(queue_bounds[side]));
    let near = distances <= vec4<f32>(bound);
    if (!any(near)) { return vec4<u32>(NOTHING); }
    let begin = vec4<u32>(
        tile_blocks[blocks.x].begin,
        tile_blocks[blocks.y].begin,
        tile_blocks[blocks.z].begin,
        tile_blocks[blocks.w].begin,
    );
#if TWO_QUERIES
    let count = vec4<u32>(
        tile_blocks[blocks.x].entries[side],
        tile_blocks[blocks.y].entries[side],
        tile_blocks[blocks.z].entries[side],
        tile_blocks[blocks.w].entries[side],
    );
#else
    let count = vec4<u32>(
        tile_blocks[blocks.x].entries,
        tile_blocks[blocks.y].entries,
        tile_blocks[blocks.z].entries,
        tile_blocks[blocks.w].entries,
    );
#endif
    let wanted = near & (entries - begin < count);
#if MASKED
    let mask = vec4<u32>(
        tile_blocks[blocks.x].mask,
        tile_blocks[blocks.y].mask,
        tile_blocks[blocks.z].mask,
        tile_blocks[blocks.w].mask,
    );
    let is_set = ((mask >> (entries % vec4<u32>(32u))) & vec4<u32>(1u)) != vec4<u32>();
    return select(vec4<u32>(NOTHING), entries, wanted & is_set);
#else
    return select(vec4<u32>(NOTHING), entries, wanted);
#endif
}

// Offers an entry to a query. False where it is to be offered again.
fn offer(side: u32, entry: u32, distance: f32) -> bool {
    var settled = true;
    if (entry != NOTHING) {
#if NAMES_LATER
        settled = queue_offer_entry(side, ranked(distance, entry));
#else
        settled = queue_offer_to(side, ranked(distance, ids[entry]));
#endif
    }
    return settled;
}

// Offers those of four entries that are none of the query's yet.
fn offer_four(side: u32, entries: ptr<function, vec4<u32>>, distances: vec4<f32>) {
    if (all(*entries == vec4<u32>(NOTHING))) { return; }
    if (offer(side, (*entries).x, distances.x)) { (*entries).x = NOTHING; }
    if (offer(side, (*entries).y, distances.y)) { (*entries).y = NOTHING; }
    if (offer(side, (*entries).z, distances.z)) { (*entries).z = NOTHING; }
    if (offer(side, (*entries).w, distances.w)) { (*entries).w = NOTHING; }
}

// A query by its place in the order.
fn query_at(number: u32) -> u32 {
#if ORDERED
    return order[number];
#else
    return number;
#endif
}

// Where the candidates of a query's slab begin.
fn candidates_of(query: u32, slab: u32) -> u32 {
    return (query * params.all_slabs + params.first_slab + slab) * params.room;
}

// Writes down what was selected for a query.
fn write_candidates(thread: u32, side: u32, query: u32, slab: u32) {
#if LONG
    queue_pad(thread, side);
#else
    for (var rank = thread; rank < params.room; rank += {{THREADS}}u) {
        candidates[candidates_of(query, slab) + rank] = queue_at_of(side, rank);
    }
#endif
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    let per_slab = (params.queries + QUEUES - 1u) / QUEUES;
    if (number >= per_slab * params.slabs) { return; }
    // What runs at the same time reads the same part of the lists.
    let slab = number / per_slab;
    let query = query_at(number % per_slab * QUEUES);
#if TWO_QUERIES
    // The last may be alone: then no list is the second's.
    let second = number % per_slab * 2u + 1u;
    let other = query_at(min(second, params.queries - 1u));
    let tables = (vec2<u32>(query, other) + vec2<u32>(params.table_place)) * params.table_quarters;
    let probe = number % per_slab * params.ranks;
#else
    let tables = (params.table_place + query) * params.table_quarters;
    let probe = (params.probe_place + query) * params.ranks;
#endif
#if PARTS
#else
#if BUNDLES
    load_bundles(thread, tables, 0u);
#endif
#if WORDS
    load_words(thread, tables, TOGETHER * params.bundles);
#endif
#endif
#if LONG
    queue_places.x = candidates_of(query, slab);
#if TWO_QUERIES
    queue_places.y = candidates_of(other, slab);
#endif
#endif
    queue_open(thread);
    let lane = thread % 32u;
#if BUNDLES
    let columns = columns_of(lane);
#endif
    let unit = vec4<u32>(thread / 32u) + UNITS * vec4<u32>(0u, 1u, 2u, 3u);
    for (var first = 0u; first < params.ranks; first += {{PROBES}}u) {
        let blocks = open_lists(thread, probe, first);
        let share = (blocks + params.slabs - 1u) / params.slabs;
        let end = min(share * (slab + 1u), blocks);
        var rank = 0u;
        var tile = share * slab;
        while (tile < end) {
            tile = open_tile(thread, tile, end, &rank);
#if MASKED
            if (workgroupUniformLoad(&tile_blocks[0].mask) == 0u) { continue; }
#endif
            let places = vec4<u32>(
                tile_blocks[unit.x].place,
                tile_blocks[unit.y].place,
                tile_blocks[unit.z].place,
                tile_blocks[unit.w].place,
            );
#if BUNDLES
            var sums = sums_of(thread, tables, places, columns);
#else
            var sums = sums_of(thread, tables, places);
#endif
            let entries = vec4<u32>(lane) + vec4<u32>(
                tile_blocks[unit.x].first,
                tile_blocks[unit.y].first,
                tile_blocks[unit.z].first,
                tile_blocks[unit.w].first,
            );
#if TERMS
            // Without an entry, what is added does not matter.
            let known = min(entries, vec4<u32>(params.first_entry + params.entries - 1u));
            sums += Sums(Sum(terms[known.x]), Sum(terms[known.y]), Sum(terms[known.z]), Sum(terms[known.w]));
#endif
#if ADD_PROBE
            sums += Sums(
                tile_blocks[unit.x].distances,
                tile_blocks[unit.y].distances,
                tile_blocks[unit.z].distances,
                tile_blocks[unit.w].distances,
            );
#endif
            for (var side = 0u; side < QUEUES; side++) {
#if TWO_QUERIES
                let by_query = transpose(sums);
                let distances = select(by_query[0], by_query[1], side == 1u);
#else
                let distances = sums;
#endif
                var offered = near(side, unit, entries, distances);
                loop {
                    offer_four(side, &offered, distances);
                    if (queue_settle(thread, params.keep, false)) { break; }
                }
            }
        }
    }
    queue_settle(thread, params.keep, true);
    write_candidates(thread, 0u, query, slab);
#if TWO_QUERIES
    if (second < params.queries) {
        write_candidates(thread, 1u, other, slab);
    }
#endif
}
