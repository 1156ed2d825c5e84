enable f16;
enable wgpu_cooperative_matrix;
// As `nearest_products`, by cooperative matrices of rows and centroids rounded to f16, with sums of f32. A workgroup takes SIDE
// rows, as queries, and streams the centroids past them, as rows; an invocation remembers what its eights of centroids come to
// for four rows. Rows between whose two closest centroids rounding may decide are listed as doubtful and left to differences.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> packed: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> centroids: array<f32>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> distances: array<f32>;
@group(0) @binding(7) var<storage, read> base: array<vec4<f16>>;
// Of the rows, then of the centroids.
@group(0) @binding(8) var<storage, read> measures: array<vec4<f32>>;

#include ranked

// What stands for no distance.
const MOST = 3.4028234e38;

#include matrices
#include listed
#include doubt

// What an invocation's centroids have come to for a row.
struct Closest {
    best: f32,
    second: f32,
    number: u32,
}

// Of each row, when all centroids have passed: distances as `ranked` maps them.
var<workgroup> bests: array<atomic<u32>, {{SIDE}}>;
var<workgroup> seconds: array<atomic<u32>, {{SIDE}}>;
var<workgroup> winners: array<atomic<u32>, {{SIDE}}>;
var<workgroup> numbers: array<u32, {{SIDE}}>;

var<workgroup> norms: array<f32, {{SIDE}}>;

// The largest of the centroids' first measures.
var<workgroup> reach: atomic<u32>;

fn key_of(distance: f32) -> u32 {
    return ranked(distance, 0u).y;
}

// Strictly nearer only: an invocation meets centroids in ascending order, so the lower number wins among equals.
fn take(closest: ptr<function, Closest>, distance: f32, number: u32) {
    let nearer = distance < (*closest).best;
    (*closest).second = min((*closest).second, max((*closest).best, distance));
    (*closest).best = min((*closest).best, distance);
    (*closest).number = select((*closest).number, number, nearer);
}

fn settle_block(
    block: Block,
    slot: u32,
    lane: u32,
    rows: Eight,
    across: u32,
    number: u32,
    closest: ptr<function, Closest>,
) {
    store_block(block, slot);
    if (lane < EIGHTS) {
        let found = distances_of(slot, lane, rows, across + lane % {{MATRIX}}u);
        for (var own = 0u; own < 4u; own++) {
            take(closest, found.low[own], number + own);
        }
        for (var own = 0u; own < 4u; own++) {
            take(closest, found.high[own], number + 4u + own);
        }
    }
}

// Brings together what the invocations found for a row, in three turns with barriers between.
fn bring_best(row: u32, closest: Closest) {
    atomicMin(&bests[row], key_of(closest.best));
}

fn bring_winner(row: u32, closest: Closest) {
    if (key_of(closest.best) == atomicLoad(&bests[row])) {
        atomicMin(&winners[row], closest.number);
    }
}

fn bring_second(row: u32, closest: Closest) {
    let won = closest.number == atomicLoad(&winners[row]);
    atomicMin(&seconds[row], key_of(select(closest.best, closest.second, won)));
}

// Whether the closest centroid would be the same by differences, whose error is `columns` roundings of a distance.
fn is_certain(row: u32, _norm: f32) -> bool {
    let norm = norms[row];
    let longest = bitcast<f32>(atomicLoad(&reach));
    if (!is_moderate(norm, longest)) { return false; }
    let best = distance_of(vec2<u32>(0u, atomicLoad(&bests[row])));
    let second = distance_of(vec2<u32>(0u, atomicLoad(&seconds[row])));
    // Matrices' sums are rounded towards zero, terms before that as well.
    let error = query_errors[row] * longest + 4.0 * chain_error(norm, longest) + halves_error(norm, longest);
    let distance = max(2.0 * (best + error) + norm * norm, 0.0);
    return second - best > 2.0 * error + 1.02 * UNIT * (f32(params.columns) + 8.0) * distance;
}

fn keep_share(place: u32, share: vec4<f32>) {
    blocks[place] = share;
}

fn share_at(place: u32) -> vec4<f32> {
    return blocks[place];
}

