// Distances of one list's codes to two or four queries side by side by whole numbers, two of them a word, which leave out
// what is further away than the k nearest so far; what is left is compared by the entries of its tables, as `pq_scan.wgsl`
// does, when its queue is settled. A workgroup takes two or four queries and its share of the blocks of 32 codes, 32 threads
// a block and four blocks a thread at a time. See `src/ops/pq_scan/gpu/rounded.rs`.

@group(0) @binding(1) var<storage, read> tables: array<f32>;
#if EIGHTS
alias Words = vec2<u32>;
const TOGETHER = 2u;
#else
alias Words = vec4<u32>;
const TOGETHER = 4u;
#endif
@group(0) @binding(2) var<storage, read> codes: array<Words>;
@group(0) @binding(3) var<storage, read> interleaved: array<u32>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read> ids: array<u32>;
@group(0) @binding(6) var<storage, read> probes: array<vec2<u32>>;
// An entry is a number of each query.
#if FOUR_QUERIES
alias Entry = vec2<u32>;
#else
alias Entry = u32;
#endif
@group(0) @binding(7) var<storage, read> rounded: array<Entry>;
@group(0) @binding(8) var<storage, read_write> candidates: array<vec2<u32>>;

// Row after row of 16 entries, one of each look-up.
var<workgroup> bundle_table: array<array<Entry, 16>, {{ROWS}}>;

#include ranked
#include queue
#include interleaved
#include table_entry

// No entry.
const NOTHING = 0xffffffffu;

// No distance is more.
const MOST = 3.4028234e38;

// More than any whole number.
const ALL = 0x10000u;

// A block for every 32 threads, four times.
const UNITS = {{THREADS}}u / 32u;
const TILE = 4u * UNITS;

// Of each query: codes whose numbers add up to this or more are further away than its nearest so far.
var<workgroup> limits: array<u32, QUEUES>;
// The entries that each is searched for in: all of the workgroup's or none.
var<workgroup> counts: array<u32, QUEUES>;

var<private> first_query: u32;

// Where the table of the workgroup's queries begins in `rounded`: a record of a query is as long as four numbers.
fn rounded_place() -> u32 {
    return first_query / QUEUES * (params.bundles * {{ROWS}}u * 16u + 4u);
}

// The least distance of a query, and what a whole number stands for.
fn record_of(side: u32) -> vec2<f32> {
    let place = rounded_place() + params.bundles * {{ROWS}}u * 16u;
#if FOUR_QUERIES
    return bitcast<vec2<f32>>(rounded[place + side]);
#else
    return bitcast<vec2<f32>>(vec2<u32>(rounded[place + 2u * side], rounded[place + 2u * side + 1u]));
#endif
}

// The candidate that an entry is for a query: none if its distance is none.
fn exact_of(side: u32, entry: u32) -> vec2<u32> {
    let table = (params.table_place + first_query + side) * params.columns;
    let row = entry - params.first_entry / 32u * 32u;
    var sum = 0.0;
    for (var bundle = 0u; bundle < params.bundles; bundle++) {
        // In the order of `lookups.wgsl`, for the same bits.
        var pair = 0.0;
        var words = 0.0;
        for (var word = 0u; word < TOGETHER; word++) {
            let number = 4u * (TOGETHER * bundle + word);
            let low = table_entry(table, number, interleaved_byte(row, number))
                + table_entry(table, number + 1u, interleaved_byte(row, number + 1u));
            let high = table_entry(table, number + 2u, interleaved_byte(row, number + 2u))
                + table_entry(table, number + 3u, interleaved_byte(row, number + 3u));
            if (word % 2u == 0u) {
                words = low + high;
            } else if (word == 1u) {
                pair = words + (low + high);
            } else {
                pair += words + (low + high);
            }
        }
        sum += pair;
    }
    if (!(sum <= MOST)) { return NONE; }
    return ranked(sum, ids[entry]);
}

// Sets the limit by the distance of the last of the nearest so far.
fn queue_bounded(side: u32, bound: vec2<u32>) {
    if (is_none(bound)) { return; }
    let record = record_of(side);
    if (record.y > 0.0) {
        // More by one than what rounding may change.
        limits[side] = u32(clamp((distance_of(bound) - record.x) / record.y, 0.0, 65535.0)) + 2u;
    }
}

fn load_bundle(thread: u32, bundle: u32) {
    let place = rounded_place() + bundle * {{ROWS}}u * 16u;
    for (var entry = thread; entry < {{ROWS}}u * 16u; entry += {{THREADS}}u) {
        bundle_table[entry / 16u][entry % 16u] = rounded[place + entry];
    }
}

// The four look-ups of a word in their columns. Neighbouring lanes have different ones, and so use different banks.
fn sum_word(word: u32, columns: vec4<u32>) -> Entry {
    return bundle_table[word & 255u][columns.x]
        + bundle_table[extractBits(word, 8u, 8u)][columns.y]
        + bundle_table[extractBits(word, 16u, 8u)][columns.z]
        + bundle_table[word >> 24u][columns.w];
}

// The look-ups of a bundle, for all queries.
fn sum_bundle(place: u32, columns: vec4<u32>) -> Entry {
    let words = codes[place];
    var sum = sum_word(words.x, columns) + sum_word(words.y, columns ^ vec4<u32>(4u));
#if EIGHTS
#else
    sum += sum_word(words.z, columns ^ vec4<u32>(8u)) + sum_word(words.w, columns ^ vec4<u32>(12u));
#endif
    return sum;
}

