//! Scans of 4-bit and 8-bit codes with AVX-512: tables of bytes in registers, looked up by shuffles, 64 codes at a time
//! (André, Kermarrec, Le Scouarnec 2015, and for 256 entries as 128 pairs).
//!
//! Table entries are rounded down to bytes, so that sums of bytes give no more than the distance; entries that may
//! be near enough by these are summed exactly. The outcome is that of exact sums.

use std::arch::x86_64::{
    __m128i, __m256i, __m512, __m512i, _CMP_LE_OQ, _CMP_ORD_Q, _mm_unpackhi_epi8, _mm_unpacklo_epi8, _mm512_add_epi8,
    _mm512_add_epi16, _mm512_add_ps, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_cvttps_epi32, _mm512_cvtusepi32_epi8,
    _mm512_fmadd_ps, _mm512_mask_blend_epi16, _mm512_mask_srli_epi16, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_permutex2var_epi16, _mm512_permutexvar_ps, _mm512_reduce_max_ps, _mm512_reduce_min_ps, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_slli_epi16,
    _mm512_srli_epi16, _mm512_srli_epi32, _mm512_sub_epi16, _mm512_sub_ps, _mm512_test_epi16_mask,
};

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::{Scan, Stretch};
use crate::ops::{
    Ranked,
    scan::{Division, Probing, scan_lists},
    top::Top,
};

/// Codes at a time.
const LANES: usize = 64;

/// Most sub-quantizers whose bytes add up to no more than 16 bits.
const MOST: usize = 257;

/// A byte of each of 64 codes: those of the first 32 codes in even places. A cache line, so that no load crosses one.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Plane([u8; LANES]);

/// Whether this machine can scan such codes so.
pub(super) fn supported(nbits: usize) -> bool {
    (nbits == 4 || nbits == 8) && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Only where [`supported`].
pub(super) fn pq_scan(input: &Scan<'_>, k: usize) -> Vec<Ranked> {
    let ksub = input.codebook.ksub();
    let tables = input.tables.par_chunks_exact(input.columns());
    // SAFETY: the caller made sure that the machine has AVX-512.
    let coarse: Vec<_> = tables.map(|table| unsafe { Coarse::new(table, ksub) }).collect();
    // What arranging codes takes is some four queries' scans.
    let division = Division { piece: 2048, once: 4 };
    scan_lists(&input.lists(), input.queries(), k, &division, |planes: &mut Vec<Plane>, piece, tops| {
        let stretch = |&Probing { query, probe }: &Probing| input.stretch(query as usize, probe, piece.entries.clone());
        if let Some(first) = piece.probing.first() {
            // SAFETY: as above.
            unsafe { arrange(&stretch(first), planes) };
        }
        for (probing, top) in piece.probing.iter().zip(tops) {
            match &coarse[probing.query as usize] {
                // SAFETY: as above.
                Some(coarse) => unsafe { offer_all(&stretch(probing), coarse, planes, top) },
                None => stretch(probing).scan(top),
            }
        }
    })
}

/// A query's tables in bytes: `scale` times a sum of bytes, plus `bias`, is no more than the sum of the table entries.
struct Coarse {
    /// Of 16 entries each, in pairs, or of 256.
    tables: Vec<u8>,
    ksub: usize,
    scale: f32,
    bias: f32,
}

impl Coarse {
    /// None for tables that bytes cannot stand for.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(table: &[f32], ksub: usize) -> Option<Self> {
        let tables = || table.as_chunks::<16>().0.chunks_exact(ksub / 16);
        let extents: Vec<_> = tables().map(|table| extent(table)).collect();
        // Two bytes of a plane are added up before they are widened.
        let largest = if ksub == 16 { 127.0 } else { 255.0 };
        let scale = extents.iter().map(|extent| extent.most - extent.least).fold(0.0, f32::max) / largest;
        let reach: f64 = extents.iter().map(|extent| f64::from(extent.most.abs().max(extent.least.abs()))).sum();
        let numbers = extents.iter().all(|extent| extent.numbers);
        if extents.len() > MOST || !scale.is_finite() || !reach.is_finite() || !numbers {
            return None;
        }
        // Less than one over the scale, by more than four roundings.
        let steps = if scale.is_normal() { (1.0 - 1e-6) / scale } else { 0.0 };
        let mut bytes = Vec::with_capacity(table.len() + ksub);
        for (table, extent) in tables().zip(&extents) {
            let (least, steps) = (_mm512_set1_ps(extent.least), _mm512_set1_ps(steps));
            for &entries in table {
                let above = _mm512_sub_ps(bytemuck::cast(entries), least);
                let whole = _mm512_cvttps_epi32(_mm512_mul_ps(above, steps));
                bytes.extend(bytemuck::cast::<_, [u8; 16]>(_mm512_cvtusepi32_epi8(whole)));
            }
        }
        if ksub == 16 {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
        }
        // More than rounding takes from the exact sum and adds to this one: m + 1 roundings, each of less than 2^-24
        // of all that is summed.
        let slack = reach * (extents.len() as f64 + 8.0) * f64::from(f32::EPSILON);
        let bias = extents.iter().map(|extent| f64::from(extent.least)).sum::<f64>() - slack;
        Some(Coarse { tables: bytes, ksub, scale, bias: (bias as f32).next_down() })
    }
}

