// A thread a row, which looks at one centroid after the other.

struct Params {
    rows: u32,
    centroids: u32,
    columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> centroids: array<f32>;
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.rows) { return; }
    var label = 0u;
    var least = 3.4028234e38;
    for (var centroid = 0u; centroid < params.centroids; centroid++) {
        var sum = 0.0;
        for (var column = 0u; column < params.columns; column++) {
            let difference = rows[id.x * params.columns + column] - centroids[centroid * params.columns + column];
            sum += difference * difference;
        }
        if (sum < least) {
            least = sum;
            label = centroid;
        }
    }
    labels[id.x] = label;
}
