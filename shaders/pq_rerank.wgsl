// Exact distances to what the candidates' residual codes stand for: a thread a candidate.

@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read> interleaved: array<u32>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
@group(0) @binding(6) var<storage, read> centroids: array<f32>;
@group(0) @binding(7) var<storage, read> candidates: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read_write> exact: array<vec2<u32>>;

#include ranked
#include interleaved

fn code_at(row: u32, sub: u32) -> u32 {
    if (params.nbits == 4u) {
        return extractBits(interleaved_byte(row, sub / 2u), 4u * (sub % 2u), 4u);
    }
    return interleaved_byte(row, sub);
}

// The list that holds an entry: the last whose offset is not past it.
fn list_of(position: u32) -> u32 {
    var low = 0u;
    var high = params.nlist;
    while (high - low > 1u) {
        let middle = low + (high - low) / 2u;
        if (offsets[middle] <= position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (number >= params.queries * params.candidates) { return; }
    let candidate = candidates[params.candidate_place * params.candidates + number];
    var position = params.entries;
    if (candidate.x < params.entries) {
        position = positions[candidate.x];
    }
    if (position >= params.entries) {
        exact[number] = NONE;
        return;
    }
    // Codes in several buffers come one after the other: this one holds a stretch of them.
    if (position < params.first_row || position - params.first_row >= params.rows) { return; }
    let query = (params.query_place + number / params.candidates) * params.m * params.dsub;
    let centroid = list_of(position) * params.m * params.dsub;
    var sum = 0.0;
    for (var sub = 0u; sub < params.m; sub++) {
        let code = code_at(position - params.first_row, sub);
        let codeword = (sub * params.ksub + code) * params.dsub;
        for (var column = 0u; column < params.dsub; column++) {
            let dimension = sub * params.dsub + column;
            let difference = queries[query + dimension] - centroids[centroid + dimension] - codebook[codeword + column];
            sum = fma(difference, difference, sum);
        }
    }
    exact[number] = ranked(sum, candidate.x);
}
