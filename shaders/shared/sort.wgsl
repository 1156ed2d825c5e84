// A bitonic sort in workgroup memory: QUEUE entries, two a thread.

var<workgroup> queue: array<vec2<u32>, {{QUEUE}}>;

// Sorts each aligned block of `width` entries, a power of two, ascending. Begins and ends with a barrier.
fn sort_blocks(thread: u32, width: u32) {
    for (var size = 2u; size <= width; size <<= 1u) {
        for (var stride = size >> 1u; stride > 0u; stride >>= 1u) {
            workgroupBarrier();
            // The thread's number with a zero put in at the stride's bit.
            let low = 2u * thread - (thread & (stride - 1u));
            let high = low + stride;
            let ascending = size == width || (low & size) == 0u;
            let a = queue[low];
            let b = queue[high];
            if (before(b, a) == ascending) {
                queue[low] = b;
                queue[high] = a;
            }
        }
    }
    workgroupBarrier();
}
