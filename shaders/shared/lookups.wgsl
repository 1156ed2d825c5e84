// Entries 4 * quarter.. of the table of look-up `number`; zero past the last.
fn table_entries(table: u32, number: u32, quarter: u32) -> vec4<f32> {
#if PAIRS
    // A look-up is two sub-quantizers: the low bits are the first's.
    let low = 2u * number;
    if (low >= params.m) { return vec4<f32>(); }
    let entries = tables[table + 4u * low + quarter % 4u];
    if (low + 1u >= params.m) { return entries; }
    let high = quarter / 4u;
    return entries + tables[table + 4u * low + 4u + high / 4u][high % 4u];
#else
    if (number >= params.m) { return vec4<f32>(); }
    return tables[table + number * ({{ROWS}}u / 4u) + quarter];
#endif
}

// The same of each query; the tables begin at `tables`.
fn entries_of(tables: Count, number: u32, quarter: u32) -> Sums {
#if TWO_QUERIES
    return transpose(mat2x4<f32>(table_entries(tables.x, number, quarter), table_entries(tables.y, number, quarter)));
#else
    return table_entries(tables, number, quarter);
#endif
}

#if BUNDLES
// Row after row of 16 entries, one of each look-up. What lies before it is an even number of words: RADV puts variables
// one after the other, and reads two words at an odd place dearly (2.66 instructions a look-up, not 2.16).
var<workgroup> bundle_table: array<array<Sum, 16>, {{ROWS}} * {{BUNDLES}}>;

fn load_bundles(thread: u32, tables: Count, first: u32) {
    for (var bundle = 0u; bundle < {{BUNDLES}}u; bundle++) {
        for (var quarter = thread / 16u; quarter < {{ROWS}}u / 4u; quarter += {{THREADS}}u / 16u) {
            // Of eight look-ups each has two columns: threads with the same bank there are half as many.
            let number = 4u * TOGETHER * (first + bundle) + thread % (4u * TOGETHER);
            let entries = entries_of(tables, number, quarter);
            let row = bundle * {{ROWS}}u + 4u * quarter;
            bundle_table[row][thread % 16u] = entries[0];
            bundle_table[row + 1u][thread % 16u] = entries[1];
            bundle_table[row + 2u][thread % 16u] = entries[2];
            bundle_table[row + 3u][thread % 16u] = entries[3];
        }
    }
}

// The four look-ups of a word in their columns. Neighbouring lanes have different ones, and so use different banks.
fn sum_word(word: u32, first_row: u32, columns: vec4<u32>) -> Sum {
    let low = bundle_table[first_row + (word & 255u)][columns.x]
        + bundle_table[first_row + extractBits(word, 8u, 8u)][columns.y];
    let high = bundle_table[first_row + extractBits(word, 16u, 8u)][columns.z]
        + bundle_table[first_row + (word >> 24u)][columns.w];
    return low + high;
}

// The columns of the sixteen look-ups of a bundle, as a lane has them; of eight, the first half.
struct Columns {
    x: vec4<u32>,
    y: vec4<u32>,
    z: vec4<u32>,
    w: vec4<u32>,
}

fn columns_of(lane: u32) -> Columns {
    let x = vec4<u32>(lane % 16u) ^ vec4<u32>(0u, 1u, 2u, 3u);
    return Columns(x, x ^ vec4<u32>(4u), x ^ vec4<u32>(8u), x ^ vec4<u32>(12u));
}

// The look-ups of a bundle, in pairs of pairs: the sum is the same to the last bit in whatever lane the code lies.
fn sum_bundle(words: Words, first_row: u32, columns: Columns) -> Sum {
    let low = sum_word(words.x, first_row, columns.x) + sum_word(words.y, first_row, columns.y);
#if EIGHTS
    return low;
#else
    let high = sum_word(words.z, first_row, columns.z) + sum_word(words.w, first_row, columns.w);
    return low + high;
#endif
}

