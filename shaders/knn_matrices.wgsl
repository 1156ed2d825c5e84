enable f16;
enable wgpu_cooperative_matrix;
// As `knn_products`, by cooperative matrices of rows rounded to f16, with sums of f32: each of a query's rows of a slab of the
// base is as near as it can be by half its squared norm less its product with the query, less what rounding both may have
// changed (for inner products without the norm). A workgroup takes SIDE queries and streams the slab past them; a subgroup has
// a piece of each tile, 2 x 4 matrices of {{MATRIX}} x {{MATRIX}}, and settles them one after the other through workgroup
// memory. SAMPLE: only the least of each tile is kept.

@group(0) @binding(1) var<storage, read> base: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> base_measures: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> packed: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> packed_measures: array<vec4<f32>>;
#if QUEUED
@group(0) @binding(5) var<storage, read_write> queues: array<vec2<u32>>;
#endif
@group(0) @binding(6) var<storage, read_write> candidates: array<vec2<u32>>;
#if LIMITED
@group(0) @binding(7) var<storage, read> kept: array<vec2<u32>>;
#endif

#include ranked

// What stands for no distance.
const MOST = 3.4028234e38;

#include matrices

// Where the candidates of a query's slab begin.
fn candidate_place(query: u32, slab: u32) -> u32 {
    return (query * params.all_slabs + params.first_slab + slab) * params.room;
}

#if QUEUED
#include queues
#else
var<workgroup> nearest: array<atomic<u32>, {{SIDE}}>;
#endif

// Those of four that hold, a bit each.
fn bits_of(four: vec4<bool>) -> u32 {
    let bits = select(vec4<u32>(), vec4<u32>(1u, 2u, 4u, 8u), four);
    return (bits.x | bits.y) | (bits.z | bits.w);
}

// Takes in how near eight rows from `row` on may be to a query.
fn settle(query: u32, low: vec4<f32>, high: vec4<f32>, row: u32) {
#if QUEUED
    let limit = vec4<f32>(limits[query]);
    if (any(min(low, high) < limit)) {
        var near = bits_of(low < limit) | (bits_of(high < limit) << 4u);
        while (near != 0u) {
            let own = firstTrailingBit(near);
            near &= near - 1u;
            let four = select(low, high, own >= 4u);
            let two = select(four.xy, four.zw, (own & 2u) != 0u);
            offer(query, select(two.x, two.y, (own & 1u) != 0u), limit.x, row + own);
        }
    }
#else
    let four = min(low, high);
    let least = min(min(four.x, four.y), min(four.z, four.w));
    // What is no number is as far away as can be.
    atomicMin(&nearest[query], ranked(select(MOST, least, least < MOST), 0u).y);
#endif
}

// A block of products with queries from `across` on: an invocation has eight rows, from `row` on, and a query.
fn settle_block(block: Block, slot: u32, lane: u32, rows: Eight, across: u32, row: u32) {
    store_block(block, slot);
    if (lane < EIGHTS) {
        let query = across + lane % {{MATRIX}}u;
        let found = distances_of(slot, lane, rows, query);
        settle(query, found.low - found.low_errors, found.high - found.high_errors, row);
    }
}

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
    if (params.first_workgroup + group.y * groups.x + group.x >= params.groups) { return; }
    let number = workgroup_number(group, groups);
    let slab = number % params.slabs;
    let query_tile = number / params.slabs;
    let first_query = query_tile * {{SIDE}}u;
    let slab_start = slab * params.slab_rows;
    let slab_end = min(slab_start + params.slab_rows, params.scanned);
    let steps = params.depth / {{DEPTH}}u;
    if (thread < {{SIDE}}u) {
        open_queries(thread, packed_measures[params.measures_place + first_query + thread]);
    }
#if QUEUED
    queues_place = number * {{SIDE}}u * {{CAPACITY}}u;
    open_queues(thread, first_query);
#endif

    // Of a slab that is empty, any.
    let first_tile = min(slab_start * params.spread, params.rows - 1u) / {{SIDE}}u;
    var loaded = load_step(thread, first_tile * steps, query_tile * steps);
    for (var place = slab_start; place < slab_end; place += {{SIDE}}u) {
        let row = place * params.spread;
        let tile = row / {{SIDE}}u;
        let next_tile = select(tile, tile + params.spread, place + {{SIDE}}u < slab_end);
        if (thread < {{SIDE}}u / 4u) {
            let four = row + 4u * thread;
            open_rows(thread, mat4x4<f32>(
                base_measures[four],
                base_measures[four + 1u],
                base_measures[four + 2u],
                base_measures[four + 3u],
            ));
        }
#if SAMPLE
        if (thread < {{SIDE}}u) {
            atomicStore(&nearest[thread], 0xffffffffu);
        }
#endif
        // Where subgroups are fewer than pieces, the tile is gone through again. They are never more.
        for (var first = 0u; first < PIECES; first += subgroups) {
#include multiply
            // Registers have no room for both at a time.
            let rows0 = eight_at(eight0);
            settle_block(block00, subgroup, lane, rows0, across, row + 8u * eight0);
            settle_block(block01, subgroup, lane, rows0, across + {{MATRIX}}u, row + 8u * eight0);
            settle_block(block02, subgroup, lane, rows0, across + 2u * {{MATRIX}}u, row + 8u * eight0);
            settle_block(block03, subgroup, lane, rows0, across + 3u * {{MATRIX}}u, row + 8u * eight0);
            let rows1 = eight_at(eight1);
            settle_block(block10, subgroup, lane, rows1, across, row + 8u * eight1);
            settle_block(block11, subgroup, lane, rows1, across + {{MATRIX}}u, row + 8u * eight1);
            settle_block(block12, subgroup, lane, rows1, across + 2u * {{MATRIX}}u, row + 8u * eight1);
            settle_block(block13, subgroup, lane, rows1, across + 3u * {{MATRIX}}u, row + 8u * eight1);
        }
#if QUEUED
        if (is_crowded()) {
            cut_queues(thread, params.keep);
        }
#else
        workgroupBarrier();
        if (thread < {{SIDE}}u && first_query + thread < params.queries) {
            candidates[candidate_place(first_query + thread, slab)] = vec2<u32>(slab, atomicLoad(&nearest[thread]));
        }
        workgroupBarrier();
#endif
    }

#if QUEUED
    write_queues(thread, first_query, slab);
#endif
}
