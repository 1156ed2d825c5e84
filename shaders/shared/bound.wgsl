// What is known of the k smallest entries of a row while they are looked for.
struct Bound {
    // None of them is after this one.
    last: vec2<u32>,
    // How many of those that begin as it does, as far as it is known, are among them, and whether it is known to the end.
    rest: u32,
    known: u32,
    // Lengths of the lists of what a scan offered and of what was kept before: those of this turn and of the next.
    offered: array<atomic<u32>, 2>,
    kept: array<atomic<u32>, 2>,
}

@group(0) @binding(3) var<storage, read_write> bounds: array<Bound>;
