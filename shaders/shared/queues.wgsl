// A queue in storage for each of the SIDE queries of a workgroup: candidates nearer than its limit are queued, and all queues
// are cut back to their `keep` nearest when another tile might not fit. LIMITED: what is further away than the last of those
// kept before is never queued.

#include sort

// Queues that are sorted together.
const TOGETHER = {{QUEUE}}u / {{CAPACITY}}u;

var<workgroup> lengths: array<atomic<u32>, {{SIDE}}>;
// What a row must be nearer than to be among a query's nearest.
var<workgroup> limits: array<f32, {{SIDE}}>;
var<workgroup> crowding: atomic<u32>;

var<private> queues_place: u32;

// What must be nearer than that, to begin with.
fn first_limit(query: u32) -> f32 {
    // Queries that do not exist want nothing.
    if (query >= params.queries) { return -MOST; }
#if LIMITED
    let last = kept[(params.kept_place + query + 1u) * params.keep - 1u];
    if (!is_none(last)) {
        // The next number: rows as far away as the last are told apart by their numbers later.
        return distance_of(last + vec2<u32>(0u, 1u));
    }
#endif
    return MOST;
}

// Whether some queue has no room for another tile. Holds barriers.
fn is_crowded() -> bool {
    return workgroupUniformLoad(&crowding) != 0u;
}

fn offer(query: u32, distance: f32, limit: f32, row: u32) {
    if (distance < limit) {
        let slot = atomicAdd(&lengths[query], 1u);
        queues[queues_place + query * {{CAPACITY}}u + slot] = ranked(distance, params.base_number + row);
        if (slot >= {{CAPACITY}}u - {{SIDE}}u) {
            atomicStore(&crowding, 1u);
        }
    }
}

// Sorts every queue and keeps its nearest, unless none is longer than `most`. Begins and ends with a barrier.
fn cut_queues(thread: u32, most: u32) {
    storageBarrier();
    workgroupBarrier();
    if (thread < {{SIDE}}u && atomicLoad(&lengths[thread]) > most) {
        atomicStore(&crowding, 1u);
    }
    if (!is_crowded()) { return; }
    for (var first = 0u; first < {{SIDE}}u; first += TOGETHER) {
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + slot / {{CAPACITY}}u;
            let rank = slot % {{CAPACITY}}u;
            var candidate = NONE;
            if (rank < atomicLoad(&lengths[query])) {
                candidate = queues[queues_place + query * {{CAPACITY}}u + rank];
            }
            queue[slot] = candidate;
        }
        sort_blocks(thread, {{CAPACITY}}u);
        for (var slot = thread; slot < {{QUEUE}}u; slot += {{THREADS}}u) {
            let query = first + slot / {{CAPACITY}}u;
            let rank = slot % {{CAPACITY}}u;
            let candidate = queue[slot];
            if (rank < params.keep) {
                queues[queues_place + query * {{CAPACITY}}u + rank] = candidate;
            }
            if (rank == params.keep - 1u) {
                if (!is_none(candidate)) { limits[query] = distance_of(candidate); }
                atomicMin(&lengths[query], params.keep);
            }
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    storageBarrier();
    workgroupBarrier();
}

fn open_queues(thread: u32, first_query: u32) {
    if (thread < {{SIDE}}u) {
        atomicStore(&lengths[thread], 0u);
        limits[thread] = first_limit(first_query + thread);
    }
    if (thread == 0u) {
        atomicStore(&crowding, 0u);
    }
    workgroupBarrier();
}

// Cuts the queues to what there is room for and writes it down.
fn write_queues(thread: u32, first_query: u32, slab: u32) {
    cut_queues(thread, params.room);
    for (var slot = thread; slot < {{SIDE}}u * params.room; slot += {{THREADS}}u) {
        let query = slot / params.room;
        let rank = slot % params.room;
        if (first_query + query < params.queries) {
            var candidate = NONE;
            if (rank < atomicLoad(&lengths[query])) {
                candidate = queues[queues_place + query * {{CAPACITY}}u + rank];
            }
            candidates[candidate_place(first_query + query, slab) + rank] = candidate;
        }
    }
}
