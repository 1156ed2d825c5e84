// Codes of subvectors of up to {{WIDTH}} columns; with WHOLE, of just as many. A thread keeps those of four rows in registers,
// a row in each component, and codewords pass by in workgroup memory, where all threads read the same one: a round has no
// barriers, and what the threads found needs no comparing. A workgroup takes sub-quantizers whose codes fill words. LABELS:
// codewords are numbered over all sub-quantizers, and the distance to them is told.

alias Quad = vec{{QUAD}}<f32>;
alias Columns = mat{{QUAD}}x4<f32>;
#if WHOLE
alias Element = Quad;
#else
alias Element = f32;
#endif

@group(0) @binding(1) var<storage, read> rows: array<Element>;
@group(0) @binding(2) var<storage, read> codebook: array<Element>;
#if LABELS
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> distances: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> codes: array<u32>;
#endif
#if RESIDUAL
@group(0) @binding(4) var<storage, read> centroids: array<Element>;
@group(0) @binding(5) var<storage, read> labels: array<u32>;
#endif

#include accumulate

const QUADS = {{WIDTH}}u / {{QUAD}}u;

var<workgroup> codewords: array<Quad, {{THREADS}} * {{WIDTH}} / {{QUAD}}>;

// Of the thread's four rows: their numbers, the places of their numbers and of those of their centroids.
var<private> row_numbers: vec4<u32>;
var<private> places: vec4<u32>;
var<private> centres: vec4<u32>;

var<private> columns0: Columns;
#if SECOND_QUAD
var<private> columns1: Columns;
#endif
#if THIRD_QUAD
var<private> columns2: Columns;
#endif
#if FOURTH_QUAD
var<private> columns3: Columns;
#endif

var<private> best_distance: vec4<f32>;
var<private> best_code: vec4<u32>;

#if WHOLE
fn codeword_quad(place: u32, column: u32) -> Quad {
    return codebook[(place + column) / {{QUAD}}u];
}

fn row_quad(place: u32, centre: u32, column: u32) -> Quad {
    let value = rows[(place + column) / {{QUAD}}u];
#if RESIDUAL
    return value - centroids[(centre + column) / {{QUAD}}u];
#else
    return value;
#endif
}
#else
// Zero past the last column, without a branch: as many as these would be are more than some drivers compile in minutes.
fn codeword_value(place: u32, column: u32) -> f32 {
    let exists = column < params.dsub;
    return select(0.0, codebook[place + select(0u, column, exists)], exists);
}

fn codeword_quad(place: u32, column: u32) -> Quad {
    return Quad(
        codeword_value(place, column),
        codeword_value(place, column + 1u),
#if FOUR
        codeword_value(place, column + 2u),
        codeword_value(place, column + 3u),
#endif
    );
}

fn row_value(place: u32, centre: u32, column: u32) -> f32 {
    let exists = column < params.dsub;
    let own = select(0u, column, exists);
    let value = rows[place + own];
#if RESIDUAL
    return select(0.0, value - centroids[centre + own], exists);
#else
    return select(0.0, value, exists);
#endif
}

fn row_quad(place: u32, centre: u32, column: u32) -> Quad {
    return Quad(
        row_value(place, centre, column),
        row_value(place, centre, column + 1u),
#if FOUR
        row_value(place, centre, column + 2u),
        row_value(place, centre, column + 3u),
#endif
    );
}
#endif

// Columns of the four subvectors that begin `first` numbers after their rows do.
fn load_columns(first: u32, column: u32) -> Columns {
    return transpose(mat4x{{QUAD}}<f32>(
        row_quad(places.x + first, centres.x + first, column),
        row_quad(places.y + first, centres.y + first, column),
        row_quad(places.z + first, centres.z + first, column),
        row_quad(places.w + first, centres.w + first, column),
    ));
}

fn add_quad(sum: vec4<f32>, values: Columns, centre: Quad) -> vec4<f32> {
    let half = accumulate(accumulate(sum, centre.x, values[0]), centre.y, values[1]);
#if FOUR
    return accumulate(accumulate(half, centre.z, values[2]), centre.w, values[3]);
#else
    return half;
#endif
}

