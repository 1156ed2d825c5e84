// A thread a candidate of a query.

struct Params {
    queries: u32,
    candidates: u32,
    columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> candidates: array<u32>;
@group(0) @binding(4) var<storage, read_write> distances: array<f32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.queries * params.candidates) { return; }
    let query = id.x / params.candidates;
    let row = candidates[id.x];
    var sum = 0.0;
    for (var column = 0u; column < params.columns; column++) {
        let difference = queries[query * params.columns + column] - rows[row * params.columns + column];
        sum += difference * difference;
    }
    distances[id.x] = sum;
}
