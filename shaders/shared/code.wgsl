// The code of sub-quantizer `sub` in the code that begins at word `first` of `codes`.

fn code_at(first: u32, sub: u32) -> u32 {
    let bit = sub * params.nbits;
    let word = first + bit / 32u;
    let shift = bit % 32u;
    var value = codes[word] >> shift;
    if (shift + params.nbits > 32u) {
        value |= codes[word + 1u] << (32u - shift);
    }
    return value & ((1u << params.nbits) - 1u);
}
