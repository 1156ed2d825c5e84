// Each row's closest centroid by differences. A workgroup takes LEFT rows and streams the centroids past them. LISTED: of
// the rows that products or matrices were in doubt of.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> centroids: array<f32>;
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> distances: array<f32>;
#if LISTED
@group(0) @binding(5) var<storage, read> listed: array<u32>;

fn row_count() -> u32 {
    return listed[3];
}

fn row_number(row: u32) -> u32 {
    return listed[8u + row];
}
#else
fn row_count() -> u32 {
    return params.rows;
}

fn row_number(row: u32) -> u32 {
    return row;
}
#endif

#include ranked
#include tile
#include argmin

var<private> first_row: u32;
var<private> first_centroid: u32;

fn left_value(row: u32, column: u32) -> f32 {
    let place = first_row + row;
    if (place >= row_count() || column >= params.columns) { return 0.0; }
    return rows[(params.row_place + row_number(place)) * params.columns + column];
}

fn right_value(row: u32, column: u32) -> f32 {
    let place = first_centroid + row;
    if (place >= params.centroids || column >= params.columns) { return 0.0; }
    return centroids[(params.centroid_place + place) * params.columns + column];
}

fn write(row: u32, nearest: vec2<u32>) {
    if (row >= row_count()) { return; }
    let place = params.output_place + row_number(row);
    let found = vec2<u32>(params.centroid_number + nearest.x, nearest.y);
    // Centroids in several buffers come one after the other, in ascending order.
    if (params.centroid_number == 0u || before(found, ranked(distances[place], labels[place]))) {
        labels[place] = found.x;
        distances[place] = distance_of(found);
    }
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // What decides about barriers must be seen to be uniform, which private variables are not.
    let number = workgroup_number(group, groups);
    if (number * {{LEFT}}u >= row_count()) { return; }
    first_row = number * {{LEFT}}u;
    argmin_open();
    for (var first = 0u; first < params.centroids; first += {{RIGHT}}u) {
        first_centroid = first;
        let tile = tile_distances(thread, params.columns);
        argmin_take(thread, tile, first, params.centroids);
    }
    let row = first_row + 4u * (thread / ACROSS);
    let nearest0 = argmin_close(thread, best_distance.x, best_row.x);
    let nearest1 = argmin_close(thread, best_distance.y, best_row.y);
    let nearest2 = argmin_close(thread, best_distance.z, best_row.z);
    let nearest3 = argmin_close(thread, best_distance.w, best_row.w);
    if (thread % ACROSS == 0u) {
        write(row, nearest0);
        write(row + 1u, nearest1);
        write(row + 2u, nearest2);
        write(row + 3u, nearest3);
    }
}
