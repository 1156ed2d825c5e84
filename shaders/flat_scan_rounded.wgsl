// What the rows of the probed lists are no nearer than, by rows and queries rounded to integers (see `round.wgsl`), selection
// fused: the entries that may be nearest are kept. A workgroup takes a query and its share of the entries that the probed
// lists have together, a thread an entry, so that lists need not be long. MASKED: of the entries that a mask has.

@group(0) @binding(1) var<storage, read> queries: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> candidates: array<vec2<u32>>;
#if MASKED
@group(0) @binding(6) var<storage, read> masks: array<u32>;
#include masked
#endif

#include ranked
#include queue
#include rounded

// The lists that are scanned, a thread's worth at a time: where the entries of all of them together end with a list's own,
// and what to add there to get an entry's number.
var<workgroup> ends: array<u32, {{THREADS}}>;
var<workgroup> shifts: array<u32, {{THREADS}}>;
var<workgroup> all_entries: u32;

// Opens the lists from `rank` on of those that begin at `first_probe` and gives the number of their entries. Holds barriers.
fn open_lists(thread: u32, first_probe: u32, rank: u32) -> u32 {
    var begin = 0u;
    var own = 0u;
    if (rank + thread < params.nprobe) {
        let probe = probes[first_probe + rank + thread];
        if (probe.x < params.nlist) {
            begin = max(offsets[probe.x], params.first_entry);
            let end = min(offsets[probe.x + 1u], params.first_entry + params.entries);
            own = max(end, begin) - begin;
        }
    }
    workgroupBarrier();
    ends[thread] = own;
    workgroupBarrier();
    var end = own;
    for (var distance = 1u; distance < {{THREADS}}u; distance <<= 1u) {
        var before = 0u;
        if (thread >= distance) {
            before = ends[thread - distance];
        }
        workgroupBarrier();
        end += before;
        ends[thread] = end;
        workgroupBarrier();
    }
    shifts[thread] = begin - params.first_entry - (end - own);
    if (thread == {{THREADS}}u - 1u) {
        all_entries = end;
    }
    return workgroupUniformLoad(&all_entries);
}

// What the entry of that place in the buffer is no nearer than. A query's words and record are the same for all threads.
fn least_at(place: u32, query: u32) -> f32 {
    var row = place / 32u * 32u * (params.quads + 1u) + place % 32u;
    var word = query * (2u * params.quads + 1u);
    let last = word + 2u * params.quads;
    var high = 0;
    var low = 0;
    while (word < last) {
        let integers = rows[row];
        let upper = queries[word];
        let lower = queries[word + 1u];
        high += dot4I8Packed(integers.x, upper.x);
        high += dot4I8Packed(integers.y, upper.y);
        high += dot4I8Packed(integers.z, upper.z);
        high += dot4I8Packed(integers.w, upper.w);
        low += dot4I8Packed(integers.x, lower.x);
        low += dot4I8Packed(integers.y, lower.y);
        low += dot4I8Packed(integers.z, lower.z);
        low += dot4I8Packed(integers.w, lower.w);
        row += 32u;
        word += 2u;
    }
    let product = 256.0 * f32(high) + f32(low);
    return least_distance(bitcast<vec4<f32>>(rows[row]), bitcast<vec4<f32>>(queries[last]), product);
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.queries * params.slabs) { return; }
    // What runs at the same time reads the same part of the lists.
    let slab = number / params.queries;
    let query = number % params.queries;
    queue_open(thread);
    for (var first = 0u; first < params.nprobe; first += {{THREADS}}u) {
        let entries = open_lists(thread, (params.probe_place + query) * params.nprobe, first);
        let share = (entries + params.slabs - 1u) / params.slabs;
        let end = min(share * (slab + 1u), entries);
        var rank = 0u;
        for (var position = share * slab; position < end; position += {{THREADS}}u) {
            if (position + thread < end) {
                while (ends[rank] <= position + thread) {
                    rank++;
                }
                let place = position + thread + shifts[rank];
#if MASKED
                if (is_set(params.first_entry + place)) {
                    queue_offer(ranked(least_at(place, query), params.first_entry + place));
                }
#else
                queue_offer(ranked(least_at(place, query), params.first_entry + place));
#endif
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
