// Asymmetric distances over the probed lists, selection fused. A workgroup takes a query and its share of every
// probed list, a thread a code at a time; the query's table lies in workgroup memory where it fits.

@group(0) @binding(1) var<storage, read> tables: array<f32>;
@group(0) @binding(2) var<storage, read> codes: array<u32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read> found: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read_write> candidates: array<vec2<u32>>;
#if TERMS
@group(0) @binding(8) var<storage, read> terms: array<f32>;
#endif

#include ranked
#include queue
#include code

var<private> table_place: u32;

#if LOCAL_TABLE
var<workgroup> local_table: array<f32, {{TABLE}}>;

fn entry(number: u32) -> f32 {
    return local_table[number];
}
#else
fn entry(number: u32) -> f32 {
    return tables[table_place + number];
}
#endif

fn asymmetric_distance(row: u32) -> f32 {
    let first = row * params.words;
    var sum = 0.0;
#if WHOLE_CODES
    // Codes of {{NBITS}} bits do not straddle words.
    for (var word = 0u; word < params.words; word++) {
        var bits = codes[first + word];
        let end = min(params.m - word * {{PER_WORD}}u, {{PER_WORD}}u);
        for (var sub = 0u; sub < end; sub++) {
            sum += entry((word * {{PER_WORD}}u + sub) * {{KSUB}}u + (bits & ({{KSUB}}u - 1u)));
            bits >>= {{NBITS}}u;
        }
    }
#else
    for (var sub = 0u; sub < params.m; sub++) {
        sum += entry(sub * {{KSUB}}u + code_at(first, sub));
    }
#endif
    return sum;
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.queries * params.slabs) { return; }
    let query = number / params.slabs;
    let slab = number % params.slabs;
    var floor = vec2<u32>(0u, 0u);
    if (params.taken > 0u) {
        floor = found[(params.found_place + query) * params.k + params.taken - 1u];
    }
    table_place = (params.table_place + query) * params.m * {{KSUB}}u;
#if LOCAL_TABLE
    for (var number = thread; number < params.m * {{KSUB}}u; number += {{THREADS}}u) {
        local_table[number] = tables[table_place + number];
    }
#endif
    queue_open(thread);
    for (var rank = 0u; rank < params.nprobe; rank++) {
        let probe = probes[(params.probe_place + query) * params.nprobe + rank];
        if (is_none(probe)) { continue; }
        let begin = offsets[probe.x];
        let share = (offsets[probe.x + 1u] - begin + params.slabs - 1u) / params.slabs;
        let first = max(begin + min(share * slab, offsets[probe.x + 1u] - begin), params.first_row);
        let end = min(min(begin + share * (slab + 1u), offsets[probe.x + 1u]), params.first_row + params.rows);
        for (var position = first; position < end; position += {{THREADS}}u) {
            let mine = position + thread;
            if (mine < end) {
                var distance = asymmetric_distance(mine - params.first_row);
#if TERMS
                distance += terms[mine];
#endif
#if ADD_PROBE
                distance += distance_of(probe);
#endif
                let candidate = ranked(distance, ids[mine]);
                if (before(floor, candidate)) {
                    queue_offer(candidate);
                }
            }
            queue_settle(thread, params.keep, false);
        }
    }
    queue_settle(thread, params.keep, true);
    for (var rank = thread; rank < params.keep; rank += {{THREADS}}u) {
        let place = query * params.all_slabs + params.first_slab + slab;
        candidates[place * params.keep + rank] = queue_at(rank);
    }
}