/// Of the entries of a table.
struct Extent {
    least: f32,
    most: f32,
    /// Whether none is NaN.
    numbers: bool,
}

#[target_feature(enable = "avx512f")]
fn extent(table: &[[f32; 16]]) -> Extent {
    let first = table.first().map_or(_mm512_setzero_ps(), |&entries| bytemuck::cast(entries));
    let (mut least, mut most, mut ordered) = (first, first, !0);
    for &entries in table {
        let entries: __m512 = bytemuck::cast(entries);
        least = _mm512_min_ps(least, entries);
        most = _mm512_max_ps(most, entries);
        ordered &= _mm512_cmp_ps_mask::<_CMP_ORD_Q>(entries, entries);
    }
    Extent { least: _mm512_reduce_min_ps(least), most: _mm512_reduce_max_ps(most), numbers: ordered == !0 }
}

/// Arranges codes in planes: as many for 64 codes as a code has bytes, whole words.
#[target_feature(enable = "avx512f,avx512bw")]
fn arrange(stretch: &Stretch<'_>, planes: &mut Vec<Plane>) {
    let Stretch { words, codes, .. } = *stretch;
    planes.clear();
    for codes in codes.chunks(LANES * words) {
        for word in 0..words {
            let mut column = [0; LANES];
            column.iter_mut().zip(codes[word..].iter().step_by(words)).for_each(|(place, &code)| *place = code);
            let mut column: [__m512i; 4] = bytemuck::cast(column);
            for _ in 0..4 {
                let [a, b, c, d] = column.map(|column| _mm512_cvtepi32_epi8(column));
                let plane: [__m128i; 4] = [
                    _mm_unpacklo_epi8(a, c),
                    _mm_unpackhi_epi8(a, c),
                    _mm_unpacklo_epi8(b, d),
                    _mm_unpackhi_epi8(b, d),
                ];
                planes.push(Plane(bytemuck::cast(plane)));
                column = column.map(|column| _mm512_srli_epi32::<8>(column));
            }
        }
    }
}

/// Offers the entries that may be near enough.
#[target_feature(enable = "avx512f,avx512bw")]
fn offer_all(stretch: &Stretch<'_>, coarse: &Coarse, planes: &[Plane], top: &mut Top) {
    let count = stretch.ids.len();
    let (scale, bias, base) = (_mm512_set1_ps(coarse.scale), _mm512_set1_ps(coarse.bias), _mm512_set1_ps(stretch.base));
    let mut near = Near { entries: [0; 32], count: 0 };
    for (block, planes) in planes.chunks_exact(4 * stretch.words).enumerate() {
        let first = block * LANES;
        let sums =
            if coarse.ksub == 16 { sums_of_16(planes, &coarse.tables) } else { sums_of_256(planes, &coarse.tables) };
        for (quarter, sums) in sums.into_iter().enumerate() {
            let first = first + quarter * 16;
            let rest = match stretch.terms {
                Some(terms) => _mm512_add_ps(load(terms.get(first..).unwrap_or_default()), base),
                None => base,
            };
            let bounds = _mm512_add_ps(_mm512_fmadd_ps(sums, scale, bias), rest);
            let mut lanes = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(bounds, _mm512_set1_ps(top.threshold()));
            while lanes != 0 {
                let entry = first + lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                if entry < count {
                    near.entries[near.count] = entry;
                    near.count += 1;
                }
            }
            if near.count >= 16 {
                near.offer(stretch, top);
            }
        }
    }
    while near.count > 0 {
        near.offer(stretch, top);
    }
}

/// Entries that may be near enough, to be offered 16 at a time.
struct Near {
    entries: [usize; 32],
    count: usize,
}

impl Near {
    /// Offers the last 16, or what there is.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn offer(&mut self, stretch: &Stretch<'_>, top: &mut Top) {
        let first = self.count.saturating_sub(16);
        let entries = &self.entries[first..self.count];
        self.count = first;
        if stretch.nbits != 4 || entries.len() < FEW {
            for &entry in entries {
                stretch.offer(entry, top);
            }
            return;
        }
        for (&entry, sum) in entries.iter().zip(exact_sums(stretch, entries)) {
            stretch.offer_sum(entry, sum, top);
        }
    }
}

