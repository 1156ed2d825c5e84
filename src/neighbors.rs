//! What a search finds.

use ndarray::Array2;

use crate::{Metric, ops::Ranked};

/// A row that a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The row's identifier.
    pub id: i64,
    /// Squared Euclidean distance, inner product or cosine, as the index's metric says.
    pub score: f32,
}

/// The nearest rows of each query, nearest first; equal scores go by identifier.
///
/// A query may have fewer than k: [`Neighbors::row`] has just those that were found. The padded forms,
/// [`Neighbors::ids`] and [`Neighbors::scores`], give -1 and the worst score that f32 has, as FAISS does.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    k: usize,
    metric: Metric,
    found: Vec<Neighbor>,
    /// Where each query's neighbours begin in `found`, and at last its length.
    starts: Vec<usize>,
}

impl Neighbors {
    pub(crate) fn new(k: usize, metric: Metric) -> Self {
        Neighbors { k, metric, found: vec![], starts: vec![0] }
    }

    /// Appends a query's candidates, whose row numbers `identify` turns into identifiers.
    pub(crate) fn push(&mut self, ranked: &[Ranked], identify: impl Fn(u32) -> i64) {
        let hits = ranked.iter().take_while(|candidate| !candidate.is_none());
        self.push_distances(hits.map(|candidate| (candidate.distance(), identify(candidate.id()))));
    }

    /// Appends a query's neighbours: their distances, of which the smaller is nearer, and identifiers.
    pub(crate) fn push_distances(&mut self, hits: impl IntoIterator<Item = (f32, i64)>) {
        let larger_is_nearer = self.metric.larger_is_nearer();
        // Taking it from zero turns +0 into +0, where a minus would turn it into -0.
        let score = |distance: f32| if larger_is_nearer { 0.0 - distance } else { distance };
        self.found.extend(hits.into_iter().map(|(distance, id)| Neighbor { id, score: score(distance) }));
        self.starts.push(self.found.len());
    }

    /// Appends a query's neighbours.
    pub(crate) fn push_neighbors(&mut self, neighbors: &[Neighbor]) {
        self.found.extend_from_slice(neighbors);
        self.starts.push(self.found.len());
    }

    /// Number of queries.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.starts.len() - 1
    }

    /// Neighbours asked for; of a search [within a radius](crate::Search::within) the most that a query has.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The neighbours found for a query; none for one that there is not.
    #[must_use]
    pub fn row(&self, query: usize) -> &[Neighbor] {
        match (self.starts.get(query), self.starts.get(query + 1)) {
            (Some(&start), Some(&end)) => &self.found[start..end],
            _ => &[],
        }
    }

    /// Each query's neighbours.
    pub fn rows(&self) -> impl Iterator<Item = &[Neighbor]> {
        self.starts.windows(2).map(|ends| &self.found[ends[0]..ends[1]])
    }

    /// Identifiers, queries x k, -1 where there are fewer.
    #[must_use]
    pub fn ids(&self) -> Array2<i64> {
        self.padded(-1, |neighbor| neighbor.id)
    }

    /// Scores, queries x k; the largest or smallest f32 where there are fewer.
    #[must_use]
    pub fn scores(&self) -> Array2<f32> {
        let worst = if self.metric.larger_is_nearer() { f32::MIN } else { f32::MAX };
        self.padded(worst, |neighbor| neighbor.score)
    }

    fn padded<T: Copy>(&self, padding: T, of: impl Fn(&Neighbor) -> T) -> Array2<T> {
        Array2::from_shape_fn((self.queries(), self.k), |(query, rank)| self.row(query).get(rank).map_or(padding, &of))
    }
}
