// Stable sort of rows by label, a few bits of it at a time: each block counts its digits, the counts are summed up
// over all blocks, and each block moves its rows to where its digits begin. Then where each label begins.

@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> totals: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted_labels: array<u32>;
@group(0) @binding(6) var<storage, read_write> sorted_rows: array<u32>;
@group(0) @binding(7) var<storage, read_write> offsets: array<u32>;

const THREADS = {{THREADS}}u;
// A thread has as many rows as there are digits, so that a block's rows and its table of counts are of one size.
const DIGITS = 1u << {{BITS}}u;
const BLOCK = THREADS * DIGITS;

var<workgroup> keys: array<u32, BLOCK + THREADS>;
var<workgroup> values: array<u32, BLOCK + THREADS>;
var<workgroup> sums: array<u32, 2 * THREADS>;
var<workgroup> ranked: array<u32, BLOCK>;
var<workgroup> starts: array<u32, DIGITS>;

fn digit_of(label: u32) -> u32 {
    return (label >> params.shift) & (DIGITS - 1u);
}

// The place of an element of `keys` or `values`: a word of padding a thread keeps neighbours out of one bank.
fn slot(index: u32) -> u32 {
    return index + index / DIGITS;
}

// Replaces each of `values` by the sum of those before it; the threads have consecutive stretches.
fn sum_up(thread: u32) {
    workgroupBarrier();
    var total = 0u;
    for (var i = 0u; i < DIGITS; i++) {
        total += values[slot(thread * DIGITS + i)];
    }
    sums[thread] = total;
    var half = 0u;
    for (var reach = 1u; reach < THREADS; reach *= 2u) {
        workgroupBarrier();
        var sum = sums[half + thread];
        if thread >= reach {
            sum += sums[half + thread - reach];
        }
        half = THREADS - half;
        sums[half + thread] = sum;
    }
    var before = sums[half + thread] - total;
    for (var i = 0u; i < DIGITS; i++) {
        let place = slot(thread * DIGITS + i);
        let value = values[place];
        values[place] = before;
        before += value;
    }
    workgroupBarrier();
}

// Leaves the block's labels in `keys` and, digit after digit, where each thread's rows of that digit go in `values`.
fn rank_digits(block: u32, thread: u32) {
    for (var i = 0u; i < DIGITS; i++) {
        let place = i * THREADS + thread;
        let row = block * BLOCK + place;
        if row < params.length {
            keys[slot(place)] = min(labels[row], params.last_label);
        }
        values[slot(place)] = 0u;
    }
    workgroupBarrier();
    for (var i = 0u; i < DIGITS; i++) {
        let place = thread * DIGITS + i;
        if block * BLOCK + place < params.length {
            values[slot(digit_of(keys[slot(place)]) * THREADS + thread)] += 1u;
        }
    }
    sum_up(thread);
}

fn digit_start(digit: u32) -> u32 {
    return values[slot(digit * THREADS)];
}

// How often each digit occurs in each block, digit after digit.
@compute @workgroup_size({{THREADS}})
fn count(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let block = workgroup_number(id, width);
    if block >= params.blocks {
        return;
    }
    rank_digits(block, thread);
    if thread < DIGITS {
        var end = min(BLOCK, params.length - block * BLOCK);
        if thread + 1u < DIGITS {
            end = digit_start(thread + 1u);
        }
        counts[thread * params.blocks + block] = end - digit_start(thread);
    }
}

// The sum of each block of counts.
@compute @workgroup_size({{THREADS}})
fn total(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let block = workgroup_number(id, width);
    if block >= params.blocks {
        return;
    }
    var sum = 0u;
    for (var i = 0u; i < DIGITS; i++) {
        let place = block * BLOCK + i * THREADS + thread;
        if place < params.length {
            sum += counts[place];
        }
    }
    sums[thread] = sum;
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if thread < reach {
            sums[thread] += sums[thread + reach];
        }
    }
    if thread == 0u {
        totals[block] = sums[0];
    }
}

// Replaces each count by the sum of those before it; `totals` has those before the block, if it is not the only one.
@compute @workgroup_size({{THREADS}})
fn scan(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let block = workgroup_number(id, width);
    if block >= params.blocks {
        return;
    }
    for (var i = 0u; i < DIGITS; i++) {
        let place = i * THREADS + thread;
        var value = 0u;
        if block * BLOCK + place < params.length {
            value = counts[block * BLOCK + place];
        }
        values[slot(place)] = value;
    }
    sum_up(thread);
    var before = 0u;
#if BLOCKS
    before = totals[block];
#endif
    for (var i = 0u; i < DIGITS; i++) {
        let place = i * THREADS + thread;
        if block * BLOCK + place < params.length {
            counts[block * BLOCK + place] = before + values[slot(place)];
        }
    }
}

// Moves each row to its place. The block is sorted on its own first, so that neighbours write to neighbours.
@compute @workgroup_size({{THREADS}})
fn scatter(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let block = workgroup_number(id, width);
    if block >= params.blocks {
        return;
    }
    rank_digits(block, thread);
    if thread < DIGITS {
        starts[thread] = counts[thread * params.blocks + block] - digit_start(thread);
    }
    workgroupBarrier();
    for (var i = 0u; i < DIGITS; i++) {
        let place = thread * DIGITS + i;
        if block * BLOCK + place < params.length {
            let column = slot(digit_of(keys[slot(place)]) * THREADS + thread);
            ranked[values[column]] = place;
            values[column] += 1u;
        }
    }
    workgroupBarrier();
    for (var i = 0u; i < DIGITS; i++) {
        let place = i * THREADS + thread;
        if block * BLOCK + place < params.length {
            let source = ranked[place];
            let label = keys[slot(source)];
            let destination = starts[digit_of(label)] + place;
            sorted_labels[destination] = label;
#if FIRST
            sorted_rows[destination] = block * BLOCK + source;
#else
            sorted_rows[destination] = rows[block * BLOCK + source];
#endif
        }
    }
}

// Where each label begins among the sorted ones.
@compute @workgroup_size({{THREADS}})
fn begin(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let label = workgroup_number(id, width) * THREADS + thread;
    if label >= params.blocks {
        return;
    }
    var low = 0u;
    var high = params.length;
    while low < high {
        let middle = low + (high - low) / 2u;
        if labels[middle] < label {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    offsets[label] = low;
}
