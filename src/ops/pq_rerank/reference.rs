//! Exact distances to decoded residual codes, the plainest way.

use crate::ops::{
    Ranked,
    reference::{Codewords, smallest},
};

/// Each query's `per_query` candidates (row number, |q - c - r|²), ordered by (distance, row number).
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the operation's own arguments")]
pub fn pq_rerank(
    queries: &[f32],
    codebook: &Codewords<'_>,
    codes: &[u32],
    offsets: &[u32],
    positions: &[u32],
    centroids: &[f32],
    candidates: &[Ranked],
    per_query: usize,
) -> Vec<Vec<(u32, f64)>> {
    let (dimension, words) = (codebook.dimension(), codebook.words());
    let search = |(index, query): (usize, &[f32])| {
        let candidates = candidates[index * per_query..][..per_query].iter().filter(|candidate| !candidate.is_none());
        let distances = candidates.map(|candidate| {
            let entry = positions[candidate.id() as usize];
            let list = offsets.iter().rposition(|&offset| offset <= entry).unwrap_or(0);
            let residual = codebook.decode(&codes[entry as usize * words..][..words]);
            let difference = |column: usize| {
                f64::from(query[column]) - f64::from(centroids[list * dimension + column]) - f64::from(residual[column])
            };
            (candidate.id(), (0..dimension).map(|column| difference(column).powi(2)).sum())
        });
        smallest(distances.collect(), per_query)
    };
    queries.chunks(dimension).enumerate().map(search).collect()
}
