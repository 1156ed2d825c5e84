// Lookup tables: a thread an entry.

@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read_write> tables: array<f32>;
#if RESIDUAL
@group(0) @binding(4) var<storage, read> origin: array<f32>;
#endif

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.queries * params.entries) { return; }
    let query = number / params.entries;
    let entry = number % params.entries;
    let first = entry / params.ksub * params.dsub;
    let subvector = (params.query_place + query) * params.columns + first;
    var sum = 0.0;
    for (var column = 0u; column < params.dsub; column++) {
        let value = queries[subvector + column];
        let centroid = codebook[entry * params.dsub + column];
#if L2
        sum = fma(value - centroid, value - centroid, sum);
#else
#if RESIDUAL
        sum = fma(-2.0 * (value - origin[first + column]), centroid, sum);
#else
        sum = fma(-value, centroid, sum);
#endif
#endif
    }
    tables[(params.table_place + query) * params.entries + entry] = sum;
}
