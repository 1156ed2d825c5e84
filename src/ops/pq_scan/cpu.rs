//! Scans of codes on the CPU.

use crate::ops::{
    Codebook, Ranked,
    lists::code_at,
    row,
    scan::{Probed, scan},
};

/// What a scan reads.
pub(super) struct Scan<'a> {
    pub tables: &'a [f32],
    pub codebook: &'a Codebook,
    pub codes: &'a [u32],
    pub offsets: &'a [u32],
    pub ids: &'a [u32],
    pub terms: Option<&'a [f32]>,
    pub probes: &'a [Ranked],
    pub nprobe: usize,
    pub add_probe: bool,
}

pub(super) fn pq_scan(input: &Scan<'_>, k: usize) -> Vec<Ranked> {
    let lists = Probed { offsets: input.offsets, probes: input.probes, nprobe: input.nprobe };
    let (ksub, nbits, words) = (input.codebook.ksub(), input.codebook.nbits(), input.codebook.words());
    let table_length = input.codebook.m() * ksub;
    scan(&lists, input.tables.len() / table_length, k, |query, probe, entries, top| {
        let table = row(input.tables, table_length, query);
        let base = if input.add_probe { probe.distance() } else { 0.0 };
        for entry in entries {
            let code = row(input.codes, words, entry);
            let parts = table.chunks(ksub).enumerate().map(|(sub, table)| table[code_at(code, sub, nbits)]);
            let term = input.terms.map_or(0.0, |terms| terms[entry]);
            top.offer(parts.sum::<f32>() + (term + base), input.ids[entry]);
        }
    })
}
