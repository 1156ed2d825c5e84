//! Scans of rows on the CPU: a list's rows meet all queries that probe the list at once.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::Simd;

use crate::{
    Metric,
    ops::{
        Ranked, is_l2,
        panels::{BLOCK, Form, Groups, Keep, Panels, VECTORS, width},
        row,
        scan::{Division, Probed, scan_lists},
        simd::{Product, Square},
        top::Top,
    },
};

/// Bytes of rows that are packed at a time: they stay in a core's second-level cache, and allocators keep them at hand.
const PIECE_BYTES: usize = 96 << 10;

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

pub(super) fn flat_scan(scan: &Scan<'_>, k: usize) -> Vec<Ranked> {
    let Scan { queries, rows, dimension, ids, .. } = *scan;
    let lists = Probed { offsets: scan.offsets, entries: ids.len(), probes: scan.probes, nprobe: scan.nprobe };
    let division = Division { piece: (PIECE_BYTES / 4 / dimension).next_multiple_of(width()), once: 8 };
    scan_lists(&lists, queries.len() / dimension, k, &division, |panels: &mut Panels, piece, tops| {
        let entries = piece.entries.clone();
        panels.repack(&rows[entries.start * dimension..entries.end * dimension], dimension, dimension, Form::Plain);
        let vectors = piece.probing.iter().map(|probing| row(queries, dimension, probing.query as usize));
        let groups = Groups::pack(vectors, dimension, Form::Plain);
        let ids = &ids[entries];
        let mut kept: Vec<_> = tops.iter_mut().map(|top| Named { ids, top }).collect();
        for (block, kept) in kept.chunks_mut(BLOCK).enumerate() {
            if is_l2(scan.metric) {
                panels.offer(0, &groups, block * BLOCK, Square, kept);
            } else {
                panels.offer(0, &groups, block * BLOCK, Product, kept);
            }
        }
    })
}

/// Keeps the nearest of rows that have names.
struct Named<'a> {
    ids: &'a [u32],
    top: &'a mut Top,
}

impl Keep for Named<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]) {
        self.top.offer_lanes(simd, distances, |lane| self.ids.get(first as usize + lane).copied());
    }
}
