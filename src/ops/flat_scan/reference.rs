//! Scans of rows, the plainest way.

use crate::{
    Metric,
    ops::reference::{ProbedLists, distance, smallest},
};

/// The `k` closest of each query's probed rows (row number, distance), ordered by (distance, row number).
#[must_use]
pub fn flat_scan(
    queries: &[f32],
    rows: &[f32],
    dimension: usize,
    lists: &ProbedLists<'_>,
    k: usize,
    metric: Metric,
) -> Vec<Vec<(u32, f64)>> {
    let search = |(index, query): (usize, &[f32])| {
        let distances = lists.entries(index).into_iter().map(|(entry, id, _)| {
            let row = &rows[entry * dimension..][..dimension];
            (id, distance(query, row, metric))
        });
        smallest(distances.collect(), k)
    };
    queries.chunks(dimension).enumerate().map(search).collect()
}
