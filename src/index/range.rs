//! Searches for all rows within a radius.

use ndarray::{Array2, ArrayView2, Axis};

use super::Search;
use crate::{Metric, Neighbor, Neighbors};

/// Neighbours that are looked for at first: as many as queues in workgroup memory keep beside those that rounding may hide.
const FIRST: usize = 128;

/// How many times as many are looked for where those were all within the radius. What was scanned for fewer is scanned
/// again, which is little beside finding more.
const GROWTH: usize = 8;

/// Neighbours of all queries of a search together, at most, if there is more than one: what is past the radius is dropped
/// after each.
const TOGETHER: usize = 1 << 24;

/// Searches for the nearest, one after the other, that find all rows within a radius.
pub(super) struct Rounds {
    radius: f32,
    metric: Metric,
    /// Most neighbours that a query may have.
    most: usize,
    /// Neighbours that the next search is for, and the queries that it and others like it are for.
    k: usize,
    open: Vec<usize>,
    /// Queries that want more than that.
    later: Vec<usize>,
    first: bool,
    found: Vec<Vec<Neighbor>>,
}

impl Rounds {
    /// For so many queries to an index of `ntotal` rows; none without a radius.
    pub(super) fn new(search: &Search<'_>, queries: usize, ntotal: usize, metric: Metric) -> Option<Self> {
        let most = search.k.min(search.most(ntotal));
        search.radius.map(|radius| Rounds {
            radius,
            metric,
            most,
            k: FIRST.min(most),
            open: (0..queries).collect(),
            later: vec![],
            first: true,
            found: vec![vec![]; queries],
        })
    }

    /// Queries of the next search.
    fn together(&self) -> &[usize] {
        let count = (TOGETHER / self.k.max(1)).clamp(1, self.open.len().max(1));
        self.open.get(..count).unwrap_or_default()
    }

    /// The queries of the next search, if there is one.
    pub(super) fn queries(&self, queries: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        (!self.open.is_empty()).then(|| queries.select(Axis(0), self.together()))
    }

    /// The next search, of which progress is told if it is the first.
    pub(super) fn search<'a>(&self, search: &Search<'a>) -> Search<'a> {
        let mut next = Search { k: self.k, radius: None, ..*search };
        if !self.first {
            next.watch.progress = None;
        }
        next
    }

    /// Takes what that search found.
    pub(super) fn take(&mut self, found: &Neighbors) {
        let together = self.together().len();
        let searched: Vec<usize> = self.open.drain(..together).collect();
        for (query, row) in searched.into_iter().zip(found.rows()) {
            let near = row.partition_point(|one| self.is_near(one));
            if near == self.k && self.k < self.most {
                self.later.push(query);
            } else {
                self.found[query] = row[..near].to_vec();
            }
        }
        if self.open.is_empty() {
            self.open = std::mem::take(&mut self.later);
            self.k = self.k.saturating_mul(GROWTH).min(self.most);
        }
        self.first = false;
    }

    /// The rows within the radius.
    pub(super) fn finish(self) -> Neighbors {
        let mut within = Neighbors::new(self.found.iter().map(Vec::len).max().unwrap_or(0), self.metric);
        for row in &self.found {
            within.push_neighbors(row);
        }
        within
    }

    fn is_near(&self, one: &Neighbor) -> bool {
        if self.metric.larger_is_nearer() { one.score > self.radius } else { one.score < self.radius }
    }
}
