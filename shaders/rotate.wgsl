// Rows times a matrix, plus a bias: SIDE rows and as many numbers of each a workgroup. FEW: two rows, an invocation a number.
// A number is one chain of sums over the columns in order, however many rows there are.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
#if FEW
@group(0) @binding(2) var<storage, read> packed: array<f32>;
#else
@group(0) @binding(2) var<storage, read> packed: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> rotated: array<f32>;

#if FEW
// Where a row's columns from `first` on lie; past the last, where the matrix is zero, its first column.
fn places_of(row: u32, first: u32) -> vec4<u32> {
    let column = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    return vec4<u32>(row) + select(vec4<u32>(), column, column < vec4<u32>(params.columns));
}

// Four numbers of a row.
fn values_at(places: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(rows[places.x], rows[places.y], rows[places.z], rows[places.w]);
}

// Four numbers of a row of the matrix.
fn line_at(place: u32) -> vec4<f32> {
    return vec4<f32>(
        packed[place],
        packed[place + {{SIDE}}u],
        packed[place + 2u * {{SIDE}}u],
        packed[place + 3u * {{SIDE}}u],
    );
}

// The sum and four terms more.
fn with_terms(sum: f32, values: vec4<f32>, line: vec4<f32>) -> f32 {
    return fma(values.w, line.w, fma(values.z, line.z, fma(values.y, line.y, fma(values.x, line.x, sum))));
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    let row = number / params.tiles * ({{THREADS}}u / {{SIDE}}u) + thread / {{SIDE}}u;
    let tile = number % params.tiles;
    let lane = thread % {{SIDE}}u;
    let column = (params.first_tile + tile) * {{SIDE}}u + lane;
    if (row >= params.rows || column >= params.rotated_columns) { return; }
    let depth = (params.columns + {{DEPTH}}u - 1u) / {{DEPTH}}u * {{DEPTH}}u;
    let values = (params.row_place + row) * params.columns;
    var line = (params.tile_place + tile) * depth * {{SIDE}}u + lane;
    var sum = 0.0;
    for (var first = 0u; first < depth; first += 8u) {
        let low = values_at(places_of(values, first));
        let high = values_at(places_of(values, first + 4u));
        let line_low = line_at(line);
        let line_high = line_at(line + 4u * {{SIDE}}u);
        sum = with_terms(with_terms(sum, low, line_low), high, line_high);
        line += 8u * {{SIDE}}u;
    }
    let place = (params.rotated_place + row) * params.rotated_columns + column;
    rotated[place] = sum + bias[(params.bias_place + tile) * {{SIDE}}u + lane];
}
#else
fn left_value(place: u32) -> f32 {
    return rows[place];
}

#include products

// Writes four numbers of a row down, as far as there are.
fn write(row: u32, tile: u32, lane: u32, sums: vec4<f32>) {
    if (row >= params.rows) { return; }
    let column = (params.first_tile + tile) * {{SIDE}}u + lane;
    let place = (params.rotated_place + row) * params.rotated_columns + column;
    for (var i = 0u; i < 4u; i++) {
        if (column + i < params.rotated_columns) {
            rotated[place + i] = sums[i] + bias[(params.bias_place + tile) * {{SIDE}}u + lane + i];
        }
    }
}

fn write_row(row: u32, tile: u32, lane: u32, low: vec4<f32>, high: vec4<f32>) {
    write(row, tile, lane, low);
    write(row, tile, lane + {{SIDE}}u / 2u, high);
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    // Neighbours have the same rows.
    let first_row = number / params.tiles * {{SIDE}}u;
    let tile = number % params.tiles;
    if (first_row >= params.rows) { return; }
    let places = left_places(thread, params.row_place + first_row, params.row_place + params.rows);
    let found = products(thread, places, params.tile_place + tile);
    let row = first_row + 8u * (thread / 16u);
    let lane = 4u * (thread % 16u);
    write_row(row, tile, lane, found.low0, found.high0);
    write_row(row + 1u, tile, lane, found.low1, found.high1);
    write_row(row + 2u, tile, lane, found.low2, found.high2);
    write_row(row + 3u, tile, lane, found.low3, found.high3);
    write_row(row + 4u, tile, lane, found.low4, found.high4);
    write_row(row + 5u, tile, lane, found.low5, found.high5);
    write_row(row + 6u, tile, lane, found.low6, found.high6);
    write_row(row + 7u, tile, lane, found.low7, found.high7);
}
#endif
