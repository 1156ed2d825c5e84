// Each row's closest centroid by half the squared norm of a centroid less its product with the row, both less a centre:
// one operation a term where a squared difference takes two. (Inner products are minus the product as it is.) A
// workgroup takes SIDE rows and streams the packed centroids past them. Rows between whose two closest centroids
// rounding may decide are listed as doubtful and left to differences.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> packed: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> centroids: array<f32>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> distances: array<f32>;
#if L2
@group(0) @binding(7) var<storage, read> centre: array<f32>;
@group(0) @binding(8) var<storage, read> reach: f32;
#endif

fn left_value(place: u32) -> f32 {
    return rows[place];
}

#include ranked
#include products
#include listed
#include doubt

// Of left rows 8y.. and 8y + 4..: what the thread's own centroids have come to.
var<private> best_low: vec4<f32>;
var<private> best_high: vec4<f32>;
var<private> second_low: vec4<f32>;
var<private> second_high: vec4<f32>;
var<private> number_low: vec4<u32>;
var<private> number_high: vec4<u32>;

// Of each row, when all centroids have passed.
var<workgroup> bests: array<f32, {{SIDE}}>;
var<workgroup> seconds: array<f32, {{SIDE}}>;
var<workgroup> winners: array<u32, {{SIDE}}>;
var<workgroup> numbers: array<u32, {{SIDE}}>;

// Strictly nearer only: a thread meets centroids in ascending order, so the lower number wins among equals.
fn take_low(distance: vec4<f32>, number: u32) {
    number_low = select(number_low, vec4<u32>(number), distance < best_low);
    second_low = min(second_low, max(best_low, distance));
    best_low = min(best_low, distance);
}

fn take_high(distance: vec4<f32>, number: u32) {
    number_high = select(number_high, vec4<u32>(number), distance < best_high);
    second_high = min(second_high, max(best_high, distance));
    best_high = min(best_high, distance);
}

fn take(tile: Products, halves_low: vec4<f32>, halves_high: vec4<f32>, number: u32) {
    let a = transpose(mat4x4<f32>(tile.low0, tile.low1, tile.low2, tile.low3));
    let b = transpose(mat4x4<f32>(tile.low4, tile.low5, tile.low6, tile.low7));
    let c = transpose(mat4x4<f32>(tile.high0, tile.high1, tile.high2, tile.high3));
    let d = transpose(mat4x4<f32>(tile.high4, tile.high5, tile.high6, tile.high7));
    for (var i = 0u; i < 4u; i++) {
        take_low(vec4<f32>(halves_low[i]) - a[i], number + i);
        take_high(vec4<f32>(halves_low[i]) - b[i], number + i);
    }
    for (var i = 0u; i < 4u; i++) {
        take_low(vec4<f32>(halves_high[i]) - c[i], number + {{SIDE}}u / 2u + i);
        take_high(vec4<f32>(halves_high[i]) - d[i], number + {{SIDE}}u / 2u + i);
    }
}

// Brings together what the 16 threads of each row found. Begins and ends with a barrier.
fn gather_rows(thread: u32) {
    let x = thread % 16u;
    let y = thread / 16u;
    // Thread `row` looks after a row's 16 numbers, a vec4 of which has those of four rows.
    let mine = x * ({{SIDE}}u / 4u) + 2u * y;
    let quad = thread / 4u;
    sides[mine] = best_low;
    sides[mine + 1u] = best_high;
    workgroupBarrier();
    var best = MOST;
    var second = MOST;
    var winner = 0u;
    if (thread < {{SIDE}}u) {
        for (var other = 0u; other < 16u; other++) {
            let distance = sides[other * ({{SIDE}}u / 4u) + quad][thread % 4u];
            winner = select(winner, other, distance < best);
            second = min(second, max(best, distance));
            best = min(best, distance);
        }
    }
    workgroupBarrier();
    sides[mine] = second_low;
    sides[mine + 1u] = second_high;
    workgroupBarrier();
    if (thread < {{SIDE}}u) {
        bests[thread] = best;
        seconds[thread] = min(second, sides[winner * ({{SIDE}}u / 4u) + quad][thread % 4u]);
        winners[thread] = winner;
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
        if (winners[8u * y + i] == x) { numbers[8u * y + i] = number_low[i]; }
        if (winners[8u * y + 4u + i] == x) { numbers[8u * y + 4u + i] = number_high[i]; }
    }
    workgroupBarrier();
}

// Whether the closest centroid would be the same by differences, whose error is `columns` roundings of a distance.
fn is_certain(row: u32, norm: f32) -> bool {
    let gap = seconds[row] - bests[row];
#if L2
    if (!is_moderate(norm, reach)) { return false; }
    let distance = max(2.0 * bests[row] + norm * norm, 0.0);
    return gap > 2.0 * product_error(norm, reach) + 1.02 * UNIT * (f32(params.columns) + 8.0) * distance;
#else
    return gap > 0.0;
#endif
}

fn keep_share(place: u32, share: vec4<f32>) {
    sides[place] = share;
}

fn share_at(place: u32) -> vec4<f32> {
    return sides[place];
}

#include winners

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_row = workgroup_number(group, groups) * {{SIDE}}u;
    if (first_row >= params.rows) { return; }
    best_low = vec4<f32>(MOST);
    best_high = best_low;
    second_low = best_low;
    second_high = best_low;
    let places = left_places(thread, params.row_place + first_row, params.row_place + params.rows);
    for (var tile = 0u; tile < params.tiles; tile++) {
        let found = products(thread, places, tile);
        let halves = params.halves_place + tile * ({{SIDE}}u / 4u) + thread % 16u;
        take(found, packed[halves], packed[halves + {{SIDE}}u / 8u], tile * {{SIDE}}u + 4u * (thread % 16u));
    }
    gather_rows(thread);
    settle_rows(thread, first_row, 0u);
    settle_rows(thread, first_row, 4u);
}
