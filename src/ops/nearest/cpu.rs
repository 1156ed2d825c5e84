//! Closest centroids on the CPU.

use crate::{
    Metric,
    ops::{panels, top::Best},
};

pub(super) fn nearest(rows: &[f32], centroids: &[f32], dimension: usize, metric: Metric) -> (Vec<u32>, Vec<f32>) {
    let closest = panels::offer_all(rows, centroids, dimension, metric, Best::new);
    closest.into_iter().map(|best| (best.0.id(), best.0.distance())).unzip()
}
