// Rows at unit length: LANES invocations a row. Numbers are first divided by the sum of their absolute values, so that
// squares neither overflow nor vanish.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> normalised: array<f32>;

#include lanes

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
#if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
    let row = workgroup_number(group, groups) * ({{THREADS}}u / {{LANES}}u) + here.row;
    let inside = row < params.rows;
    let read = (params.row_place + row) * params.columns;
    let written = (params.output_place + row) * params.columns;
    var sum = 0.0;
    if (inside) {
        for (var column = here.lane; column < params.columns; column += {{LANES}}u) {
            sum += abs(rows[read + column]);
        }
    }
    let size = lanes_sum(thread, sum);
    let scale = select(size, 1.0, size == 0.0);
    var squares = 0.0;
    if (inside) {
        for (var column = here.lane; column < params.columns; column += {{LANES}}u) {
            let value = rows[read + column] / scale;
            squares = fma(value, value, squares);
        }
    }
    let norm = sqrt(lanes_sum(thread, squares));
    if (inside) {
        for (var column = here.lane; column < params.columns; column += {{LANES}}u) {
            normalised[written + column] = rows[read + column] / scale / select(norm, 1.0, size == 0.0);
        }
    }
}
