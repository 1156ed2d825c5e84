//! Scans of probed lists on the CPU, whatever the entries are.

use std::ops::Range;

use rayon::prelude::*;

use super::{Ranked, panels::Merge, row, top::Top};

/// Inverted lists and the ones to scan for each query.
pub(super) struct Probed<'a> {
    pub offsets: &'a [u32],
    /// Number of entries.
    pub entries: usize,
    pub probes: &'a [Ranked],
    pub nprobe: usize,
}

/// Entries that one thread scans before another may take over.
const PIECE: usize = 2048;

/// Calls `score` with a query, a probe and a piece of its list, which offers the entries to the queue; gives the `k`
/// smallest of each of `queries`.
pub(super) fn scan(
    lists: &Probed<'_>,
    queries: usize,
    k: usize,
    score: impl Fn(usize, Ranked, Range<usize>, &mut Top) + Sync,
) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; queries * k];
    let many = queries >= 4 * rayon::current_num_threads();
    found.par_chunks_mut(k).enumerate().for_each(|(query, found)| {
        let scan_into = |mut top: Top, (probe, piece): (Ranked, Range<usize>)| {
            score(query, probe, piece, &mut top);
            top
        };
        let probes = row(lists.probes, lists.nprobe, query).iter().filter(|probe| !probe.is_none());
        let pieces = probes.flat_map(|&probe| lists.pieces(probe));
        let top = if many {
            pieces.fold(Top::new(k), scan_into)
        } else {
            let pieces: Vec<_> = pieces.collect();
            pieces.into_par_iter().fold(|| Top::new(k), scan_into).reduce(|| Top::new(k), Top::merge)
        };
        top.write(found);
    });
    found
}

impl Probed<'_> {
    /// The probe with each piece of its list.
    fn pieces(&self, probe: Ranked) -> impl Iterator<Item = (Ranked, Range<usize>)> + use<> {
        let (start, end) = match self.offsets.get(probe.id() as usize..) {
            Some(&[start, end, ..]) => (start as usize, self.entries.min(end as usize)),
            _ => (0, 0),
        };
        (start..end).step_by(PIECE).map(move |start| (probe, start..end.min(start + PIECE)))
    }
}
