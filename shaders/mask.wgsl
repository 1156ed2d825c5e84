// Which entries stand for rows whose bits are set: a bit for each entry. A thread writes the word of 32 entries.

@group(0) @binding(1) var<storage, read> masks: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> masked: array<u32>;

#include masked

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let word = workgroup_number(group, groups) * {{THREADS}}u + thread;
    let first = 32u * word;
    if (first >= params.entries) { return; }
    let count = min(32u, params.entries - first);
    var bits = 0u;
    for (var bit = 0u; bit < count; bit++) {
        let id = ids[first + bit];
        // No row past the end is set.
        bits |= u32(id < params.rows && is_set(id)) << bit;
    }
    masked[word] = bits;
}
