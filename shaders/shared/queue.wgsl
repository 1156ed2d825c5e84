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

fn queue_offer(candidate: vec2<u32>) {
    if (before(candidate, queue_bound)) {
        queue[atomicAdd(&queued, 1u)] = candidate;
    }
}

// To be called by all threads after at most {{THREADS}} offers together. With `last`, sorts whatever there is.
fn queue_settle(thread: u32, keep: u32, last: bool) {
    workgroupBarrier();
    if (thread == 0u) {
        queue_length = atomicLoad(&queued);
    }
    let length = workgroupUniformLoad(&queue_length);
    if (length <= {{QUEUE}}u - {{THREADS}}u && !last) {
        return;
    }
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
}

// What the sorted queue holds at `rank`, after the last settling.
fn queue_at(rank: u32) -> vec2<u32> {
    if (rank < queue_length) {
        return queue[rank];
    }
    return NONE;
}
