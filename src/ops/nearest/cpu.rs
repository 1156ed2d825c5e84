//! Closest centroids on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::closest::{Centroids, Scratch},
};

/// Rows that a thread takes at a time.
const BLOCK: usize = 1536;

pub(super) fn nearest(rows: &[f32], centroids: &[f32], dimension: usize, metric: Metric) -> (Vec<u32>, Vec<f32>) {
    let centroids = Centroids::new(centroids, dimension, metric);
    let count = rows.len() / dimension;
    let (mut labels, mut distances) = (vec![0; count], vec![0.0; count]);
    let blocks = labels.par_chunks_mut(BLOCK).zip(distances.par_chunks_mut(BLOCK));
    blocks.zip(rows.par_chunks(BLOCK * dimension)).for_each_init(
        Scratch::default,
        |scratch, ((labels, distances), rows)| {
            centroids.closest(rows, scratch, labels, distances);
        },
    );
    (labels, distances)
}
