//! Scans of codes, the plainest way.

use crate::ops::reference::{Codewords, ProbedLists, smallest};

/// The `k` smallest of each query's probed codes (row number, distance), ordered by (distance, row number).
#[must_use]
pub fn pq_scan(
    tables: &[f32],
    codebook: &Codewords<'_>,
    codes: &[u32],
    terms: Option<&[f32]>,
    lists: &ProbedLists<'_>,
    add_probe: bool,
    k: usize,
) -> Vec<Vec<(u32, f64)>> {
    let columns = codebook.m << codebook.nbits;
    let search = |(query, table): (usize, &[f32])| {
        let distances = lists.entries(query).into_iter().map(|(entry, id, probe)| {
            let numbers = codebook.unpack(&codes[entry * codebook.words()..][..codebook.words()]);
            let sum: f64 = (0..codebook.m).map(|sub| f64::from(table[(sub << codebook.nbits) + numbers[sub]])).sum();
            let base = if add_probe { f64::from(probe.distance()) } else { 0.0 };
            (id, sum + base + terms.map_or(0.0, |terms| f64::from(terms[entry])))
        });
        smallest(distances.collect(), k)
    };
    tables.chunks(columns).enumerate().map(search).collect()
}
