// The includer has `masks`, a bit for each entry or row, the lowest of a word first.

fn is_set(entry: u32) -> bool {
    return ((masks[entry / 32u] >> (entry % 32u)) & 1u) != 0u;
}
