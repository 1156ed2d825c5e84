// Each query's rows of a slab of the base that may be closest, by what rows are no nearer than: of rows and queries rounded
// to 8-bit integers (see `round.wgsl`), four products are one instruction. A workgroup takes SIDE queries and streams the
// slab past them; every query has a queue in storage, cut back to its `keep` nearest when another tile might not fit.

@group(0) @binding(1) var<storage, read> base: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> rounded: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> queues: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> candidates: array<vec2<u32>>;

#include ranked
#include sort
#include rounded

struct Products {
    // Rows 8y.. with queries 4x..
    low0: vec4<i32>,
    low1: vec4<i32>,
    low2: vec4<i32>,
    low3: vec4<i32>,
    low4: vec4<i32>,
    low5: vec4<i32>,
    low6: vec4<i32>,
    low7: vec4<i32>,
    // The same with queries SIDE / 2 + 4x..
    high0: vec4<i32>,
    high1: vec4<i32>,
    high2: vec4<i32>,
    high3: vec4<i32>,
    high4: vec4<i32>,
    high5: vec4<i32>,
    high6: vec4<i32>,
    high7: vec4<i32>,
}

const PITCH = {{SIDE}}u / 4u + 1u;
const RIGHT = {{DEPTH}}u * PITCH;

// {{DEPTH}} words of each side at a time, rows on the left and queries on the right: four to a vec4, and a word's vectors
// padded by one against bank conflicts.
var<workgroup> sides: array<vec4<u32>, 2 * {{DEPTH}} * ({{SIDE}} / 4 + 1)>;

fn products_of(row: u32, queries: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(row, queries.x),
        dot4I8Packed(row, queries.y),
        dot4I8Packed(row, queries.z),
        dot4I8Packed(row, queries.w),
    );
}

// Thread (x, y) of the 16 x 16. Half of the threads load the rows, the others the queries. Holds barriers.
fn products(thread: u32, row_tile: u32, query_tile: u32) -> Products {
    let x = thread % 16u;
    let y = thread / 16u;
    let part = thread % ({{THREADS}}u / 2u);
    let store = part / ({{SIDE}}u / 4u) * PITCH + part % ({{SIDE}}u / 4u);
    let words = 4u * params.quads;
    var source = select(query_tile, row_tile, thread < {{THREADS}}u / 2u) * words * ({{SIDE}}u / 4u) + part;
    var tile: Products;
    for (var first = 0u; first < words; first += {{DEPTH}}u) {
        if (thread < {{THREADS}}u / 2u) {
            sides[store] = base[source];
        } else {
            sides[RIGHT + store] = rounded[source];
        }
        source += {{THREADS}}u / 2u;
        workgroupBarrier();
        for (var k = 0u; k < {{DEPTH}}u; k++) {
            let a = sides[k * PITCH + 2u * y];
            let b = sides[k * PITCH + 2u * y + 1u];
            let low = sides[RIGHT + k * PITCH + x];
            let high = sides[RIGHT + k * PITCH + x + {{SIDE}}u / 8u];
            tile.low0 += products_of(a.x, low);
            tile.low1 += products_of(a.y, low);
            tile.low2 += products_of(a.z, low);
            tile.low3 += products_of(a.w, low);
            tile.low4 += products_of(b.x, low);
            tile.low5 += products_of(b.y, low);
            tile.low6 += products_of(b.z, low);
            tile.low7 += products_of(b.w, low);
            tile.high0 += products_of(a.x, high);
            tile.high1 += products_of(a.y, high);
            tile.high2 += products_of(a.z, high);
            tile.high3 += products_of(a.w, high);
            tile.high4 += products_of(b.x, high);
            tile.high5 += products_of(b.y, high);
            tile.high6 += products_of(b.z, high);
            tile.high7 += products_of(b.w, high);
        }
        workgroupBarrier();
    }
    return tile;
}

// Queues that are sorted together.
const TOGETHER = {{QUEUE}}u / {{CAPACITY}}u;

// What stands for no bound: none is as much.
const MOST = 1.0e37;

