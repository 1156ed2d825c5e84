// The nearest row on the right for each of a tile's rows on the left, over any number of tiles.

var<private> best_distance: vec4<f32>;
var<private> best_row: vec4<u32>;
var<workgroup> rivals: array<vec2<u32>, {{THREADS}}>;

fn argmin_open() {
    best_distance = vec4<f32>(3.4028234e38);
    best_row = vec4<u32>(0xffffffffu);
}

// Strictly nearer only: a thread meets right rows in ascending order, so the lower number wins among equals.
fn argmin_column(distance: vec4<f32>, row: u32) {
    let nearer = distance < best_distance;
    best_distance = select(best_distance, distance, nearer);
    best_row = select(best_row, vec4<u32>(row), nearer);
}

// Takes a tile whose right rows begin at `first`; those from `end` on do not exist.
fn argmin_take(thread: u32, tile: Tile, first: u32, end: u32) {
    let row = first + 4u * (thread % ACROSS);
    let columns = transpose(mat4x4<f32>(tile.row0, tile.row1, tile.row2, tile.row3));
    if (row < end) { argmin_column(columns[0], row); }
    if (row + 1u < end) { argmin_column(columns[1], row + 1u); }
    if (row + 2u < end) { argmin_column(columns[2], row + 2u); }
    if (row + 3u < end) { argmin_column(columns[3], row + 3u); }
}

// The nearest of left row 4 * (thread / ACROSS) + `part`, for threads divisible by ACROSS. Holds barriers.
fn argmin_close(thread: u32, distance: f32, row: u32) -> vec2<u32> {
    workgroupBarrier();
    rivals[thread] = select(ranked(distance, row), NONE, row == 0xffffffffu);
    workgroupBarrier();
    var nearest = NONE;
    if (thread % ACROSS == 0u) {
        for (var rival = 0u; rival < ACROSS; rival++) {
            let other = rivals[thread + rival];
            if (before(other, nearest)) {
                nearest = other;
            }
        }
    }
    return nearest;
}
