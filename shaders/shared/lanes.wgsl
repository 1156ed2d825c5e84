// Rows shared out over neighbouring invocations: LANES of them work on one row and add up what each found.

struct Place {
    // Which of the workgroup's rows, and which of its lanes.
    row: u32,
    lane: u32,
}

#if SUBGROUPS
fn place(thread: u32, subgroup: u32, invocation: u32, size: u32) -> Place {
    return Place(subgroup * (size / {{LANES}}u) + invocation / {{LANES}}u, invocation % {{LANES}}u);
}

fn lanes_sum(thread: u32, value: f32) -> f32 {
    var sum = value;
    for (var distance = 1u; distance < {{LANES}}u; distance <<= 1u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
#else
var<workgroup> shares: array<f32, {{THREADS}}>;

fn place(thread: u32) -> Place {
    return Place(thread / {{LANES}}u, thread % {{LANES}}u);
}

// Holds barriers.
fn lanes_sum(thread: u32, value: f32) -> f32 {
    workgroupBarrier();
    shares[thread] = value;
    workgroupBarrier();
    let first = thread - thread % {{LANES}}u;
    var sum = 0.0;
    for (var lane = 0u; lane < {{LANES}}u; lane++) {
        sum += shares[first + lane];
    }
    return sum;
}
#endif
