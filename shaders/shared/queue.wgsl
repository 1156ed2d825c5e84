// One workgroup's running selection: candidates nearer than the last of the `keep` nearest so far are queued, and the
// queue is sorted and cut when another round of offers, one a thread, might not fit. Slots are given out by a race;
// the total order of candidates decides what stays, so the outcome does not depend on it.

#include sort

var<workgroup> queued: atomic<u32>;
var<workgroup> queue_length: u32;
var<workgroup> queue_bound: vec2<u32>;

fn queue_open(thread: u32) {
    if (thread == 0u) {
        atomicStore(&queued, 0u);
        queue_bound = NONE;
    }
    workgroupBarrier();
}

// False where there is no room: then the candidate is to be offered again once the queue is settled.
fn queue_offer(candidate: vec2<u32>) -> bool {
    if (before(candidate, queue_bound)) {
        let slot = atomicAdd(&queued, 1u);
        if (slot >= {{QUEUE}}u) {
            return false;
        }
        queue[slot] = candidate;
    }
    return true;
}

// To be called by all threads after offers, of which {{THREADS}} together always find room. With `last`, sorts whatever
// there is. False if some offer found no room.
fn queue_settle(thread: u32, keep: u32, last: bool) -> bool {
    workgroupBarrier();
    if (thread == 0u) {
        queue_length = atomicLoad(&queued);
    }
    let offered = workgroupUniformLoad(&queue_length);
    if (offered <= {{QUEUE}}u - {{THREADS}}u && !last) {
        return true;
    }
    let length = min(offered, {{QUEUE}}u);
    var width = 2u;
    while (width < length) {
        width <<= 1u;
    }
    for (var slot = thread; slot < width; slot += {{THREADS}}u) {
        if (slot >= length) {
            queue[slot] = NONE;
        }
    }
    sort_blocks(thread, width);
    if (thread == 0u) {
        atomicStore(&queued, min(length, keep));
        queue_length = min(length, keep);
        if (length >= keep) {
            queue_bound = queue[keep - 1u];
        }
    }
    workgroupBarrier();
    return offered == length;
}

// What the sorted queue holds at `rank`, after the last settling.
fn queue_at(rank: u32) -> vec2<u32> {
    if (rank < queue_length) {
        return queue[rank];
    }
    return NONE;
}
