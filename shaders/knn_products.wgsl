// Each query's rows of a slab of the base that may be closest, by half the squared norm of a row less its product with
// the query, both less a centre: one operation a term where a squared difference takes two. (Inner products are minus
// the product as it is.) A workgroup takes SIDE packed queries and streams the slab past them; every query has a queue in
// storage, cut back to its `keep` nearest when another tile might not fit.

@group(0) @binding(1) var<storage, read> base: array<f32>;
@group(0) @binding(2) var<storage, read> packed: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> queues: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> candidates: array<vec2<u32>>;
#if L2
@group(0) @binding(5) var<storage, read> centre: array<f32>;
@group(0) @binding(6) var<storage, read> halves: array<vec4<f32>>;
#endif

fn left_value(place: u32) -> f32 {
    return base[place];
}

#include ranked
#include sort
#include products

// Queues that are sorted together.
const TOGETHER = {{QUEUE}}u / {{CAPACITY}}u;

var<workgroup> lengths: array<atomic<u32>, {{SIDE}}>;
// What a row must be nearer than to be among a query's nearest.
var<workgroup> limits: array<f32, {{SIDE}}>;
var<workgroup> crowding: atomic<u32>;
var<workgroup> crowded: u32;

var<private> queues_place: u32;
var<private> slab_end: u32;

fn limits_at(first: u32) -> vec4<f32> {
    return vec4<f32>(limits[first], limits[first + 1u], limits[first + 2u], limits[first + 3u]);
}

fn offer(query: u32, distance: f32, limit: f32, row: u32) {
    if (distance < limit) {
        let slot = atomicAdd(&lengths[query], 1u);
        queues[queues_place + query * {{CAPACITY}}u + slot] = ranked(distance, params.base_number + row);
        if (slot >= {{CAPACITY}}u - {{SIDE}}u) {
            atomicStore(&crowding, 1u);
        }
    }
}

// Offers a row to four queries.
fn offer_row(query: u32, distances: vec4<f32>, limits: vec4<f32>, row: u32) {
    if (row < slab_end && any(distances < limits)) {
        offer(query, distances.x, limits.x, row);
        offer(query + 1u, distances.y, limits.y, row);
        offer(query + 2u, distances.z, limits.z, row);
        offer(query + 3u, distances.w, limits.w, row);
    }
}

struct Column {
    row0: vec4<f32>,
    row1: vec4<f32>,
    row2: vec4<f32>,
    row3: vec4<f32>,
    row4: vec4<f32>,
    row5: vec4<f32>,
    row6: vec4<f32>,
    row7: vec4<f32>,
}

// Offers eight rows to four queries, if one of them is near enough. Limits get no lower before the queues are cut.
fn offer_column(query: u32, column: Column, row: u32) {
    let limits = limits_at(query);
    let upper = min(min(column.row0, column.row1), min(column.row2, column.row3));
    let lower = min(min(column.row4, column.row5), min(column.row6, column.row7));
    if (any(min(upper, lower) < limits)) {
        offer_row(query, column.row0, limits, row);
        offer_row(query, column.row1, limits, row + 1u);
        offer_row(query, column.row2, limits, row + 2u);
        offer_row(query, column.row3, limits, row + 3u);
        offer_row(query, column.row4, limits, row + 4u);
        offer_row(query, column.row5, limits, row + 5u);
        offer_row(query, column.row6, limits, row + 6u);
        offer_row(query, column.row7, limits, row + 7u);
    }
}

fn offer_tile(thread: u32, tile: Products, first_row: u32) {
    let query = 4u * (thread % 16u);
    let row = first_row + 8u * (thread / 16u);
#if L2
    let a = halves[row / 4u];
    let b = halves[row / 4u + 1u];
#else
    let a = vec4<f32>();
    let b = vec4<f32>();
#endif
    let low = Column(a.x - tile.low0, a.y - tile.low1, a.z - tile.low2, a.w - tile.low3,
        b.x - tile.low4, b.y - tile.low5, b.z - tile.low6, b.w - tile.low7);
    offer_column(query, low, row);
    let high = Column(a.x - tile.high0, a.y - tile.high1, a.z - tile.high2, a.w - tile.high3,
        b.x - tile.high4, b.y - tile.high5, b.z - tile.high6, b.w - tile.high7);
    offer_column(query + {{SIDE}}u / 2u, high, row);
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
                if (!is_none(candidate)) { limits[query] = distance_of(candidate); }
                atomicMin(&lengths[query], params.keep);
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
    let first_query = query_tile * {{SIDE}}u;
    let slab_start = slab * params.slab_rows;
    slab_end = min(slab_start + params.slab_rows, params.rows);
    queues_place = number * {{SIDE}}u * {{CAPACITY}}u;
    if (thread < {{SIDE}}u) {
        atomicStore(&lengths[thread], 0u);
        // Queries that do not exist want nothing.
        limits[thread] = select(-MOST, MOST, first_query + thread < params.queries);
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    workgroupBarrier();

    for (var row = slab_start; row < min(slab_start + params.slab_rows, params.rows); row += {{SIDE}}u) {
        let tile = products(thread, left_places(thread, row, params.rows), query_tile);
        offer_tile(thread, tile, row);
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
