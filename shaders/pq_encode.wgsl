// Product-quantizer codes: `assign` finds each subvector's closest centroid, `pack` puts a row's codes in words. LABELS:
// centroids are numbered over all sub-quantizers, and the distance to them is told.

#if ASSIGN
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
#if LABELS
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> distances: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> subcodes: array<u32>;
#endif
#if RESIDUAL
@group(0) @binding(4) var<storage, read> centroids: array<f32>;
@group(0) @binding(5) var<storage, read> labels: array<u32>;
#endif

#include ranked
#include tile
#include argmin

var<private> first_row: u32;
var<private> first_code: u32;
var<private> sub: u32;

fn left_value(row: u32, column: u32) -> f32 {
    let place = first_row + row;
    if (place >= params.rows || column >= params.dsub) { return 0.0; }
    let dimension = sub * params.dsub + column;
    let value = rows[(params.row_place + place) * params.columns + dimension];
#if RESIDUAL
    let label = min(labels[params.label_place + place], params.last_label);
    return value - centroids[label * params.columns + dimension];
#else
    return value;
#endif
}

fn right_value(row: u32, column: u32) -> f32 {
    let code = first_code + row;
    if (code >= params.ksub || column >= params.dsub) { return 0.0; }
    return codebook[(sub * params.ksub + code) * params.dsub + column];
}

fn write(row: u32, nearest: vec2<u32>) {
    if (row < params.rows) {
#if LABELS
        let place = (params.label_place + row) * params.m + sub;
        labels[place] = sub * params.ksub + nearest.x;
        distances[place] = distance_of(nearest);
#else
        subcodes[row * params.m + sub] = nearest.x;
#endif
    }
}

@compute @workgroup_size({{THREADS}})
fn assign(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    // What decides about barriers must be seen to be uniform, which private variables are not.
    if (number / params.m * {{LEFT}}u >= params.rows) { return; }
    sub = number % params.m;
    first_row = number / params.m * {{LEFT}}u;
    argmin_open();
    for (var first = 0u; first < params.ksub; first += {{RIGHT}}u) {
        first_code = first;
        let tile = tile_distances(thread, params.dsub);
        argmin_take(thread, tile, first, params.ksub);
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
#else
@group(0) @binding(1) var<storage, read> subcodes: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;

@compute @workgroup_size({{THREADS}})
fn pack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.rows * params.words) { return; }
    let row = number / params.words;
    let first_bit = number % params.words * 32u;
    var packed = 0u;
    // The codes that reach into this word: the first may have begun in the word before.
    for (var sub = first_bit / params.nbits; sub < params.m && sub * params.nbits < first_bit + 32u; sub++) {
        let code = subcodes[row * params.m + sub];
        let bit = sub * params.nbits;
        if (bit >= first_bit) {
            packed |= code << (bit - first_bit);
        } else {
            packed |= code >> (first_bit - bit);
        }
    }
    codes[params.code_place * params.words + number] = packed;
}
#endif
