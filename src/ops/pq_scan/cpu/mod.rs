//! Scans of codes on the CPU.
//!
//! The sum of a code's table entries is taken in one order whatever takes it, so that every way gives the same bits.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod shuffled;

use std::{array, ops::Range};

use crate::ops::{
    Codebook, Ranked,
    mask::Bits,
    pq_interleave::cpu::{Codes, number_at, word_of},
    row,
    scan::{Probed, scan},
    top::Top,
};

/// What a scan reads.
pub(super) struct Scan<'a> {
    pub tables: &'a [f32],
    pub codebook: &'a Codebook,
    pub codes: Codes<'a>,
    pub offsets: &'a [u32],
    pub ids: &'a [u32],
    pub terms: Option<&'a [f32]>,
    pub probes: &'a [Ranked],
    pub nprobe: usize,
    pub mask: Option<Bits<'a>>,
    pub add_probe: bool,
}

pub(super) fn pq_scan(input: &Scan<'_>, k: usize) -> Vec<Ranked> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if let Some(way) = shuffled::Way::all(input.codebook.nbits()).last() {
        return shuffled::pq_scan(input, k, way);
    }
    plain(input, k)
}

/// Query after query, code after code.
fn plain(input: &Scan<'_>, k: usize) -> Vec<Ranked> {
    scan(&input.lists(), input.queries(), k, |query, probe, entries, top| {
        input.stretch(query, probe, entries).scan(top);
    })
}

impl<'a> Scan<'a> {
    fn lists(&self) -> Probed<'a> {
        let Scan { offsets, probes, nprobe, mask, .. } = *self;
        Probed { offsets, entries: self.ids.len(), probes, nprobe, mask }
    }

    fn queries(&self) -> usize {
        self.tables.len() / self.columns()
    }

    /// Entries of a query's tables.
    fn columns(&self) -> usize {
        self.codebook.m() * self.codebook.ksub()
    }

    /// Some entries of a list as a query sees them.
    fn stretch(&self, query: usize, probe: Ranked, entries: Range<usize>) -> Stretch<'a> {
        Stretch {
            table: row(self.tables, self.columns(), query),
            nbits: self.codebook.nbits(),
            codes: self.codes.part(entries.clone()),
            ids: &self.ids[entries.clone()],
            mask: self.mask,
            first: entries.start,
            terms: self.terms.map(|terms| &terms[entries]),
            base: if self.add_probe { probe.distance() } else { 0.0 },
        }
    }
}

/// Some entries of a list as a query sees them.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    table: &'a [f32],
    nbits: usize,
    codes: Codes<'a>,
    ids: &'a [u32],
    mask: Option<Bits<'a>>,
    /// The first entry.
    first: usize,
    terms: Option<&'a [f32]>,
    base: f32,
}

impl<'a> Stretch<'a> {
    /// Some of the entries.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn part(&self, entries: Range<usize>) -> Stretch<'a> {
        Stretch {
            codes: self.codes.part(entries.clone()),
            ids: &self.ids[entries.clone()],
            first: self.first + entries.start,
            terms: self.terms.map(|terms| &terms[entries]),
            ..*self
        }
    }

    fn scan(&self, top: &mut Top) {
        let is_wanted = |entry: &usize| self.mask.is_none_or(|mask| mask.is_set(self.first + entry));
        (0..self.ids.len()).filter(is_wanted).for_each(|entry| self.offer(entry, top));
    }

    fn offer(&self, entry: usize, top: &mut Top) {
        let code = self.codes.code(entry);
        let sum = match self.nbits {
            8 => sum_aligned::<256, 4>(self.table, code),
            4 => sum_aligned::<16, 8>(self.table, code),
            nbits => sum(self.table, code, nbits),
        };
        self.offer_sum(entry, sum, top);
    }

    /// Offers an entry of whose code this is the sum of table entries.
    fn offer_sum(&self, entry: usize, sum: f32, top: &mut Top) {
        top.offer(sum + (self.terms.map_or(0.0, |terms| terms[entry]) + self.base), self.ids[entry]);
    }
}

