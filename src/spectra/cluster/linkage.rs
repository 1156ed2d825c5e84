//! Agglomerative clustering of the connected components of a graph.

use rayon::prelude::*;

use super::{
    graph::{Edge, components},
    sets::Sets,
};
use crate::{Error, Result};

/// A distance that no average gets back below a threshold: that of two groups which may not share a cluster.
pub(super) const APART: f64 = 1e30;

/// How far clusters are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linkage {
    /// As their points are on average.
    Average,
    /// As their points are at most.
    Complete,
}

/// Clusters points by average or complete linkage up to the distance `threshold`, in the order of their smallest
/// numbers; each point counts as many times as its size says.
///
/// Two clusters whose average or greatest distance is within the threshold have a pair that is, so the connected
/// components of `edges` (all pairs within the threshold) can be clustered one by one, with the same result; only the
/// distances of one component a thread are held. A component of more than `largest` points is first taken apart along
/// its weakest edges: its edges are followed from the most similar pair on, as in single linkage, but for those that
/// would make a part of more than `largest` points.
pub(super) fn linkage(
    sizes: &[u32],
    edges: &[Edge],
    linkage: Linkage,
    threshold: f64,
    largest: usize,
    distance: impl Fn(u32, u32) -> f64 + Sync,
) -> Result<Vec<Vec<u32>>> {
    let clustered = components(sizes.len(), edges, largest)
        .into_par_iter()
        .map(|component| {
            let sizes: Vec<f64> = component.iter().map(|&point| f64::from(sizes[point as usize])).collect();
            let distances = distances(&component, &distance)?;
            let clusters = agglomerate(sizes, distances, linkage, threshold).into_iter();
            let numbers = |cluster: Vec<u32>| cluster.into_iter().map(|place| component[place as usize]).collect();
            Ok(clusters.map(numbers).collect())
        })
        .collect::<Result<Vec<Vec<Vec<u32>>>>>()?;
    let mut clusters = clustered.concat();
    clusters.sort_unstable_by_key(|cluster| cluster[0]);
    Ok(clusters)
}

/// The distances of all pairs, as a whole matrix.
fn distances(points: &[u32], distance: &impl Fn(u32, u32) -> f64) -> Result<Vec<f64>> {
    let count = points.len();
    let mut distances = Vec::new();
    let too_much = |_| Error::OutOfMemory { device: "host".into(), bytes: 8 * (count * count) as u64 };
    distances.try_reserve_exact(count * count).map_err(too_much)?;
    distances.resize(count * count, 0.0);
    for a in 0..count {
        for b in a + 1..count {
            let apart = distance(points[a], points[b]);
            (distances[a * count + b], distances[b * count + a]) = (apart, apart);
        }
    }
    Ok(distances)
}

/// Joins the nearest clusters, each the other's nearest, along chains of nearest neighbours (Benzécri 1982; Murtagh 1983),
/// for as long as they are within the threshold. With these linkages no later cluster is nearer to a cluster than those
/// that it is made of, so it does not matter which of such pairs are joined first, and a cluster with none within the
/// threshold stays as it is.
fn agglomerate(mut sizes: Vec<f64>, mut distances: Vec<f64>, linkage: Linkage, threshold: f64) -> Vec<Vec<u32>> {
    let count = sizes.len();
    let mut sets = Sets::new(count);
    let mut open: Vec<usize> = (0..count).collect();
    let mut chain: Vec<usize> = Vec::new();
    while let Some(top) = chain.pop().or(open.first().copied()) {
        let before = chain.last().copied();
        // Of equal ones the one before, so that chains end.
        let mut nearest = before.map(|before| (distances[top * count + before], before));
        for &other in open.iter().filter(|&&other| other != top) {
            let apart = distances[top * count + other];
            if nearest.is_none_or(|(least, _)| apart < least) {
                nearest = Some((apart, other));
            }
        }
        match nearest {
            Some((apart, other)) if apart <= threshold => {
                if before != Some(other) {
                    chain.extend([top, other]);
                    continue;
                }
                chain.pop();
                sets.join(top as u32, other as u32, count);
                let (kept, gone) = (top.min(other), top.max(other));
                open.retain(|&cluster| cluster != gone);
                for &third in open.iter().filter(|&&third| third != kept) {
                    let (a, b) = (distances[kept * count + third], distances[gone * count + third]);
                    let apart = match linkage {
                        Linkage::Average => (sizes[kept] * a + sizes[gone] * b) / (sizes[kept] + sizes[gone]),
                        Linkage::Complete => a.max(b),
                    };
                    (distances[kept * count + third], distances[third * count + kept]) = (apart, apart);
                }
                sizes[kept] += sizes[gone];
            }
            _ => open.retain(|&cluster| cluster != top),
        }
    }
    sets.into_groups()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point of size 3 is three points at the same place.
    #[test]
    fn sizes_are_points_at_the_same_place() {
        let places = [0.0, 1.0, 2.5, 4.0, 4.5, 9.0, 9.5, 11.0_f64];
        let sizes = [3, 1, 2, 1, 4, 1, 1, 5];
        let repeated: Vec<usize> = (0..places.len()).flat_map(|place| vec![place; sizes[place] as usize]).collect();
        let apart = |a: usize, b: usize| (places[a] - places[b]).abs();
        let all_pairs = |count: usize| {
            let pairs = (0..count as u32).flat_map(|a| (a + 1..count as u32).map(move |b| Edge { a, b, score: 1.0 }));
            pairs.collect::<Vec<_>>()
        };
        for kind in [Linkage::Average, Linkage::Complete] {
            for threshold in [0.0, 0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 20.0] {
                let of = |a: u32, b: u32| apart(a as usize, b as usize);
                let sized = linkage(&sizes, &all_pairs(places.len()), kind, threshold, 100, of).unwrap();
                let of = |a: u32, b: u32| apart(repeated[a as usize], repeated[b as usize]);
                let ones = vec![1; repeated.len()];
                let single = linkage(&ones, &all_pairs(repeated.len()), kind, threshold, 100, of).unwrap();
                let mut found: Vec<Vec<u32>> = single
                    .iter()
                    .map(|cluster| cluster.iter().map(|&point| repeated[point as usize] as u32).collect())
                    .collect();
                found.iter_mut().for_each(Vec::dedup);
                assert_eq!(sized, found, "{kind:?} {threshold}");
            }
        }
    }
}
