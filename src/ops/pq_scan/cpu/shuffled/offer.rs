//! Offers of entries that sums of bytes leave possible.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{
    Scratch,
    coarse::Coarse,
    sums::{LANES, Way},
};
use crate::ops::{
    pq_scan::cpu::Stretch,
    prefetch::prefetch,
    top::{Top, bits},
};

/// Offers the entries that may be near enough by sums of bytes.
pub(super) fn offer_all(way: Way, stretch: &Stretch<'_>, coarse: &Coarse, scratch: &mut Scratch, top: &mut Top) {
    let blocks = stretch.ids.len().div_ceil(LANES);
    // Few at first, while the threshold falls fast.
    let (mut first, mut at_once) = (0, (2 * top.wanted()).div_ceil(LANES));
    while first < blocks {
        if top.threshold() < f32::INFINITY {
            at_once = if first == 0 { blocks } else { first };
        }
        let part = first..blocks.min(first + at_once);
        offer_blocks(way, stretch, coarse, part.clone(), scratch, top);
        first = part.end;
    }
}

fn offer_blocks(
    way: Way,
    stretch: &Stretch<'_>,
    coarse: &Coarse,
    blocks: Range<usize>,
    scratch: &mut Scratch,
    top: &mut Top,
) {
    let first = blocks.start * LANES;
    let stretch = &stretch.part(first..stretch.ids.len().min(blocks.end * LANES));
    let Scratch { planes, sums, masks, entries } = scratch;
    let words = stretch.codes.words();
    let planes = &planes[4 * words * blocks.start..4 * words * blocks.end];
    let mut near = Near { stretch, coarse, limit: top.threshold(), masks };
    near.masks.clear();
    if !way.find_near(planes, &mut near) {
        way.sums(planes, words, &coarse.tables, sums);
        near.compare(sums);
    }
    entries.clear();
    for (block, &mask) in masks.iter().enumerate() {
        let mut lanes = mask & stretch.mask.map_or(u64::MAX, |mask| mask.lanes(stretch.first + block * LANES));
        while lanes != 0 {
            let entry = block * LANES + lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            if entry < stretch.ids.len() {
                prefetch(stretch.codes.code(entry));
                entries.push(entry);
            }
        }
    }
    offer_few(way, stretch, entries, top);
}

/// Offers these entries, whatever they come to.
pub(super) fn offer_few(way: Way, stretch: &Stretch<'_>, entries: &[usize], top: &mut Top) {
    for entries in entries.chunks(16) {
        offer(way, stretch, entries, top);
    }
}

/// Fewer entries than this are summed one by one.
const FEW: usize = 3;

/// Offers up to 16 entries.
fn offer(way: Way, stretch: &Stretch<'_>, entries: &[usize], top: &mut Top) {
    let sums = if entries.len() < FEW { None } else { way.exact_sums(stretch, entries) };
    if let Some(sums) = sums {
        for (&entry, sum) in entries.iter().zip(sums) {
            stretch.offer_sum(entry, sum, top);
        }
    } else {
        for &entry in entries {
            stretch.offer(entry, top);
        }
    }
}

/// Entries whose bounds are no more than a limit.
pub(super) struct Near<'a> {
    pub stretch: &'a Stretch<'a>,
    pub coarse: &'a Coarse,
    pub limit: f32,
    /// A bit for each entry, and for padding.
    pub masks: &'a mut Vec<u64>,
}

impl Near<'_> {
    /// Finds them by sums of bytes.
    fn compare(&mut self, sums: &[[f32; LANES]]) {
        Arch::new().dispatch(Compare { near: self, sums });
    }

    /// The largest sum of bytes of an entry without a term whose bound is no more than the limit, or a little larger.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn largest_sum(&self) -> i32 {
        let room = f64::from(self.limit.next_up()) - f64::from(self.stretch.base) - f64::from(self.coarse.bias);
        match room / f64::from(self.coarse.scale) {
            // No scale.
            quotient if quotient.is_nan() => i32::MAX,
            quotient => (quotient.floor() as i32).saturating_add(1),
        }
    }
}

struct Compare<'a, 'b> {
    near: &'a mut Near<'b>,
    sums: &'a [[f32; LANES]],
}

impl WithSimd for Compare<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Near { stretch, coarse, limit, masks } = self.near;
        let limit = *limit;
        let [scale, bias, base] = [coarse.scale, coarse.bias, stretch.base].map(|number| simd.splat_f32s(number));
        let limit = simd.splat_f32s(limit);
        for (block, sums) in self.sums.iter().enumerate() {
            let mut mask = 0;
            for (part, &sums) in S::as_simd_f32s(sums).0.iter().enumerate() {
                let first = part * S::F32_LANES;
                let rest = match stretch.terms {
                    Some(terms) => {
                        simd.add_f32s(load(simd, terms.get(block * LANES + first..).unwrap_or_default()), base)
                    }
                    None => base,
                };
                let bounds = simd.add_f32s(simd.mul_add_e_f32s(sums, scale, bias), rest);
                mask |= u64::from(bits::<S>(simd.less_than_or_equal_f32s(bounds, limit))) << first;
            }
            masks.push(mask);
        }
    }
}

/// The first numbers, zero past the end.
#[inline(always)]
fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    let (whole, tail) = S::as_simd_f32s(numbers);
    whole.first().copied().unwrap_or_else(|| simd.partial_load_f32s(tail))
}
