// The k smallest of rows, no more than a queue keeps: `collect` takes a slab of a row of numbers, `merge` brings a row's
// candidates together. LISTED: candidates of the rows that `knn_doubt` listed, in as many slabs as it planned; `found` has
// all rows.

#if COLLECT
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> candidates: array<vec2<u32>>;
#else
@group(0) @binding(1) var<storage, read> candidates: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> found: array<vec2<u32>>;
#if LISTED
@group(0) @binding(3) var<storage, read> listed: array<u32>;
#endif
#endif

#include ranked
#include queue

#if COLLECT
@compute @workgroup_size({{THREADS}})
fn collect(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.rows * params.slabs) { return; }
    let row = number / params.slabs;
    let slab = number % params.slabs;
    let first = slab * params.slab_columns;
    let end = min(first + params.slab_columns, params.columns);
    queue_open(thread);
    for (var column = first; column < end; column += {{THREADS}}u) {
        if (column + thread < end) {
            let value = values[(params.row_place + row) * params.columns + column + thread];
            queue_offer(ranked(value, column + thread));
        }
        queue_settle(thread, params.k, false);
    }
    queue_settle(thread, params.k, true);
    for (var rank = thread; rank < params.k; rank += {{THREADS}}u) {
        candidates[number * params.k + rank] = queue_at(rank);
    }
}
#else
@compute @workgroup_size({{THREADS}})
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_number(group, groups);
#if LISTED
    if (row >= listed[3]) { return; }
    let columns = params.columns * listed[7];
    let number = listed[8u + row];
#else
    if (row >= params.rows) { return; }
    let columns = params.columns;
    let number = row;
#endif
    queue_open(thread);
    for (var column = 0u; column < columns; column += {{THREADS}}u) {
        if (column + thread < columns) {
            queue_offer(candidates[row * columns + column + thread]);
        }
        queue_settle(thread, params.k, false);
    }
    queue_settle(thread, params.k, true);
    for (var rank = thread; rank < params.k; rank += {{THREADS}}u) {
        found[(params.found_place + number) * params.k + rank] = queue_at(rank);
    }
}
#endif
