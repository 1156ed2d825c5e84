// A thread a column of a group, which adds up one row after the other.

struct Params {
    groups: u32,
    columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(256)
fn naive(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.groups * params.columns) { return; }
    let group = id.x / params.columns;
    var sum = 0.0;
    for (var position = offsets[group]; position < offsets[group + 1u]; position++) {
        sum += rows[order[position] * params.columns + id.x % params.columns];
    }
    sums[id.x] = sum;
}
