// Look-up tables rounded to whole numbers for two or four queries side by side, a workgroup as many queries: see
// `src/ops/pq_scan/gpu/rounded.rs`.

@group(0) @binding(1) var<storage, read> tables: array<f32>;
// For each two or four, bundle after bundle as a scan has it in workgroup memory, two numbers a word; then for each query the
// least distance and what a whole number stands for, each in a word.
@group(0) @binding(2) var<storage, read_write> rounded: array<u32>;

#include table_entry

const SIDES = {{SIDES}}u;
// Words of an entry.
const WIDTH = SIDES / 2u;

// Look-ups of a bundle, and threads for each.
const LOOKUPS = {{LOOKUPS}}u;
const SHARE = {{THREADS}}u / LOOKUPS;

// What the numbers of a code add up to at most, but for rounding.
const MOST_SUM = 65000.0;

// Most of what distances are made of, so that sums and products stay finite.
const HUGE = 1e37;

var<workgroup> smallest: array<f32, {{THREADS}}>;
var<workgroup> largest: array<f32, {{THREADS}}>;
// A bit for each query that has entries which are no numbers to reckon with.
var<workgroup> unbounded: atomic<u32>;
// Of each query: how many whole numbers a unit of distance has.
var<workgroup> scales: array<f32, SIDES>;
// The smallest entries of the look-ups of a bundle.
var<workgroup> smallest_of: array<array<f32, LOOKUPS>, SIDES>;

// Finds the smallest and the largest entry of each look-up of a bundle: those of look-up `i` are at i * SHARE. Begins and
// ends with a barrier.
fn find_ranges(thread: u32, table: u32, bundle: u32, side: u32) {
    let number = bundle * LOOKUPS + thread / SHARE;
    var low = HUGE;
    var high = -HUGE;
    for (var row = thread % SHARE; row < {{ROWS}}u; row += SHARE) {
        let entry = table_entry(table, number, row);
        if ((bitcast<u32>(entry) & 0x7fffffffu) >= bitcast<u32>(HUGE)) {
            atomicOr(&unbounded, 1u << side);
        }
        low = min(low, entry);
        high = max(high, entry);
    }
    workgroupBarrier();
    smallest[thread] = low;
    largest[thread] = high;
    for (var reach = SHARE / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (thread % SHARE < reach) {
            smallest[thread] = min(smallest[thread], smallest[thread + reach]);
            largest[thread] = max(largest[thread], largest[thread + reach]);
        }
    }
    workgroupBarrier();
}

fn is_unbounded(side: u32) -> bool {
    return (atomicLoad(&unbounded) & (1u << side)) != 0u;
}

@compute @workgroup_size({{THREADS}})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= (params.queries + SIDES - 1u) / SIDES) { return; }
    let sides = min(params.queries - SIDES * number, SIDES);
    let table = (params.table_place + SIDES * number) * params.columns;
    let bundle_words = {{ROWS}}u * 16u * WIDTH;
    let place = number * (params.bundles * bundle_words + 2u * SIDES);
    if (thread == 0u) {
        atomicStore(&unbounded, 0u);
    }
    workgroupBarrier();
    for (var side = 0u; side < sides; side++) {
        var least = 0.0;
        var range = 0.0;
        var size = 0.0;
        for (var bundle = 0u; bundle < params.bundles; bundle++) {
            find_ranges(thread, table + side * params.columns, bundle, side);
            if (thread == 0u) {
                for (var number = 0u; number < LOOKUPS; number++) {
                    let low = smallest[number * SHARE];
                    let high = largest[number * SHARE];
                    least += low;
                    range += high - low;
                    size += max(abs(low), abs(high));
                }
            }
        }
        if (thread == 0u) {
            // More than what rounding of f32 may take from sums of whole numbers, or add to those of entries.
            least -= (size + range) * (f32(params.m + 16u) / 4194304.0) + 1e-30;
            let bounded = !is_unbounded(side) && size < HUGE;
            // Where all entries are the same, every whole number is zero.
            let scaled = bounded && range > 1e-30;
            scales[side] = select(0.0, MOST_SUM / range, scaled);
            let record = place + params.bundles * bundle_words + 2u * side;
            rounded[record] = bitcast<u32>(select(-HUGE, least, bounded));
            rounded[record + 1u] = bitcast<u32>(select(0.0, range / MOST_SUM, scaled));
        }
    }
    for (var bundle = 0u; bundle < params.bundles; bundle++) {
        for (var side = 0u; side < sides; side++) {
            find_ranges(thread, table + side * params.columns, bundle, side);
            if (thread < LOOKUPS) {
                smallest_of[side][thread] = smallest[thread * SHARE];
            }
        }
        workgroupBarrier();
        for (var word = thread; word < bundle_words; word += {{THREADS}}u) {
            let entry = word / WIDTH;
            let lookup = entry % LOOKUPS;
            var packed = 0u;
            for (var half = 0u; half < 2u; half++) {
                let side = 2u * (word % WIDTH) + half;
                if (side < sides && scales[side] > 0.0) {
                    let value = table_entry(table + side * params.columns, bundle * LOOKUPS + lookup, entry / 16u);
                    let whole = min(u32(max((value - smallest_of[side][lookup]) * scales[side], 0.0)), 0xffffu);
                    packed |= whole << (16u * half);
                }
            }
            rounded[place + bundle * bundle_words + word] = packed;
        }
    }
}
