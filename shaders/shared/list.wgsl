// What `queue` is, for more candidates than workgroup memory holds: they lie in storage, where `queue_places` says, and are
// cut to the `keep` smallest by their digits when another round of offers might find no room. What is kept is in no order.
// The includer has `candidates`, and `room` of them for each queue.

#if TWO_QUERIES
const QUEUES = 2u;
#else
const QUEUES = 1u;
#endif

const DIGITS = 256u;

// Of the numbers that are not NaN, the last.
const INFINITE = 0xff800000u;

var<workgroup> queued: array<atomic<u32>, QUEUES>;
var<workgroup> queue_lengths: vec2<u32>;
// Nothing from here on is among the smallest.
var<workgroup> queue_bounds: array<vec2<u32>, QUEUES>;
var<workgroup> digits: array<atomic<u32>, DIGITS>;
var<workgroup> digit_sums: array<u32, 2 * DIGITS>;
// The digit of the last that is kept, how many have a lower one, and how many that one.
var<workgroup> digit_found: vec4<u32>;

var<private> queue_places: vec2<u32>;

fn queue_open(thread: u32) {
    if (thread < QUEUES) {
        atomicStore(&queued[thread], 0u);
        queue_bounds[thread] = NONE;
    }
    workgroupBarrier();
}

// False where there is no room: then the candidate is to be offered again once the queues are settled.
fn queue_offer_to(side: u32, candidate: vec2<u32>) -> bool {
    if (before(candidate, queue_bounds[side])) {
        let slot = atomicAdd(&queued[side], 1u);
        if (slot >= params.room) {
            return false;
        }
        candidates[queue_places[side] + slot] = candidate;
    }
    return true;
}

fn queue_offer(candidate: vec2<u32>) -> bool {
    return queue_offer_to(0u, candidate);
}

// The digit of the `rest`-th smallest of those that are counted. To be called by all threads.
fn find_digit(thread: u32, rest: u32) -> vec3<u32> {
    let mine = thread < DIGITS;
    var occurs = 0u;
    if (mine) {
        occurs = atomicLoad(&digits[thread]);
        digit_sums[thread] = occurs;
    }
    var half = 0u;
    for (var reach = 1u; reach < DIGITS; reach *= 2u) {
        workgroupBarrier();
        if (mine) {
            var sum = digit_sums[half + thread];
            if (thread >= reach) {
                sum += digit_sums[half + thread - reach];
            }
            digit_sums[DIGITS - half + thread] = sum;
        }
        half = DIGITS - half;
    }
    if (mine) {
        let end = digit_sums[half + thread];
        if (end - occurs < rest && rest <= end) {
            digit_found = vec4<u32>(thread, end - occurs, occurs, 0u);
        }
    }
    return workgroupUniformLoad(&digit_found).xyz;
}

// The last of the `keep` smallest of a queue of more, or what nothing that is not one of them is before. To be called by
// all threads.
fn last_kept(thread: u32, place: u32, length: u32, keep: u32) -> vec2<u32> {
    var last = vec2<u32>();
    var known = vec2<u32>();
    var rest = keep;
    for (var number = 0u; number < 8u; number++) {
        let of_id = number >= 4u;
        let shift = 24u - number % 4u * 8u;
        if (thread < DIGITS) {
            atomicStore(&digits[thread], 0u);
        }
        workgroupBarrier();
        for (var index = thread; index < length; index += {{THREADS}}u) {
            let candidate = candidates[place + index];
            let differs = (candidate ^ last) & known;
            if ((differs.x | differs.y) == 0u) {
                atomicAdd(&digits[(select(candidate.y, candidate.x, of_id) >> shift) % DIGITS], 1u);
            }
        }
        workgroupBarrier();
        let found = find_digit(thread, rest);
        rest -= found.y;
        let all = rest == found.z;
        let bits = (found.x << shift) | select(0u, (1u << shift) - 1u, all);
        if (of_id) {
            last.x |= bits;
            known.x |= (DIGITS - 1u) << shift;
        } else {
            last = vec2<u32>(select(0u, NONE.x, all), last.y | bits);
            known.y |= (DIGITS - 1u) << shift;
        }
        if (all) { break; }
    }
    return last;
}

// To be called by all threads.
fn queue_cut(thread: u32, side: u32, length: u32, keep: u32) {
    let place = queue_places[side];
    let last = last_kept(thread, place, length, keep);
    if (thread == 0u) {
        atomicStore(&queued[side], 0u);
        queue_bounds[side] = select(last, vec2<u32>(NONE.x, INFINITE), last.y > INFINITE);
    }
    for (var first = 0u; first < length; first += {{THREADS}}u) {
        var candidate = NONE;
        if (first + thread < length) {
            candidate = candidates[place + first + thread];
        }
        // What is kept goes where everything has been read.
        storageBarrier();
        workgroupBarrier();
        if (first + thread < length && !before(last, candidate)) {
            candidates[place + atomicAdd(&queued[side], 1u)] = candidate;
        }
    }
    storageBarrier();
    workgroupBarrier();
}

// To be called by all threads after offers, of which {{THREADS}} / QUEUES to each queue together always find room. With
// `last`, nothing more comes. False if some offer found no room.
fn queue_settle(thread: u32, keep: u32, last: bool) -> bool {
    storageBarrier();
    workgroupBarrier();
    if (thread == 0u) {
        queue_lengths.x = atomicLoad(&queued[0]);
#if TWO_QUERIES
        queue_lengths.y = atomicLoad(&queued[1]);
#endif
    }
    let offered = workgroupUniformLoad(&queue_lengths);
    let most = params.room - {{THREADS}}u / QUEUES;
    if (!last && offered.x > most) {
        queue_cut(thread, 0u, min(offered.x, params.room), keep);
    }
#if TWO_QUERIES
    if (!last && offered.y > most) {
        queue_cut(thread, 1u, min(offered.y, params.room), keep);
    }
    return max(offered.x, offered.y) <= params.room;
#else
    return offered.x <= params.room;
#endif
}

// Fills the rest of a queue's room.
fn queue_pad(thread: u32, side: u32) {
    for (var index = atomicLoad(&queued[side]) + thread; index < params.room; index += {{THREADS}}u) {
        candidates[queue_places[side] + index] = NONE;
    }
}
