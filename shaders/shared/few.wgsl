// Distances of eight rows on the left to {{RIGHT}} rows on the right. Eight neighbouring threads take four rows on the right
// together, each every eighth element of them and of all on the left, and add up: in the end each has the distances of one
// on the left. The includer defines Element, left_element(row, place) and right_element(row, place).

#include accumulate
#include lanes

#if WIDE
alias Four = mat4x4<f32>;
#else
alias Four = vec4<f32>;
#endif

struct Sums {
    row0: vec4<f32>,
    row1: vec4<f32>,
    row2: vec4<f32>,
    row3: vec4<f32>,
    row4: vec4<f32>,
    row5: vec4<f32>,
    row6: vec4<f32>,
    row7: vec4<f32>,
}

fn four(rows: vec4<u32>, element: u32) -> Four {
#if WIDE
    return transpose(mat4x4<f32>(
        right_element(rows.x, element),
        right_element(rows.y, element),
        right_element(rows.z, element),
        right_element(rows.w, element),
    ));
#else
    return vec4<f32>(
        right_element(rows.x, element),
        right_element(rows.y, element),
        right_element(rows.z, element),
        right_element(rows.w, element),
    );
#endif
}

fn add(sum: vec4<f32>, a: Element, b: Four) -> vec4<f32> {
#if WIDE
    let half = accumulate(accumulate(sum, a.x, b[0]), a.y, b[1]);
    return accumulate(accumulate(half, a.z, b[2]), a.w, b[3]);
#else
    return accumulate(sum, a, b);
#endif
}

#if SUBGROUPS
// Of two sums the one that this lane goes on with, and what the lane `distance` away has of it.
fn halve(sum0: vec4<f32>, sum1: vec4<f32>, lane: u32, distance: u32) -> vec4<f32> {
    let second = (lane & distance) != 0u;
    return select(sum0, sum1, second) + subgroupShuffleXor(select(sum1, sum0, second), distance);
}

fn add_up(thread: u32, lane: u32, sums: Sums) -> vec4<f32> {
    let sum0 = halve(sums.row0, sums.row4, lane, 4u);
    let sum1 = halve(sums.row1, sums.row5, lane, 4u);
    let sum2 = halve(sums.row2, sums.row6, lane, 4u);
    let sum3 = halve(sums.row3, sums.row7, lane, 4u);
    return halve(halve(sum0, sum2, lane, 2u), halve(sum1, sum3, lane, 2u), lane, 1u);
}
#else
var<workgroup> parts: array<vec4<f32>, {{THREADS}}>;

// Holds barriers.
fn add_row(thread: u32, lane: u32, number: u32, part: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    parts[thread] = part;
    workgroupBarrier();
    var sum = vec4<f32>();
    if (lane == number) {
        for (var other = 0u; other < {{LANES}}u; other++) {
            sum += parts[thread - lane + other];
        }
    }
    return sum;
}

fn add_up(thread: u32, lane: u32, sums: Sums) -> vec4<f32> {
    return add_row(thread, lane, 0u, sums.row0)
        + add_row(thread, lane, 1u, sums.row1)
        + add_row(thread, lane, 2u, sums.row2)
        + add_row(thread, lane, 3u, sums.row3)
        + add_row(thread, lane, 4u, sums.row4)
        + add_row(thread, lane, 5u, sums.row5)
        + add_row(thread, lane, 6u, sums.row6)
        + add_row(thread, lane, 7u, sums.row7);
}
#endif

// Lane l gets left row l against the four on the right. May hold barriers.
fn few_distances(thread: u32, lane: u32, rows: vec4<u32>, elements: u32) -> vec4<f32> {
    var sums: Sums;
    for (var element = lane; element < elements; element += {{LANES}}u) {
        let others = four(rows, element);
        sums.row0 = add(sums.row0, left_element(0u, element), others);
        sums.row1 = add(sums.row1, left_element(1u, element), others);
        sums.row2 = add(sums.row2, left_element(2u, element), others);
        sums.row3 = add(sums.row3, left_element(3u, element), others);
        sums.row4 = add(sums.row4, left_element(4u, element), others);
        sums.row5 = add(sums.row5, left_element(5u, element), others);
        sums.row6 = add(sums.row6, left_element(6u, element), others);
        sums.row7 = add(sums.row7, left_element(7u, element), others);
    }
    return add_up(thread, lane, sums);
}
