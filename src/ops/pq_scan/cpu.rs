//! Scans of codes on the CPU.

use std::array;

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
    let lists = Probed { offsets: input.offsets, entries: input.ids.len(), probes: input.probes, nprobe: input.nprobe };
    let (ksub, nbits, words) = (input.codebook.ksub(), input.codebook.nbits(), input.codebook.words());
    let columns = input.codebook.m() * ksub;
    scan(&lists, input.tables.len() / columns, k, |query, probe, entries, top| {
        let table = row(input.tables, columns, query);
        let base = if input.add_probe { probe.distance() } else { 0.0 };
        let codes = input.codes[entries.start * words..entries.end * words].chunks_exact(words);
        let codes = entries.clone().zip(codes.zip(&input.ids[entries]));
        let term = |entry: usize| input.terms.map_or(0.0, |terms| terms[entry]);
        let offer = |(entry, sum, id): (usize, f32, u32)| top.offer(sum + (term(entry) + base), id);
        match nbits {
            8 => codes.map(|(entry, (code, &id))| (entry, sum_aligned::<256, 4>(table, code), id)).for_each(offer),
            4 => codes.map(|(entry, (code, &id))| (entry, sum_aligned::<16, 8>(table, code), id)).for_each(offer),
            _ => codes.map(|(entry, (code, &id))| (entry, sum(table, code, nbits), id)).for_each(offer),
        }
    })
}

/// The sum of the table entries of a code of which a word holds `N` numbers below `K`. Has `N` sums, so that additions
/// need not wait for each other.
#[inline]
fn sum_aligned<const K: usize, const N: usize>(table: &[f32], code: &[u32]) -> f32 {
    let (tables, rest) = table.as_chunks::<K>().0.as_chunks::<N>();
    let number = |word: u32, index: usize| (word >> (index * 32 / N)) as usize % K;
    let mut sums = [0.0; N];
    for (tables, &word) in tables.iter().zip(code) {
        let parts: [f32; N] = array::from_fn(|index| tables[index][number(word, index)]);
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    if let (Some(&word), [_, ..]) = (code.last(), rest) {
        for (index, (sum, table)) in sums.iter_mut().zip(rest).enumerate() {
            *sum += table[number(word, index)];
        }
    }
    sums.iter().sum()
}

/// The sum of the table entries of a code of any kind.
fn sum(table: &[f32], code: &[u32], nbits: usize) -> f32 {
    table.chunks_exact(1 << nbits).enumerate().map(|(sub, table)| table[code_at(code, sub, nbits)]).sum()
}
