// Codes as scans read them: blocks of 32 codes, a byte a look-up. See `PqCodes` in Rust.

// The word that holds look-up `number` of code `row`, and which of its bytes.
fn interleaved_place(row: u32, number: u32) -> vec2<u32> {
    let lane = row % 32u;
    let block = row / 32u * 32u * params.words;
    let bundle = number >> params.bundle_bits;
    if (bundle < params.bundles) {
        let slot = (number ^ lane) & ((1u << params.bundle_bits) - 1u);
        return vec2<u32>(block + (((bundle * 32u + lane) << params.bundle_bits) + slot) / 4u, slot % 4u);
    }
    return vec2<u32>(block + number / 4u * 32u + lane, number % 4u);
}

// The byte of look-up `number` of code `row`.
fn interleaved_byte(row: u32, number: u32) -> u32 {
    let place = interleaved_place(row, number);
    return extractBits(interleaved[place.x], 8u * place.y, 8u);
}
