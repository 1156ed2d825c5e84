//! Sums of bytes of tables for 64 codes at a time.

mod avx2;
mod avx512;

use bytemuck::{Pod, Zeroable};

use super::coarse::Coarse;

/// Codes at a time.
pub(super) const LANES: usize = 64;

/// A register of codes. A cache line, so that no load crosses one.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Plane([u8; LANES]);

/// How bytes are looked up; proof that this machine can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops::pq_scan::cpu) struct Way {
    nbits: usize,
    instructions: Instructions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    /// AVX2: shuffles of 16 bytes. Scans of 4 bits take 0.06 of what sums one by one take, of 8 bits 0.45.
    Avx2,
    /// AVX-512 with BW: shuffles of 16 bytes, permutations of 64 words.
    Words,
    /// VBMI and VNNI as well: permutations of 128 bytes, sums of four. Scans of 4 bits take 0.8 of the time, of 8 bits
    /// 0.6.
    Bytes,
}

/// An arrangement of 64 codes, with its sums.
enum Arrangement {
    /// A plane has a byte of each code, those of the first 32 codes in even places.
    Bytes,
    /// Four planes have a word of each code.
    Words,
}

impl Way {
    /// The ways that there are, the fastest last.
    pub(in crate::ops::pq_scan::cpu) fn all(nbits: usize) -> impl Iterator<Item = Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let words = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        let bytes = words && is_x86_feature_detected!("avx512vbmi") && is_x86_feature_detected!("avx512vnni");
        let ways = [(Instructions::Avx2, avx2), (Instructions::Words, words), (Instructions::Bytes, bytes)];
        let ways = ways.into_iter().filter(move |&(_, there)| there && (nbits == 4 || nbits == 8));
        ways.map(move |(instructions, _)| Way { nbits, instructions })
    }

    /// Whether there is AVX-512.
    pub(super) fn is_wide(self) -> bool {
        self.instructions != Instructions::Avx2
    }

    fn arrangement(self) -> Arrangement {
        match self {
            Way { nbits: 4, instructions: Instructions::Bytes } => Arrangement::Words,
            _ => Arrangement::Bytes,
        }
    }

    /// A query's tables, as this way takes them.
    pub(super) fn coarse(self, table: &[f32]) -> Option<Coarse> {
        let (ksub, largest) = match self {
            // Two bytes of a plane are added up before they are widened.
            Way { nbits: 4, instructions: Instructions::Avx2 | Instructions::Words } => (16, 127),
            Way { nbits: 4, .. } => (16, 255),
            _ => (256, 255),
        };
        let mut coarse = Coarse::new(table, ksub, largest)?;
        match self.arrangement() {
            Arrangement::Words => {
                // Those of every second sub-quantizer of a word side by side.
                coarse.tables.resize(coarse.tables.len().next_multiple_of(128), 0);
                for tables in coarse.tables.as_chunks_mut::<128>().0 {
                    let tables: &mut [[u8; 16]; 8] = bytemuck::cast_mut(tables);
                    let [a, b, c, d, e, f, g, h] = *tables;
                    *tables = [a, c, e, g, b, d, f, h];
                }
            }
            Arrangement::Bytes => coarse.tables.resize(coarse.tables.len().next_multiple_of(32), 0),
        }
        Some(coarse)
    }

    /// Arranges codes in planes: as many for 64 codes as a code has bytes, whole words.
    pub(super) fn arrange(self, codes: &[u32], words: usize, planes: &mut Vec<Plane>) {
        planes.clear();
        for codes in codes.chunks(LANES * words) {
            for word in 0..words {
                let mut column = [0; LANES];
                column.iter_mut().zip(codes[word..].iter().step_by(words)).for_each(|(place, &code)| *place = code);
                match self.arrangement() {
                    Arrangement::Words => planes.extend(bytemuck::cast::<_, [Plane; 4]>(column)),
                    // SAFETY: `self` is proof of AVX-512.
                    Arrangement::Bytes if self.is_wide() => planes.extend(unsafe { avx512::bytes(column) }),
                    // SAFETY: `self` is proof of AVX2.
                    Arrangement::Bytes => planes.extend(unsafe { avx2::bytes(column) }),
                }
            }
        }
    }

    /// The sums of bytes of codes of so many words.
    pub(super) fn sums(self, planes: &[Plane], words: usize, tables: &[u8], sums: &mut Vec<[f32; LANES]>) {
        sums.clear();
        let blocks = planes.chunks_exact(4 * words);
        // SAFETY: `self` is proof of the instructions.
        unsafe {
            match (self.nbits, self.instructions) {
                (4, Instructions::Avx2) => avx2::shuffled_16(blocks, tables, sums),
                (4, Instructions::Words) => avx512::shuffled_16(blocks, tables, sums),
                (4, Instructions::Bytes) => avx512::permuted_16(blocks, tables, sums),
                (_, Instructions::Avx2) => avx2::shuffled_256(blocks, tables, sums),
                (_, Instructions::Words) => avx512::permuted_128_words(blocks, tables, sums),
                (_, Instructions::Bytes) => avx512::permuted_128_bytes(blocks, tables, sums),
            }
        }
    }
}
