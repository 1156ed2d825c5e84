// A candidate neighbour, Rust's `Ranked`: x is the row number, y the distance mapped so that it orders as a number.

const NONE = vec2<u32>(0xffffffffu, 0xffffffffu);

fn ranked(distance: f32, id: u32) -> vec2<u32> {
    let bits = bitcast<u32>(distance);
    // -0 and +0 are one distance.
    let negative = select(~bits, 0x80000000u, bits == 0x80000000u);
    return vec2<u32>(id, select(negative, bits | 0x80000000u, bits < 0x80000000u));
}

fn distance_of(candidate: vec2<u32>) -> f32 {
    let key = candidate.y;
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn is_none(candidate: vec2<u32>) -> bool {
    return candidate.x == NONE.x && candidate.y == NONE.y;
}

fn before(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}