fn sum_bundles(blocks: vec4<u32>, bundle: u32, first_row: u32, lane: u32, columns: Columns) -> Sums {
    let place = blocks + vec4<u32>(32u * bundle + lane);
    let words0 = codes[place.x];
    let words1 = codes[place.y];
    let words2 = codes[place.z];
    let words3 = codes[place.w];
    return Sums(
        sum_bundle(words0, first_row, columns),
        sum_bundle(words1, first_row, columns),
        sum_bundle(words2, first_row, columns),
        sum_bundle(words3, first_row, columns),
    );
}

fn word_of(block: u32, word: u32, lane: u32) -> u32 {
    return codes[block + BLOCK_SIZE * word + lane / TOGETHER][lane % TOGETHER];
}
#else
fn word_of(block: u32, word: u32, lane: u32) -> u32 {
    return codes[block + 32u * word + lane];
}
#endif

#if WORDS
// Look-up after look-up.
var<workgroup> word_table: array<Sum, 4 * {{ROWS}} * {{WORDS}}>;

fn load_words(thread: u32, tables: Count, first: u32) {
    for (var place = thread; place < {{ROWS}}u * {{WORDS}}u; place += {{THREADS}}u) {
        let entries = entries_of(tables, 4u * first + place / ({{ROWS}}u / 4u), place % ({{ROWS}}u / 4u));
        word_table[4u * place] = entries[0];
        word_table[4u * place + 1u] = entries[1];
        word_table[4u * place + 2u] = entries[2];
        word_table[4u * place + 3u] = entries[3];
    }
}

fn sum_plain_word(word: u32, first: u32) -> Sum {
    let low = word_table[first + (word & 255u)] + word_table[first + {{ROWS}}u + extractBits(word, 8u, 8u)];
    let high = word_table[first + 2u * {{ROWS}}u + extractBits(word, 16u, 8u)]
        + word_table[first + 3u * {{ROWS}}u + (word >> 24u)];
    return low + high;
}

fn sum_words(blocks: vec4<u32>, word: u32, first: u32, lane: u32) -> Sums {
    return Sums(
        sum_plain_word(word_of(blocks.x, word, lane), first),
        sum_plain_word(word_of(blocks.y, word, lane), first),
        sum_plain_word(word_of(blocks.z, word, lane), first),
        sum_plain_word(word_of(blocks.w, word, lane), first),
    );
}
#endif

// The sums of four codes. Holds barriers where the table is loaded in parts.
#if BUNDLES
fn sums_of(thread: u32, tables: Count, blocks: vec4<u32>, columns: Columns) -> Sums {
#else
fn sums_of(thread: u32, tables: Count, blocks: vec4<u32>) -> Sums {
#endif
    let lane = thread % 32u;
    var sums: Sums;
#if BUNDLES
    for (var first = 0u; first < params.bundles; first += {{BUNDLES}}u) {
#if PARTS
        workgroupBarrier();
        load_bundles(thread, tables, first);
        workgroupBarrier();
#endif
        sums += sum_bundles(blocks, first, 0u, lane, columns);
#if SECOND_BUNDLE
        if (first + 1u < params.bundles) {
            sums += sum_bundles(blocks, first + 1u, {{ROWS}}u, lane, columns);
        }
#endif
#if THIRD_BUNDLE
        if (first + 2u < params.bundles) {
            sums += sum_bundles(blocks, first + 2u, 2u * {{ROWS}}u, lane, columns);
        }
#endif
    }
#endif
#if WORDS
    for (var first = TOGETHER * params.bundles; first < params.words; first += {{WORDS}}u) {
#if PARTS
        workgroupBarrier();
        load_words(thread, tables, first);
        workgroupBarrier();
#endif
        sums += sum_words(blocks, first, 0u, lane);
#if SECOND_WORD
        if (first + 1u < params.words) {
            sums += sum_words(blocks, first + 1u, 4u * {{ROWS}}u, lane);
        }
#endif
#if THIRD_WORD
        if (first + 2u < params.words) {
            sums += sum_words(blocks, first + 2u, 8u * {{ROWS}}u, lane);
        }
#endif
    }
#endif
    return sums;
}
