//! Fast-scan blocks of 4-bit codes to rows of codes and back.
//!
//! A row's byte holds an even sub-quantizer's code in its low half and the next one's in its high half.

/// Rows that are permuted together.
const GROUP: usize = 32;

/// Sizes of fast-scan codes.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Rows in a block, a multiple of 32.
    pub rows: usize,
    /// Bytes in a row's code.
    pub code_size: usize,
}

impl Blocks {
    /// Bytes of a block, unless too many to count.
    pub(super) fn bytes(self) -> Option<usize> {
        self.rows.checked_mul(self.code_size)
    }

    /// The rows of one block, of which `codes` takes as many as it has room for.
    pub(super) fn unpack(self, block: &[u8], codes: &mut [u8]) {
        for (row, code) in codes.chunks_exact_mut(self.code_size).take(self.rows).enumerate() {
            for (pair, byte) in code.iter_mut().enumerate() {
                let (at, shift) = self.place(row, pair);
                let half = |at: usize| block.get(at).map_or(0, |byte| (byte >> shift) & 15);
                *byte = half(at) | (half(at + GROUP / 2) << 4);
            }
        }
    }

    /// One block of up to as many rows as it holds; the rest are zero.
    pub(super) fn pack(self, codes: &[u8], block: &mut [u8]) {
        block.fill(0);
        for (row, code) in codes.chunks_exact(self.code_size).take(self.rows).enumerate() {
            for (pair, byte) in code.iter().enumerate() {
                let (at, shift) = self.place(row, pair);
                for (at, half) in [(at, byte & 15), (at + GROUP / 2, byte >> 4)] {
                    if let Some(packed) = block.get_mut(at) {
                        *packed |= half << shift;
                    }
                }
            }
        }
    }

    /// The byte, and the bit within it, of a row's code of the even sub-quantizer of a pair; the odd one's is 16 bytes on.
    fn place(self, row: usize, pair: usize) -> (usize, usize) {
        let group = pair * (self.rows / GROUP) + row / GROUP;
        let within = row % GROUP;
        (group * GROUP + (within % 8) * 2 + (within / 8) % 2, (within / 16) * 4)
    }
}
