// Each query's rows of a slab of the base that may be closest, by half the squared norm of a row less its product with
// the query, both less a centre: one operation a term where a squared difference takes two. (Inner products are minus
// the product as it is.) A workgroup takes SIDE packed queries and streams the slab past them; every query has a queue in
// storage, cut back to its `keep` nearest when another tile might not fit. LIMITED: what is further away than the last of
// those kept before is never queued. SAMPLE: of each tile, one of so many in the base, only the nearest row's distance is
// kept, for such a limit. ALL: every row is a candidate, and nothing is queued.

@group(0) @binding(1) var<storage, read> base: array<f32>;
@group(0) @binding(2) var<storage, read> packed: array<vec4<f32>>;
#if QUEUED
@group(0) @binding(3) var<storage, read_write> queues: array<vec2<u32>>;
#endif
@group(0) @binding(4) var<storage, read_write> candidates: array<vec2<u32>>;
#if L2
@group(0) @binding(5) var<storage, read> centre: array<f32>;
@group(0) @binding(6) var<storage, read> halves: array<vec4<f32>>;
#endif
#if LIMITED
@group(0) @binding(7) var<storage, read> kept: array<vec2<u32>>;
#endif

fn left_value(place: u32) -> f32 {
    return base[place];
}

#include ranked
#include products

// Of eight rows to four queries.
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

// Half the squared norms of eight rows, four each.
fn halves_of(row: u32) -> array<vec4<f32>, 2> {
#if L2
    return array(halves[row / 4u], halves[row / 4u + 1u]);
#else
    return array(vec4<f32>(), vec4<f32>());
#endif
}

// Distances to the thread's four queries, and to the four that are SIDE / 2 further on: one after the other, for which
// there are registers.
fn low_distances(tile: Products, row: u32) -> Column {
    let half = halves_of(row);
    return Column(half[0].x - tile.low0, half[0].y - tile.low1, half[0].z - tile.low2, half[0].w - tile.low3,
        half[1].x - tile.low4, half[1].y - tile.low5, half[1].z - tile.low6, half[1].w - tile.low7);
}

fn high_distances(tile: Products, row: u32) -> Column {
    let half = halves_of(row);
    return Column(half[0].x - tile.high0, half[0].y - tile.high1, half[0].z - tile.high2, half[0].w - tile.high3,
        half[1].x - tile.high4, half[1].y - tile.high5, half[1].z - tile.high6, half[1].w - tile.high7);
}

fn least_of(column: Column) -> vec4<f32> {
    let upper = min(min(column.row0, column.row1), min(column.row2, column.row3));
    return min(upper, min(min(column.row4, column.row5), min(column.row6, column.row7)));
}

// Where the candidates of a query's slab begin.
fn candidate_place(query: u32, slab: u32) -> u32 {
    return (query * params.all_slabs + params.first_slab + slab) * params.room;
}

#if QUEUED
#include queues

fn limits_at(first: u32) -> vec4<f32> {
    return vec4<f32>(limits[first], limits[first + 1u], limits[first + 2u], limits[first + 3u]);
}

// Offers a row to four queries.
fn offer_row(query: u32, distances: vec4<f32>, limits: vec4<f32>, row: u32) {
    if (row < params.rows && any(distances < limits)) {
        offer(query, distances.x, limits.x, row);
        offer(query + 1u, distances.y, limits.y, row);
        offer(query + 2u, distances.z, limits.z, row);
        offer(query + 3u, distances.w, limits.w, row);
    }
}

// Offers eight rows to four queries, if one of them is near enough. Limits get no lower before the queues are cut.
fn offer_column(query: u32, column: Column, row: u32) {
    let limits = limits_at(query);
    if (any(least_of(column) < limits)) {
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

fn offer_tile(tile: Products, query: u32, row: u32) {
    offer_column(query, low_distances(tile, row), row);
    offer_column(query + {{SIDE}}u / 2u, high_distances(tile, row), row);
}

#else
#if SAMPLE
// Writes down how far each query's nearest row of the tile is. Ends with a barrier.
fn keep_nearest(thread: u32, tile: Products, row: u32, first_query: u32, slab: u32) {
    let place = thread / 16u * ({{SIDE}}u / 4u) + thread % 16u;
    sides[place] = least_of(low_distances(tile, row));
    sides[place + {{SIDE}}u / 8u] = least_of(high_distances(tile, row));
    workgroupBarrier();
    if (thread < {{SIDE}}u && first_query + thread < params.queries) {
        var least = MOST;
        for (var y = 0u; y < 16u; y++) {
            least = min(least, sides[y * ({{SIDE}}u / 4u) + thread / 4u][thread % 4u]);
        }
        // What is no number is as far away as can be.
        candidates[candidate_place(first_query + thread, slab)] = ranked(select(MOST, least, least < MOST), slab);
    }
    workgroupBarrier();
}
#else
// There is room for whole tiles: 64 branches are more than some drivers compile in minutes.
fn keep(query: u32, distance: f32, row: u32) {
    let candidate = ranked(distance, params.base_number + row);
    candidates[candidate_place(query, row)] = select(NONE, candidate, row < params.rows);
}

fn keep_row(query: u32, distances: vec4<f32>, row: u32) {
    keep(query, distances.x, row);
    keep(query + 1u, distances.y, row);
    keep(query + 2u, distances.z, row);
    keep(query + 3u, distances.w, row);
}

fn keep_column(query: u32, column: Column, row: u32) {
    keep_row(query, column.row0, row);
    keep_row(query, column.row1, row + 1u);
    keep_row(query, column.row2, row + 2u);
    keep_row(query, column.row3, row + 3u);
    keep_row(query, column.row4, row + 4u);
    keep_row(query, column.row5, row + 5u);
    keep_row(query, column.row6, row + 6u);
    keep_row(query, column.row7, row + 7u);
}

fn keep_all(tile: Products, query: u32, row: u32) {
    keep_column(query, low_distances(tile, row), row);
    keep_column(query + {{SIDE}}u / 2u, high_distances(tile, row), row);
}
#endif
#endif

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
    let slab_end = min(slab_start + params.slab_rows, params.scanned);
#if QUEUED
    queues_place = number * {{SIDE}}u * {{CAPACITY}}u;
    open_queues(thread, first_query);
#endif

    for (var place = slab_start; place < slab_end; place += {{SIDE}}u) {
        let row = place * params.spread;
        let tile = products(thread, left_places(thread, row, params.rows), query_tile);
        let own = row + 8u * (thread / 16u);
#if QUEUED
        offer_tile(tile, 4u * (thread % 16u), own);
        if (is_crowded()) {
            cut_queues(thread, params.keep);
        }
#else
#if SAMPLE
        keep_nearest(thread, tile, own, first_query, slab);
#else
        keep_all(tile, first_query + 4u * (thread % 16u), own);
#endif
#endif
    }

#if QUEUED
    write_queues(thread, first_query, slab);
#endif
}
