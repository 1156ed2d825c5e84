//! DBSCAN (Ester, Kriegel, Sander, Xu 1996) over a sparse graph of neighbours.

use super::{graph::Edge, sets::Sets};

/// The clusters of points in the order of their smallest numbers; what is no cluster's is alone. Each point counts as many
/// times as its size says.
///
/// `edges` join the points within the threshold, each pair once. A point with at least `min_samples` within the
/// threshold, itself included, is a core point; core points that are joined share a cluster, and any other point goes to
/// the cluster of its most similar core point, the first of equals.
pub(super) fn dbscan(sizes: &[u32], edges: &[Edge], min_samples: usize) -> Vec<Vec<u32>> {
    let count = sizes.len();
    let mut degrees = sizes.to_vec();
    for edge in edges {
        degrees[edge.a as usize] += sizes[edge.b as usize];
        degrees[edge.b as usize] += sizes[edge.a as usize];
    }
    let is_core = |point: u32| degrees[point as usize] as usize >= min_samples;
    let mut sets = Sets::new(count);
    let mut nearest_core: Vec<Option<(f32, u32)>> = vec![None; count];
    for edge in edges {
        match (is_core(edge.a), is_core(edge.b)) {
            (true, true) => sets.join(edge.a, edge.b, count),
            (true, false) => offer(&mut nearest_core[edge.b as usize], edge.score, edge.a),
            (false, true) => offer(&mut nearest_core[edge.a as usize], edge.score, edge.b),
            (false, false) => {}
        }
    }
    for (point, core) in nearest_core.into_iter().enumerate() {
        if let Some((_, core)) = core {
            sets.join(point as u32, core, count);
        }
    }
    sets.into_groups()
}

/// Keeps the more similar of two core points.
fn offer(best: &mut Option<(f32, u32)>, score: f32, core: u32) {
    let better = best.is_none_or(|(known, point)| score.total_cmp(&known).then(point.cmp(&core)).is_gt());
    if better {
        *best = Some((score, core));
    }
}