/// Fewer entries than this are summed one by one.
const FEW: usize = 3;

/// The sums of table entries of up to 16 codes of 4 bits, as one by one: 16 entries are a register. IVF1024,PQ50x4 with
/// nprobe 64 takes 0.8 of the time.
#[target_feature(enable = "avx512f")]
fn exact_sums(stretch: &Stretch<'_>, entries: &[usize]) -> [f32; 16] {
    let mut sums = [_mm512_setzero_ps(); 8];
    for (word, tables) in stretch.table.as_chunks::<16>().0.chunks(8).enumerate() {
        let mut column = [0; 16];
        for (place, entry) in column.iter_mut().zip(entries) {
            *place = stretch.codes[entry * stretch.words + word];
        }
        let mut column: __m512i = bytemuck::cast(column);
        for (sum, &table) in sums.iter_mut().zip(tables) {
            *sum = _mm512_add_ps(*sum, _mm512_permutexvar_ps(column, bytemuck::cast(table)));
            column = _mm512_srli_epi32::<4>(column);
        }
    }
    let [first, rest @ ..] = sums;
    bytemuck::cast(rest.into_iter().fold(first, |sum, part| _mm512_add_ps(sum, part)))
}

/// The first 16 numbers, zero past the end.
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32]) -> __m512 {
    bytemuck::cast(numbers.first_chunk::<16>().copied().unwrap_or_else(|| {
        let mut padded = [0.0; 16];
        padded.iter_mut().zip(numbers).for_each(|(place, &number)| *place = number);
        padded
    }))
}

/// The sums of bytes of 64 codes of two sub-quantizers a plane, in order.
#[target_feature(enable = "avx512f,avx512bw")]
fn sums_of_16(planes: &[Plane], tables: &[u8]) -> [__m512; 4] {
    let nibble = _mm512_set1_epi8(0xf);
    // All bytes as pairs, and their upper halves: what is left of the former without the latter are the lower halves.
    let (mut pairs, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (&plane, &tables) in planes.iter().zip(tables.as_chunks::<32>().0) {
        let plane: __m512i = bytemuck::cast(plane.0);
        let [low, high]: [__m128i; 2] = bytemuck::cast(tables);
        let (low, high) = (_mm512_broadcast_i32x4(low), _mm512_broadcast_i32x4(high));
        let low = _mm512_shuffle_epi8(low, _mm512_and_si512(plane, nibble));
        let high = _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16::<4>(plane), nibble));
        // No more than 254.
        let both = _mm512_add_epi8(low, high);
        pairs = _mm512_add_epi16(pairs, both);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(both));
    }
    widened(_mm512_sub_epi16(pairs, _mm512_slli_epi16::<8>(odd)), odd)
}

/// The sums of bytes of 64 codes of a sub-quantizer a plane, in order.
#[target_feature(enable = "avx512f,avx512bw")]
fn sums_of_256(planes: &[Plane], tables: &[u8]) -> [__m512; 4] {
    let byte = _mm512_set1_epi16(0xff);
    let (upper, second) = (_mm512_set1_epi16(0x80), _mm512_set1_epi16(1));
    let mut sums = [_mm512_setzero_si512(); 2];
    for (&plane, &table) in planes.iter().zip(tables.as_chunks::<256>().0) {
        let plane: __m512i = bytemuck::cast(plane.0);
        let table: [__m512i; 4] = bytemuck::cast(table);
        let numbers = [_mm512_and_si512(plane, byte), _mm512_srli_epi16::<8>(plane)];
        for (sum, number) in sums.iter_mut().zip(numbers) {
            let pair = _mm512_srli_epi16::<1>(number);
            let below = _mm512_permutex2var_epi16(table[0], pair, table[1]);
            let above = _mm512_permutex2var_epi16(table[2], pair, table[3]);
            let pair = _mm512_mask_blend_epi16(_mm512_test_epi16_mask(number, upper), below, above);
            let entry = _mm512_mask_srli_epi16::<8>(pair, _mm512_test_epi16_mask(number, second), pair);
            *sum = _mm512_add_epi16(*sum, _mm512_and_si512(entry, byte));
        }
    }
    widened(sums[0], sums[1])
}

/// The sums of the codes in even places, then of those in odd ones.
#[target_feature(enable = "avx512f,avx512bw")]
fn widened(even: __m512i, odd: __m512i) -> [__m512; 4] {
    let [first, second]: [__m256i; 2] = bytemuck::cast(even);
    let [third, fourth]: [__m256i; 2] = bytemuck::cast(odd);
    [first, second, third, fourth].map(|sums| _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(sums)))
}
