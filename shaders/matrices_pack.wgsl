// Rows, less a centre for squared distances, as cooperative matrices take them: rounded to f16, each scaled by a power of two
// of its own, so that its norm is 2^13 to 2^14, in tiles of SIDE rows, {{DEPTH}} columns after {{DEPTH}}. What is needed to
// tell distances from their products goes with each row; where there is no row, the largest number. LANES invocations share a
// row. WIDE: rows are made of fours of numbers.

#if WIDE
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
#else
@group(0) @binding(1) var<storage, read> rows: array<f32>;
#endif
#if L2
#if WIDE
@group(0) @binding(2) var<storage, read> centre: array<vec4<f32>>;
#else
@group(0) @binding(2) var<storage, read> centre: array<f32>;
#endif
#endif
@group(0) @binding(3) var<storage, read_write> packed: array<vec2<u32>>;
// Half the squared norm, what to multiply by to undo the scale, and two measures of the error: that of a product is no more
// than the first of one row times the second of the other, but for what chain_error of `doubt` covers.
@group(0) @binding(4) var<storage, read_write> measures: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> reach: atomic<u32>;

#include lanes

// Rounding to f16 changes a number by so much of it at most, and a row of many numbers by half of that.
const SHARE = 0.5 * 4.8828125e-4;

// What scaled numbers too small for f16 may lose of a row, and rounding in what is measured here.
const LOST = 3.8e-6;

// Rows at a time.
const TOGETHER = {{THREADS}}u / {{LANES}}u;

// The largest first measure of this workgroup's rows, no less than their norms: were all rows to compete for `reach`, that
// would take longer than reading them.
var<workgroup> longest: atomic<u32>;

// Four columns of a row.
fn four_of(row: u32, column: u32) -> vec4<f32> {
    var four = vec4<f32>();
    if (row >= params.rows) { return four; }
#if WIDE
    if (column < params.columns) {
        four = rows[(params.row_place + row) * (params.columns / 4u) + column / 4u];
#if L2
        four -= centre[column / 4u];
#endif
    }
#else
    for (var own = 0u; own < 4u; own++) {
        if (column + own < params.columns) {
            four[own] = rows[(params.row_place + row) * params.columns + column + own];
#if L2
            four[own] -= centre[column + own];
#endif
        }
    }
#endif
    return four;
}

@compute @workgroup_size({{THREADS}})
fn pack(
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
    if (thread == 0u) {
        atomicStore(&longest, 0u);
    }
    workgroupBarrier();
    for (var round = 0u; round < {{ROUNDS}}u; round++) {
        let row = (workgroup_number(group, groups) * {{ROUNDS}}u + round) * TOGETHER + here.row;
        var shares = vec4<f32>();
        for (var column = 4u * here.lane; column < params.depth; column += 4u * {{LANES}}u) {
            let four = four_of(row, column);
            shares = fma(four, four, shares);
        }
        let square = lanes_sum(thread, (shares.x + shares.y) + (shares.z + shares.w));
        let norm = sqrt(square);
        // Powers of two by their exponents. Of a norm whose square is nothing, one that f16 has room for.
        let exponent = clamp(bitcast<u32>(norm) >> 23u, 64u, 254u);
        let scale = bitcast<f32>((267u - exponent) << 23u);
        let inverse = bitcast<f32>((exponent - 13u) << 23u);
        shares = vec4<f32>();
        for (var column = 4u * here.lane; column < params.depth; column += 4u * {{LANES}}u) {
            let four = scale * four_of(row, column);
            let rounded = vec2<u32>(pack2x16float(four.xy), pack2x16float(four.zw));
            let error = four - vec4<f32>(unpack2x16float(rounded.x), unpack2x16float(rounded.y));
            shares = fma(error, error, shares);
            if (row < params.padded) {
                let step = row / {{SIDE}}u * (params.depth / {{DEPTH}}u) + column / {{DEPTH}}u;
                packed[(step * {{SIDE}}u + row % {{SIDE}}u) * ({{DEPTH}}u / 4u) + column % {{DEPTH}}u / 4u] = rounded;
            }
        }
        let error = sqrt(lanes_sum(thread, (shares.x + shares.y) + (shares.z + shares.w))) * inverse * (1.0 + LOST);
        if (here.lane == 0u && row < params.padded) {
            var measured = vec4<f32>(3.4028234e38, 0.0, 0.0, 0.0);
            if (row < params.rows) {
                let larger = norm * (1.0 + LOST);
                measured = vec4<f32>(0.5 * square, inverse, max(larger, error / SHARE), (SHARE + LOST) * larger + error);
                atomicMax(&longest, bitcast<u32>(measured.z));
            }
            measures[params.measures_place + row] = measured;
        }
    }
    workgroupBarrier();
    if (thread == 0u) {
        atomicMax(&reach, atomicLoad(&longest));
    }
}