// Of a query's queue: how long it is, and how many of these are ranked. What follows is a row, by its number in the stretch,
// and its product with the query.
var<workgroup> lengths: array<atomic<u32>, {{SIDE}}>;
var<workgroup> ranked_lengths: array<u32, {{SIDE}}>;
// Of a query: its unit, doubled and negative; how near a row must be, and the query's own error; and the other terms of the
// squared distance less the square of that.
var<workgroup> query_units: array<f32, {{SIDE}}>;
var<workgroup> query_reaches: array<f32, {{SIDE}}>;
var<workgroup> query_starts: array<f32, {{SIDE}}>;
var<workgroup> crowding: atomic<u32>;
var<workgroup> crowded: u32;

var<private> queues_place: u32;
var<private> slab_end: u32;
var<private> first_query: u32;

fn row_record(row: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(base[params.row_records + row]);
}

fn query_record(query: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(rounded[params.query_records + first_query + query]);
}

// What is left of a sum of squared norms once everything is rounded unfavourably: some more than `least_distance` allows for.
fn share_of_squares() -> f32 {
    return 1.0 - 1.02 * UNIT * (f32(params.columns) / 32.0 + 120.0);
}

// Rows whose bound is less may be among a query's nearest.
fn set_limit(query: u32, limit: f32) {
    let record = query_record(query);
    let columns = f32(params.columns);
    let distance = (limit + columns * 2.0e-37) / (1.0 - 1.02 * UNIT * (columns + 8.0));
    let reach = 1.0001 * (sqrt(max(distance, 0.0)) + record.z);
    query_units[query] = -2.0 * record.x;
    query_reaches[query] = reach;
    query_starts[query] = share_of_squares() * record.y - reach * reach;
}

// What four queries' margins are made of.
struct Queries {
    units: vec4<f32>,
    reaches: vec4<f32>,
    starts: vec4<f32>,
}

fn queries_at(first: u32) -> Queries {
    return Queries(
        vec4<f32>(query_units[first], query_units[first + 1u], query_units[first + 2u], query_units[first + 3u]),
        vec4<f32>(query_reaches[first], query_reaches[first + 1u], query_reaches[first + 2u], query_reaches[first + 3u]),
        vec4<f32>(query_starts[first], query_starts[first + 1u], query_starts[first + 2u], query_starts[first + 3u]),
    );
}

// By how much, squared, a row is further than it may be to be among the nearest of four queries.
fn margins(queries: Queries, row: u32, products: vec4<i32>) -> vec4<f32> {
    let record = row_record(row);
    let error = 1.0001 * record.z;
    let square = share_of_squares() * record.y - error * error;
    let known = fma(queries.reaches, vec4<f32>(-2.0 * error), queries.starts + vec4<f32>(square));
    return fma(vec4<f32>(products), queries.units * record.x, known);
}

fn offer(query: u32, margin: f32, product: i32, row: u32) {
    if (margin < 0.0) {
        let slot = atomicAdd(&lengths[query], 1u);
        queues[queues_place + query * {{CAPACITY}}u + slot] = vec2<u32>(row, bitcast<u32>(product));
        if (slot >= {{CAPACITY}}u - {{SIDE}}u) {
            atomicStore(&crowding, 1u);
        }
    }
}

// Offers a row to four queries.
fn offer_row(query: u32, margins: vec4<f32>, products: vec4<i32>, row: u32) {
    if (row < slab_end && any(margins < vec4<f32>())) {
        offer(query, margins.x, products.x, row);
        offer(query + 1u, margins.y, products.y, row);
        offer(query + 2u, margins.z, products.z, row);
        offer(query + 3u, margins.w, products.w, row);
    }
}

// Offers four rows to four queries, if one of them is near enough. More at a time would take more registers than there are.
fn offer_rows(query: u32, row: u32, row0: vec4<i32>, row1: vec4<i32>, row2: vec4<i32>, row3: vec4<i32>) {
    let queries = queries_at(query);
    let margins0 = margins(queries, row, row0);
    let margins1 = margins(queries, row + 1u, row1);
    let margins2 = margins(queries, row + 2u, row2);
    let margins3 = margins(queries, row + 3u, row3);
    if (any(min(min(margins0, margins1), min(margins2, margins3)) < vec4<f32>())) {
        offer_row(query, margins0, row0, row);
        offer_row(query, margins1, row1, row + 1u);
        offer_row(query, margins2, row2, row + 2u);
        offer_row(query, margins3, row3, row + 3u);
    }
}

