//! Scans of rows on the CPU: a list's rows meet all queries that probe the list at once.
//!
//! As in [`knn`](super::super::knn), products of what is centred or, where few queries probe a list, differences summed in
//! no particular order keep some more than k of each query, and differences in the order of the columns decide.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Ranked,
        exact::{Exact, centre, least_by_products, to_keep},
        few,
        integers::Integers,
        is_l2,
        mask::Bits,
        panels::{BLOCK, Form, Groups, Panels, Reach, Sums, Vectors, width},
        row,
        scan::{Division, Probed, scan_lists},
        simd::{Product, Square},
        top::{NAMELESS, Named, Top},
    },
};

/// Bytes of rows that are packed at a time: they stay in a core's second-level cache.
const PIECE_BYTES: usize = 256 << 10;

/// Fewer queries a list do not make up for packing its rows: 1.07 of the time at 25, 0.72 at 12, 0.29 at 1 or less.
const MANY: usize = 24;

/// What a scan reads.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub queries: &'a [f32],
    pub rows: &'a [f32],
    pub dimension: usize,
    pub offsets: &'a [u32],
    pub ids: &'a [u32],
    pub probes: &'a [Ranked],
    pub nprobe: usize,
    pub mask: Option<Bits<'a>>,
    pub metric: Metric,
}

pub(super) fn flat_scan(scan: &Scan<'_>, k: usize) -> Vec<Ranked> {
    if !is_l2(scan.metric) {
        scan.plain(k)
    } else if scan.probes.len() < MANY * scan.offsets.len() {
        scan.by_differences(k)
    } else {
        scan.by_products(k, Integers::for_dimension(scan.dimension))
    }
}

impl<'a> Scan<'a> {
    /// By differences or products as they are.
    fn plain(&self, k: usize) -> Vec<Ranked> {
        let vectors = Vectors::new(self.queries.chunks_exact(self.dimension), self.dimension, Form::Plain);
        if is_l2(self.metric) {
            self.packed(&vectors, Form::Plain, Square, |_| (), Some(self.ids), k)
        } else {
            self.packed(&vectors, Form::Plain, Product, |_| (), Some(self.ids), k)
        }
    }

    fn by_products(&self, k: usize, integers: Option<Integers>) -> Vec<Ranked> {
        let centre = centre(self.rows, self.dimension);
        let form = integers.map_or(Form::Centred(&centre), |integers| Form::Rounded(&centre, integers));
        let vectors = Vectors::new(self.queries.chunks_exact(self.dimension), self.dimension, form);
        let reach = Mutex::new(Reach::default());
        let measure = |panels: &Panels| {
            let mut reach = reach.lock().unwrap_or_else(PoisonError::into_inner);
            *reach = reach.max(panels.reach());
        };
        let kept = match integers {
            Some(integers) => self.packed(&vectors, form, integers, measure, None, to_keep(k)),
            None => self.packed(&vectors, form, Product, measure, None, to_keep(k)),
        };
        let reach = reach.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.ranked(&kept, k, |query, last| {
            least_by_products(row(self.queries, self.dimension, query), &centre, vectors.reach(query), reach, last)
        })
    }

    fn by_differences(&self, k: usize) -> Vec<Ranked> {
        let division = Division { piece: self.piece(), once: 1 };
        let keep = to_keep(k);
        let kept = scan_lists(
            &self.lists(),
            self.count(),
            keep,
            &division,
            |(queries, wanted): &mut (Vec<f32>, Wanted), piece, tops| {
                queries.clear();
                for probing in piece.probing {
                    queries.extend(row(self.queries, self.dimension, probing.query as usize));
                }
                let entries = piece.entries.clone();
                match self.mask {
                    None => few::offer(queries, self.rows_of(&entries), entries.start as u32, self.dimension, tops),
                    Some(mask) => {
                        let (rows, names) = wanted.of(self, mask, &entries, None);
                        few::offer(queries, rows, 0, self.dimension, &mut named(names, tops));
                    }
                }
            },
        );
        self.ranked(&kept, k, |_, last| few::least(self.dimension, last))
    }

    /// The `keep` nearest rows of each query, by sums of what is packed: by their names if given, otherwise by their
    /// places. Packed rows are shown to `measure`.
    fn packed<T: Sums>(
        &self,
        vectors: &Vectors,
        form: Form<'_>,
        sums: T,
        measure: impl Fn(&Panels) + Sync,
        names: Option<&[u32]>,
        keep: usize,
    ) -> Vec<Ranked> {
        let division = Division { piece: self.piece(), once: 8 };
        scan_lists(
            &self.lists(),
            self.count(),
            keep,
            &division,
            |(panels, wanted): &mut (Panels, Wanted), piece, tops| {
                let entries = piece.entries.clone();
                let (rows, names) = match (self.mask, names) {
                    (Some(mask), names) => {
                        let (rows, names) = wanted.of(self, mask, &entries, names);
                        (rows, Some(names))
                    }
                    (None, names) => (self.rows_of(&entries), names.map(|names| &names[entries.clone()])),
                };
                if rows.is_empty() {
                    return;
                }
                panels.repack(rows, self.dimension, self.dimension, form);
                measure(panels);
                let groups = Groups::of(vectors, piece.probing.iter().map(|probing| probing.query as usize));
                for (block, tops) in tops.chunks_mut(BLOCK).enumerate() {
                    match names {
                        Some(names) => panels.offer(0, &groups, block * BLOCK, sums, &mut named(names, tops)),
                        None => panels.offer(entries.start, &groups, block * BLOCK, sums, tops),
                    }
                }
            },
        )
    }