/// The sum of the table entries of a code of which a word holds `N` numbers below `K`. Has `N` sums, so that additions
/// need not wait for each other.
#[inline]
fn sum_aligned<const K: usize, const N: usize>(table: &[f32], code: &[u8]) -> f32 {
    let (tables, rest) = table.as_chunks::<K>().0.as_chunks::<N>();
    let (words, _) = code.as_chunks();
    let number = |word: u32, index: usize| (word >> (index * 32 / N)) as usize % K;
    let mut sums = [0.0; N];
    for (tables, &word) in tables.iter().zip(words) {
        let word = u32::from_le_bytes(word);
        let parts: [f32; N] = array::from_fn(|index| tables[index][number(word, index)]);
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    if !rest.is_empty() {
        let word = word_of(&code[4 * tables.len()..]);
        for (index, (sum, table)) in sums.iter_mut().zip(rest).enumerate() {
            *sum += table[number(word, index)];
        }
    }
    sums.iter().sum()
}

/// The sum of the table entries of a code of any kind.
fn sum(table: &[f32], code: &[u8], nbits: usize) -> f32 {
    table.chunks_exact(1 << nbits).enumerate().map(|(sub, table)| table[number_at(code, sub, nbits)]).sum()
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use proptest::prelude::*;

    use super::{Scan, plain, shuffled};
    use crate::{
        DeviceArray,
        ops::{
            Codebook, Ranked,
            mask::Bits,
            pq_interleave::cpu::{Codes, pack},
        },
    };

    proptest! {
        #[test]
        fn shuffles_find_what_sums_find(
            m in 1_usize..300,
            nbits in prop_oneof![Just(4_usize), Just(8)],
            lengths in prop::collection::vec(0_u32..200, 1..6),
            // Threads divide the lists of a few queries, and many queries.
            queries in prop_oneof![4 => 1_usize..5, 1 => 100_usize..400],
            threads in 1_usize..6,
            k in 1_usize..40,
            steps in prop_oneof![Just(3_u32), Just(1 << 24)],
            with_terms in any::<bool>(),
            masked in any::<bool>(),
            spread in prop_oneof![Just(0.0_f32), Just(1.0), Just(1e6)],
            seed in any::<u32>(),
        ) {
            let ways: Vec<_> = shuffled::Way::all(nbits).collect();
            if cfg!(target_arch = "x86_64") && ways.len() < 3 {
                eprintln!("of the scans by shuffles, only these are tested: {ways:?}");
            }
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state
            };
            let codebook = Codebook::new(DeviceArray::on_host(vec![0.0; m << nbits], 1), m, nbits).unwrap();
            let words = codebook.words();
            let entries = lengths.iter().sum::<u32>() as usize;
            let offsets: Vec<u32> = (0..=lengths.len()).map(|list| lengths[..list].iter().sum()).collect();
            let last = u32::MAX >> (words * 32 - m * nbits);
            let codes = (0..entries * words).map(|place| next() & if place % words == words - 1 { last } else { u32::MAX });
            let codes = pack(&codes.collect::<Vec<u32>>(), words, codebook.code_size());
            let mut number = |_| spread + (next() % steps) as f32 / 5.0;
            let tables: Vec<f32> = (0..(queries * m) << nbits).map(&mut number).collect();
            let terms: Vec<f32> = (0..entries).map(&mut number).collect();
            let probes = (0..queries * lengths.len()).map(|probe| Ranked::new(number(0), (probe % lengths.len()) as u32));
            let probes: Vec<_> = probes.collect();
            let ids: Vec<u32> = (0..entries as u32).rev().collect();
            let bits: Vec<u32> = (0..entries.div_ceil(32)).map(|_| next() & next()).collect();
            let scan = Scan {
                tables: &tables,
                codebook: &codebook,
                codes: Codes::new(&codes, entries, codebook.code_size()),
                offsets: &offsets,
                ids: &ids,
                terms: with_terms.then_some(&terms[..]),
                probes: &probes,
                nprobe: lengths.len(),
                mask: masked.then(|| Bits(&bits)),
                add_probe: true,
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for way in ways {
                prop_assert_eq!(pool.install(|| shuffled::pq_scan(&scan, k, way)), plain(&scan, k));
            }
        }
    }
}
