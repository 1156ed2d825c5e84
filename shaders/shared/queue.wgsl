// A workgroup's running selection for one query, or for two or four side by side: candidates nearer than the last of the `keep`
// nearest so far are queued, and the queues are sorted and cut when one of them might not have room for another round of
// offers, one a thread of its own. Slots are given out by a race; the total order of candidates decides what stays, so
// the outcome does not depend on it. NAMES_LATER: what is offered by `queue_offer_entry` gets its name, of the includer's `ids`,
// when its queue is settled. ROUNDED: entries are pushed, which the includer's `exact_of` makes candidates of then, and its
// `queue_bounded` is told the new bound.

#include sort

#if ROUNDED
// As many as the fullest queue was offered.
var<workgroup> fullest: atomic<u32>;
#endif
#if FOUR_QUERIES
const QUEUES = 4u;
#else
#if TWO_QUERIES
const QUEUES = 2u;
#else
const QUEUES = 1u;
#endif
#endif

// Entries of a queue.
const QUEUE_SIZE = {{QUEUE}}u / QUEUES;

var<workgroup> queued: array<atomic<u32>, QUEUES>;
var<workgroup> queue_lengths: array<u32, QUEUES>;
var<workgroup> queue_bounds: array<vec2<u32>, QUEUES>;

fn queue_open(thread: u32) {
    if (thread < QUEUES) {
        atomicStore(&queued[thread], 0u);
        queue_bounds[thread] = NONE;
        queue_lengths[thread] = 0u;
    }
#if ROUNDED
    if (thread == 0u) {
        atomicStore(&fullest, 0u);
    }
#endif
    workgroupBarrier();
}

// False where there is no room: then the candidate is to be offered again once the queues are settled.
fn queue_offer_to(side: u32, candidate: vec2<u32>) -> bool {
    if (before(candidate, queue_bounds[side])) {
        let slot = atomicAdd(&queued[side], 1u);
        if (slot >= QUEUE_SIZE) {
            return false;
        }
        queue[side * QUEUE_SIZE + slot] = candidate;
    }
    return true;
}

#if NAMES_LATER
// The same for a candidate that is named by its entry: few are as far away as the last, where the name decides.
fn queue_offer_entry(side: u32, candidate: vec2<u32>) -> bool {
    let last = queue_bounds[side];
    if (candidate.y > last.y) { return true; }
    if (candidate.y == last.y && ids[candidate.x] > last.x) { return true; }
    let slot = atomicAdd(&queued[side], 1u);
    if (slot >= QUEUE_SIZE) {
        return false;
    }
    queue[side * QUEUE_SIZE + slot] = candidate;
    return true;
}
#endif

#if ROUNDED
// Queues an entry. False where there is no room.
fn queue_push(side: u32, entry: u32) -> bool {
    let slot = atomicAdd(&queued[side], 1u);
    atomicMax(&fullest, slot + 1u);
    if (slot >= QUEUE_SIZE) {
        return false;
    }
    queue[side * QUEUE_SIZE + slot] = vec2<u32>(entry, 0u);
    return true;
}
#endif

fn queue_offer(candidate: vec2<u32>) -> bool {
    return queue_offer_to(0u, candidate);
}

// To be called by all threads after offers, of which {{THREADS}} / QUEUES to each queue together always find room. With
// `last`, sorts whatever there is. False if some offer found no room.
fn queue_settle(thread: u32, keep: u32, last: bool) -> bool {
#if ROUNDED
    let offered = workgroupUniformLoad(&fullest);
#else
    var offered = workgroupUniformLoad(&queued[0]);
#if TWO_QUERIES
    offered = max(offered, workgroupUniformLoad(&queued[1]));
#endif
#endif
    if (offered <= ({{QUEUE}}u - {{THREADS}}u) / QUEUES && !last) {
        return true;
    }
    var width = 2u;
    while (width < min(offered, QUEUE_SIZE)) {
        width <<= 1u;
    }
    for (var side = 0u; side < QUEUES; side++) {
        let length = atomicLoad(&queued[side]);
        for (var rank = length + thread; rank < width; rank += {{THREADS}}u) {
            queue[side * QUEUE_SIZE + rank] = NONE;
        }
#if NAMES_LATER
        for (var rank = queue_lengths[side] + thread; rank < min(length, QUEUE_SIZE); rank += {{THREADS}}u) {
            queue[side * QUEUE_SIZE + rank].x = ids[queue[side * QUEUE_SIZE + rank].x];
        }
#endif
#if ROUNDED
        for (var rank = queue_lengths[side] + thread; rank < min(length, QUEUE_SIZE); rank += {{THREADS}}u) {
            queue[side * QUEUE_SIZE + rank] = exact_of(side, queue[side * QUEUE_SIZE + rank].x);
        }
#endif
    }
    sort_blocks(thread, width);
    if (thread < QUEUES) {
        let length = min(atomicLoad(&queued[thread]), QUEUE_SIZE);
        atomicStore(&queued[thread], min(length, keep));
        queue_lengths[thread] = min(length, keep);
        if (length >= keep) {
            queue_bounds[thread] = queue[thread * QUEUE_SIZE + keep - 1u];
#if ROUNDED
            queue_bounded(thread, queue_bounds[thread]);
#endif
        }
    }
#if ROUNDED
    if (thread == 0u) {
        atomicStore(&fullest, min(offered, keep));
    }
#endif
    workgroupBarrier();
    return offered <= QUEUE_SIZE;
}

// What the sorted queue of a side holds at `rank`, after the last settling.
fn queue_at_of(side: u32, rank: u32) -> vec2<u32> {
    if (rank < queue_lengths[side]) {
        return queue[side * QUEUE_SIZE + rank];
    }
    return NONE;
}

fn queue_at(rank: u32) -> vec2<u32> {
    return queue_at_of(0u, rank);
}
