// Each query's k closest rows of a slab of the base. A workgroup takes TILE queries and streams the slab past them;
// every query has a queue in storage, cut back to its `keep` nearest when another tile might not fit.

@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read> found: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> queues: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> candidates: array<vec2<u32>>;

#include ranked
#include sort
#include tile

// Queues that are sorted together.
const TOGETHER = {{QUEUE}}u / {{CAPACITY}}u;

var<workgroup> lengths: array<atomic<u32>, {{TILE}}>;
// Candidates lie between a query's floor, the last that an earlier pass took, and its bound, the last worth keeping.
var<workgroup> floors: array<vec2<u32>, {{TILE}}>;
var<workgroup> bounds: array<vec2<u32>, {{TILE}}>;
var<workgroup> crowding: atomic<u32>;
var<workgroup> crowded: u32;

var<private> first_query: u32;
var<private> first_row: u32;
var<private> slab_end: u32;
var<private> queues_place: u32;

fn left_value(row: u32, column: u32) -> f32 {
    let query = first_query + row;
    if (query >= params.queries || column >= params.columns) { return 0.0; }
    return queries[(params.query_place + query) * params.columns + column];
}

fn right_value(row: u32, column: u32) -> f32 {
    let place = first_row + row;
    if (place >= slab_end || column >= params.columns) { return 0.0; }
    return base[place * params.columns + column];
}

fn offer(query: u32, distance: f32, row: u32) {
    if (row >= slab_end) { return; }
    let candidate = ranked(distance, params.base_number + row);
    if (before(candidate, bounds[query]) && before(floors[query], candidate)) {
        let slot = atomicAdd(&lengths[query], 1u);
        queues[queues_place + query * {{CAPACITY}}u + slot] = candidate;
        if (slot >= {{CAPACITY}}u - {{TILE}}u) {
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

// Sorts every queue and keeps its nearest. Begins and ends with a barrier.
fn cut_queues(thread: u32) {
    storageBarrier();
    workgroupBarrier();
    for (var first = 0u; first < {{TILE}}u; first += TOGETHER) {
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
            if (rank < params.keep) {
                queues[queues_place + query * {{CAPACITY}}u + rank] = queue[slot];
            }
            if (rank == params.keep - 1u) {
                bounds[query] = queue[slot];
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
    let number = group.y * groups.x + group.x;
    if (number >= params.groups) { return; }
    let slab = number % params.slabs;
    first_query = number / params.slabs * {{TILE}}u;
    first_row = params.first_row + slab * params.slab_rows;
    slab_end = min(first_row + params.slab_rows, params.first_row + params.rows);
    queues_place = number * {{TILE}}u * {{CAPACITY}}u;
    if (thread < {{TILE}}u) {
        atomicStore(&lengths[thread], 0u);
        bounds[thread] = NONE;
        floors[thread] = vec2<u32>(0u, 0u);
        let query = first_query + thread;
        if (params.taken > 0u && query < params.queries) {
            floors[thread] = found[(params.found_place + query) * params.k + params.taken - 1u];
        }
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    workgroupBarrier();

    let tiles = (params.slab_rows + {{TILE}}u - 1u) / {{TILE}}u;
    for (var tile_number = 0u; tile_number < tiles; tile_number++) {
        let tile = tile_distances(thread, params.columns);
        let query = 4u * (thread / 16u);
        let row = first_row + 4u * (thread % 16u);
        offer_row(query, tile.row0, row);
        offer_row(query + 1u, tile.row1, row);
        offer_row(query + 2u, tile.row2, row);
        offer_row(query + 3u, tile.row3, row);
        workgroupBarrier();
        if (thread == 0u) {
            crowded = atomicLoad(&crowding);
        }
        if (workgroupUniformLoad(&crowded) != 0u) {
            cut_queues(thread);
        }
        first_row += {{TILE}}u;
    }

    cut_queues(thread);
    for (var slot = thread; slot < {{TILE}}u * params.keep; slot += {{THREADS}}u) {
        let query = slot / params.keep;
        let rank = slot % params.keep;
        if (first_query + query < params.queries) {
            let place = (first_query + query) * params.all_slabs + params.first_slab + slab;
            candidates[place * params.keep + rank] = queues[queues_place + query * {{CAPACITY}}u + rank];
        }
    }
}
