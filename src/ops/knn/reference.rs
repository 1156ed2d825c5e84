//! Exact nearest neighbours, the plainest way.

use crate::{
    Metric,
    ops::reference::{distance, smallest},
};

/// Each query's `k` closest rows of `base` (row, distance), ordered by (distance, row).
#[must_use]
pub fn knn(queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric) -> Vec<Vec<(u32, f64)>> {
    let distances = |query| (0..).zip(base.chunks(dimension).map(move |row| distance(query, row, metric)));
    queries.chunks(dimension).map(|query| smallest(distances(query).collect(), k)).collect()
}