// Strictly nearer only: codes ascend, so the lower one wins among equals.
fn compare(slot: u32, code: u32) {
    var distance = add_quad(vec4<f32>(), columns0, codewords[slot * QUADS]);
#if SECOND_QUAD
    distance = add_quad(distance, columns1, codewords[slot * QUADS + 1u]);
#endif
#if THIRD_QUAD
    distance = add_quad(distance, columns2, codewords[slot * QUADS + 2u]);
#endif
#if FOURTH_QUAD
    distance = add_quad(distance, columns3, codewords[slot * QUADS + 3u]);
#endif
    let nearer = distance < best_distance;
    best_distance = select(best_distance, distance, nearer);
    best_code = select(best_code, vec4<u32>(code), nearer);
}

fn find_codes(thread: u32, sub: u32) {
    let first = sub * params.dsub;
    columns0 = load_columns(first, 0u);
#if SECOND_QUAD
    columns1 = load_columns(first, 4u);
#endif
#if THIRD_QUAD
    columns2 = load_columns(first, 8u);
#endif
#if FOURTH_QUAD
    columns3 = load_columns(first, 12u);
#endif
    best_distance = vec4<f32>(3.4028234e38);
    best_code = vec4<u32>();
    for (var code = 0u; code < params.ksub; code += {{THREADS}}u) {
        let count = min(params.ksub - code, {{THREADS}}u);
        workgroupBarrier();
        if (thread < count) {
            for (var quad = 0u; quad < QUADS; quad++) {
                let place = (sub * params.ksub + code + thread) * params.dsub;
                codewords[thread * QUADS + quad] = codeword_quad(place, quad * {{QUAD}}u);
            }
        }
        workgroupBarrier();
        // There are at least 16.
        for (var slot = 0u; slot < count; slot += 4u) {
            compare(slot, code + slot);
            compare(slot + 1u, code + slot + 1u);
            compare(slot + 2u, code + slot + 2u);
            compare(slot + 3u, code + slot + 3u);
        }
    }
}

#if LABELS
fn write_label(row: u32, sub: u32, code: u32, distance: f32) {
    if (row < params.rows) {
        let subvector = (params.label_place + row) * params.m + sub;
        labels[subvector] = sub * params.ksub + code;
        distances[subvector] = distance;
    }
}
#else
fn write_word(row: u32, word: u32, value: u32) {
    if (row < params.rows) {
        codes[(params.code_place + row) * params.words + word] = value;
    }
}

fn write(word: u32, values: vec4<u32>) {
    write_word(row_numbers.x, word, values.x);
    write_word(row_numbers.y, word, values.y);
    write_word(row_numbers.z, word, values.z);
    write_word(row_numbers.w, word, values.w);
}
#endif

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    // Neighbouring workgroups take the same rows, which do not then come from memory again.
    let across = (params.m + params.together - 1u) / params.together;
    let first_row = number / across * (4u * {{THREADS}}u);
    if (first_row >= params.rows) { return; }
    row_numbers = vec4<u32>(first_row + thread) + vec4<u32>(0u, {{THREADS}}u, 2u * {{THREADS}}u, 3u * {{THREADS}}u);
    let existing = min(row_numbers, vec4<u32>(params.rows - 1u));
    places = (vec4<u32>(params.row_place) + existing) * params.columns;
#if RESIDUAL
    let label_places = vec4<u32>(params.label_place) + existing;
    let own = vec4<u32>(
        labels[label_places.x],
        labels[label_places.y],
        labels[label_places.z],
        labels[label_places.w],
    );
    centres = params.columns * min(own, vec4<u32>(params.last_label));
#endif
    let first_sub = number % across * params.together;
    let end = min(first_sub + params.together, params.m);
#if LABELS
    for (var sub = first_sub; sub < end; sub++) {
        find_codes(thread, sub);
        write_label(row_numbers.x, sub, best_code.x, best_distance.x);
        write_label(row_numbers.y, sub, best_code.y, best_distance.y);
        write_label(row_numbers.z, sub, best_code.z, best_distance.z);
        write_label(row_numbers.w, sub, best_code.w, best_distance.w);
    }
#else
    var word = first_sub * params.nbits / 32u;
    var bit = 0u;
    var packed = vec4<u32>();
    for (var sub = first_sub; sub < end; sub++) {
        find_codes(thread, sub);
        packed |= best_code << vec4<u32>(bit);
        bit += params.nbits;
        if (bit >= 32u) {
            write(word, packed);
            word += 1u;
            bit -= 32u;
            packed = best_code >> vec4<u32>(params.nbits - bit);
        }
    }
    if (bit > 0u) {
        write(word, packed);
    }
#endif
}
