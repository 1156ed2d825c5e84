//! Closest centroids, the plainest way.

use crate::{
    Metric,
    ops::reference::{distance, smallest},
};

/// Each row's closest centroid and its distance.
#[must_use]
pub fn nearest(rows: &[f32], centroids: &[f32], dimension: usize, metric: Metric) -> Vec<(u32, f64)> {
    let distances = |row| (0..).zip(centroids.chunks(dimension).map(move |centroid| distance(row, centroid, metric)));
    rows.chunks(dimension).flat_map(|row| smallest(distances(row).collect(), 1)).collect()
}
