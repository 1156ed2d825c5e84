// A thread a probed list of a query: the distance of each entry is written down, for others to look for the smallest.

struct Params {
    queries: u32,
    nprobe: u32,
    entries: u32,
    columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read> probes: array<u32>;
@group(0) @binding(5) var<storage, read_write> distances: array<f32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.queries * params.nprobe) { return; }
    let query = id.x / params.nprobe;
    let list = probes[id.x];
    for (var entry = offsets[list]; entry < offsets[list + 1u]; entry++) {
        var sum = 0.0;
        for (var column = 0u; column < params.columns; column++) {
            let difference = queries[query * params.columns + column] - rows[entry * params.columns + column];
            sum += difference * difference;
        }
        distances[query * params.entries + entry] = sum;
    }
}
