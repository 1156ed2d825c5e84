// What may be among each query's k closest rows, for a k that no queue has room for: every row of a stretch of the base
// before the query's bound, by differences, goes on the query's list, in any order. FEW and WIDE: as in `knn`.

#if WIDE
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

@group(0) @binding(1) var<storage, read> queries: array<Element>;
@group(0) @binding(2) var<storage, read> base: array<Element>;
@group(0) @binding(4) var<storage, read_write> listed: array<vec2<u32>>;

#include ranked
#include bound
#if FEW
#include few
#else
#include tile
#endif

var<workgroup> lasts: array<vec2<u32>, {{LEFT}}>;
// What a tile has for each query, and where on its list that begins.
var<workgroup> offered: array<atomic<u32>, {{LEFT}}>;
var<workgroup> starts: array<u32, {{LEFT}}>;

var<private> first_query: u32;
var<private> first_row: u32;
var<private> slab_end: u32;

#if FEW
fn left_element(row: u32, element: u32) -> Element {
    let query = min(first_query + row, params.queries - 1u);
    return queries[(params.query_place + query) * params.columns + element];
}

fn right_element(row: u32, element: u32) -> Element {
    return base[min(row, slab_end - 1u) * params.columns + element];
}
#else
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
#endif

fn candidate_at(distance: f32, row: u32) -> vec2<u32> {
    return ranked(distance, params.base_number + row);
}

fn is_within(query: u32, distance: f32, row: u32) -> bool {
    return row < slab_end && before(candidate_at(distance, row), lasts[query]);
}

// Which of four rows are wanted, by bits.
fn wanted_of(query: u32, distances: vec4<f32>, row: u32) -> u32 {
    if (first_query + query >= params.queries) { return 0u; }
    return select(0u, 1u, is_within(query, distances.x, row))
        | select(0u, 2u, is_within(query, distances.y, row + 1u))
        | select(0u, 4u, is_within(query, distances.z, row + 2u))
        | select(0u, 8u, is_within(query, distances.w, row + 3u));
}

fn slot_of(query: u32, wanted: u32) -> u32 {
    if (wanted == 0u) { return 0u; }
    return atomicAdd(&offered[query], countOneBits(wanted));
}

fn list(query: u32, distances: vec4<f32>, row: u32, wanted: u32, slot: u32) {
    if (wanted == 0u) { return; }
    var place = (first_query + query) * params.room + starts[query] + slot;
    for (var i = 0u; i < 4u; i++) {
        if (((wanted >> i) & 1u) != 0u) {
            listed[place] = candidate_at(distances[i], row + i);
            place += 1u;
        }
    }
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
    let across = (params.queries + {{LEFT}}u - 1u) / {{LEFT}}u;
    let slab = number / across;
    let tile_query = number % across * {{LEFT}}u;
    if (slab >= params.slabs) { return; }
    first_query = tile_query;
    let slab_rows = (params.rows + params.slabs - 1u) / params.slabs;
    first_row = params.first_row + min(slab * slab_rows, params.rows);
    slab_end = min(first_row + slab_rows, params.first_row + params.rows);
    if (thread < {{LEFT}}u) {
        atomicStore(&offered[thread], 0u);
        lasts[thread] = NONE;
        if (params.seen > 0u && first_query + thread < params.queries) {
            lasts[thread] = bounds[first_query + thread].last;
        }
    }
    workgroupBarrier();

#if FEW
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
#else
    let query = 4u * (thread / ACROSS);
#endif
    let tiles = (slab_rows + {{RIGHT}}u - 1u) / {{RIGHT}}u;
    for (var tile_number = 0u; tile_number < tiles; tile_number++) {
#if FEW
        let row = first_row + 4u * here.row;
        let distances = few_distances(thread, here.lane, vec4<u32>(row, row + 1u, row + 2u, row + 3u), params.columns);
        let wanted = wanted_of(here.lane, distances, row);
        let slot = slot_of(here.lane, wanted);
#else
        let tile = tile_distances(thread, params.columns);
        let row = first_row + 4u * (thread % ACROSS);
        let wanted = vec4<u32>(
            wanted_of(query, tile.row0, row),
            wanted_of(query + 1u, tile.row1, row),
            wanted_of(query + 2u, tile.row2, row),
            wanted_of(query + 3u, tile.row3, row),
        );
        let slots = vec4<u32>(
            slot_of(query, wanted.x),
            slot_of(query + 1u, wanted.y),
            slot_of(query + 2u, wanted.z),
            slot_of(query + 3u, wanted.w),
        );
#endif
        workgroupBarrier();
        if (thread < {{LEFT}}u) {
            let count = atomicExchange(&offered[thread], 0u);
            if (count > 0u) {
                starts[thread] = atomicAdd(&bounds[first_query + thread].offered[params.turn], count);
            }
        }
        workgroupBarrier();
#if FEW
        list(here.lane, distances, row, wanted, slot);
#else
        list(query, tile.row0, row, wanted.x, slots.x);
        list(query + 1u, tile.row1, row, wanted.y, slots.y);
        list(query + 2u, tile.row2, row, wanted.z, slots.z);
        list(query + 3u, tile.row3, row, wanted.w, slots.w);
#endif
        first_row += {{RIGHT}}u;
    }
}
