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
        integers::Integers,
        is_l2,
        panels::{Form, Groups, offer_all},
        row,
        simd::{Product, Square},
        top::Top,
    },
};

/// Fewer queries do not make up for packing the base.
const MANY: usize = 16;

pub(super) fn knn(queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric) -> Vec<Ranked> {
    if !is_l2(metric) {
        plain(queries, base, dimension, k, metric)
    } else if queries.len() / dimension < MANY {
        by_differences(queries, base, dimension, k)
    } else {
        by_products(queries, base, dimension, k, Integers::for_dimension(dimension))
    }
}

/// By differences or products as they are.
fn plain(queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric) -> Vec<Ranked> {
    let groups = Groups::pack(queries.chunks_exact(dimension), dimension, Form::Plain);
    let (count, new) = (queries.len() / dimension, || Top::new(k));
    let (tops, _) = if is_l2(metric) {
        offer_all(&groups, count, (base, dimension), Square, Form::Plain, new)
    } else {
        offer_all(&groups, count, (base, dimension), Product, Form::Plain, new)
    };
    let mut found = vec![Ranked::NONE; count * k];
    found.par_chunks_mut(k).zip(tops).for_each(|(row, top)| top.write(row));
    found
}

fn by_products(queries: &[f32], base: &[f32], dimension: usize, k: usize, integers: Option<Integers>) -> Vec<Ranked> {
    let centre = centre(base, dimension);
    let form = integers.map_or(Form::Centred(&centre), |integers| Form::Rounded(&centre, integers));
    let groups = Groups::pack(queries.chunks_exact(dimension), dimension, form);
    let (count, keep) = (queries.len() / dimension, to_keep(k));
    let (tops, reach) = match integers {
        Some(integers) => offer_all(&groups, count, (base, dimension), integers, form, || Top::new(keep)),
        None => offer_all(&groups, count, (base, dimension), Product, form, || Top::new(keep)),
    };
    let least = |query: usize, last| {
        least_by_products(row(queries, dimension, query), &centre, groups.reach(query), reach, last)
    };
    ranked(queries, base, dimension, k, tops, least)
}

fn by_differences(queries: &[f32], base: &[f32], dimension: usize, k: usize) -> Vec<Ranked> {
    let tops = few::nearest(queries, base, dimension, to_keep(k));
    ranked(queries, base, dimension, k, tops, |_, last| few::least(dimension, last))
}

fn ranked(
    queries: &[f32],
    base: &[f32],
    dimension: usize,
    k: usize,
    tops: Vec<Top>,
    least: impl Fn(usize, f64) -> f64 + Sync,
) -> Vec<Ranked> {
    let exact = Exact { queries, rows: base, dimension, k };
    let again = |doubtful: &[usize]| {
        let queries: Vec<f32> = doubtful.iter().flat_map(|&query| row(queries, dimension, query)).copied().collect();
        plain(&queries, base, dimension, k, Metric::L2)
    };
    let rows = base.len() / dimension;
    exact.ranked(tops.into_par_iter().map(Top::into_sorted), |_| rows, |row| row, least, again)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Integers, by_differences, by_products, plain};
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
            let differences = plain(&queries, &base, dimension, k, Metric::L2);
            prop_assert_eq!(&by_differences(&queries, &base, dimension, k), &differences);
            for integers in [None, Integers::new()] {
                prop_assert_eq!(&by_products(&queries, &base, dimension, k, integers), &differences);
            }
        }
    }
}
