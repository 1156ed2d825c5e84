//! How to search.

use super::{
    ExactRows, Filter,
    exact::{Settling, Source},
    filter::Version,
    steps::Watch,
};
use crate::{Error, Result, device::Cancel};

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub(super) k: usize,
    pub(super) nprobe: Option<usize>,
    pub(super) rerank: Option<(&'a ExactRows<'a>, usize)>,
    pub(super) filter: Option<&'a Filter>,
    pub(super) radius: Option<f32>,
    pub(super) watch: Watch<'a>,
}

impl<'a> Search<'a> {
    /// The `k` nearest rows.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Search { k, nprobe: None, rerank: None, filter: None, radius: None, watch: Watch::default() }
    }

    /// Visits the `nprobe` lists nearest to each query, or all there are, instead of as many as the index says.
    /// Without meaning for an index without lists.
    #[must_use]
    pub fn nprobe(mut self, nprobe: usize) -> Self {
        self.nprobe = Some(nprobe);
        self
    }

    /// Finds `factor` times k candidates, and of them the k nearest by their exact distance, to rows on the index's device
    /// ([`VectorIndex::exact_rows`](super::VectorIndex::exact_rows)) or elsewhere
    /// ([`VectorIndex::exact_rows_from`](super::VectorIndex::exact_rows_from)). Once rows come or go it is an error to search
    /// with `rows`.
    #[must_use]
    pub fn rerank(mut self, rows: &'a ExactRows<'a>, factor: usize) -> Self {
        self.rerank = Some((rows, factor));
        self
    }

    /// Finds none but the rows that the filter accepts.
    #[must_use]
    pub fn filter(mut self, filter: &'a Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// All rows within `radius`, in the lists that are visited: FAISS calls it `range_search`.
    ///
    /// ```
    /// use cellprobe::{Device, FlatIndex, Metric, Search};
    /// # fn main() -> cellprobe::Result<()> {
    /// let mut index = FlatIndex::new(&Device::auto(), 1, Metric::L2)?;
    /// index.add(ndarray::array![[0.0], [1.0], [2.0], [9.0]].view())?;
    /// // Squared distances below 5.
    /// let found = index.search_with(ndarray::array![[0.0], [9.0]].view(), &Search::all_within(5.0))?;
    /// assert_eq!((found.row(0).len(), found.row(1).len()), (3, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all_within(radius: f32) -> Self {
        Search::new(usize::MAX).within(radius)
    }

    /// Finds, of the nearest, those whose squared distance is below `radius`; of the inner product or the cosine, those
    /// whose score is above it. Where k is large, searches for more follow as long as the last found is within the radius;
    /// progress is told of the first. Codes are compared by their approximate distances; of a search that re-ranks the exact
    /// ones count, of the candidates that were found.
    #[must_use]
    pub fn within(mut self, radius: f32) -> Self {
        self.radius = Some(radius);
        self
    }

    /// Calls `progress` with the number of queries done and of all, some times a second: queries then go in batches, of
    /// 1024 on a GPU and 64 on the CPU at first. A [`StreamedIndex`](super::StreamedIndex) tells of its pieces instead, in
    /// each of which it looks for all queries, and of re-ranking as if it were one more.
    ///
    /// ```
    /// # use cellprobe::Search;
    /// let search = Search::new(10).progress(&|done, of| eprintln!("{done} of {of}"));
    /// ```
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(usize, usize) + Send + Sync)) -> Self {
        self.watch.progress = Some(progress);
        self
    }

    /// Lets somebody else cancel the search: between batches of queries as [`Search::progress`] has them, and within a
    /// long one on a GPU.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &'a Cancel) -> Self {
        self.watch.cancel = Some(cancel);
        self
    }

    /// Candidates to find before re-ranking.
    pub(super) fn candidates(&self) -> usize {
        self.rerank.map_or(self.k, |(_, factor)| self.k.saturating_mul(factor))
    }

    /// How what a part of an index finds is ranked at last.
    pub(super) fn settling(&self, part: usize) -> Settling<'a> {
        self.rerank.map_or(Settling::Alone, |(exact, _)| exact.settling(part))
    }

    /// Rows to re-rank by that lie elsewhere than on a device.
    pub(super) fn source(&self) -> Option<&'a Source<'a>> {
        self.rerank.and_then(|(exact, _)| exact.source())
    }

    /// Most rows that a query can find.
    pub(super) fn most(&self, ntotal: usize) -> usize {
        self.filter.map_or(ntotal, Filter::accepted)
    }

    pub(super) fn check(&self, version: &Version) -> Result<()> {
        if self.k == 0 {
            return Err(Error::parameter("k", self.k, "at least 1"));
        }
        if self.nprobe == Some(0) {
            return Err(Error::parameter("nprobe", 0, "at least 1"));
        }
        if self.radius.is_some_and(f32::is_nan) {
            return Err(Error::parameter("radius", f32::NAN, "a number"));
        }
        self.filter.map_or(Ok(()), |filter| filter.check(version))?;
        match self.rerank {
            Some((_, 0)) => Err(Error::parameter("rerank factor", 0, "at least 1")),
            Some((exact, _)) => exact.check(version),
            None => Ok(()),
        }
    }
}
