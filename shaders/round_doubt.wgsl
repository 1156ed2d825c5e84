// Which queries' neighbours, found by exact distances among what rounded rows kept, are not certain.

@group(0) @binding(1) var<storage, read> kept: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> found: array<vec2<u32>>;

#include ranked
#include listed

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let query = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (query >= params.queries) { return; }
    let last_kept = kept[(params.kept_place + query + 1u) * params.keep - 1u];
    let last_found = found[(params.found_place + query + 1u) * params.k - 1u];
    // Every row was kept, or what was not is further away.
    if (is_none(last_kept) || last_found.y < last_kept.y) { return; }
    list_row(query);
}
