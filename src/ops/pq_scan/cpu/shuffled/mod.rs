//! Scans of 4-bit and 8-bit codes with AVX2, AVX-512 and NEON: tables of bytes in registers, looked up by shuffles or
//! permutations, 64 codes at a time (André, Kermarrec, Le Scouarnec 2015).
//!
//! Table entries are rounded down to bytes, so that sums of bytes give no more than the distance; entries that may
//! be near enough by these are summed exactly. The outcome is that of exact sums.

mod coarse;
mod offer;
mod sums;

use rayon::prelude::*;

use super::{Scan, Stretch};
use crate::ops::{
    Ranked,
    scan::{Division, Probing, scan_lists},
};
use offer::{offer_all, offer_few};
pub(super) use sums::Way;
use sums::{LANES, Plane};

/// Codes of which no more than one in so many is wanted are summed one by one: of one in a hundred, with 25 bytes each, a
/// search of 16 of 1,024 lists takes 0.6 of the time.
const SPARSE: usize = 16;

/// What a thread works in.
#[derive(Default)]
struct Scratch {
    planes: Vec<Plane>,
    sums: Vec<[f32; LANES]>,
    masks: Vec<u64>,
    entries: Vec<usize>,
}

pub(super) fn pq_scan(input: &Scan<'_>, k: usize, way: Way) -> Vec<Ranked> {
    let tables = input.tables.par_chunks_exact(input.columns());
    let coarse: Vec<_> = tables.map(|table| way.coarse(table)).collect();
    // What arranging codes takes is some four queries' scans.
    let division = Division { piece: 2048, once: 4 };
    scan_lists(&input.lists(), input.queries(), k, &division, |scratch: &mut Scratch, piece, tops| {
        let stretch = |&Probing { query, probe }: &Probing| input.stretch(query as usize, probe, piece.entries.clone());
        if let Some(mask) = input.mask.filter(|mask| SPARSE * mask.count(piece.entries.clone()) <= piece.entries.len())
        {
            scratch.entries.clear();
            let wanted = piece.entries.clone().filter(|&entry| mask.is_set(entry));
            scratch.entries.extend(wanted.map(|entry| entry - piece.entries.start));
            for (probing, top) in piece.probing.iter().zip(tops) {
                offer_few(way, &stretch(probing), &scratch.entries, top);
            }
            return;
        }
        if let Some(first) = piece.probing.first() {
            let Stretch { codes, .. } = stretch(first);
            way.arrange(&codes, &mut scratch.planes);
        }
        for (probing, top) in piece.probing.iter().zip(tops) {
            let stretch = stretch(probing);
            if let Some(coarse) = &coarse[probing.query as usize] {
                offer_all(way, &stretch, coarse, scratch, top);
            } else {
                stretch.scan(top);
            }
        }
    })
}
