// Exact distances over the probed lists, selection fused. A workgroup takes a query and its share of every probed
// list; LANES invocations share a row, and {{ROUNDS}} rounds of rows go between two looks at the queue. LONG: which is in
// storage. LISTED: of the queries that `round_doubt` listed, in as many slabs as were planned. MASKED: of the entries that a
// mask has.

@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> candidates: array<vec2<u32>>;
#if LISTED
@group(0) @binding(7) var<storage, read> listed: array<u32>;
#endif
#if MASKED
@group(0) @binding(8) var<storage, read> masks: array<u32>;
#include masked
#endif

#include ranked
#if LONG
#include list
#else
#include queue
#endif
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
    let number = workgroup_number(group, groups);
#if LISTED
    let slabs = listed[7];
    if (number >= listed[3] * slabs) { return; }
    let query = listed[8u + number / slabs];
    // Every stretch of the rows has as many slabs.
    let first_slab = params.first_slab * slabs;
    let all_slabs = params.all_slabs * slabs;
#else
    let slabs = params.slabs;
    if (number >= params.queries * slabs) { return; }
    let query = number / slabs;
    let first_slab = params.first_slab;
    let all_slabs = params.all_slabs;
#endif
    let slab = number % slabs;
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
    let candidates_place = (number / slabs * all_slabs + first_slab + slab) * params.room;
#if LONG
    queue_places.x = candidates_place;
#endif
    queue_open(thread);
    for (var rank = 0u; rank < params.nprobe; rank++) {
        let probe = probes[(params.probe_place + query) * params.nprobe + rank];
        if (probe.x >= params.nlist) { continue; }
        let begin = offsets[probe.x];
        let share = (offsets[probe.x + 1u] - begin + slabs - 1u) / slabs;
        let first = max(begin + min(share * slab, offsets[probe.x + 1u] - begin), params.first_row);
        let end = min(min(begin + share * (slab + 1u), offsets[probe.x + 1u]), params.first_row + params.rows);
        for (var position = first; position < end; position += {{THREADS}}u) {
            for (var round = 0u; round < {{ROUNDS}}u; round++) {
                let mine = position + round * ({{THREADS}}u / {{LANES}}u) + here.row;
#if MASKED
                let wanted = mine < end && is_set(mine);
#else
                let wanted = mine < end;
#endif
                let distance = exact_distance(thread, here.lane, params.query_place + query, mine - params.first_row, wanted);
                if (wanted && here.lane == 0u) {
                    queue_offer(ranked(distance, ids[mine]));
                }
            }
            queue_settle(thread, params.keep, false);
        }
    }
    queue_settle(thread, params.keep, true);
#if LONG
    queue_pad(thread, 0u);
#else
    for (var rank = thread; rank < params.room; rank += {{THREADS}}u) {
        candidates[candidates_place + rank] = queue_at(rank);
    }
#endif
}
