// The last of the k smallest entries of each row, digit by digit from the highest: `count` counts how often each digit
// occurs among the entries that begin as the last one does, `narrow` finds the last one's digit, and in the end `keep`
// collects what is not after it. VALUES: numbers, named by their columns. LISTS: what a scan offered and what was kept
// before. Otherwise candidates, of which NONE does not count.

#if VALUES
@group(0) @binding(1) var<storage, read> values: array<f32>;
#else
@group(0) @binding(1) var<storage, read> listed: array<vec2<u32>>;
#endif
@group(0) @binding(2) var<storage, read> kept: array<vec2<u32>>;
// How often each digit occurs in each row: zero between two digits.
@group(0) @binding(4) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> next_kept: array<vec2<u32>>;

#include ranked
#include bound

const DIGITS = 1u << {{BITS}}u;

// Digits that a thread has of a row's.
const SHARE = DIGITS / {{THREADS}}u;

// Entries that a thread looks at between two looks at what the others found.
const ROUND = 8u;

// Entries of a row for a workgroup to look through.
struct Slab {
    row: u32,
    first: u32,
    end: u32,
    // The first of the row's were kept before.
    kept: u32,
    last: vec2<u32>,
}

var<workgroup> head: vec4<u32>;

// To be called by all threads. With `unknown`, there are none in a row whose last entry is known.
fn slab_of(number: u32, thread: u32, unknown: bool) -> Slab {
    let row = number / params.slabs;
    if (thread == 0u) {
#if LISTS
        let kept_length = atomicLoad(&bounds[row].kept[params.turn]);
        let length = kept_length + atomicLoad(&bounds[row].offered[params.turn]);
#else
        let kept_length = 0u;
        let length = params.columns;
#endif
        let last = bounds[row].last;
        let known = unknown && params.first == 0u && bounds[row].known != 0u;
        head = vec4<u32>(last, select(length, 0u, known), kept_length);
    }
    let found = workgroupUniformLoad(&head);
    let size = (found.z + params.slabs - 1u) / params.slabs;
    let first = min(number % params.slabs * size, found.z);
    return Slab(row, first, min(first + size, found.z), found.w, found.xy);
}

fn entry(slab: Slab, place: u32) -> vec2<u32> {
#if VALUES
    return ranked(values[(params.place + slab.row) * params.columns + place], place);
#else
#if LISTS
    if (place < slab.kept) {
        return kept[slab.row * params.k + place];
    }
#endif
    return listed[(params.place + slab.row) * params.columns + place - slab.kept];
#endif
}

#if COUNT
var<workgroup> digits: array<atomic<u32>, DIGITS>;

@compute @workgroup_size({{THREADS}})
fn count(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.rows * params.slabs) { return; }
    for (var digit = thread; digit < DIGITS; digit += {{THREADS}}u) {
        atomicStore(&digits[digit], 0u);
    }
    // Holds a barrier.
    let slab = slab_of(number, thread, true);
    if (slab.first >= slab.end) { return; }
    let known = vec2<u32>(params.known_id, params.known_key);
    for (var place = slab.first + thread; place < slab.end; place += {{THREADS}}u) {
        let found = entry(slab, place);
        let differs = (found ^ slab.last) & known;
        if ((differs.x | differs.y) == 0u && !is_none(found)) {
            let digit = (select(found.y, found.x, params.of_id != 0u) >> params.shift) & (params.digits - 1u);
            atomicAdd(&digits[digit], 1u);
        }
    }
    workgroupBarrier();
    for (var digit = thread; digit < DIGITS; digit += {{THREADS}}u) {
        let occurs = atomicLoad(&digits[digit]);
        if (occurs > 0u) {
            atomicAdd(&counts[slab.row * DIGITS + digit], occurs);
        }
    }
}
#endif

#if NARROW
var<workgroup> sums: array<u32, 2 * {{THREADS}}>;

