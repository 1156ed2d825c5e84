// Candidates under other names, those from `first_name` on, in rows of as many columns or more. A thread writes a candidate.

@group(0) @binding(1) var<storage, read> candidates: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> names: array<u32>;
@group(0) @binding(3) var<storage, read_write> renamed: array<vec2<u32>>;

#include ranked

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.candidates) { return; }
    var candidate = candidates[params.candidate_place + number];
    // One without a name stays as it is, and so does what is no candidate.
    if (candidate.x < params.names) {
        candidate.x = names[params.first_name + candidate.x];
    }
    let place = number / params.columns * params.output_columns + number % params.columns;
    renamed[params.output_place + place] = candidate;
}
