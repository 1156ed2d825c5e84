// Rows in another order. A thread copies an element: four words where rows are made of such, else one.

#if WIDE
alias Element = vec4<u32>;
#else
alias Element = u32;
#endif

@group(0) @binding(1) var<storage, read> rows: array<Element>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> gathered: array<Element>;

@compute @workgroup_size({{THREADS}})
fn gather(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let element = workgroup_number(id, width) * {{THREADS}}u + thread;
    if element >= params.elements {
        return;
    }
    let row = order[params.first_output + element / params.columns] - params.first_row;
    // Rows in another buffer are another dispatch's.
    if row < params.rows {
        gathered[element] = rows[row * params.columns + element % params.columns];
    }
}
