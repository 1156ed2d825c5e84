// Rows from somebody's buffer as f32, one after the other. A thread writes a number. HALVES: there they are f16.

@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.numbers) { return; }
    let place = params.first + number / params.columns * params.stride + number % params.columns;
#if HALVES
    let pair = unpack2x16float(source[place / 2u]);
    rows[params.output_place + number] = select(pair.x, pair.y, place % 2u == 1u);
#else
    rows[params.output_place + number] = bitcast<f32>(source[place]);
#endif
}
