//! Scans of probed lists on the CPU, whatever the entries are: query after query, or list after list for all queries
//! that probe it.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;

use super::{Ranked, mask::Bits, panels::Merge, row, top::Top};

/// Inverted lists and the ones to scan for each query.
pub(super) struct Probed<'a> {
    pub offsets: &'a [u32],
    /// Number of entries.
    pub entries: usize,
    pub probes: &'a [Ranked],
    pub nprobe: usize,
    /// Which entries are offered, if not all.
    pub mask: Option<Bits<'a>>,
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

/// Queries that are searched together, list after list.
const QUERIES: usize = 4096;

/// Some entries of a list and the queries that probe it.
pub(super) struct Piece<'a> {
    pub entries: Range<usize>,
    pub probing: &'a [Probing],
}

/// A query that probes a list.
#[derive(Clone, Copy)]
pub(super) struct Probing {
    pub query: u32,
    pub probe: Ranked,
}

/// How lists are divided.
pub(super) struct Division {
    /// Most entries of a piece.
    pub piece: usize,
    /// How many queries' scores take as long as what is done once for a piece.
    pub once: usize,
}

/// Calls `score` with a piece and what its queries keep, to which it offers the entries; gives the `k` smallest of each
/// of `queries`.
pub(super) fn scan_lists<S: Default>(
    lists: &Probed<'_>,
    queries: usize,
    k: usize,
    division: &Division,
    score: impl Fn(&mut S, &Piece<'_>, &mut [Top]) + Sync,
) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; queries * k];
    for (batch, found) in found.chunks_mut(QUERIES * k).enumerate() {
        let first = batch * QUERIES;
        let batch = first..first + found.len() / k;
        let bounds: Vec<_> = batch.clone().map(|_| Bound::default()).collect();
        let tops = if let Some(shares) = lists.shares_of(batch.len(), division) {
            let share = batch.len().div_ceil(shares);
            let shares: Vec<_> =
                batch.clone().step_by(share).map(|start| start..batch.end.min(start + share)).collect();
            let scanned = shares.into_par_iter().map(|queries| {
                let probing = lists.probing(queries);
                part(&lists.pieces_of(&probing, division.piece), first, &bounds, k, &score)
            });
            scanned.collect::<Vec<_>>()
        } else {
            let probing = lists.probing(batch);
            let pieces = lists.pieces_of(&probing, division.piece);
            let parts = shared_out(&pieces, division.once);
            parts.into_par_iter().map(|pieces| part(pieces, first, &bounds, k, &score)).collect()
        };
        let mut merged: Vec<_> = bounds.iter().map(|_| Top::new(k)).collect();
        for (query, top) in tops.into_iter().flatten() {
            merged[query as usize - first].take_in(top);
        }
        found.par_chunks_mut(k).zip(merged).for_each(|(found, top)| top.write(found));
    }
    found
}

