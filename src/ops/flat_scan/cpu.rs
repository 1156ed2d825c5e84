//! Scans of rows on the CPU: a list's rows meet all queries that probe the list at once.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Ranked, is_l2,
        panels::{BLOCK, Groups, Keep, Panels, Start, VECTORS, width},
        row,
        simd::{Product, Square},
        top::Top,
    },
};

/// Queries that are searched together.
const QUERIES: usize = 4096;

/// Bytes of rows that are packed at a time: they stay in a core's second-level cache, and allocators keep them at hand.
const PIECE_BYTES: usize = 96 << 10;

/// Packing rows takes as long as this many queries' distances to them.
const PACKING: usize = 8;

/// What a scan reads.
pub(super) struct Scan<'a> {
    pub queries: &'a [f32],
    pub rows: &'a [f32],
    pub dimension: usize,
    pub offsets: &'a [u32],
    pub ids: &'a [u32],
    pub probes: &'a [Ranked],
    pub nprobe: usize,
    pub metric: Metric,
}

/// Some rows of a list and the queries that probe it.
struct Piece<'a> {
    entries: Range<usize>,
    queries: &'a [u32],
}

impl Piece<'_> {
    fn work(&self) -> usize {
        self.entries.len() * (self.queries.len() + PACKING)
    }
}

pub(super) fn flat_scan(scan: &Scan<'_>, k: usize) -> Vec<Ranked> {
    let count = scan.queries.len() / scan.dimension;
    let mut found = vec![Ranked::NONE; count * k];
    for (batch, found) in found.chunks_mut(QUERIES * k).enumerate() {
        let first = batch * QUERIES;
        let probing = scan.probing(first..first + found.len() / k);
        let pieces = scan.pieces(&probing);
        let tops = scan.tops(&pieces, k);
        let mut merged: Vec<_> = (0..found.len() / k).map(|_| Top::new(k)).collect();
        for (query, top) in tops.into_iter().flatten() {
            merged[query as usize - first].take_in(top);
        }
        found.par_chunks_mut(k).zip(merged).for_each(|(found, top)| top.write(found));
    }
    found
}

impl Scan<'_> {
    /// The queries among `batch` that probe each list.
    fn probing(&self, batch: Range<usize>) -> Vec<Vec<u32>> {
        let mut probing = vec![vec![]; self.offsets.len().saturating_sub(1)];
        for query in batch {
            for probe in row(self.probes, self.nprobe, query).iter().filter(|probe| !probe.is_none()) {
                if let Some(queries) = probing.get_mut(probe.id() as usize) {
                    queries.push(query as u32);
                }
            }
        }
        probing
    }

    fn pieces<'a>(&self, probing: &'a [Vec<u32>]) -> Vec<Piece<'a>> {
        let probed = self.offsets.windows(2).zip(probing).filter(|(_, queries)| !queries.is_empty());
        let piece = (PIECE_BYTES / 4 / self.dimension).next_multiple_of(width());
        let pieces = probed.flat_map(|(ends, queries)| {
            let (start, end) = (ends[0] as usize, self.ids.len().min(ends[1] as usize));
            (start..end).step_by(piece).map(move |start| Piece { entries: start..end.min(start + piece), queries })
        });
        pieces.collect()
    }

    /// The nearest rows of the pieces' queries, in as many parts as keep the threads busy.
    fn tops(&self, pieces: &[Piece<'_>], k: usize) -> Vec<Vec<(u32, Top)>> {
        let share = pieces.iter().map(Piece::work).sum::<usize>() / (4 * rayon::current_num_threads()) + 1;
        let mut parts = vec![];
        let (mut start, mut work) = (0, 0);
        for (index, piece) in pieces.iter().enumerate() {
            work += piece.work();
            if work >= share || index + 1 == pieces.len() {
                parts.push(&pieces[start..=index]);
                (start, work) = (index + 1, 0);
            }
        }
        parts.into_par_iter().map(|pieces| self.part(pieces, k)).collect()
    }

    fn part(&self, pieces: &[Piece<'_>], k: usize) -> Vec<(u32, Top)> {
        let Scan { queries, rows, dimension, ids, .. } = *self;
        let mut tops = vec![];
        // Where in `tops` a query's are.
        let mut places = vec![usize::MAX; queries.len() / dimension];
        let (mut panels, mut kept) = (Panels::default(), vec![]);
        for piece in pieces {
            for &query in piece.queries {
                if places[query as usize] == usize::MAX {
                    places[query as usize] = tops.len();
                    tops.push((query, Top::new(k)));
                }
            }
            let Range { start, end } = piece.entries;
            panels.repack(&rows[start * dimension..end * dimension], dimension, dimension, Start::Zero);
            let vectors = piece.queries.iter().map(|&query| row(queries, dimension, query as usize));
            let groups = Groups::pack(vectors, dimension, Start::Zero);
            for (block, queries) in piece.queries.chunks(BLOCK).enumerate() {
                let place = |&query: &u32| places[query as usize];
                kept.extend(
                    queries.iter().map(|query| Named { ids: &ids[start..end], top: tops[place(query)].1.take() }),
                );
                if is_l2(self.metric) {
                    panels.offer(0, &groups, block * BLOCK, Square, &mut kept);
                } else {
                    panels.offer(0, &groups, block * BLOCK, Product, &mut kept);
                }
                queries.iter().zip(kept.drain(..)).for_each(|(query, kept)| tops[place(query)].1 = kept.top);
            }
        }
        tops
    }
}

/// Keeps the nearest of rows that have names.
struct Named<'a> {
    ids: &'a [u32],
    top: Top,
}

impl Keep for Named<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]) {
        self.top.offer_lanes(simd, distances, |lane| self.ids.get(first as usize + lane).copied());
    }
}
