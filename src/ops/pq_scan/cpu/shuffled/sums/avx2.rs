//! Sums of bytes of tables with AVX2: a plane is two registers.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_setr_epi8, _mm_shuffle_epi8, _mm_unpackhi_epi8, _mm_unpackhi_epi32,
    _mm_unpackhi_epi64, _mm_unpacklo_epi8, _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm256_add_epi8, _mm256_add_epi16,
    _mm256_and_si256, _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32,
    _mm256_set1_epi8, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_sub_epi16,
};

use bytemuck::Zeroable;

use super::{LANES, Plane};

/// The bytes of a word of 64 codes, each in a plane.
#[target_feature(enable = "avx2")]
pub(super) fn bytes(column: [u32; LANES]) -> [Plane; 4] {
    let by_byte = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let quarters: [[__m128i; 4]; 4] = bytemuck::cast(column);
    // Of 16 codes each: their first bytes, their second bytes, and so on.
    let [a, b, c, d] = quarters.map(|codes| {
        let [a, b, c, d] = codes.map(|codes| _mm_shuffle_epi8(codes, by_byte));
        let (low, high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        let (low_after, high_after) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
        [
            _mm_unpacklo_epi64(low, low_after),
            _mm_unpackhi_epi64(low, low_after),
            _mm_unpacklo_epi64(high, high_after),
            _mm_unpackhi_epi64(high, high_after),
        ]
    });
    let mut planes = [Plane::zeroed(); 4];
    for (byte, plane) in planes.iter_mut().enumerate() {
        let (a, b, c, d) = (a[byte], b[byte], c[byte], d[byte]);
        let halves: [__m128i; 4] =
            [_mm_unpacklo_epi8(a, c), _mm_unpackhi_epi8(a, c), _mm_unpacklo_epi8(b, d), _mm_unpackhi_epi8(b, d)];
        *plane = Plane(bytemuck::cast(halves));
    }
    planes
}

/// Of two sub-quantizers a plane.
#[target_feature(enable = "avx2")]
pub(super) fn shuffled_16<'a>(blocks: impl Iterator<Item = &'a [Plane]>, tables: &[u8], sums: &mut Vec<[f32; LANES]>) {
    let nibble = _mm256_set1_epi8(0xf);
    for planes in blocks {
        let mut parts = [Parts::default(); 2];
        for (plane, tables) in planes.iter().zip(tables.as_chunks::<32>().0) {
            let halves: [__m256i; 2] = bytemuck::cast(plane.0);
            let [low, high]: [__m128i; 2] = bytemuck::cast(*tables);
            let (low, high) = (_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high));
            for (parts, plane) in parts.iter_mut().zip(halves) {
                let low = _mm256_shuffle_epi8(low, _mm256_and_si256(plane, nibble));
                let high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16::<4>(plane), nibble));
                // No more than 254.
                parts.add(_mm256_add_epi8(low, high));
            }
        }
        sums.push(widened(parts));
    }
}

/// Of a sub-quantizer a plane: the lower half of a byte is looked up in sixteen parts of the table, the upper half
/// chooses one.
#[target_feature(enable = "avx2")]
pub(super) fn shuffled_256<'a>(blocks: impl Iterator<Item = &'a [Plane]>, tables: &[u8], sums: &mut Vec<[f32; LANES]>) {
    for planes in blocks {
        let mut parts = [Parts::default(); 2];
        for (plane, table) in planes.iter().zip(tables.as_chunks::<256>().0) {
            let halves: [__m256i; 2] = bytemuck::cast(plane.0);
            let table: &[[u8; 16]; 16] = bytemuck::cast_ref(table);
            for (parts, plane) in parts.iter_mut().zip(halves) {
                parts.add(looked_up(table, plane));
            }
        }
        sums.push(widened(parts));
    }
}

#[target_feature(enable = "avx2")]
fn looked_up(table: &[[u8; 16]; 16], numbers: __m256i) -> __m256i {
    let lower = _mm256_and_si256(numbers, _mm256_set1_epi8(0xf));
    let choices: [[_; 2]; 8] = std::array::from_fn(|pair| {
        [0, 1].map(|half| {
            let part = _mm256_broadcastsi128_si256(bytemuck::cast(table[2 * pair + half]));
            _mm256_shuffle_epi8(part, lower)
        })
    });
    // A choice goes by the highest bit of each byte.
    let fourth = _mm256_slli_epi16::<3>(numbers);
    let [a, b, c, d, e, f, g, h] = choices.map(|[clear, set]| _mm256_blendv_epi8(clear, set, fourth));
    let fifth = _mm256_slli_epi16::<2>(numbers);
    let [a, b, c, d] = [[a, b], [c, d], [e, f], [g, h]].map(|[clear, set]| _mm256_blendv_epi8(clear, set, fifth));
    let sixth = _mm256_slli_epi16::<1>(numbers);
    let [a, b] = [[a, b], [c, d]].map(|[clear, set]| _mm256_blendv_epi8(clear, set, sixth));
    _mm256_blendv_epi8(a, b, numbers)
}

/// Sums of bytes in 16 bits: of all bytes as pairs, and of the upper halves of pairs.
#[derive(Clone, Copy)]
struct Parts {
    pairs: __m256i,
    odd: __m256i,
}

impl Default for Parts {
    fn default() -> Self {
        Parts { pairs: Zeroable::zeroed(), odd: Zeroable::zeroed() }
    }
}

impl Parts {
    #[target_feature(enable = "avx2")]
    fn add(&mut self, bytes: __m256i) {
        self.pairs = _mm256_add_epi16(self.pairs, bytes);
        self.odd = _mm256_add_epi16(self.odd, _mm256_srli_epi16::<8>(bytes));
    }
}

/// The sums of the codes in even places, then of those in odd ones.
#[target_feature(enable = "avx2")]
fn widened(parts: [Parts; 2]) -> [f32; LANES] {
    let even = parts.map(|part| _mm256_sub_epi16(part.pairs, _mm256_slli_epi16::<8>(part.odd)));
    let odd = parts.map(|part| part.odd);
    let eights: [__m128i; 8] = bytemuck::cast([even, odd]);
    bytemuck::cast::<[__m256; 8], _>(eights.map(|eight| _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(eight))))
}