#include winners

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // In words that naga sees to be uniform.
    if ((params.first_workgroup + group.y * groups.x + group.x) * {{SIDE}}u >= params.rows) { return; }
    let query_tile = workgroup_number(group, groups);
    let first_row = query_tile * {{SIDE}}u;
    let steps = params.depth / {{DEPTH}}u;
    if (thread < {{SIDE}}u) {
        let measured = measures[first_row + thread];
        open_queries(thread, measured);
        norms[thread] = sqrt(2.0 * measured.x);
        atomicStore(&bests[thread], 0xffffffffu);
        atomicStore(&seconds[thread], 0xffffffffu);
        atomicStore(&winners[thread], 0xffffffffu);
    }
    if (thread == 0u) {
        atomicStore(&reach, 0u);
    }
    var closest0 = Closest(MOST, MOST, 0u);
    var closest1 = closest0;
    var closest2 = closest0;
    var closest3 = closest0;
    var loaded = load_step(thread, 0u, query_tile * steps);
    for (var tile = 0u; tile < params.tiles; tile++) {
        let next_tile = min(tile + 1u, params.tiles - 1u);
        workgroupBarrier();
        if (thread < {{SIDE}}u / 4u) {
            let four = params.centroid_measures + tile * {{SIDE}}u + 4u * thread;
            let measured = mat4x4<f32>(
                measures[four],
                measures[four + 1u],
                measures[four + 2u],
                measures[four + 3u],
            );
            open_rows(thread, measured);
            // As integers, among which what is no number is the largest.
            let firsts = bitcast<vec4<u32>>(transpose(measured)[2]);
            atomicMax(&reach, max(max(firsts.x, firsts.y), max(firsts.z, firsts.w)));
        }
        // Where subgroups are fewer than pieces, the tile is gone through again, by each for the same rows.
        for (var first = 0u; first < PIECES; first += subgroups) {
#include multiply
            let number0 = tile * {{SIDE}}u + 8u * eight0;
            let number1 = tile * {{SIDE}}u + 8u * eight1;
            let rows0 = eight_at(eight0);
            settle_block(block00, subgroup, lane, rows0, across, number0, &closest0);
            settle_block(block01, subgroup, lane, rows0, across + {{MATRIX}}u, number0, &closest1);
            settle_block(block02, subgroup, lane, rows0, across + 2u * {{MATRIX}}u, number0, &closest2);
            settle_block(block03, subgroup, lane, rows0, across + 3u * {{MATRIX}}u, number0, &closest3);
            let rows1 = eight_at(eight1);
            settle_block(block10, subgroup, lane, rows1, across, number1, &closest0);
            settle_block(block11, subgroup, lane, rows1, across + {{MATRIX}}u, number1, &closest1);
            settle_block(block12, subgroup, lane, rows1, across + 2u * {{MATRIX}}u, number1, &closest2);
            settle_block(block13, subgroup, lane, rows1, across + 3u * {{MATRIX}}u, number1, &closest3);
        }
    }
    let row = subgroup % PIECES_ACROSS * PIECE_QUERIES + lane % {{MATRIX}}u;
    let mine = lane < EIGHTS;
    if (mine) {
        bring_best(row, closest0);
        bring_best(row + {{MATRIX}}u, closest1);
        bring_best(row + 2u * {{MATRIX}}u, closest2);
        bring_best(row + 3u * {{MATRIX}}u, closest3);
    }
    workgroupBarrier();
    if (mine) {
        bring_winner(row, closest0);
        bring_winner(row + {{MATRIX}}u, closest1);
        bring_winner(row + 2u * {{MATRIX}}u, closest2);
        bring_winner(row + 3u * {{MATRIX}}u, closest3);
    }
    workgroupBarrier();
    if (mine) {
        bring_second(row, closest0);
        bring_second(row + {{MATRIX}}u, closest1);
        bring_second(row + 2u * {{MATRIX}}u, closest2);
        bring_second(row + 3u * {{MATRIX}}u, closest3);
    }
    if (thread < {{SIDE}}u) {
        // What is no number has no winner.
        numbers[thread] = min(atomicLoad(&winners[thread]), params.centroids - 1u);
    }
    workgroupBarrier();
    settle_rows(thread, first_row, 0u);
    settle_rows(thread, first_row, 4u);
}
