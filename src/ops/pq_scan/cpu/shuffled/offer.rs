//! Offers of entries that sums of bytes leave possible.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::{Arch, Simd, WithSimd};

use super::{
    coarse::Coarse,
    sums::{LANES, Way},
};
use crate::ops::{
    pq_scan::cpu::Stretch,
    top::{Top, any, bits},
};

/// Offers the entries that may be near enough by these sums.
pub(super) fn offer_all(way: Way, stretch: &Stretch<'_>, coarse: &Coarse, sums: &[[f32; LANES]], top: &mut Top) {
    Arch::new().dispatch(OfferAll { way, stretch, coarse, sums, top });
}

struct OfferAll<'a> {
    way: Way,
    stretch: &'a Stretch<'a>,
    coarse: &'a Coarse,
    sums: &'a [[f32; LANES]],
    top: &'a mut Top,
}

impl WithSimd for OfferAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let OfferAll { way, stretch, coarse, sums, top } = self;
        let count = stretch.ids.len();
        let [scale, bias, base] = [coarse.scale, coarse.bias, stretch.base].map(|number| simd.splat_f32s(number));
        let mut near = Near { entries: [0; 32], count: 0 };
        for (part, &sums) in S::as_simd_f32s(sums.as_flattened()).0.iter().enumerate() {
            let first = part * S::F32_LANES;
            let rest = match stretch.terms {
                Some(terms) => simd.add_f32s(load(simd, terms.get(first..).unwrap_or_default()), base),
                None => base,
            };
            let bounds = simd.add_f32s(simd.mul_add_e_f32s(sums, scale, bias), rest);
            let possible = simd.less_than_or_equal_f32s(bounds, simd.splat_f32s(top.threshold()));
            if !any::<S>(possible) {
                continue;
            }
            let mut lanes = bits::<S>(possible);
            while lanes != 0 {
                let entry = first + lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                if entry < count {
                    near.entries[near.count] = entry;
                    near.count += 1;
                }
            }
            if near.count >= 16 {
                near.offer(way, stretch, top);
            }
        }
        while near.count > 0 {
            near.offer(way, stretch, top);
        }
    }
}

/// The first numbers, zero past the end.
#[inline(always)]
fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    let (whole, tail) = S::as_simd_f32s(numbers);
    whole.first().copied().unwrap_or_else(|| simd.partial_load_f32s(tail))
}

/// Entries that may be near enough, to be offered 16 at a time.
struct Near {
    entries: [usize; 32],
    count: usize,
}

impl Near {
    /// Offers the last 16, or what there is.
    fn offer(&mut self, way: Way, stretch: &Stretch<'_>, top: &mut Top) {
        let first = self.count.saturating_sub(16);
        let entries = &self.entries[first..self.count];
        self.count = first;
        let sums = if entries.len() < FEW { None } else { way.exact_sums(stretch, entries) };
        let Some(sums) = sums else {
            for &entry in entries {
                stretch.offer(entry, top);
            }
            return;
        };
        for (&entry, sum) in entries.iter().zip(sums) {
            stretch.offer_sum(entry, sum, top);
        }
    }
}

/// Fewer entries than this are summed one by one.
const FEW: usize = 3;
