// Exact distances of given candidates: LANES invocations a candidate. PLACES: where the row of each is. NAMES: what each is
// called afterwards.

@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> candidates: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> exact: array<vec2<u32>>;
#if PLACES
@group(0) @binding(5) var<storage, read> places: array<u32>;
#endif
#if NAMES
@group(0) @binding(5) var<storage, read> names: array<u32>;
#endif

#include ranked
#include lanes
#include exact

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
#if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
    let number = workgroup_number(group, groups) * ({{THREADS}}u / {{LANES}}u) + here.row;
    let inside = number < params.queries * params.candidates;
    var candidate = NONE;
    if (inside) {
        candidate = candidates[params.candidate_place * params.candidates + number];
    }
    var row = candidate.x;
#if PLACES
    row = NONE.x;
    if (candidate.x < params.places) {
        row = places[candidate.x];
    }
#endif
    // Where there is no such row there is no candidate.
    if (row >= params.all_rows) {
        candidate = NONE;
    }
    // Rows in several buffers come one after the other: this one holds a stretch of them.
    let here_row = !is_none(candidate) && row >= params.first_row && row - params.first_row < params.rows;
    let query = params.query_place + number / params.candidates;
    let distance = exact_distance(thread, here.lane, query, row - params.first_row, here_row);
    if (inside && here.lane == 0u) {
        if (here_row) {
#if NAMES
            exact[number] = ranked(distance, names[candidate.x]);
#else
            exact[number] = ranked(distance, candidate.x);
#endif
        } else if (is_none(candidate)) {
            exact[number] = NONE;
        }
    }
}
