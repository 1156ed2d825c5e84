//! Exact nearest neighbours on the CPU.
//!
//! Many queries meet the base by inner products of what is centred, one operation a term where a squared difference
//! takes two, and some more than k of each are kept. A few queries meet it by differences summed in no particular order.
//! Differences summed in the order of the columns then rank what was kept; where they cannot rule out that a row not
//! kept is as near, they decide on all rows. So batches of any size find the same.

mod few;

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Ranked,
        closest::margin,
        integers::Integers,
        is_l2,
        panels::{Form, Groups, offer_all},
        row,
        simd::{Product, Square, chained},
        top::Top,
    },
};

/// Fewer queries do not make up for packing the base.
const MANY: usize = 16;

/// Rows whose mean is the centre.
const SAMPLE: usize = 256;

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
    ranked(queries, base, dimension, k, tops, |index, query, last| {
        let norm = query.iter().zip(&centre).map(|(a, b)| f64::from(a - b)).map(|value| value * value).sum::<f64>();
        let margin = margin(dimension + 1, norm.sqrt() as f32 + reach.norm) + reach.doubt(groups.reach(index));
        2.0 * last + norm - f64::from(margin)
    })
}

fn by_differences(queries: &[f32], base: &[f32], dimension: usize, k: usize) -> Vec<Ranked> {
    let tops = few::nearest(queries, base, dimension, to_keep(k));
    ranked(queries, base, dimension, k, tops, |_, _, last| last - few::slack(dimension, last))
}

/// How many candidates are kept to be ranked.
fn to_keep(k: usize) -> usize {
    k.saturating_add(8.max(k / 8))
}

/// The k nearest of each query's candidates, or of all rows where `least`, which is given the query's number, the query
/// and what its last candidate was kept by, gives a distance that does not rule out the rest.
fn ranked(
    queries: &[f32],
    base: &[f32],
    dimension: usize,
    k: usize,
    tops: Vec<Top>,
    least: impl Fn(usize, &[f32], f64) -> f64 + Sync,
) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; tops.len() * k];
    let rows = found.par_chunks_mut(k).zip(tops).zip(queries.par_chunks_exact(dimension)).enumerate();
    let doubtful = rows.filter_map(|(index, ((found, top), query))| {
        let candidates = top.into_sorted();
        let rest = candidates.get(to_keep(k) - 1).map(|last| least(index, query, last.distance().into()));
        let all = candidates.len() == base.len() / dimension;
        let last = rank(query, base, dimension, candidates, found);
        let certain = all || rest.is_some_and(|rest| f64::from(last) < rest);
        (!certain).then_some(index)
    });
    let doubtful: Vec<_> = doubtful.collect();
    let again: Vec<f32> = doubtful.iter().flat_map(|&index| row(queries, dimension, index)).copied().collect();
    let again = plain(&again, base, dimension, k, Metric::L2);
    for (index, row) in doubtful.into_iter().zip(again.chunks_exact(k)) {
        found[index * k..][..k].copy_from_slice(row);
    }
    found
}

/// Writes the nearest candidates, by difference, and gives the distance of the last one.
fn rank(query: &[f32], base: &[f32], dimension: usize, mut candidates: Vec<Ranked>, found: &mut [Ranked]) -> f32 {
    let pairs: Vec<_> =
        candidates.iter().map(|candidate| (query, row(base, dimension, candidate.id() as usize))).collect();
    let mut distances = vec![0.0; pairs.len()];
    chained(&pairs, Metric::L2, &mut distances);
    for (candidate, distance) in candidates.iter_mut().zip(distances) {
        *candidate = Ranked::new(distance, candidate.id());
    }
    candidates.sort_unstable();
    found.iter_mut().zip(&candidates).for_each(|(place, &candidate)| *place = candidate);
    candidates.get(found.len() - 1).or(candidates.last()).map_or(f32::NEG_INFINITY, |last| last.distance())
}

/// The mean of some rows. Where exactly it lies does not matter.
fn centre(rows: &[f32], dimension: usize) -> Vec<f32> {
    let count = rows.len() / dimension;
    let step = (count / SAMPLE).max(1);
    let share = 1.0 / count.div_ceil(step).max(1) as f32;
    let mut centre = vec![0.0; dimension];
    for row in rows.chunks_exact(dimension).step_by(step) {
        centre.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value * share);
    }
    centre
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
