// |r|^2 + 2 (c - o).r of each residual code r: a thread a code.

@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read> centroids: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> origin: array<f32>;
@group(0) @binding(6) var<storage, read_write> terms: array<f32>;

#include code

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.rows) { return; }
    let label = labels[params.first_row + number];
    // A code of no list has no term.
    if (label >= params.nlist) {
        terms[params.first_row + number] = 0.0;
        return;
    }
    let centroid = label * params.m * params.dsub;
    var sum = 0.0;
    for (var sub = 0u; sub < params.m; sub++) {
        let codeword = (sub * params.ksub + code_at(number * params.words, sub)) * params.dsub;
        for (var column = 0u; column < params.dsub; column++) {
            let dimension = sub * params.dsub + column;
            let residual = codebook[codeword + column];
            let centred = centroids[centroid + dimension] - origin[dimension];
            sum = fma(residual, fma(2.0, centred, residual), sum);
        }
    }
    terms[params.first_row + number] = sum;
}
