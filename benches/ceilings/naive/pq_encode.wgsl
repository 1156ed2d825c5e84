// A thread a subvector, which looks at one centroid of the codebook after the other.

struct Params {
    rows: u32,
    m: u32,
    ksub: u32,
    dsub: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read_write> subcodes: array<u32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.rows * params.m) { return; }
    let sub = id.x % params.m;
    var code = 0u;
    var least = 3.4028234e38;
    for (var candidate = 0u; candidate < params.ksub; candidate++) {
        var sum = 0.0;
        for (var column = 0u; column < params.dsub; column++) {
            let centroid = codebook[(sub * params.ksub + candidate) * params.dsub + column];
            let difference = rows[id.x * params.dsub + column] - centroid;
            sum += difference * difference;
        }
        if (sum < least) {
            least = sum;
            code = candidate;
        }
    }
    subcodes[id.x] = code;
}
