//! Searches for all rows within a radius.

use ndarray::{Array2, ArrayView2, Axis};

use super::Search;
use crate::{Metric, Neighbor, Neighbors};

/// Neighbours that are looked for at first: as many as queues in workgroup memory keep beside those that rounding may hide.
const FIRST: usize = 128;

/// How many times as many are looked for where those were all within the radius. What was scanned for fewer is scanned
/// again, which is little beside finding more.
const GROWTH: usize = 8;

/// Searches for the nearest, one after the other, that find all rows within a radius.
pub(super) struct Rounds {
    radius: f32,
    metric: Metric,
    /// Most neighbours that a query may have.
    most: usize,
    /// Neighbours that the next search is for, and the queries that it is for.
    k: usize,
    open: Vec<usize>,
    found: Vec<Vec<Neighbor>>,
}

impl Rounds {
    /// For so many queries to an index of `ntotal` rows; none without a radius.
    pub(super) fn new(search: &Search<'_>, queries: usize, ntotal: usize, metric: Metric) -> Option<Self> {
        let most = search.k.min(ntotal.max(1));
        search.radius.map(|radius| Rounds {
            radius,
            metric,
            most,
            k: FIRST.min(most),
            open: (0..queries).collect(),
            found: vec![vec![]; queries],
        })
    }

    /// The queries of the next search, if there is one.
    pub(super) fn queries(&self, queries: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        (!self.open.is_empty()).then(|| queries.select(Axis(0), &self.open))
    }

    /// The next search, of which progress is told if it is the first, which has all queries.
    pub(super) fn search<'a>(&self, search: &Search<'a>) -> Search<'a> {
        let mut next = Search { k: self.k, radius: None, ..*search };
        if self.open.len() < self.found.len() {
            next.watch.progress = None;
        }
        next
    }

    /// Takes what that search found.
    pub(super) fn take(&mut self, found: &Neighbors) {
        for (&query, row) in self.open.iter().zip(found.rows()) {
            self.found[query] = row.to_vec();
        }
        let (k, radius, metric) = (self.k, self.radius, self.metric);
        let goes_on =
            |row: &Vec<Neighbor>| row.len() == k && row.last().is_some_and(|last| is_near(last, radius, metric));
        self.open.retain(|&query| k < self.most && goes_on(&self.found[query]));
        self.k = k.saturating_mul(GROWTH).min(self.most);
    }

    /// The rows within the radius.
    pub(super) fn finish(self) -> Neighbors {
        let near = |row: &Vec<Neighbor>| row.partition_point(|one| is_near(one, self.radius, self.metric));
        let mut within = Neighbors::new(self.found.iter().map(near).max().unwrap_or(0), self.metric);
        for row in &self.found {
            within.push_neighbors(&row[..near(row)]);
        }
        within
    }
}

fn is_near(one: &Neighbor, radius: f32, metric: Metric) -> bool {
    if metric.larger_is_nearer() { one.score > radius } else { one.score < radius }
}
