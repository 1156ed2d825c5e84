//! Lookup tables rounded down to bytes.

use std::arch::x86_64::{
    __m512, _CMP_ORD_Q, _mm512_cmp_ps_mask, _mm512_cvttps_epi32, _mm512_cvtusepi32_epi8, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_reduce_max_ps, _mm512_reduce_min_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_sub_ps,
};

/// Most sub-quantizers whose bytes add up to no more than 16 bits.
const MOST: usize = 257;

/// A query's tables in bytes: `scale` times a sum of bytes, plus `bias`, is no more than the sum of the table entries.
pub(super) struct Coarse {
    /// Table after table.
    pub tables: Vec<u8>,
    pub scale: f32,
    pub bias: f32,
}

impl Coarse {
    /// Rounds tables of `ksub` entries to bytes up to `largest`. None for tables that bytes cannot stand for.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn new(table: &[f32], ksub: usize, largest: u8) -> Option<Self> {
        let tables = || table.as_chunks::<16>().0.chunks_exact(ksub / 16);
        let extents: Vec<_> = tables().map(|table| extent(table)).collect();
        let widest = extents.iter().map(|extent| extent.most - extent.least).fold(0.0, f32::max);
        let scale = widest / f32::from(largest);
        let reach: f64 = extents.iter().map(|extent| f64::from(extent.most.abs().max(extent.least.abs()))).sum();
        let numbers = extents.iter().all(|extent| extent.numbers);
        if extents.len() > MOST || !scale.is_finite() || !reach.is_finite() || !numbers {
            return None;
        }
        // Less than one over the scale, by more than four roundings.
        let steps = if scale.is_normal() { (1.0 - 1e-6) / scale } else { 0.0 };
        let mut bytes = Vec::with_capacity(table.len());
        for (table, extent) in tables().zip(&extents) {
            let (least, steps) = (_mm512_set1_ps(extent.least), _mm512_set1_ps(steps));
            for &entries in table {
                let above = _mm512_sub_ps(bytemuck::cast(entries), least);
                let whole = _mm512_cvttps_epi32(_mm512_mul_ps(above, steps));
                bytes.extend(bytemuck::cast::<_, [u8; 16]>(_mm512_cvtusepi32_epi8(whole)));
            }
        }
        // More than rounding takes from the exact sum and adds to this one: m + 1 roundings, each of less than 2^-24
        // of all that is summed.
        let slack = reach * (extents.len() as f64 + 8.0) * f64::from(f32::EPSILON);
        let bias = extents.iter().map(|extent| f64::from(extent.least)).sum::<f64>() - slack;
        Some(Coarse { tables: bytes, scale, bias: (bias as f32).next_down() })
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
