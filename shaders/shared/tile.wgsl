// Distances of LEFT rows on the left to RIGHT rows on the right, 4 x 4 of them a thread, {{STEP}} columns at a time through
// workgroup memory. The includer defines left_value(row, column) and right_value(row, column), zero outside.
// Rows lie transposed, four to a vec4, a step's vectors padded by one against bank conflicts.

#include accumulate

struct Tile {
    row0: vec4<f32>,
    row1: vec4<f32>,
    row2: vec4<f32>,
    row3: vec4<f32>,
}

// Threads across a tile: they share four rows on the left.
const ACROSS = {{RIGHT}}u / 4u;

const LEFT_PITCH = {{LEFT}}u / 4u + 1u;
const RIGHT_PITCH = {{RIGHT}}u / 4u + 1u;

// What a step loads, four rows of a column at a time, in rounds of a part a thread.
const LEFT_PARTS = {{LEFT}}u / 4u * {{STEP}}u;
const RIGHT_PARTS = {{RIGHT}}u / 4u * {{STEP}}u;
const LEFT_ROUNDS = (LEFT_PARTS + {{THREADS}}u - 1u) / {{THREADS}}u;
const RIGHT_ROUNDS = (RIGHT_PARTS + {{THREADS}}u - 1u) / {{THREADS}}u;

var<workgroup> left: array<vec4<f32>, {{STEP}} * ({{LEFT}} / 4 + 1)>;
var<workgroup> right: array<vec4<f32>, {{STEP}} * ({{RIGHT}} / 4 + 1)>;

fn load_left(part: u32, first: u32) {
    let column = first + part % {{STEP}}u;
    let row = 4u * (part / {{STEP}}u);
    left[part % {{STEP}}u * LEFT_PITCH + part / {{STEP}}u] = vec4<f32>(
        left_value(row, column),
        left_value(row + 1u, column),
        left_value(row + 2u, column),
        left_value(row + 3u, column),
    );
}

fn load_right(part: u32, first: u32) {
    let column = first + part % {{STEP}}u;
    let row = 4u * (part / {{STEP}}u);
    right[part % {{STEP}}u * RIGHT_PITCH + part / {{STEP}}u] = vec4<f32>(
        right_value(row, column),
        right_value(row + 1u, column),
        right_value(row + 2u, column),
        right_value(row + 3u, column),
    );
}

// Thread (x, y), ACROSS of them in a row, gets rows 4y.. of the left against rows 4x.. of the right. Holds barriers.
fn tile_distances(thread: u32, columns: u32) -> Tile {
    let x = thread % ACROSS;
    let y = thread / ACROSS;
    var tile: Tile;
    for (var first = 0u; first < columns; first += {{STEP}}u) {
        for (var round = 0u; round < LEFT_ROUNDS; round++) {
            let part = round * {{THREADS}}u + thread;
            if (part < LEFT_PARTS) { load_left(part, first); }
        }
        for (var round = 0u; round < RIGHT_ROUNDS; round++) {
            let part = round * {{THREADS}}u + thread;
            if (part < RIGHT_PARTS) { load_right(part, first); }
        }
        workgroupBarrier();
        for (var k = 0u; k < {{STEP}}u; k++) {
            let a = left[k * LEFT_PITCH + y];
            let b = right[k * RIGHT_PITCH + x];
            tile.row0 = accumulate(tile.row0, a.x, b);
            tile.row1 = accumulate(tile.row1, a.y, b);
            tile.row2 = accumulate(tile.row2, a.z, b);
            tile.row3 = accumulate(tile.row3, a.w, b);
        }
        workgroupBarrier();
    }
    return tile;
}
