//! An index in parts, each of which is searched on its own: merged, what they find is what the whole index would.
//!
//! Candidates are merged by the distances that found them, as many kept as the whole index would have found; only then
//! do their exact distances rank them. So neither parts nor their number change which candidates there are.

use futures::{FutureExt, future::BoxFuture};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{Accepted, Kind, Search, VectorIndex, Wanted, exact::Settling};
use crate::{
    Neighbors, Result,
    ops::{self, Ranked},
};

/// A search that a device is at work on, and what each query will have found.
pub(super) type Begun<'a> = BoxFuture<'a, Result<Vec<Vec<Candidate>>>>;

/// What of a search is a part's own.
#[derive(Clone, Copy)]
pub(super) struct OfPart<'a> {
    /// How what it finds is ranked at last.
    pub settling: Settling<'a>,
    /// The rows that may be found, if not all.
    pub accepted: Option<&'a Accepted>,
}

/// A row that a part found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The distance that it was found by.
    found: f32,
    /// The distance that ranks it at last.
    pub exact: f32,
    id: i64,
    /// The number of the row, in the part and later in the index.
    pub row: usize,
}

impl<K: Kind> VectorIndex<K> {
    /// Begins to search for the `candidates` nearest rows of each query in this part of an index, without waiting for
    /// it: on the CPU it is done at once. Queries go in batches of at most `bytes`.
    pub(super) fn begin(
        &self,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        part: OfPart<'_>,
        candidates: usize,
        bytes: usize,
    ) -> Result<Begun<'_>> {
        let OfPart { settling, accepted } = part;
        let (count, k) = (queries.nrows(), candidates.min(self.ntotal()));
        if k == 0 {
            return Ok(futures::future::ready(Ok(vec![vec![]; count])).boxed());
        }
        let mut batches = vec![];
        for queries in self.batches(queries, search, bytes) {
            let uploaded = self.upload(queries)?;
            let mut work = self.device().work();
            search.watch.check()?;
            search.watch.cancel.into_iter().for_each(|cancel| work.cancelled_by(cancel));
            let wanted = Wanted { k, nprobe: search.nprobe, accepted };
            let (found, settled) = self.found(&mut work, &uploaded, wanted, settling, k)?;
            let read = match settled {
                Some(settled) => ops::concat(&mut work, &found.hits, &settled)?,
                None => found.hits,
            };
            batches.push((queries.nrows(), work.begin_read(read)?));
        }
        let finish = async move {
            let mut found = Vec::with_capacity(count);
            for (queries, reading) in batches {
                let ranked = reading.await?;
                let (hits, settled) = ranked.split_at(queries * k);
                let settled = if settled.is_empty() { hits } else { settled };
                let rows = hits.par_chunks(k).zip(settled.par_chunks(k));
                found.par_extend(rows.map(|(hits, settled)| self.candidates(hits, settled)));
            }
            Ok(found)
        };
        Ok(finish.boxed())
    }

    /// Whether queries, in batches of at most `bytes`, visit each of `nlist` lists.
    pub(super) async fn visited(
        &self,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        bytes: usize,
        nlist: usize,
    ) -> Result<Vec<bool>> {
        let mut visited = vec![false; nlist];
        for queries in self.batches(queries, search, bytes) {
            search.watch.check()?;
            let uploaded = self.upload(queries)?;
            let mut work = self.device().work();
            let transformed = self.transformed(&mut work, &uploaded)?;
            let probes = self.kind.probes(&self.context, &mut work, &transformed, search.nprobe)?;
            let Some(probes) = probes else { return Ok(vec![true; nlist]) };
            for probe in work.read(probes).await? {
                visited.get_mut(probe.id() as usize).into_iter().for_each(|visited| *visited = true);
            }
        }
        Ok(visited)
    }

    /// The rows of `hits` with the distances that `settled` has for them.
    fn candidates(&self, hits: &[Ranked], settled: &[Ranked]) -> Vec<Candidate> {
        let by_row = |ranked: &[Ranked]| {
            let mut some: Vec<Ranked> = ranked.iter().copied().filter(|one| !one.is_none()).collect();
            some.sort_unstable_by_key(|one| one.id());
            some
        };
        let pairs = by_row(hits).into_iter().zip(by_row(settled));
        pairs
            .map(|(hit, settled)| Candidate {
                found: hit.distance(),
                exact: settled.distance(),
                id: self.identify(hit.id()),
                row: self.row(hit.id()),
            })
            .collect()
    }
}

/// What parts found so far.
pub(super) struct Merging {
    /// Most candidates of a query.
    pub candidates: usize,
    pub queries: Vec<Vec<Candidate>>,
}

impl Merging {
    /// Nothing yet, of at most `candidates` candidates for each query.
    pub(super) fn new(queries: usize, candidates: usize) -> Self {
        Merging { candidates, queries: vec![vec![]; queries] }
    }

    /// Adds what a part found for the queries from `first` on; `row` tells the number that a row of the part has in the index.
    pub(super) fn add(&mut self, first: usize, found: Vec<Vec<Candidate>>, row: impl Fn(usize) -> usize + Sync) {
        let most = self.candidates;
        let queries = self.queries.get_mut(first..).unwrap_or_default();
        queries.par_iter_mut().zip(found).for_each(|(all, more)| {
            all.extend(more.into_iter().map(|one| Candidate { row: row(one.row), ..one }));
            all.sort_unstable_by(|a, b| a.found.total_cmp(&b.found).then(a.id.cmp(&b.id)));
            all.truncate(most);
        });
    }

    /// Appends the nearest of each query to `neighbors`.
    pub(super) fn finish(mut self, neighbors: &mut Neighbors) {
        let k = neighbors.k();
        self.queries.par_iter_mut().for_each(|candidates| {
            candidates.retain(|one| !one.exact.is_nan());
            candidates.sort_unstable_by(|a, b| a.exact.total_cmp(&b.exact).then(a.id.cmp(&b.id)));
            candidates.truncate(k);
        });
        for candidates in &self.queries {
            neighbors.push_distances(candidates.iter().map(|one| (one.exact, one.id)));
        }
    }
}
