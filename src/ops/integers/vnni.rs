//! With AVX-512 VNNI.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::arch::x86_64::{
    _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_mask_blend_epi16,
    _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_sqrt_ps,
    _mm512_sub_ps,
};

use pulp::{Simd, WithSimd, x86::V4};

use crate::ops::panels::{Group, Panel, Rounding, Sums, VECTORS};

/// What the longest vector's norm becomes: inner products of two stay below 2^31, and each number below 2^15.
const NORM: f32 = 32_000.0;

/// Proof that this machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Integers {
    simd: V4,
}

impl Integers {
    pub(in crate::ops) fn new() -> Option<Self> {
        let simd = V4::try_new().filter(|_| is_x86_feature_detected!("avx512vnni"))?;
        Some(Integers { simd })
    }

    /// Rounds a vector of this norm to pairs of columns.
    #[expect(clippy::unused_self, reason = "a form that only this type has")]
    pub(in crate::ops) fn round<'a>(
        self,
        vector: &[f32],
        norm: f32,
        pairs: impl Iterator<Item = &'a mut f32>,
    ) -> Rounding {
        let Some(unit) = unit(norm) else {
            pairs.take(vector.len().div_ceil(2)).for_each(|pair| *pair = 0.0);
            return Rounding { unit: 0.0, error: norm };
        };
        let scale = 1.0 / unit;
        let mut lost = 0.0;
        let mut round = |value: f32| {
            // To the nearest integer, without a call: the sum has no bits for fractions.
            let whole = (value * scale + WHOLE) - WHOLE;
            lost += (value * scale - whole) * (value * scale - whole);
            whole as i16 as u16
        };
        for (pair, columns) in pairs.zip(vector.chunks(2)) {
            let [low, high] = [0, 1].map(|column| columns.get(column).copied().map_or(0, &mut round));
            *pair = f32::from_bits(u32::from(low) | u32::from(high) << 16);
        }
        Rounding { unit, error: unit * (ERRORS * lost.sqrt() + inherent_error(vector.len())) }
    }

    /// Rounds a panel of rows whose largest norm this is: lines of columns to lines of pairs. Gives the unit.
    #[expect(clippy::unused_self, reason = "it is proof")]
    pub(in crate::ops) fn round_panel(self, panel: &[f32], norm: f32, pairs: &mut [f32], errors: &mut [f32]) -> f32 {
        let Some(unit) = unit(norm) else {
            pairs.fill(0.0);
            errors.fill(norm);
            return 0.0;
        };
        // SAFETY: `self` is proof of AVX-512.
        unsafe { round_lines(panel, unit, pairs, errors) };
        unit
    }
}

/// 1.5 * 2^23.
const WHOLE: f32 = 12_582_912.0;

/// What 1 stands for. None where products would leave the range of floats.
fn unit(longest: f32) -> Option<f32> {
    (1e-12..1e15).contains(&longest).then_some(longest / NORM)
}

/// Of an error: what summing its squares may have left out.
const ERRORS: f32 = 1.01;

/// In units: numbers before rounding are off themselves, by 2^-10 at most, as is the unit, by 2^-22 of itself.
fn inherent_error(dimension: usize) -> f32 {
    0.001 * (dimension as f32).sqrt() + 0.008
}

/// Rounds lines of columns to lines of pairs.
#[target_feature(enable = "avx512f,avx512bw")]
fn round_lines(panel: &[f32], unit: f32, pairs: &mut [f32], errors: &mut [f32]) {
    let (lines, pairs) = (V4::as_simd_f32s(panel).0.as_chunks::<VECTORS>().0, V4::as_mut_simd_f32s(pairs).0);
    let scale = _mm512_set1_ps(1.0 / unit);
    let mut lost = [_mm512_setzero_ps(); VECTORS];
    let mut round = |vector: usize, values| {
        let scaled = _mm512_mul_ps(bytemuck::cast(values), scale);
        let whole = _mm512_cvtps_epi32(scaled);
        let rest = _mm512_sub_ps(scaled, _mm512_cvtepi32_ps(whole));
        lost[vector] = _mm512_fmadd_ps(rest, rest, lost[vector]);
        whole
    };
    for (pair, columns) in pairs.as_chunks_mut::<VECTORS>().0.iter_mut().zip(lines.chunks(2)) {
        for (vector, pair) in pair.iter_mut().enumerate() {
            let low = round(vector, columns[0][vector]);
            let high = columns.get(1).map_or(_mm512_setzero_si512(), |column| round(vector, column[vector]));
            *pair = bytemuck::cast(_mm512_mask_blend_epi16(0xaaaa_aaaa, low, _mm512_slli_epi32::<16>(high)));
        }
    }
    let (factor, more) = (_mm512_set1_ps(unit * ERRORS), _mm512_set1_ps(unit * inherent_error(lines.len())));
    for (errors, lost) in V4::as_mut_simd_f32s(errors).0.iter_mut().zip(lost) {
        *errors = bytemuck::cast(_mm512_fmadd_ps(_mm512_sqrt_ps(lost), factor, more));
    }
}

impl Sums for Integers {
    #[inline(always)]
    fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt,fma")]
        fn vectorized<W: WithSimd>(simd: V4, work: W) -> W::Output {
            work.with_simd(simd)
        }
        // SAFETY: `self` is proof of VNNI and holds proof of the others.
        unsafe { vectorized(self.simd, work) }
    }

    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        self,
        simd: S,
        group: Group<'_, N>,
        panel: &Panel<'_, S>,
        start: impl Fn(usize) -> [S::f32s; VECTORS],
    ) -> [[S::f32s; VECTORS]; N] {
        let mut sums = [[bytemuck::Zeroable::zeroed(); VECTORS]; N];
        for (values, rows) in group.values.iter().zip(panel.lines) {
            for (sums, value) in sums.iter_mut().zip(values) {
                let value = simd.splat_u32s(value.to_bits());
                for (sum, &row) in sums.iter_mut().zip(rows) {
                    // SAFETY: `self` is proof of VNNI.
                    *sum = unsafe { _mm512_dpwssd_epi32(*sum, bytemuck::cast(value), bytemuck::cast(row)) };
                }
            }
        }
        std::array::from_fn(|place| {
            let (start, unit) = (start(place), simd.splat_f32s(group.roundings[place].unit * panel.unit));
            std::array::from_fn(|vector| {
                // SAFETY: `self` is proof of AVX-512.
                let sum = unsafe { _mm512_cvtepi32_ps(sums[place][vector]) };
                simd.negate_mul_add_e_f32s(bytemuck::cast(sum), unit, start[vector])
            })
        })
    }
}
