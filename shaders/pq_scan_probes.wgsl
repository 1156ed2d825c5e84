// What is done to the probes before a scan: `first_lists` takes the list that each query probes first, which queries are
// ordered by, and `merge` the lists that two queries side by side probe.

@group(0) @binding(1) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> merged: array<vec4<u32>>;

#include ranked

// The list that each query probes first.
@compute @workgroup_size({{THREADS}})
fn first_lists(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let query = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (query >= params.queries) { return; }
    labels[query] = probes[(params.probe_place + query) * params.nprobe].x;
}

// Where the probes of a query begin.
fn first_probe(query: u32) -> u32 {
    return (params.probe_place + query) * params.nprobe;
}

// The lists that two queries side by side probe, a thread a probe: the list, each one's distance, and a bit for each
// that probes it. What the second probes as the first does is left out there.
@compute @workgroup_size({{THREADS}})
fn merge(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let place = workgroup_number(group, groups) * {{THREADS}}u + thread;
    let number = place / params.nprobe;
    if (number >= (params.queries + 1u) / 2u * 2u) { return; }
    var found = vec4<u32>();
    if (number < params.queries) {
        let probe = probes[first_probe(number) + place % params.nprobe];
        let second = number % 2u == 1u;
        if (!is_none(probe)) {
            found = select(vec4<u32>(probe.x, probe.y, 0u, 1u), vec4<u32>(probe.x, 0u, probe.y, 2u), second);
        }
        let other = number ^ 1u;
        if (other < params.queries) {
            let first = first_probe(other);
            for (var rank = 0u; rank < params.nprobe; rank++) {
                let candidate = probes[first + rank];
                if (candidate.x == probe.x && found.w == 1u) {
                    found = vec4<u32>(probe.x, probe.y, candidate.y, 3u);
                } else if (candidate.x == probe.x) {
                    found.w = 0u;
                }
            }
        }
    }
    merged[place] = found;
}