// Sorts every queue and keeps its nearest. Begins and ends with a barrier.
fn cut_queues(thread: u32) {
    storageBarrier();
    workgroupBarrier();
    for (var first = 0u; first < {{SIDE}}u; first += TOGETHER) {
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + slot / {{CAPACITY}}u;
            let rank = slot % {{CAPACITY}}u;
            var candidate = NONE;
            if (rank < atomicLoad(&lengths[query])) {
                candidate = queues[queues_place + query * {{CAPACITY}}u + rank];
                if (rank >= ranked_lengths[query]) {
                    let product = f32(bitcast<i32>(candidate.y));
                    let distance = least_distance(row_record(candidate.x), query_record(query), product);
                    candidate = ranked(distance, params.base_number + candidate.x);
                }
            }
            queue[slot] = candidate;
        }
        sort_blocks(thread, {{CAPACITY}}u);
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + slot / {{CAPACITY}}u;
            let rank = slot % {{CAPACITY}}u;
            let candidate = queue[slot];
            if (rank < params.keep) {
                queues[queues_place + query * {{CAPACITY}}u + rank] = candidate;
            }
            if (rank == params.keep - 1u) {
                if (!is_none(candidate)) { set_limit(query, distance_of(candidate)); }
                ranked_lengths[query] = min(atomicLoad(&lengths[query]), params.keep);
                atomicStore(&lengths[query], ranked_lengths[query]);
            }
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    storageBarrier();
    workgroupBarrier();
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.groups) { return; }
    let slab = number % params.slabs;
    let query_tile = number / params.slabs;
    first_query = query_tile * {{SIDE}}u;
    let slab_start = slab * params.slab_rows;
    slab_end = min(slab_start + params.slab_rows, params.rows);
    queues_place = number * {{SIDE}}u * {{CAPACITY}}u;
    if (thread < {{SIDE}}u) {
        atomicStore(&lengths[thread], 0u);
        ranked_lengths[thread] = 0u;
        if (first_query + thread < params.queries) {
            set_limit(thread, MOST);
        } else {
            // Queries that do not exist want nothing.
            query_units[thread] = 0.0;
            query_reaches[thread] = 0.0;
            query_starts[thread] = 3.0e38;
        }
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    workgroupBarrier();

    for (var row = slab_start; row < min(slab_start + params.slab_rows, params.rows); row += {{SIDE}}u) {
        let tile = products(thread, row / {{SIDE}}u, query_tile);
        let query = 4u * (thread % 16u);
        let first = row + 8u * (thread / 16u);
        offer_rows(query, first, tile.low0, tile.low1, tile.low2, tile.low3);
        offer_rows(query + {{SIDE}}u / 2u, first, tile.high0, tile.high1, tile.high2, tile.high3);
        offer_rows(query, first + 4u, tile.low4, tile.low5, tile.low6, tile.low7);
        offer_rows(query + {{SIDE}}u / 2u, first + 4u, tile.high4, tile.high5, tile.high6, tile.high7);
        workgroupBarrier();
        if (thread == 0u) {
            crowded = atomicLoad(&crowding);
        }
        if (workgroupUniformLoad(&crowded) != 0u) {
            cut_queues(thread);
        }
    }

    cut_queues(thread);
    for (var slot = thread; slot < {{SIDE}}u * params.keep; slot += {{THREADS}}u) {
        let query = slot / params.keep;
        let rank = slot % params.keep;
        if (first_query + query < params.queries) {
            let place = (first_query + query) * params.all_slabs + params.first_slab + slab;
            candidates[place * params.keep + rank] = queues[queues_place + query * {{CAPACITY}}u + rank];
        }
    }
}
