// Codes between rows of words and the blocks that scans read: a thread a word of what is written.

#if RESTORE
@group(0) @binding(1) var<storage, read> interleaved: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;

#include interleaved

@compute @workgroup_size({{THREADS}})
fn restore(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let place = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (place >= params.rows * params.row_words) { return; }
    let row = params.interleaved_row + place / params.row_words;
    let first_bit = place % params.row_words * 32u;
    var packed = 0u;
    // The bytes that reach into this word: the first may have begun in the word before.
    for (var number = first_bit / params.width; number < params.lookups && number * params.width < first_bit + 32u; number++) {
        let byte = interleaved_byte(row, number);
        let bit = number * params.width;
        if (bit >= first_bit) {
            packed |= byte << (bit - first_bit);
        } else {
            packed |= byte >> (first_bit - bit);
        }
    }
    codes[params.code_row * params.row_words + place] = packed;
}
#else
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> interleaved: array<u32>;

// The byte of look-up `number` of the code that begins at word `first`; zero past the last.
fn byte_of(first: u32, number: u32) -> u32 {
    if (number >= params.lookups) { return 0u; }
    let bit = number * params.width;
    let word = first + bit / 32u;
    let shift = bit % 32u;
    var value = codes[word] >> shift;
    if (shift + params.width > 32u) {
        value |= codes[word + 1u] << (32u - shift);
    }
    return value & ((1u << params.width) - 1u);
}

@compute @workgroup_size({{THREADS}})
fn interleave(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_block = params.interleaved_row / 32u;
    let place = workgroup_number(group, groups) * {{THREADS}}u + thread;
    let block = first_block + place / (32u * params.words);
    let within = place % (32u * params.words);
    // Which code the word is part of, and its first look-up; `swap` is how the look-ups of a bundle are permuted.
    let bundle = (4u * within) >> (params.bundle_bits + 5u);
    let bundle_mask = (1u << params.bundle_bits) - 1u;
    var lane = ((4u * within) >> params.bundle_bits) % 32u;
    var first = (bundle << params.bundle_bits) + ((4u * within) & bundle_mask);
    var swap = lane & bundle_mask;
    if (bundle >= params.bundles) {
        lane = within % 32u;
        first = within / 32u * 4u;
        swap = 0u;
    }
    let row = 32u * block + lane;
    if (row < params.interleaved_row || row >= params.interleaved_end) { return; }
    var packed = 0u;
    // What fills up the last block is zero.
    if (row < params.interleaved_row + params.rows) {
        let code = (params.code_row + row - params.interleaved_row) * params.row_words;
        for (var byte = 0u; byte < 4u; byte++) {
            packed |= byte_of(code, (first + byte) ^ swap) << (8u * byte);
        }
    }
    interleaved[block * 32u * params.words + within] = packed;
}
#endif
