// A thread a pair of a query and a row: the distance is written down, for others to look for the smallest.

struct Params {
    queries: u32,
    rows: u32,
    columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read_write> distances: array<f32>;

@compute @workgroup_size(16, 16)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.rows || id.y >= params.queries) { return; }
    var sum = 0.0;
    for (var column = 0u; column < params.columns; column++) {
        let difference = queries[id.y * params.columns + column] - rows[id.x * params.columns + column];
        sum += difference * difference;
    }
    distances[id.y * params.rows + id.x] = sum;
}
