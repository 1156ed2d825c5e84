//! Scans of rows on the CPU.

use crate::{
    Metric,
    ops::{
        Ranked, row,
        scan::{Probed, scan},
        simd::distance,
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
    let lists = Probed { offsets: input.offsets, probes: input.probes, nprobe: input.nprobe };
    let dimension = input.dimension;
    scan(&lists, input.queries.len() / dimension, k, |query, _, entries, top| {
        let query = row(input.queries, dimension, query);
        let ids = input.ids.get(entries.clone()).unwrap_or_default();
        for (entry, &id) in entries.zip(ids) {
            top.offer(distance(query, row(input.rows, dimension, entry), input.metric), id);
        }
    })
}
