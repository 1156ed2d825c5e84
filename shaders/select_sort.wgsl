// Rows in order: `sort` sorts blocks of as many entries as workgroup memory holds, `merge` brings the runs of a row
// together two by two, each time no more of them than are wanted. VALUES: numbers, named by their columns. COUNTED: as many
// of a row's candidates as a word of `lengths` says.

#if MERGE
@group(0) @binding(1) var<storage, read> runs: array<vec2<u32>>;
#else
#if VALUES
@group(0) @binding(1) var<storage, read> values: array<f32>;
#else
@group(0) @binding(1) var<storage, read> listed: array<vec2<u32>>;
#endif
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
#endif
@group(0) @binding(3) var<storage, read_write> sorted: array<vec2<u32>>;

#include ranked

#if MERGE
// An entry a thread: its place is its rank in its own run and in the one beside. The last run may be shorter, or alone.
@compute @workgroup_size({{THREADS}})
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    let row = number / params.width;
    if (row >= params.rows) { return; }
    let place = number % params.width;
    let destination = (params.sorted_place + row) * params.sorted_columns;
    if (place >= params.columns) {
        if (place < params.sorted_columns) {
            sorted[destination + place] = NONE;
        }
        return;
    }
    let run = place / params.run;
    let rank = place % params.run;
    let candidate = runs[row * params.columns + place];
    // Of the entries beside, the first `low` come before this one. Those of an even run come first among equals.
    let odd = run % 2u == 1u;
    let beside = (run ^ 1u) * params.run;
    var low = 0u;
    var high = min(params.run, params.columns - min(beside, params.columns));
    while (low < high) {
        let middle = (low + high) / 2u;
        let other = runs[row * params.columns + beside + middle];
        if (before(other, candidate) || (odd && !before(candidate, other))) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    if (rank + low < params.sorted_run) {
        sorted[destination + run / 2u * params.sorted_run + rank + low] = candidate;
    }
}
#else
#include sort

fn length_of(row: u32) -> u32 {
#if COUNTED
    return min(lengths[row * params.lengths_columns + params.length], params.columns);
#else
    return params.columns;
#endif
}

fn entry(row: u32, place: u32) -> vec2<u32> {
    if (place >= length_of(row)) { return NONE; }
#if VALUES
    return ranked(values[(params.place + row) * params.columns + place], place);
#else
    return listed[(params.place + row) * params.columns + place];
#endif
}

@compute @workgroup_size({{THREADS}})
fn sort(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.rows * params.blocks) { return; }
    let row = number / params.blocks;
    let block = number % params.blocks;
    for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
        queue[slot] = entry(row, block * {{QUEUE}}u + slot);
    }
    sort_blocks(thread, {{QUEUE}}u);
    for (var rank = thread; rank < params.run; rank += {{THREADS}}u) {
        let place = block * params.run + rank;
        if (place < params.sorted_columns) {
            sorted[(params.sorted_place + row) * params.sorted_columns + place] = queue[rank];
        }
    }
}
#endif