// The last entry as it is known with one more digit, the bits below it set if no more digits are needed.
fn with_digit(last: vec2<u32>, digit: u32, known: bool) -> vec2<u32> {
    let bits = (digit << params.shift) | select(0u, (1u << params.shift) - 1u, known);
    if (params.of_id != 0u) {
        return vec2<u32>(last.x | bits, last.y);
    }
    return vec2<u32>(select(last.x, NONE.x, known), last.y | bits);
}

// A row a workgroup, consecutive digits a thread.
@compute @workgroup_size({{THREADS}})
fn narrow(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_number(group, groups);
    if (row >= params.rows) { return; }
    let first = row * DIGITS + thread * SHARE;
    var total = 0u;
    for (var i = 0u; i < SHARE; i++) {
        total += atomicLoad(&counts[first + i]);
    }
    var last = vec2<u32>();
    var rest = params.k;
    var known = false;
    if (params.first == 0u) {
        last = bounds[row].last;
        rest = bounds[row].rest;
        known = bounds[row].known != 0u;
    }
    sums[thread] = total;
    var half = 0u;
    for (var reach = 1u; reach < {{THREADS}}u; reach *= 2u) {
        workgroupBarrier();
        var sum = sums[half + thread];
        if (thread >= reach) {
            sum += sums[half + thread - reach];
        }
        half = {{THREADS}}u - half;
        sums[half + thread] = sum;
    }
    let end = sums[half + thread];
    var before = end - total;
    if (!known && before < rest && rest <= end) {
        var digit = 0u;
        var occurs = atomicLoad(&counts[first]);
        while (before + occurs < rest) {
            before += occurs;
            digit += 1u;
            occurs = atomicLoad(&counts[first + digit]);
        }
        let all = rest - before == occurs;
        bounds[row].last = with_digit(last, thread * SHARE + digit, all);
        bounds[row].rest = rest - before;
        bounds[row].known = u32(all);
    }
    // There are fewer than wanted.
    if (!known && thread == {{THREADS}}u - 1u && end < rest) {
        bounds[row].last = NONE;
        bounds[row].known = 1u;
    }
    for (var i = 0u; i < SHARE; i++) {
        atomicStore(&counts[first + i], 0u);
    }
    if (params.first != 0u && thread == 0u) {
        atomicStore(&bounds[row].offered[1u - params.turn], 0u);
        atomicStore(&bounds[row].kept[1u - params.turn], 0u);
    }
}
#endif

#if KEEP
var<workgroup> taken: atomic<u32>;
var<workgroup> start: u32;

// Slots are given out by a race: what is kept does not depend on it, and is sorted in the end.
@compute @workgroup_size({{THREADS}})
fn keep(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if (number >= params.rows * params.slabs) { return; }
    if (thread == 0u) {
        atomicStore(&taken, 0u);
    }
    // Holds a barrier.
    let slab = slab_of(number, thread, false);
    for (var first = slab.first; first < slab.end; first += ROUND * {{THREADS}}u) {
        var wanted = 0u;
        for (var i = 0u; i < ROUND; i++) {
            let place = first + i * {{THREADS}}u + thread;
            if (place < slab.end) {
                let found = entry(slab, place);
                wanted |= select(0u, 1u, !before(slab.last, found) && !is_none(found)) << i;
            }
        }
        var slot = 0u;
        if (wanted != 0u) {
            slot = atomicAdd(&taken, countOneBits(wanted));
        }
        workgroupBarrier();
        if (thread == 0u) {
            start = atomicAdd(&bounds[slab.row].kept[1u - params.turn], atomicExchange(&taken, 0u));
        }
        slot += workgroupUniformLoad(&start);
        for (var i = 0u; i < ROUND; i++) {
            // Only where a candidate occurs twice, as none should, could there be more than wanted.
            if (((wanted >> i) & 1u) != 0u && slot < params.k) {
                next_kept[slab.row * params.k + slot] = entry(slab, first + i * {{THREADS}}u + thread);
                slot += 1u;
            }
        }
    }
}
#endif
