//! Agglomerative clustering of the connected components of a graph.

use rayon::prelude::*;

use super::{
    graph::{Edge, components},
    sets::Sets,
};
use crate::{Error, Result};

/// A distance that no average gets back below a threshold: that of two spectra which may not share a cluster.
pub(super) const APART: f64 = 1e30;

/// Clusters `count` points by average or complete linkage up to the distance `threshold`, in the order of their
/// smallest numbers.
///
/// Two clusters whose average or greatest distance is within the threshold have a pair that is, so the connected
/// components of `edges` (all pairs within the threshold) can be clustered one by one, with the same result; only the
/// distances of one component a thread are held. A component of more than `largest` points is first taken apart along
/// its weakest edges: its edges are followed from the most similar pair on, as in single linkage, but for those that
/// would make a part of more than `largest` points.
pub(super) fn linkage(
    count: usize,
    edges: &[Edge],
    method: kodama::Method,
    threshold: f64,
    largest: usize,
    distance: impl Fn(u32, u32) -> f64 + Sync,
) -> Result<Vec<Vec<u32>>> {
    let clustered = components(count, edges, largest)
        .into_par_iter()
        .map(|component| agglomerate(component, method, threshold, &distance))
        .collect::<Result<Vec<_>>>()?;
    let mut clusters = clustered.concat();
    clusters.sort_unstable_by_key(|cluster| cluster[0]);
    Ok(clusters)
}

/// Clusters all pairs of some points.
fn agglomerate(
    points: Vec<u32>,
    method: kodama::Method,
    threshold: f64,
    distance: &impl Fn(u32, u32) -> f64,
) -> Result<Vec<Vec<u32>>> {
    let count = points.len();
    if count == 1 {
        return Ok(vec![points]);
    }
    let pairs = count * (count - 1) / 2;
    let mut distances = Vec::new();
    let too_much = |_| Error::OutOfMemory { device: "host".into(), bytes: 8 * pairs as u64 };
    distances.try_reserve_exact(pairs).map_err(too_much)?;
    for (place, &a) in points.iter().enumerate() {
        distances.extend(points[place + 1..].iter().map(|&b| distance(a, b)));
    }
    let mut sets = Sets::new(count);
    // Which point stands for each cluster of the dendrogram: first the points, then one cluster a step.
    let mut stands_for: Vec<u32> = (0..count as u32).collect();
    for step in kodama::linkage(&mut distances, count, method).steps() {
        let (a, b) = (stands_for[step.cluster1], stands_for[step.cluster2]);
        stands_for.push(a.min(b));
        if step.dissimilarity <= threshold {
            sets.join(a, b, count);
        }
    }
    let clusters = sets.into_groups().into_iter();
    Ok(clusters.map(|cluster| cluster.into_iter().map(|place| points[place as usize]).collect()).collect())
}
