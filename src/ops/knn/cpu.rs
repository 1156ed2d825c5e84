//! Exact nearest neighbours on the CPU.
//!
//! Many queries meet the base by inner products of what is centred, one operation a term where a squared difference
//! takes two, and some more than k of each are kept. A few queries meet it by differences summed in no particular order.
//! Differences then rank what was kept, so that batches of any size find the same.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Ranked,
        exact::{Exact, centre, least_by_products, to_keep},
        few,
        gather::cpu::gather,
        integers::Integers,
        is_l2,
        mask::Bits,
        panels::{Form, Groups, offer_all},
        row,
        simd::{Product, Square},
        top::{Among, Top},
    },
};

/// Fewer queries do not make up for packing the base.
const MANY: usize = 16;

/// What is searched.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub rows: &'a [f32],
    pub dimension: usize,
    /// Which of the rows, if not all.
    pub mask: Option<Bits<'a>>,
}

pub(super) fn knn(queries: &[f32], base: Base<'_>, k: usize, metric: Metric) -> Vec<Ranked> {
    if !is_l2(metric) {
        base.plain(queries, k, metric)
    } else if queries.len() / base.dimension < MANY {
        base.by_differences(queries, k)
    } else {
        base.by_products(queries, k, Integers::for_dimension(base.dimension))
    }
}

/// [`knn`] among the rows with these numbers, which ascend: they are copied, at most so many bytes at a time.
pub(super) fn knn_among(
    queries: &[f32],
    base: Base<'_>,
    among: &[u32],
    k: usize,
    (metric, piece_bytes): (Metric, usize),
) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; queries.len() / base.dimension * k];
    for piece in among.chunks((piece_bytes / (4 * base.dimension)).max(1)) {
        let copied = gather(base.rows, base.dimension, piece);
        let more = knn(queries, Base { rows: &copied, mask: None, ..base }, k, metric);
        found.par_chunks_mut(k).zip(more.par_chunks(k)).for_each(|(found, more)| {
            let named = more.iter().filter(|one| !one.is_none());
            let named = named.map(|one| Ranked::new(one.distance(), piece[one.id() as usize]));
            let mut all: Vec<_> = found.iter().copied().chain(named).collect();
            all.sort_unstable();
            found.copy_from_slice(&all[..k]);
        });
    }
    found
}

impl Base<'_> {
    /// By differences or products as they are.
    fn plain(&self, queries: &[f32], k: usize, metric: Metric) -> Vec<Ranked> {
        let &Base { rows, dimension, mask } = self;
        let groups = Groups::pack(queries.chunks_exact(dimension), dimension, Form::Plain);
        let (count, new) = (queries.len() / dimension, || Among { top: Top::new(k), mask });
        let (kept, _) = if is_l2(metric) {
            offer_all(&groups, count, (rows, dimension), Square, Form::Plain, new)
        } else {
            offer_all(&groups, count, (rows, dimension), Product, Form::Plain, new)
        };
        let mut found = vec![Ranked::NONE; count * k];
        found.par_chunks_mut(k).zip(kept).for_each(|(row, among)| among.top.write(row));
        found
    }

    fn by_products(&self, queries: &[f32], k: usize, integers: Option<Integers>) -> Vec<Ranked> {
        let &Base { rows, dimension, mask } = self;
        let centre = centre(rows, dimension);
        let form = integers.map_or(Form::Centred(&centre), |integers| Form::Rounded(&centre, integers));
        let groups = Groups::pack(queries.chunks_exact(dimension), dimension, form);
        let (count, new) = (queries.len() / dimension, || Among { top: Top::new(to_keep(k)), mask });
        let (kept, reach) = match integers {
            Some(integers) => offer_all(&groups, count, (rows, dimension), integers, form, new),
            None => offer_all(&groups, count, (rows, dimension), Product, form, new),
        };
        let least = |query: usize, last| {
            least_by_products(row(queries, dimension, query), &centre, groups.reach(query), reach, last)
        };
        self.ranked(queries, k, kept, least)
    }

    fn by_differences(&self, queries: &[f32], k: usize) -> Vec<Ranked> {
        let &Base { rows, dimension, mask } = self;
        let kept = few::nearest(queries, rows, dimension, || Among { top: Top::new(to_keep(k)), mask });
        self.ranked(queries, k, kept, |_, last| few::least(dimension, last))
    }

    fn ranked(
        &self,
        queries: &[f32],
        k: usize,
        kept: Vec<Among<'_>>,
        least: impl Fn(usize, f64) -> f64 + Sync,
    ) -> Vec<Ranked> {
        let &Base { rows, dimension, mask } = self;
        let exact = Exact { queries, rows, dimension, k };
        let again = |doubtful: &[usize]| {
            let queries: Vec<f32> =
                doubtful.iter().flat_map(|&query| row(queries, dimension, query)).copied().collect();
            self.plain(&queries, k, Metric::L2)
        };
        let all = rows.len() / dimension;
        let offered = mask.map_or(all, |mask| mask.count(0..all));
        let candidates = kept.into_par_iter().map(|among| among.top.into_sorted());
        exact.ranked(candidates, |_| offered, |row| row, least, again)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Base, Bits, Integers, knn_among};
    use crate::Metric;

    proptest! {
        /// Whatever products may confuse: duplicates, near-duplicates, far from the origin.
        #[test]
        fn products_find_what_differences_find(
            dimension in 1_usize..40,
            rows in 0_usize..400,
            queries in 1_usize..40,
            k in 1_usize..50,
            steps in 1_u32..2000,
            offset in prop_oneof![Just(0.0_f32), Just(1000.0), Just(1e6)],
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let mut vectors = |rows: usize| -> Vec<f32> {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state >> 8
                };
                (0..rows * dimension).map(|_| offset + (next() % steps) as f32 / 7.0).collect()
            };
            let (base, queries) = (vectors(rows), vectors(queries));
            let words: Vec<u32> = (0..rows.div_ceil(32) as u32).map(|word| 0xdb6d_b6db ^ word.wrapping_mul(seed)).collect();
            let bits = Bits(&words);
            for mask in [None, Some(bits)] {
                let base = Base { rows: &base, dimension, mask };
                let differences = base.plain(&queries, k, Metric::L2);
                prop_assert_eq!(&base.by_differences(&queries, k), &differences);
                for integers in [None, Integers::new()] {
                    prop_assert_eq!(&base.by_products(&queries, k, integers), &differences);
                }
                // Copied, whole and in pieces.
                let is_wanted = |&row: &u32| mask.is_none_or(|mask| mask.is_set(row as usize));
                let among: Vec<u32> = (0..rows as u32).filter(is_wanted).collect();
                for bytes in [4 * dimension * 17, 1 << 30] {
                    prop_assert_eq!(&knn_among(&queries, base, &among, k, (Metric::L2, bytes)), &differences);
                }
            }
        }
    }
}
