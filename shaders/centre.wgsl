// What products are made ready with: `centre` is the mean of some rows, `pack` lays rows less the centre out as the
// products' right side takes them, `measure` only takes their norms. Half a squared norm a row follows what is packed, the
// largest number where there is no row.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
#if CENTRE
@group(0) @binding(2) var<storage, read_write> centre: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;
#if L2
@group(0) @binding(3) var<storage, read> centre: array<f32>;
@group(0) @binding(4) var<storage, read_write> reach: atomic<u32>;
#endif
#endif

// 32 threads share a column of the sample, or a row, whose shares are padded by one against bank conflicts.
var<workgroup> shares: array<f32, {{THREADS}} + 8>;

fn sum_of_shares(first: u32, stride: u32) -> f32 {
    var sum = 0.0;
    for (var share = 0u; share < 32u; share++) {
        sum += shares[first + share * stride];
    }
    return sum;
}

#if CENTRE
@compute @workgroup_size({{THREADS}})
fn mean(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = workgroup_number(group, groups) * 8u + thread % 8u;
    var sum = 0.0;
    if (column < params.columns) {
        for (var number = thread / 8u; number < params.sample; number += 32u) {
            sum += rows[number * params.apart * params.columns + column] / f32(params.sample);
        }
    }
    shares[thread] = sum;
    workgroupBarrier();
    if (thread < 8u && column < params.columns) {
        centre[column] = sum_of_shares(thread, 8u);
    }
}
#else
#if L2
// Of this workgroup's rows: were they all to compete for `reach`, that would take longer than reading them.
var<workgroup> longest: atomic<u32>;
#endif

@compute @workgroup_size({{THREADS}})
#if PACK
fn pack(
#else
fn measure(
#endif
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
#if PACK
    // Neighbours write next to each other.
    let own = thread % 8u;
    let lane = thread / 8u;
#else
    // Neighbours read next to each other.
    let own = thread / 32u;
    let lane = thread % 32u;
#endif
#if L2
    if (thread == 0u) {
        atomicStore(&longest, 0u);
    }
#endif
    for (var round = 0u; round < {{ROUNDS}}u; round++) {
        let row = (workgroup_number(group, groups) * {{ROUNDS}}u + round) * 8u + own;
        let exists = row < params.rows;
        var sum = 0.0;
        for (var column = lane; column < params.depth; column += 32u) {
            var value = 0.0;
            if (exists && column < params.columns) {
                value = rows[(params.row_place + row) * params.columns + column];
#if L2
                value -= centre[column];
#endif
            }
#if PACK
            if (row < params.padded) {
                packed[(row / {{SIDE}}u * params.depth + column) * {{SIDE}}u + row % {{SIDE}}u] = value;
            }
#endif
            sum = fma(value, value, sum);
        }
        shares[own * 33u + lane] = sum;
        workgroupBarrier();
        if (lane == 0u && row < params.padded) {
            let square = sum_of_shares(own * 33u, 1u);
            var half = 3.4028234e38;
            if (exists) {
#if L2
                half = 0.5 * square;
                atomicMax(&longest, bitcast<u32>(sqrt(square)));
#else
                half = 0.0;
#endif
            }
            packed[params.halves_place + row] = half;
        }
        workgroupBarrier();
    }
#if L2
    if (thread == 0u) {
        atomicMax(&reach, atomicLoad(&longest));
    }
#endif
}
#endif
