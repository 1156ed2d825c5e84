// Rows rounded to integers times a unit of their own, as scans multiply them, 32 threads a row. The integers of a row come
// with its record: the unit, the squared norm of what the integers stand for, no less than the norm of what rounding took
// away, and the norm again. `round_blocks` rounds to 8 bits, in blocks of 32 rows: sixteen columns of a row lie beside the
// same of the next, and records come last. `round_queries` rounds to 15 bits and a sign, row after row, each with its
// record: sixteen high bytes, then the low ones.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> rounded: array<u32>;
#if L2
@group(0) @binding(3) var<storage, read> centre: array<f32>;
#endif

#include rounded

// The largest integer.
#if QUERIES
const LARGEST = 32639.0;
#else
const LARGEST = 127.0;
#endif

// Rows of a workgroup. Neighbouring threads have neighbouring rows, and write next to each other.
const TOGETHER = {{THREADS}}u / 32u;

var<workgroup> shares: array<vec2<f32>, {{THREADS}}>;

fn value_at(first: u32, column: u32) -> f32 {
    if (column >= params.columns) { return 0.0; }
#if L2
    return rows[first + column] - centre[column];
#else
    return rows[first + column];
#endif
}

fn four_at(first: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        value_at(first, column),
        value_at(first, column + 1u),
        value_at(first, column + 2u),
        value_at(first, column + 3u),
    );
}

// Where a word of a row goes.
fn word_place(row: u32, word: u32) -> u32 {
#if QUERIES
    return row * (8u * params.quads + 4u) + word / 4u * 8u + word % 4u;
#else
    return (row / 32u * (params.quads + 1u) + word / 4u) * 128u + row % 32u * 4u + word % 4u;
#endif
}

@compute @workgroup_size({{THREADS}})
#if QUERIES
fn round_queries(
#else
fn round_blocks(
#endif
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let own = thread % TOGETHER;
    let lane = thread / TOGETHER;
    let number = workgroup_number(group, groups) * TOGETHER + own;
    let exists = number < params.rows;
    let first = (params.row_place + number) * params.columns;
    let row = params.rounded_place + number;
    let words = select(0u, 4u * params.quads, exists);

    var largest = 0.0;
    for (var word = lane; word < words; word += 32u) {
        let values = abs(four_at(first, 4u * word));
        largest = max(largest, max(max(values.x, values.y), max(values.z, values.w)));
    }
    shares[thread] = vec2<f32>(largest, 0.0);
    workgroupBarrier();
    for (var share = 0u; share < 32u; share++) {
        largest = max(largest, shares[own + share * TOGETHER].x);
    }
    workgroupBarrier();

    // Of anything else, squares or products might leave the range of floats: its integers are zero. Compared as integers,
    // which order where a NaN would not.
    let size = bitcast<u32>(largest);
    let fits = size > bitcast<u32>(1.0e-15) && size < bitcast<u32>(1.0e15);
    let unit = select(0.0, largest / LARGEST, fits);
    let scale = select(0.0, LARGEST / largest, fits);
    var sums = vec2<f32>(0.0, 0.0);
    for (var word = lane; word < words; word += 32u) {
        let values = four_at(first, 4u * word) * scale;
        let whole = select(vec4<f32>(), clamp(round(values), vec4<f32>(-LARGEST), vec4<f32>(LARGEST)), fits);
        let integers = vec4<i32>(whole);
        let rest = select(vec4<f32>(), values - whole, fits);
        sums += vec2<f32>(dot(rest, rest), dot(whole, whole));
        let place = word_place(row, word);
#if QUERIES
        let high = (integers + vec4<i32>(128)) >> vec4<u32>(8u);
        rounded[place] = pack4xI8(high);
        rounded[place + 4u] = pack4xI8(integers - 256 * high);
#else
        rounded[place] = pack4xI8(integers);
#endif
    }
    shares[thread] = sums;
    workgroupBarrier();
    if (lane == 0u && exists) {
        sums = vec2<f32>(0.0, 0.0);
        for (var share = 0u; share < 32u; share++) {
            sums += shares[own + share * TOGETHER];
        }
        // In units, numbers are off themselves before rounding, by a part in 2^20 at most.
        let root = sqrt(f32(params.columns));
        var error = unit * (1.01 * sqrt(sums.x) + 16.0 * UNIT * LARGEST * root);
        if (!fits) {
            error = select(UNKNOWN, 1.01 * largest * root, size <= bitcast<u32>(1.0e-15));
        }
        let norm = unit * sqrt(sums.y);
        let place = word_place(row, 4u * params.quads);
        rounded[place] = bitcast<u32>(unit);
        rounded[place + 1u] = bitcast<u32>(norm * norm);
        rounded[place + 2u] = bitcast<u32>(error);
        rounded[place + 3u] = bitcast<u32>(norm);
    }
}
