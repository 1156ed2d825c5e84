//! Scans of rows on the CPU.

use crate::{
    Metric,
    ops::{
        Ranked, row,
        scan::{Probed, scan},
        simd::distances,
    },
};

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

pub(super) fn flat_scan(input: &Scan<'_>, k: usize) -> Vec<Ranked> {
    let lists = Probed { offsets: input.offsets, entries: input.ids.len(), probes: input.probes, nprobe: input.nprobe };
    let dimension = input.dimension;
    scan(&lists, input.queries.len() / dimension, k, |query, _, entries, top| {
        let query = row(input.queries, dimension, query);
        let rows = entries.map(|entry| (entry, row(input.rows, dimension, entry)));
        distances(query, rows, input.metric, |distance, entry| top.offer(distance, input.ids[entry]));
    })
}
