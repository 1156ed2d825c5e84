//! Scans of 4-bit and 8-bit codes with AVX-512: tables of bytes in registers, looked up by shuffles or permutations, 64
//! codes at a time (André, Kermarrec, Le Scouarnec 2015).
//!
//! Table entries are rounded down to bytes, so that sums of bytes give no more than the distance; entries that may
//! be near enough by these are summed exactly. The outcome is that of exact sums.

mod coarse;
mod sums;

use std::arch::x86_64::{
    __m512, __m512i, _CMP_LE_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_permutexvar_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_srli_epi32,
};

use rayon::prelude::*;

use super::{Scan, Stretch};
use crate::ops::{
    Ranked,
    scan::{Division, Probing, scan_lists},
    top::Top,
};
use coarse::Coarse;
pub(super) use sums::Way;
use sums::{LANES, Plane};

/// What a thread works in.
#[derive(Default)]
struct Scratch {
    planes: Vec<Plane>,
    sums: Vec<[f32; LANES]>,
}

pub(super) fn pq_scan(input: &Scan<'_>, k: usize, way: Way) -> Vec<Ranked> {
    let tables = input.tables.par_chunks_exact(input.columns());
    let coarse: Vec<_> = tables.map(|table| way.coarse(table)).collect();
    // What arranging codes takes is some four queries' scans.
    let division = Division { piece: 2048, once: 4 };
    scan_lists(&input.lists(), input.queries(), k, &division, |scratch: &mut Scratch, piece, tops| {
        let stretch = |&Probing { query, probe }: &Probing| input.stretch(query as usize, probe, piece.entries.clone());
        let Scratch { planes, sums } = scratch;
        if let Some(first) = piece.probing.first() {
            let Stretch { words, codes, .. } = stretch(first);
            way.arrange(codes, words, planes);
        }
        for (probing, top) in piece.probing.iter().zip(tops) {
            let stretch = stretch(probing);
            if let Some(coarse) = &coarse[probing.query as usize] {
                way.sums(planes, stretch.words, &coarse.tables, sums);
                // SAFETY: there is a way only where there is AVX-512.
                unsafe { offer_all(&stretch, coarse, sums, top) };
            } else {
                stretch.scan(top);
            }
        }
    })
}

/// Offers the entries that may be near enough by these sums.
#[target_feature(enable = "avx512f,avx512bw")]
fn offer_all(stretch: &Stretch<'_>, coarse: &Coarse, sums: &[[f32; LANES]], top: &mut Top) {
    let count = stretch.ids.len();
    let (scale, bias, base) = (_mm512_set1_ps(coarse.scale), _mm512_set1_ps(coarse.bias), _mm512_set1_ps(stretch.base));
    let mut near = Near { entries: [0; 32], count: 0 };
    for (part, &sums) in sums.as_flattened().as_chunks::<16>().0.iter().enumerate() {
        let first = part * 16;
        let rest = match stretch.terms {
            Some(terms) => _mm512_add_ps(load(terms.get(first..).unwrap_or_default()), base),
            None => base,
        };
        let bounds = _mm512_add_ps(_mm512_fmadd_ps(bytemuck::cast(sums), scale, bias), rest);
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
