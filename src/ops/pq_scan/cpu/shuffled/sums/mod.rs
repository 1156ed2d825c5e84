//! Sums of bytes of tables for 64 codes at a time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use bytemuck::{Pod, Zeroable};

use super::{super::Stretch, coarse::Coarse, offer::Near};
use crate::ops::pq_interleave::cpu::Codes;

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
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with BW: shuffles of 16 bytes, permutations of 64 words.
    #[cfg(target_arch = "x86_64")]
    Words,
    /// VBMI and VNNI as well: permutations of 128 bytes, sums of four. Scans of 4 bits take 0.8 of the time, of 8 bits
    /// 0.6.
    #[cfg(target_arch = "x86_64")]
    Bytes,
    /// NEON: look-ups in 16 and in 64 bytes.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// An arrangement of 64 codes, with its sums.
enum Arrangement {
    /// A plane has a byte of each code, those of the first 32 codes in even places.
    Bytes,
    /// Four planes have a word of each code.
    Words,
}

impl Instructions {
    /// All, the fastest last, and whether this machine has them.
    #[cfg(target_arch = "x86_64")]
    fn all() -> [(Self, bool); 3] {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let words = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        let bytes = words && is_x86_feature_detected!("avx512vbmi") && is_x86_feature_detected!("avx512vnni");
        [(Instructions::Avx2, avx2), (Instructions::Words, words), (Instructions::Bytes, bytes)]
    }

    #[cfg(target_arch = "aarch64")]
    fn all() -> [(Self, bool); 1] {
        [(Instructions::Neon, std::arch::is_aarch64_feature_detected!("neon"))]
    }

    /// Whether sums of four bytes are one operation.
    fn sums_of_four(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Instructions::Bytes;
        #[cfg(target_arch = "aarch64")]
        return false;
    }
}

impl Way {
    /// The ways that there are, the fastest last.
    pub(in crate::ops::pq_scan::cpu) fn all(nbits: usize) -> impl Iterator<Item = Self> {
        let ways = Instructions::all().into_iter().filter(move |&(_, there)| there && (nbits == 4 || nbits == 8));
        ways.map(move |(instructions, _)| Way { nbits, instructions })
    }

    fn arrangement(self) -> Arrangement {
        if self.nbits == 4 && self.instructions.sums_of_four() { Arrangement::Words } else { Arrangement::Bytes }
    }

    /// A query's tables, as this way takes them.
    pub(super) fn coarse(self, table: &[f32]) -> Option<Coarse> {
        // Two bytes of a plane are added up before they are widened.
        let largest = if self.nbits == 4 && !self.instructions.sums_of_four() { 127 } else { 255 };
        let mut coarse = Coarse::new(table, 1 << self.nbits, largest)?;
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
    pub(super) fn arrange(self, codes: &Codes<'_>, planes: &mut Vec<Plane>) {
        planes.clear();
        for first in (0..codes.len()).step_by(LANES) {
            for word in 0..codes.words() {
                let column = codes.column(first, word);
                planes.extend(match self.arrangement() {
                    Arrangement::Words => bytemuck::cast::<_, [Plane; 4]>(column),
                    Arrangement::Bytes => self.bytes(column),
                });
            }
        }
    }

    /// The bytes of a word of 64 codes, each in a plane.
    fn bytes(self, column: [u32; LANES]) -> [Plane; 4] {
        // SAFETY: `self` is proof of the instructions.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => avx2::bytes(column),
                #[cfg(target_arch = "x86_64")]
                Instructions::Words | Instructions::Bytes => avx512::bytes(column),
                #[cfg(target_arch = "aarch64")]
                Instructions::Neon => neon::bytes(column),
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
                #[cfg(target_arch = "x86_64")]
                (4, Instructions::Avx2) => avx2::shuffled_16(blocks, tables, sums),
                #[cfg(target_arch = "x86_64")]
                (4, Instructions::Words) => avx512::shuffled_16(blocks, tables, sums),
                #[cfg(target_arch = "x86_64")]
                (4, Instructions::Bytes) => avx512::permuted_16(blocks, tables, sums),
                #[cfg(target_arch = "x86_64")]
                (_, Instructions::Avx2) => avx2::shuffled_256(blocks, tables, sums),
                #[cfg(target_arch = "x86_64")]
                (_, Instructions::Words) => avx512::permuted_128_words(blocks, tables, sums),
                #[cfg(target_arch = "x86_64")]
                (_, Instructions::Bytes) => avx512::permuted_128_bytes(blocks, tables, sums),
                #[cfg(target_arch = "aarch64")]
                (4, Instructions::Neon) => neon::shuffled_16(blocks, tables, sums),
                #[cfg(target_arch = "aarch64")]
                (_, Instructions::Neon) => neon::shuffled_256(blocks, tables, sums),
            }
        }
    }

    /// Finds the entries whose bounds are within the limit while their sums are in registers, where that is faster.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn find_near(self, planes: &[Plane], near: &mut Near<'_>) -> bool {
        let can = self.nbits == 4 && self.instructions == Instructions::Bytes;
        if can {
            let blocks = planes.chunks_exact(4 * near.stretch.codes.words());
            // SAFETY: `self` is proof of the instructions.
            unsafe { avx512::find_near_16(blocks, near) };
        }
        can
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) fn find_near(self, _: &[Plane], _: &mut Near<'_>) -> bool {
        false
    }

    /// The sums of table entries of up to 16 codes, as one by one, where there are instructions for them.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn exact_sums(self, stretch: &Stretch<'_>, entries: &[usize]) -> Option<[f32; 16]> {
        let can = self.nbits == 4 && self.instructions != Instructions::Avx2;
        // SAFETY: `self` is proof of AVX-512.
        can.then(|| unsafe { avx512::exact_sums(stretch, entries) })
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) fn exact_sums(self, _: &Stretch<'_>, _: &[usize]) -> Option<[f32; 16]> {
        None
    }
}
