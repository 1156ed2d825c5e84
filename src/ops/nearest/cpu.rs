//! Closest centroids on the CPU.

use rayon::prelude::*;

use crate::{Metric, ops::simd::distance};

pub(super) fn nearest(rows: &[f32], centroids: &[f32], dimension: usize, metric: Metric) -> (Vec<u32>, Vec<f32>) {
    let closest = |row: &[f32]| {
        let distances = centroids.chunks(dimension).map(|centroid| distance(row, centroid, metric));
        (0..).zip(distances).fold((0, f32::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
    };
    rows.par_chunks(dimension).map(closest).unzip()
}
