//! Product-quantizer codes on the CPU: byte after byte, without padding.

use std::ops::Range;

/// Codes of `size` bytes each, one after the other. Numbers of sub-quantizers follow each other from the lowest bit of the
/// first byte on.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Codes<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl<'a> Codes<'a> {
    /// The first `len` codes in `words`.
    pub(in crate::ops) fn new(words: &'a [u32], len: usize, size: usize) -> Self {
        Codes { bytes: &bytemuck::cast_slice(words)[..len * size], size }
    }

    pub(in crate::ops) fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// Words that a code takes, the last of them perhaps in part.
    pub(in crate::ops) fn words(&self) -> usize {
        self.size.div_ceil(4)
    }

    /// The bytes of a code; none past the last.
    pub(in crate::ops) fn code(&self, entry: usize) -> &'a [u8] {
        self.bytes.get(entry * self.size..).and_then(|codes| codes.get(..self.size)).unwrap_or_default()
    }

    /// Some of the codes.
    pub(in crate::ops) fn part(&self, entries: Range<usize>) -> Self {
        Codes { bytes: &self.bytes[entries.start * self.size..entries.end * self.size], ..*self }
    }

    /// One word of each of `N` codes from `first` on, zeros past the end of a code and for those past the last.
    pub(in crate::ops) fn column<const N: usize>(&self, first: usize, word: usize) -> [u32; N] {
        let mut column = [0; N];
        let bytes = self.bytes.get(first * self.size + 4 * word..).unwrap_or_default();
        // What follows a code is loaded with it and cut off.
        let mask = match self.size - 4 * word {
            bytes @ 0..4 => (1 << (8 * bytes)) - 1,
            _ => u32::MAX,
        };
        let whole = bytes.chunks_exact(self.size);
        let (count, rest) = (whole.len(), whole.remainder());
        for (place, bytes) in column.iter_mut().zip(whole) {
            *place = word_of(bytes) & mask;
        }
        if let Some(place) = column.get_mut(count) {
            *place = word_of(rest) & mask;
        }
        column
    }
}

/// The first four bytes as a word, zeros past the last.
#[inline]
pub(in crate::ops) fn word_of(bytes: &[u8]) -> u32 {
    if let Some(&word) = bytes.first_chunk() {
        return u32::from_le_bytes(word);
    }
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The number of sub-quantizer `sub` in a code.
pub(in crate::ops) fn number_at(code: &[u8], sub: usize, nbits: usize) -> usize {
    let bit = sub * nbits;
    (word_of(&code[bit / 8..]) >> (bit % 8)) as usize & ((1 << nbits) - 1)
}

/// Rows of whole words, codes of `size` bytes, without what pads them. What follows the last is zero.
pub(in crate::ops) fn pack(rows: &[u32], words: usize, size: usize) -> Vec<u32> {
    let mut packed = vec![0_u32; (rows.len() / words * size).div_ceil(4)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut packed);
    for (code, row) in bytes.chunks_exact_mut(size).zip(rows.chunks_exact(words)) {
        code.copy_from_slice(&bytemuck::cast_slice(row)[..size]);
    }
    packed
}

/// The rows that were packed.
pub(super) fn unpack(codes: &Codes<'_>) -> Vec<u32> {
    let words = codes.words();
    let mut rows = vec![0_u32; codes.len() * words];
    for (row, code) in rows.chunks_exact_mut(words).zip(codes.bytes.chunks_exact(codes.size)) {
        bytemuck::cast_slice_mut(row)[..codes.size].copy_from_slice(code);
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::array;

    use proptest::prelude::*;

    use super::{Codes, number_at, pack, unpack};
    use crate::ops::lists::code_at;

    proptest! {
        #[test]
        fn packed_codes_are_the_codes(
            (m, nbits) in (1_usize..40, 4_usize..=8),
            numbers in prop::collection::vec(any::<u32>(), 0..200),
        ) {
            let (words, size) = ((m * nbits).div_ceil(32), (m * nbits).div_ceil(8));
            let mut rows = numbers[..numbers.len() / words * words].to_vec();
            // Past its last bit a code is zero.
            let unused = words * 32 - m * nbits;
            rows.iter_mut().skip(words - 1).step_by(words).for_each(|word| *word = *word << unused >> unused);
            let packed = pack(&rows, words, size);
            let codes = Codes::new(&packed, rows.len() / words, size);
            prop_assert_eq!(&unpack(&codes), &rows);
            for word in 0..words {
                for first in (0..codes.len()).step_by(7) {
                    let column: [u32; 7] = array::from_fn(|place| *rows.get((first + place) * words + word).unwrap_or(&0));
                    prop_assert_eq!(codes.column(first, word), column);
                }
            }
            for (entry, row) in rows.chunks(words).enumerate() {
                for sub in 0..m {
                    prop_assert_eq!(number_at(codes.code(entry), sub, nbits), code_at(row, sub, nbits));
                }
            }
        }
    }
}
