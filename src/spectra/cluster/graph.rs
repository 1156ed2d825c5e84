//! The sparse graph of similar spectra.

use super::sets::Sets;

/// Two similar spectra, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// One of them.
    pub a: u32,
    /// The other one.
    pub b: u32,
    /// Their score, from 0 to 1.
    pub score: f32,
}

/// The connected components of `count` points in the order of their smallest numbers, none of more than `largest`
/// points: the most similar pairs are joined first.
pub(super) fn components(count: usize, edges: &[Edge], largest: usize) -> Vec<Vec<u32>> {
    let mut sets = Sets::new(count);
    if count > largest {
        for edge in strongest_first(edges) {
            sets.join(edge.a, edge.b, largest);
        }
    } else {
        for edge in edges {
            sets.join(edge.a, edge.b, largest);
        }
    }
    sets.into_groups()
}

/// The edges that are among the `most` strongest of one of their ends, in the order of their ends.
pub(super) fn strongest(count: usize, edges: &[Edge], most: usize) -> Vec<Edge> {
    let mut taken = vec![0; count];
    let mut kept: Vec<Edge> = strongest_first(edges)
        .into_iter()
        .filter(|edge| {
            let wanted = taken[edge.a as usize].min(taken[edge.b as usize]) < most;
            taken[edge.a as usize] += 1;
            taken[edge.b as usize] += 1;
            wanted
        })
        .collect();
    kept.sort_unstable_by_key(|edge| (edge.a, edge.b));
    kept
}

fn strongest_first(edges: &[Edge]) -> Vec<Edge> {
    let mut sorted = edges.to_vec();
    sorted.sort_unstable_by(|x, y| y.score.total_cmp(&x.score).then((x.a, x.b).cmp(&(y.a, y.b))));
    sorted
}
