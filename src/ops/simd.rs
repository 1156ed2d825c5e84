//! Distances on the CPU.

use super::is_l2;
use crate::Metric;

/// The distance of two vectors.
pub(super) fn distance(a: &[f32], b: &[f32], metric: Metric) -> f32 {
    let pairs = a.iter().zip(b);
    if is_l2(metric) { pairs.map(|(a, b)| (a - b) * (a - b)).sum() } else { -pairs.map(|(a, b)| a * b).sum::<f32>() }
}
