//! Exact distances of candidates, the plainest way.

use crate::{
    Metric,
    ops::{
        Ranked,
        reference::{distance, smallest},
    },
};

/// The `k` closest of each query's `per_query` candidates (row number, distance), ordered by (distance, row number).
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the operation's own arguments")]
pub fn rerank(
    queries: &[f32],
    rows: &[f32],
    dimension: usize,
    places: Option<&[u32]>,
    candidates: &[Ranked],
    per_query: usize,
    k: usize,
    metric: Metric,
) -> Vec<Vec<(u32, f64)>> {
    let search = |(index, query): (usize, &[f32])| {
        let candidates = candidates[index * per_query..][..per_query].iter().filter(|candidate| !candidate.is_none());
        let distances = candidates.map(|candidate| {
            let place = places.map_or(candidate.id(), |places| places[candidate.id() as usize]) as usize;
            (candidate.id(), distance(query, &rows[place * dimension..][..dimension], metric))
        });
        smallest(distances.collect(), k)
    };
    queries.chunks(dimension).enumerate().map(search).collect()
}
