// Asymmetric distances over the probed lists, selection fused. A workgroup takes a query and its share of the blocks
// of 32 codes that the probed lists lie in, 32 threads a block and four blocks a thread at a time, so that lists need
// neither begin at a block nor be long. The query's table lies in workgroup memory, as much of it at a time as there
// is room for. How codes and tables are laid out, and why, is said in `src/ops/pq_scan/gpu.rs`.

#if FIRST_LISTS
@group(0) @binding(1) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;

// The list that each query probes first.
@compute @workgroup_size({{THREADS}})
fn first_lists(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let query = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (query >= params.queries) { return; }
    labels[query] = probes[(params.probe_place + query) * params.nprobe].x;
}
#else
@group(0) @binding(1) var<storage, read> tables: array<vec4<f32>>;
#if QUADS
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;
const BLOCK_SIZE = 8u;
#else
@group(0) @binding(2) var<storage, read> codes: array<u32>;
const BLOCK_SIZE = 32u;
#endif
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> probes: array<vec2<u32>>;
#if ORDERED
@group(0) @binding(6) var<storage, read> order: array<u32>;
#else
@group(0) @binding(6) var<storage, read> found: array<vec2<u32>>;
#endif
@group(0) @binding(7) var<storage, read_write> candidates: array<vec2<u32>>;
#if TERMS
@group(0) @binding(8) var<storage, read> terms: array<f32>;
#endif

#include ranked
#include queue

// No entry.
const NOTHING = 0xffffffffu;

// No distance is more.
const MOST = 3.4028234e38;

// A block for every 32 threads, four times.
const UNITS = {{THREADS}}u / 32u;
const TILE = 4u * UNITS;

// The lists that are scanned, {{PROBES}} at a time: where in the blocks of all of them each one ends, what to add to
// get a block's number, and the list's first entry and end.
var<workgroup> probed: array<vec4<u32>, {{PROBES}}>;
var<workgroup> probed_blocks: array<u32, {{PROBES}}>;
var<workgroup> all_blocks: u32;
#if ADD_PROBE
var<workgroup> probe_distances: array<f32, {{PROBES}}>;
#endif