// Those of four entries that may be near enough to a query.
fn near(side: u32, entries: vec4<u32>, begin: u32, packed: vec4<u32>) -> vec4<u32> {
    let sums = (packed >> vec4<u32>(16u * (side % 2u))) & vec4<u32>(0xffffu);
    let near = sums < vec4<u32>(limits[side]);
    if (!any(near)) { return vec4<u32>(NOTHING); }
    let wanted = near & (entries - vec4<u32>(begin) < vec4<u32>(counts[side]));
    return select(vec4<u32>(NOTHING), entries, wanted);
}

// Offers those of four entries that are not queued yet to a query.
fn offer_four(side: u32, entries: ptr<function, vec4<u32>>) {
    if (all(*entries == vec4<u32>(NOTHING))) { return; }
    if ((*entries).x != NOTHING && queue_push(side, (*entries).x)) { (*entries).x = NOTHING; }
    if ((*entries).y != NOTHING && queue_push(side, (*entries).y)) { (*entries).y = NOTHING; }
    if ((*entries).z != NOTHING && queue_push(side, (*entries).z)) { (*entries).z = NOTHING; }
    if ((*entries).w != NOTHING && queue_push(side, (*entries).w)) { (*entries).w = NOTHING; }
}

// Whether a query probes the list.
fn is_probing(query: u32) -> bool {
    if (query >= params.queries) { return false; }
    for (var rank = 0u; rank < params.ranks; rank++) {
        if (probes[(params.probe_place + query) * params.ranks + rank].x == 0u) { return true; }
    }
    return false;
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
    // What runs at the same time reads the same part of the list.
    let slab = number / per_slab;
    first_query = number % per_slab * QUEUES;
    let list_begin = max(offsets[0], params.first_entry);
    let list_end = max(min(offsets[1], params.first_entry + params.entries), list_begin);
    let first_block = list_begin / 32u;
    let blocks = select((list_end + 31u) / 32u - first_block, 0u, list_begin == list_end);
    let share = (blocks + params.slabs - 1u) / params.slabs;
    let end_block = first_block + min(share * (slab + 1u), blocks);
    let begin_block = min(first_block + share * slab, end_block);
    let begin = max(list_begin, 32u * begin_block);
    let end = max(min(list_end, 32u * end_block), begin);
#if PARTS
#else
    load_bundle(thread, 0u);
#endif
    if (thread < QUEUES) {
        limits[thread] = ALL;
        counts[thread] = select(0u, end - begin, is_probing(first_query + thread));
    }
    queue_open(thread);
    let lane = thread % 32u;
    let columns = vec4<u32>(lane % 16u) ^ vec4<u32>(0u, 1u, 2u, 3u);
    let unit = vec4<u32>(thread / 32u) + UNITS * vec4<u32>(0u, 1u, 2u, 3u);
    for (var tile = begin_block; tile < end_block; tile += TILE) {
        let entries = vec4<u32>(lane) + 32u * (vec4<u32>(tile) + unit);
        // What comes after the last block is read as if it were that, and wanted by nobody.
        let numbers = min(vec4<u32>(tile) + unit, vec4<u32>(end_block - 1u)) - vec4<u32>(params.first_entry / 32u);
        let places = numbers * (params.words * 32u / TOGETHER) + vec4<u32>(lane);
        var low = vec4<u32>();
#if FOUR_QUERIES
        var high = vec4<u32>();
#endif
        for (var bundle = 0u; bundle < params.bundles; bundle++) {
#if PARTS
            workgroupBarrier();
            load_bundle(thread, bundle);
            workgroupBarrier();
#endif
            let sum0 = sum_bundle(places.x + 32u * bundle, columns);
            let sum1 = sum_bundle(places.y + 32u * bundle, columns);
            let sum2 = sum_bundle(places.z + 32u * bundle, columns);
            let sum3 = sum_bundle(places.w + 32u * bundle, columns);
#if FOUR_QUERIES
            low += vec4<u32>(sum0.x, sum1.x, sum2.x, sum3.x);
            high += vec4<u32>(sum0.y, sum1.y, sum2.y, sum3.y);
#else
            low += vec4<u32>(sum0, sum1, sum2, sum3);
#endif
        }
        var first = near(0u, entries, begin, low);
        var second = near(1u, entries, begin, low);
#if FOUR_QUERIES
        var third = near(2u, entries, begin, high);
        var fourth = near(3u, entries, begin, high);
#endif
        loop {
            offer_four(0u, &first);
            offer_four(1u, &second);
#if FOUR_QUERIES
            offer_four(2u, &third);
            offer_four(3u, &fourth);
#endif
            if (queue_settle(thread, params.keep, false)) { break; }
            // What found no room may not be near any more.
            first = near(0u, first, begin, low);
            second = near(1u, second, begin, low);
#if FOUR_QUERIES
            third = near(2u, third, begin, high);
            fourth = near(3u, fourth, begin, high);
#endif
        }
    }
    queue_settle(thread, params.keep, true);
    for (var side = 0u; side < min(params.queries - first_query, QUEUES); side++) {
        let first_candidate = ((first_query + side) * params.all_slabs + params.first_slab + slab) * params.keep;
        for (var rank = thread; rank < params.keep; rank += {{THREADS}}u) {
            candidates[first_candidate + rank] = queue_at_of(side, rank);
        }
    }
}