/// Divides pieces into parts that take about as long.
fn shared_out<'a>(pieces: &'a [Piece<'a>], once: usize) -> Vec<&'a [Piece<'a>]> {
    let work = |piece: &Piece<'_>| piece.entries.len() * (piece.probing.len() + once);
    let share = pieces.iter().map(work).sum::<usize>() / parts_for(rayon::current_num_threads()) + 1;
    let mut parts = vec![];
    let (mut start, mut sum) = (0, 0);
    for (index, piece) in pieces.iter().enumerate() {
        sum += work(piece);
        if sum >= share || index + 1 == pieces.len() {
            parts.push(&pieces[start..=index]);
            (start, sum) = (index + 1, 0);
        }
    }
    parts
}

/// What is no nearer than a query's k smallest, as far as any thread knows: what comes out does not depend on it.
struct Bound(AtomicU64);

impl Default for Bound {
    fn default() -> Self {
        Bound(AtomicU64::new(bytemuck::cast(Ranked::NONE)))
    }
}

impl Bound {
    fn get(&self) -> Ranked {
        bytemuck::cast(self.0.load(Ordering::Relaxed))
    }

    fn lower(&self, bound: Ranked) {
        if bound < self.get() {
            self.0.fetch_min(bytemuck::cast(bound), Ordering::Relaxed);
        }
    }
}

/// Parts that keep threads busy.
fn parts_for(threads: usize) -> usize {
    if threads == 1 { 1 } else { 4 * threads }
}

/// What the queries of some pieces keep.
fn part<S: Default>(
    pieces: &[Piece<'_>],
    first: usize,
    bounds: &[Bound],
    k: usize,
    score: &impl Fn(&mut S, &Piece<'_>, &mut [Top]),
) -> Vec<(u32, Top)> {
    let mut tops: Vec<(u32, Top)> = vec![];
    // Where in `tops` a query's is.
    let mut places = vec![usize::MAX; bounds.len()];
    let (mut scratch, mut kept) = (S::default(), vec![]);
    for piece in pieces {
        for &Probing { query, .. } in piece.probing {
            let place = &mut places[query as usize - first];
            if *place == usize::MAX {
                *place = tops.len();
                tops.push((query, Top::new(k)));
            }
            let mut top = tops[*place].1.take();
            top.lower(bounds[query as usize - first].get());
            kept.push(top);
        }
        score(&mut scratch, piece, &mut kept);
        for (probing, top) in piece.probing.iter().zip(kept.drain(..)) {
            let query = probing.query as usize - first;
            bounds[query].lower(top.bound());
            tops[places[query]].1 = top;
        }
    }
    tops
}

impl Probed<'_> {
    /// Shares of the queries for threads to take, where what each does once for a piece is little beside its queries:
    /// no query begins anew in another thread then. 1,000 queries of one list take 0.74 of the time on two threads.
    fn shares_of(&self, queries: usize, division: &Division) -> Option<usize> {
        let threads = rayon::current_num_threads();
        let probing = queries * self.nprobe / self.offsets.len().saturating_sub(1).max(1);
        let shares = probing / (8 * division.once) / threads * threads;
        (shares > 0).then(|| shares.min(parts_for(threads)))
    }

    /// The queries among `batch` that probe each list.
    fn probing(&self, batch: Range<usize>) -> Vec<Vec<Probing>> {
        let mut probing = vec![vec![]; self.offsets.len().saturating_sub(1)];
        for query in batch {
            for &probe in row(self.probes, self.nprobe, query).iter().filter(|probe| !probe.is_none()) {
                if let Some(list) = probing.get_mut(probe.id() as usize) {
                    list.push(Probing { query: query as u32, probe });
                }
            }
        }
        probing
    }

    fn pieces_of<'a>(&self, probing: &'a [Vec<Probing>], length: usize) -> Vec<Piece<'a>> {
        let probed = self.offsets.windows(2).zip(probing).filter(|(_, probing)| !probing.is_empty());
        let pieces = probed.flat_map(|(ends, probing)| {
            let (start, end) = (ends[0] as usize, self.entries.min(ends[1] as usize));
            (start..end).step_by(length).map(move |start| Piece { entries: start..end.min(start + length), probing })
        });
        pieces.collect()
    }

    /// The probe with each piece of its list.
    fn pieces(&self, probe: Ranked) -> impl Iterator<Item = (Ranked, Range<usize>)> + use<> {
        let Range { start, end } = self.entries_of(probe);
        (start..end).step_by(PIECE).map(move |start| (probe, start..end.min(start + PIECE)))
    }

    /// Number of entries that a query is offered.
    pub(super) fn offered(&self, query: usize) -> usize {
        let probes = row(self.probes, self.nprobe, query).iter().filter(|probe| !probe.is_none());
        let offered = |entries: Range<usize>| self.mask.map_or(entries.len(), |mask| mask.count(entries));
        probes.map(|&probe| offered(self.entries_of(probe))).sum()
    }

    fn entries_of(&self, probe: Ranked) -> Range<usize> {
        match self.offsets.get(probe.id() as usize..) {
            Some(&[start, end, ..]) => start as usize..self.entries.min(end as usize),
            _ => 0..0,
        }
    }
}
