// A thread a pair of a query and a code, row after row: the distance is written down, for others to look for the
// smallest. Tables stay in memory.

struct Params {
    queries: u32,
    codes: u32,
    m: u32,
    words: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tables: array<f32>;
@group(0) @binding(2) var<storage, read> codes: array<u32>;
@group(0) @binding(3) var<storage, read_write> distances: array<f32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.codes || id.y >= params.queries) { return; }
    var sum = 0.0;
    for (var sub = 0u; sub < params.m; sub++) {
        let code = extractBits(codes[id.x * params.words + sub / 4u], 8u * (sub % 4u), 8u);
        sum += tables[(id.y * params.m + sub) * 256u + code];
    }
    distances[id.y * params.codes + id.x] = sum;
}

@compute @workgroup_size(256)
fn naive_4_bits(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.codes || id.y >= params.queries) { return; }
    var sum = 0.0;
    for (var sub = 0u; sub < params.m; sub++) {
        let code = extractBits(codes[id.x * params.words + sub / 8u], 4u * (sub % 8u), 4u);
        sum += tables[(id.y * params.m + sub) * 16u + code];
    }
    distances[id.y * params.codes + id.x] = sum;
}
