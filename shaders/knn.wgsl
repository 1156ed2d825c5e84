// Each query's k closest rows of a slab of the base, by differences. A workgroup takes LEFT queries and streams the slab
// past them; every query has a queue in storage, cut back to its `keep` nearest when another tile might not fit. LISTED: of
// the queries that `knn_doubt` listed, in as many slabs as it planned. FEW: of few queries, by threads that share
// rows; WIDE: which they read four numbers at a time.

#if WIDE
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

@group(0) @binding(1) var<storage, read> queries: array<Element>;
@group(0) @binding(2) var<storage, read> base: array<Element>;
#if LISTED
@group(0) @binding(3) var<storage, read> listed: array<u32>;
#endif
@group(0) @binding(4) var<storage, read_write> queues: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> candidates: array<vec2<u32>>;

#include ranked
#include sort
#if FEW
#include few
#else
#include tile
#endif

#if LISTED
fn slab_count() -> u32 {
    return listed[7];
}

fn query_count() -> u32 {
    return listed[3];
}

fn query_number(query: u32) -> u32 {
    return listed[8u + query];
}

// Every stretch of the base has as many.
fn first_slab() -> u32 {
    return params.first_slab * listed[7];
}

fn all_slabs() -> u32 {
    return params.all_slabs * listed[7];
}
#else
fn slab_count() -> u32 {
    return params.slabs;
}

fn query_count() -> u32 {
    return params.queries;
}

fn query_number(query: u32) -> u32 {
    return query;
}

fn first_slab() -> u32 {
    return params.first_slab;
}

fn all_slabs() -> u32 {
    return params.all_slabs;
}
#endif

fn slab_size() -> u32 {
    return (params.rows + slab_count() - 1u) / slab_count();
}

var<workgroup> lengths: array<atomic<u32>, {{LEFT}}>;
// The last that is worth keeping.
var<workgroup> bounds: array<vec2<u32>, {{LEFT}}>;
var<workgroup> crowding: atomic<u32>;

var<private> first_query: u32;
var<private> first_row: u32;
var<private> slab_end: u32;
var<private> queues_place: u32;

#if FEW
fn left_element(row: u32, element: u32) -> Element {
    let query = min(first_query + row, query_count() - 1u);
    return queries[(params.query_place + query_number(query)) * params.columns + element];
}

fn right_element(row: u32, element: u32) -> Element {
    return base[min(row, slab_end - 1u) * params.columns + element];
}
#else
fn left_value(row: u32, column: u32) -> f32 {
    let query = first_query + row;
    if (query >= query_count() || column >= params.columns) { return 0.0; }
    return queries[(params.query_place + query_number(query)) * params.columns + column];
}

fn right_value(row: u32, column: u32) -> f32 {
    let place = first_row + row;
    if (place >= slab_end || column >= params.columns) { return 0.0; }
    return base[place * params.columns + column];
}
#endif

fn offer(query: u32, distance: f32, row: u32) {
    if (row >= slab_end) { return; }
    let candidate = ranked(distance, params.base_number + row);
    if (before(candidate, bounds[query])) {
        let slot = atomicAdd(&lengths[query], 1u);
        queues[queues_place + query * {{CAPACITY}}u + slot] = candidate;
        if (slot >= {{CAPACITY}}u - {{RIGHT}}u) {
            atomicStore(&crowding, 1u);
        }
    }
}

fn offer_row(query: u32, distances: vec4<f32>, row: u32) {
    offer(query, distances.x, row);
    offer(query, distances.y, row + 1u);
    offer(query, distances.z, row + 2u);
    offer(query, distances.w, row + 3u);
}

// Sorts the queues of the first `count` queries and keeps their nearest: as many together as have room at their length.
// Begins and ends with a barrier.
fn cut_queues(thread: u32, count: u32) {
    storageBarrier();
    workgroupBarrier();
    if (thread < count) {
        atomicMax(&crowding, atomicLoad(&lengths[thread]));
    }
    let longest = max(workgroupUniformLoad(&crowding), params.keep);
    let bits = 32u - countLeadingZeros(max(longest, 2u) - 1u);
    let width = 1u << bits;
    for (var first = 0u; first < count; first += {{QUEUE}}u >> bits) {
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + (slot >> bits);
            let rank = slot & (width - 1u);
            var candidate = NONE;
            if (query < count && rank < atomicLoad(&lengths[query])) {
                candidate = queues[queues_place + query * {{CAPACITY}}u + rank];
            }
            queue[slot] = candidate;
        }
        sort_blocks(thread, width);
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + (slot >> bits);
            let rank = slot & (width - 1u);
            if (query < count && rank < params.keep) {
                queues[queues_place + query * {{CAPACITY}}u + rank] = queue[slot];
                if (rank == params.keep - 1u) {
                    bounds[query] = queue[slot];
                    atomicMin(&lengths[query], params.keep);
                }
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
#if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
    let number = workgroup_number(group, groups);
    // Neighbouring workgroups take the same slab, which then comes from memory once.
    let across = max((query_count() + {{LEFT}}u - 1u) / {{LEFT}}u, 1u);
    let slab = number / across;
    let tile_query = number % across * {{LEFT}}u;
    if (slab >= slab_count() || tile_query >= query_count()) { return; }
    let count = min(query_count() - tile_query, {{LEFT}}u);
    first_query = tile_query;
    first_row = params.first_row + min(slab * slab_size(), params.rows);
    slab_end = min(first_row + slab_size(), params.first_row + params.rows);
    queues_place = number * {{LEFT}}u * {{CAPACITY}}u;
    if (thread < {{LEFT}}u) {
        atomicStore(&lengths[thread], 0u);
        // Queries that do not exist want nothing.
        bounds[thread] = select(vec2<u32>(), NONE, thread < count);
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    workgroupBarrier();

#if FEW
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
#endif
    let tiles = (slab_size() + {{RIGHT}}u - 1u) / {{RIGHT}}u;
    for (var tile_number = 0u; tile_number < tiles; tile_number++) {
#if FEW
        let row = first_row + 4u * here.row;
        let distances = few_distances(thread, here.lane, vec4<u32>(row, row + 1u, row + 2u, row + 3u), params.columns);
        offer_row(here.lane, distances, row);
#else
        let tile = tile_distances(thread, params.columns);
        let query = 4u * (thread / ACROSS);
        let row = first_row + 4u * (thread % ACROSS);
        offer_row(query, tile.row0, row);
        offer_row(query + 1u, tile.row1, row);
        offer_row(query + 2u, tile.row2, row);
        offer_row(query + 3u, tile.row3, row);
#endif
        if (workgroupUniformLoad(&crowding) != 0u && tile_number + 1u < tiles) {
            cut_queues(thread, count);
        }
        first_row += {{RIGHT}}u;
    }

    cut_queues(thread, count);
    for (var slot = thread; slot < count * params.keep; slot += {{THREADS}}u) {
        let query = slot / params.keep;
        let rank = slot % params.keep;
        let place = (first_query + query) * all_slabs() + first_slab() + slab;
        candidates[place * params.keep + rank] = queues[queues_place + query * {{CAPACITY}}u + rank];
    }
}