    /// The k nearest of the places kept, of which each query has [`to_keep`].
    fn ranked(&self, kept: &[Ranked], k: usize, least: impl Fn(usize, f64) -> f64 + Sync) -> Vec<Ranked> {
        let exact = Exact { queries: self.queries, rows: self.rows, dimension: self.dimension, k };
        let lists = self.lists();
        let candidates =
            kept.par_chunks_exact(to_keep(k)).map(|row| row.iter().copied().filter(|one| !one.is_none()).collect());
        let again = |doubtful: &[usize]| {
            let queries: Vec<_> =
                doubtful.iter().flat_map(|&query| row(self.queries, self.dimension, query)).copied().collect();
            let probes: Vec<_> =
                doubtful.iter().flat_map(|&query| row(self.probes, self.nprobe, query)).copied().collect();
            Scan { queries: &queries, probes: &probes, ..*self }.plain(k)
        };
        exact.ranked(candidates, |query| lists.offered(query), |place| self.ids[place as usize], least, again)
    }

    fn rows_of(&self, entries: &Range<usize>) -> &'a [f32] {
        &self.rows[entries.start * self.dimension..entries.end * self.dimension]
    }

    fn lists(&self) -> Probed<'a> {
        let Scan { offsets, probes, nprobe, mask, .. } = *self;
        Probed { offsets, entries: self.ids.len(), probes, nprobe, mask }
    }

    /// Number of queries.
    fn count(&self) -> usize {
        self.queries.len() / self.dimension
    }

    /// Rows that are packed at a time.
    fn piece(&self) -> usize {
        (PIECE_BYTES / 4 / self.dimension).next_multiple_of(width())
    }
}

/// Rows of a piece that a mask has, and names.
#[derive(Default)]
struct Wanted {
    rows: Vec<f32>,
    names: Vec<u32>,
}

impl Wanted {
    /// Rows of `entries`, among them those that the mask has, which alone have names: `names`, or else their places. Where
    /// they are fewer than half they are copied, so that no other is compared; copying most of them takes longer than that
    /// (1.4 of the time of a scan of all, where 1.0 is without).
    fn of<'a>(
        &'a mut self,
        scan: &Scan<'a>,
        mask: Bits<'_>,
        entries: &Range<usize>,
        names: Option<&[u32]>,
    ) -> (&'a [f32], &'a [u32]) {
        self.rows.clear();
        self.names.clear();
        let name = |entry: usize| names.map_or(entry as u32, |names| names[entry]);
        if 2 * mask.count(entries.clone()) >= entries.len() {
            let names = entries.clone().map(|entry| if mask.is_set(entry) { name(entry) } else { NAMELESS });
            self.names.extend(names);
            return (scan.rows_of(entries), &self.names);
        }
        for entry in entries.clone().filter(|&entry| mask.is_set(entry)) {
            self.rows.extend_from_slice(row(scan.rows, scan.dimension, entry));
            self.names.push(name(entry));
        }
        (&self.rows, &self.names)
    }
}

/// Keeps rows by their names.
fn named<'a>(names: &'a [u32], tops: &'a mut [Top]) -> Vec<Named<'a>> {
    tops.iter_mut().map(|top| Named { names, top }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Integers, Scan};
    use crate::{
        Metric,
        ops::{Ranked, mask::Bits},
    };

    proptest! {
        /// Whatever products may confuse: duplicates, near-duplicates, far from the origin.
        #[test]
        fn products_find_what_differences_find(
            dimension in 1_usize..40,
            lengths in prop::collection::vec(0_u32..200, 1..6),
            queries in 1_usize..40,
            k in 1_usize..50,
            steps in 1_u32..2000,
            offset in prop_oneof![Just(0.0_f32), Just(1000.0), Just(1e6)],
            threads in 1_usize..4,
            masked in any::<bool>(),
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let nprobe = next() as usize % lengths.len() + 1;
            let mut probes = vec![];
            for _ in 0..queries {
                let first = next() as usize;
                for place in first..first + nprobe {
                    // Some probes are none.
                    let list = (place % lengths.len()) as u32;
                    probes.push(if next() % 8 == 0 { Ranked::NONE } else { Ranked::new(0.0, list) });
                }
            }
            let offsets: Vec<u32> = (0..=lengths.len()).map(|list| lengths[..list].iter().sum()).collect();
            let entries = lengths.iter().sum::<u32>();
            let ids: Vec<u32> = (0..entries).rev().collect();
            let words: Vec<u32> = (0..entries.div_ceil(32)).map(|_| next() & next() << 4).collect();
            let mut vectors = |rows: usize| -> Vec<f32> {
                (0..rows * dimension).map(|_| offset + (next() % steps) as f32 / 7.0).collect()
            };
            let (rows, queries) = (vectors(entries as usize), vectors(queries));
            let scan = Scan {
                queries: &queries,
                rows: &rows,
                dimension,
                offsets: &offsets,
                ids: &ids,
                probes: &probes,
                nprobe,
                mask: masked.then(|| Bits(&words)),
                metric: Metric::L2,
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let plain = scan.plain(k);
                prop_assert_eq!(&scan.by_differences(k), &plain);
                for integers in [None, Integers::new()] {
                    prop_assert_eq!(&scan.by_products(k, integers), &plain);
                }
                Ok(())
            })?;
        }
    }
}