// Opens the lists of the ranks from `first` on and gives the number of their blocks. Holds barriers.
fn open_lists(thread: u32, query: u32, first: u32) -> u32 {
    workgroupBarrier();
    var list = vec4<u32>();
    var blocks = 0u;
    if (thread < {{PROBES}}u && first + thread < params.nprobe) {
        let probe = probes[(params.probe_place + query) * params.nprobe + first + thread];
        if (!is_none(probe)) {
            let begin = max(offsets[probe.x], params.first_entry);
            let end = min(offsets[probe.x + 1u], params.first_entry + params.entries);
            if (begin < end) {
                blocks = (end - 1u) / 32u + 1u - begin / 32u;
                list = vec4<u32>(0u, begin / 32u, begin, end);
            }
#if ADD_PROBE
            probe_distances[thread] = distance_of(probe);
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
        probed[thread] = vec4<u32>(before + blocks, list.y - before, list.z, list.w);
        if (thread == {{PROBES}}u - 1u) {
            all_blocks = before + blocks;
        }
    }
    return workgroupUniformLoad(&all_blocks);
}

// The blocks that are scanned together: where each one begins in `codes`, the number of its first entry, the first lane that has
// an entry of the list, and how many have.
var<workgroup> tile_blocks: array<vec4<u32>, TILE>;
#if ADD_PROBE
var<workgroup> tile_distances: array<f32, TILE>;
#endif

// Finds the blocks from `first` to `end` of those that the opened lists have, a thread a block; `rank` is that of a
// list that is not past the thread's. Holds a barrier.
fn open_tile(thread: u32, first: u32, end: u32, rank: ptr<function, u32>) {
    if (thread < TILE) {
        var block = vec4<u32>();
        if (first + thread < end) {
            while (probed[*rank].x <= first + thread) {
                *rank += 1u;
            }
            let list = probed[*rank];
            let number = first + thread + list.y;
            let begin = max(list.z, 32u * number) - 32u * number;
            let place = (number - params.first_entry / 32u) * params.words * BLOCK_SIZE;
            block = vec4<u32>(place, 32u * number, begin, min(list.w - 32u * number, 32u) - begin);
#if ADD_PROBE
            tile_distances[thread] = probe_distances[*rank];
#endif
        }
        tile_blocks[thread] = block;
    }
    workgroupBarrier();
}

// Entries 4 * quarter.. of the table of look-up `number`; zero past the last.
fn table_entries(table: u32, number: u32, quarter: u32) -> vec4<f32> {
#if PAIRS
    // A look-up is two sub-quantizers: the low bits are the first's.
    let low = 2u * number;
    if (low >= params.m) { return vec4<f32>(); }
    let entries = tables[table + 4u * low + quarter % 4u];
    if (low + 1u >= params.m) { return entries; }
    let high = quarter / 4u;
    return entries + tables[table + 4u * low + 4u + high / 4u][high % 4u];
#else
    if (number >= params.m) { return vec4<f32>(); }
    return tables[table + number * ({{ROWS}}u / 4u) + quarter];
#endif
}

#if QUADS
// Row after row of 16 entries, one of each look-up.
var<workgroup> quad_table: array<array<f32, 16>, {{ROWS}} * {{QUADS}}>;

fn load_quads(thread: u32, table: u32, first: u32) {
    for (var quad = 0u; quad < {{QUADS}}u; quad++) {
        for (var quarter = thread / 16u; quarter < {{ROWS}}u / 4u; quarter += {{THREADS}}u / 16u) {
            let entries = table_entries(table, 16u * (first + quad) + thread % 16u, quarter);
            let row = quad * {{ROWS}}u + 4u * quarter;
            quad_table[row][thread % 16u] = entries.x;
            quad_table[row + 1u][thread % 16u] = entries.y;
            quad_table[row + 2u][thread % 16u] = entries.z;
            quad_table[row + 3u][thread % 16u] = entries.w;
        }
    }
}

// The four look-ups of a word in their columns. Neighbouring lanes have different ones, and so use different banks.
fn sum_word(word: u32, first_row: u32, columns: vec4<u32>) -> f32 {
    let low = quad_table[first_row + (word & 255u)][columns.x]
        + quad_table[first_row + extractBits(word, 8u, 8u)][columns.y];
    let high = quad_table[first_row + extractBits(word, 16u, 8u)][columns.z]
        + quad_table[first_row + (word >> 24u)][columns.w];
    return low + high;
}

// The columns of the sixteen look-ups of a quad, as a lane has them.
struct Columns {
    x: vec4<u32>,
    y: vec4<u32>,
    z: vec4<u32>,
    w: vec4<u32>,
}

fn columns_of(lane: u32) -> Columns {
    let x = vec4<u32>(lane % 16u) ^ vec4<u32>(0u, 1u, 2u, 3u);
    return Columns(x, x ^ vec4<u32>(4u), x ^ vec4<u32>(8u), x ^ vec4<u32>(12u));
}

// The sixteen of a quad, in pairs of pairs: the sum is the same to the last bit in whatever lane the code lies.
fn sum_quad(words: vec4<u32>, first_row: u32, columns: Columns) -> f32 {
    let low = sum_word(words.x, first_row, columns.x) + sum_word(words.y, first_row, columns.y);
    let high = sum_word(words.z, first_row, columns.z) + sum_word(words.w, first_row, columns.w);
    return low + high;
}

fn sum_quads(blocks: vec4<u32>, quad: u32, first_row: u32, lane: u32, columns: Columns) -> vec4<f32> {
    let place = blocks + vec4<u32>(32u * quad + lane);
    let words0 = codes[place.x];
    let words1 = codes[place.y];
    let words2 = codes[place.z];
    let words3 = codes[place.w];
    return vec4<f32>(
        sum_quad(words0, first_row, columns),
        sum_quad(words1, first_row, columns),
        sum_quad(words2, first_row, columns),
        sum_quad(words3, first_row, columns),
    );
}

fn word_of(block: u32, word: u32, lane: u32) -> u32 {
    return codes[block + 8u * word + lane / 4u][lane % 4u];
}
#else
fn word_of(block: u32, word: u32, lane: u32) -> u32 {
    return codes[block + 32u * word + lane];
}
#endif

#if WORDS
// Look-up after look-up.
var<workgroup> word_table: array<f32, 4 * {{ROWS}} * {{WORDS}}>;

fn load_words(thread: u32, table: u32, first: u32) {
    for (var place = thread; place < {{ROWS}}u * {{WORDS}}u; place += {{THREADS}}u) {
        let entries = table_entries(table, 4u * first + place / ({{ROWS}}u / 4u), place % ({{ROWS}}u / 4u));
        word_table[4u * place] = entries.x;
        word_table[4u * place + 1u] = entries.y;
        word_table[4u * place + 2u] = entries.z;
        word_table[4u * place + 3u] = entries.w;
    }
}

fn sum_plain_word(word: u32, first: u32) -> f32 {
    let low = word_table[first + (word & 255u)] + word_table[first + {{ROWS}}u + extractBits(word, 8u, 8u)];
    let high = word_table[first + 2u * {{ROWS}}u + extractBits(word, 16u, 8u)]
        + word_table[first + 3u * {{ROWS}}u + (word >> 24u)];
    return low + high;
}

fn sum_words(blocks: vec4<u32>, word: u32, first: u32, lane: u32) -> vec4<f32> {
    return vec4<f32>(
        sum_plain_word(word_of(blocks.x, word, lane), first),
        sum_plain_word(word_of(blocks.y, word, lane), first),
        sum_plain_word(word_of(blocks.z, word, lane), first),
        sum_plain_word(word_of(blocks.w, word, lane), first),
    );
}
#endif

// The sums of four codes. Holds barriers where the table is loaded in parts.
fn sums_of(thread: u32, table: u32, blocks: vec4<u32>) -> vec4<f32> {
    let lane = thread % 32u;
    var sums = vec4<f32>();
#if QUADS
    let columns = columns_of(lane);
    for (var first = 0u; first < params.quads; first += {{QUADS}}u) {
#if PARTS
        workgroupBarrier();
        load_quads(thread, table, first);
        workgroupBarrier();
#endif
        sums += sum_quads(blocks, first, 0u, lane, columns);
#if SECOND_QUAD
        if (first + 1u < params.quads) {
            sums += sum_quads(blocks, first + 1u, {{ROWS}}u, lane, columns);
        }
#endif
#if THIRD_QUAD
        if (first + 2u < params.quads) {
            sums += sum_quads(blocks, first + 2u, 2u * {{ROWS}}u, lane, columns);
        }
#endif
    }
#endif
#if WORDS
    for (var first = 4u * params.quads; first < params.words; first += {{WORDS}}u) {
#if PARTS
        workgroupBarrier();
        load_words(thread, table, first);
        workgroupBarrier();
#endif
        sums += sum_words(blocks, first, 0u, lane);
#if SECOND_WORD
        if (first + 1u < params.words) {
            sums += sum_words(blocks, first + 1u, 4u * {{ROWS}}u, lane);
        }
#endif
#if THIRD_WORD
        if (first + 2u < params.words) {
            sums += sum_words(blocks, first + 2u, 8u * {{ROWS}}u, lane);
        }
#endif
    }
#endif
    return sums;
}

// Offers an entry. False where it is to be offered again.
fn offer(entry: u32, distance: f32, floor: vec2<u32>) -> bool {
    if (entry == NOTHING) { return true; }
    let candidate = ranked(distance, ids[entry]);
    if (!before(floor, candidate)) { return true; }
    return queue_offer(candidate);
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.queries * params.slabs) { return; }
    // What runs at the same time reads the same part of the lists.
    let slab = number / params.queries;
    var floor = vec2<u32>(0u, 0u);
#if ORDERED
    let query = order[number % params.queries];
#else
    let query = number % params.queries;
    if (params.taken > 0u) {
        floor = found[(params.found_place + query) * params.k + params.taken - 1u];
    }
#endif
    let table = (params.table_place + query) * params.table_quarters;
#if PARTS
#else
#if QUADS
    load_quads(thread, table, 0u);
#endif
#if WORDS
    load_words(thread, table, 4u * params.quads);
#endif
#endif
    queue_open(thread);
    let lane = thread % 32u;
    let unit = thread / 32u;
    for (var first = 0u; first < params.nprobe; first += {{PROBES}}u) {
        let blocks = open_lists(thread, query, first);
        let share = (blocks + params.slabs - 1u) / params.slabs;
        let end = min(share * (slab + 1u), blocks);
        var rank = 0u;
        for (var tile = share * slab; tile < end; tile += TILE) {
            open_tile(thread, tile, end, &rank);
            let a = tile_blocks[unit];
            let b = tile_blocks[unit + UNITS];
            let c = tile_blocks[unit + 2u * UNITS];
            let d = tile_blocks[unit + 3u * UNITS];
            var distances = sums_of(thread, table, vec4<u32>(a.x, b.x, c.x, d.x));
            var entries = vec4<u32>(a.y, b.y, c.y, d.y) + vec4<u32>(lane);
            let exist = (vec4<u32>(lane) - vec4<u32>(a.z, b.z, c.z, d.z)) < vec4<u32>(a.w, b.w, c.w, d.w);
#if TERMS
            // Without an entry, what is added does not matter.
            let known = min(entries, vec4<u32>(params.first_entry + params.entries - 1u));
            distances += vec4<f32>(terms[known.x], terms[known.y], terms[known.z], terms[known.w]);
#endif
#if ADD_PROBE
            distances += vec4<f32>(
                tile_distances[unit],
                tile_distances[unit + UNITS],
                tile_distances[unit + 2u * UNITS],
                tile_distances[unit + 3u * UNITS],
            );
#endif
            let bound = select(distance_of(queue_bound), MOST, is_none(queue_bound));
            entries = select(vec4<u32>(NOTHING), entries, exist & (distances <= vec4<f32>(bound)));
            loop {
                if (offer(entries.x, distances.x, floor)) { entries.x = NOTHING; }
                if (offer(entries.y, distances.y, floor)) { entries.y = NOTHING; }
                if (offer(entries.z, distances.z, floor)) { entries.z = NOTHING; }
                if (offer(entries.w, distances.w, floor)) { entries.w = NOTHING; }
                if (queue_settle(thread, params.keep, false)) { break; }
            }
        }
    }
    queue_settle(thread, params.keep, true);
    for (var rank = thread; rank < params.keep; rank += {{THREADS}}u) {
        let place = query * params.all_slabs + params.first_slab + slab;
        candidates[place * params.keep + rank] = queue_at(rank);
    }
}
#endif
