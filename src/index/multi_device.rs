//! One index on several devices.

use std::fmt;

use ndarray::{ArrayView2, Axis, s};

use super::{
    CHUNK_BYTES, ExactRows, FEWEST_QUERIES, FEWEST_QUERIES_ON_CPU, Filter, Index, Search,
    filter::{self, Version},
    ids::Ids,
    parts::{Begun, Merging, OfPart},
    range::Rounds,
    steps::Steps,
};
use crate::{
    Device, Error, Metric, Neighbors, Result,
    device::block_on,
    ops::{self, Bits},
    rows,
    storage::RowSource,
};

/// How an index lies on several devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Each device has some of the rows: an index may be larger than the memory of one, and all are at work on each
    /// query. FAISS calls it `IndexShards`.
    #[default]
    Sharded,
    /// Each device has all of the rows and answers some of the queries. FAISS calls it `IndexReplicas`.
    Replicated,
}

/// One index on several devices, which are at work together; it finds what the same index finds on one of them.
///
/// Row `i` of n devices is on device `i % n`, or on all of them: see [`Placement`]. All have the same coarse centroids
/// and codebooks, so that each list and each code is what it is on one device. Candidates are merged by (distance,
/// identifier), as many as one device would have, before exact distances rank them. Devices of different kinds, the CPU
/// among them, differ by rounding as they do otherwise: a list or a row that is as near as another up to rounding may
/// take its place.
///
/// GPUs are given their part first and waited for last: the CPU's part, if there is one, is done meanwhile. A device
/// gets its part of a search in one submission and one read-back, unless that is long. Replicas share the queries out
/// evenly: let them be alike.
///
/// ```
/// use cellprobe::{Device, Index, Metric, Search, index::Placement};
/// use ndarray::{Array2, s};
/// # fn main() -> cellprobe::Result<()> {
/// let vectors = Array2::from_shape_fn((2000, 16), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
/// let mut index = Index::new(&Device::cpu(), 16, "IVF16,PQ4", Metric::L2)?;
/// index.train(vectors.view())?;
/// // Say `Device::open("gpu:0", ...)?` and `Device::open("gpu:1", ...)?`.
/// let devices = [Device::auto(), Device::cpu()];
/// let mut sharded = index.to_devices(&devices, Placement::Sharded)?;
/// sharded.add(vectors.view())?;
/// let exact = sharded.exact_rows(vectors.view())?;
/// let search = Search::new(3).nprobe(4).rerank(&exact, 10);
/// let neighbors = sharded.search_with(vectors.slice(s![..5, ..]), &search)?;
/// assert_eq!(neighbors.row(0)[0].score, 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MultiDeviceIndex {
    parts: Vec<Index>,
    placement: Placement,
    /// Those of all rows.
    ids: Ids,
    version: Version,
}

impl MultiDeviceIndex {
    pub(super) async fn new(index: &Index, devices: &[Device], placement: Placement) -> Result<Self> {
        if devices.is_empty() {
            return Err(Error::Empty { what: "the list of devices" });
        }
        if !index.is_trained() {
            return Err(Error::NotTrained { what: index.name() });
        }
        let mut parts = Vec::with_capacity(devices.len());
        for (number, device) in devices.iter().enumerate() {
            parts.push(match placement {
                Placement::Replicated => index.to_device_async(device).await?,
                Placement::Sharded => {
                    let rows: Vec<u32> = (number as u32..index.ntotal() as u32).step_by(devices.len()).collect();
                    index.selected(&rows).await?.to_device_async(device).await?
                }
            });
        }
        Ok(MultiDeviceIndex { parts, placement, ids: index.ids().clone(), version: Version::default() })
    }

    /// The devices, as often as they were given.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.parts.iter().map(Index::device)
    }

    /// How the index lies on them.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// What each device has.
    #[must_use]
    pub fn parts(&self) -> &[Index] {
        &self.parts
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.parts[0].dimension()
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.parts[0].metric()
    }

    /// Number of rows of the whole index.
    #[must_use]
    pub fn ntotal(&self) -> usize {
        self.ids.len()
    }

    /// Sets the number of lists that a search visits: see [`Index::set_nprobe`].
    ///
    /// # Errors
    /// As there.
    pub fn set_nprobe(&mut self, nprobe: usize) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.set_nprobe(nprobe))
    }

    /// Adds rows, numbered on as by [`VectorIndex::add`](super::VectorIndex::add); each device makes codes of its own rows, and
    /// puts its part together anew: add many at a time.
    ///
    /// # Errors
    /// As [`VectorIndex::add`](super::VectorIndex::add). The index is then as it was on every device.
    pub fn add(&mut self, rows: ArrayView2<'_, f32>) -> Result<()> {
        self.add_rows(rows, None)
    }

    /// Adds rows with identifiers, one a row, none of them twice or below 0.
    ///
    /// # Errors
    /// As [`VectorIndex::add_with_ids`](super::VectorIndex::add_with_ids). The index is then as it was on every device.
    pub fn add_with_ids(&mut self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<()> {
        self.add_rows(rows, Some(ids))
    }

    fn add_rows(&mut self, rows: ArrayView2<'_, f32>, ids: Option<&[i64]>) -> Result<()> {
        rows::check_dimension("rows to add", rows, self.dimension())?;
        let before = self.ntotal();
        let ids = self.ids.extended(rows.nrows(), ids)?;
        let mut parts = self.parts.clone();
        for (part, rows_of) in parts.iter_mut().zip(self.divided(rows, before)) {
            let first = before + rows_of.first;
            let ids: Vec<i64> =
                (first..before + rows.nrows()).step_by(rows_of.step).map(|row| ids.of(row as u32)).collect();
            part.add_with_ids(rows_of.rows, &ids)?;
        }
        // What is ranked may be scanned by another kernel, whose sums have another order.
        if !ids.ascend() {
            parts.iter_mut().try_for_each(Index::rank)?;
        }
        (self.parts, self.ids, self.version) = (parts, ids, Version::default());
        Ok(())
    }

    /// Each device's part of rows that are numbered from `number` on.
    fn divided<'a>(&self, rows: ArrayView2<'a, f32>, number: usize) -> impl Iterator<Item = PartOfRows<'a>> {
        let (count, sharded) = (self.parts.len(), self.placement == Placement::Sharded);
        (0..count).map(move |device| {
            let (first, step) = if sharded { ((device + count - number % count) % count, count) } else { (0, 1) };
            let rows = rows.slice_move(s![first.min(rows.nrows())..;step, ..]);
            PartOfRows { rows, first, step }
        })
    }

    /// Rows to re-rank by, each device's on that device: those that were added, in that order.
    ///
    /// # Errors
    /// As [`VectorIndex::exact_rows`](super::VectorIndex::exact_rows).
    pub fn exact_rows(&self, rows: ArrayView2<'_, f32>) -> Result<ExactRows<'static>> {
        rows::check_dimension("rows to re-rank by", rows, self.dimension())?;
        self.ids.check_rows(rows.nrows())?;
        self.exact_parts(rows)
    }

    /// [`MultiDeviceIndex::exact_rows`] in any order, `ids` being their identifiers, one a row.
    ///
    /// # Errors
    /// As [`VectorIndex::exact_rows_with_ids`](super::VectorIndex::exact_rows_with_ids).
    pub fn exact_rows_with_ids(&self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<ExactRows<'static>> {
        rows::check_dimension("rows to re-rank by", rows, self.dimension())?;
        self.exact_parts(self.ids.in_order(rows, ids)?.view())
    }

    /// Rows to re-rank by that stay where they are, the first device comparing: see
    /// [`VectorIndex::exact_rows_from`](super::VectorIndex::exact_rows_from).
    ///
    /// # Errors
    /// As there.
    pub fn exact_rows_from<'a>(&self, rows: &'a dyn RowSource, ids: Option<&[i64]>) -> Result<ExactRows<'a>> {
        ExactRows::of_source(&self.version, rows, ids, &self.ids, self.dimension())
    }

    fn exact_parts(&self, rows: ArrayView2<'_, f32>) -> Result<ExactRows<'static>> {
        let parts = self.parts.iter().zip(self.divided(rows, 0)).map(|(part, rows)| part.upload(rows.rows));
        Ok(ExactRows::of_parts(&self.version, parts.collect::<Result<_>>()?))
    }

    /// A filter for searches that may find only rows whose identifiers `accepts`, each device's on that device: see
    /// [`VectorIndex::filter`](super::VectorIndex::filter).
    ///
    /// # Errors
    /// As there, of whichever device fails.
    pub fn filter(&self, mut accepts: impl FnMut(i64) -> bool) -> Result<Filter> {
        let all = ops::mask_words(self.ntotal(), |row| accepts(self.ids.of(row as u32)));
        let count = self.parts.len();
        let parts = self.parts.iter().enumerate().map(|(number, part)| {
            part.accepted(match self.placement {
                Placement::Sharded => ops::mask_words(part.ntotal(), |row| Bits(&all).is_set(row * count + number)),
                Placement::Replicated => all.clone(),
            })
        });
        Ok(Filter::of_parts(&self.version, self.ntotal(), filter::count(&all), parts.collect::<Result<_>>()?))
    }

    /// The `k` nearest rows of each query.
    ///
    /// # Errors
    /// As [`VectorIndex::search`](super::VectorIndex::search), of whichever device fails.
    pub fn search(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with(queries, &Search::new(k))
    }

    /// The nearest rows of each query, as `search` says. What cancels it does so between batches of queries.
    ///
    /// # Errors
    /// As [`VectorIndex::search_with`](super::VectorIndex::search_with), of whichever device fails.
    pub fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        block_on(self.search_with_async(queries, search))
    }

    /// [`MultiDeviceIndex::search_with`] without blocking, but for what the CPU does as one of the devices.
    ///
    /// # Errors
    /// As [`MultiDeviceIndex::search_with`].
    pub async fn search_with_async(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        search.check(&self.version)?;
        rows::check_dimension("queries", queries, self.dimension())?;
        let Some(mut rounds) = Rounds::new(search, queries.nrows(), self.ntotal(), self.metric()) else {
            return self.nearest(queries, search).await;
        };
        while let Some(queries) = rounds.queries(queries) {
            rounds.take(&self.nearest(queries.view(), &rounds.search(search)).await?);
        }
        Ok(rounds.finish())
    }

    /// The nearest rows of each query, of a search that has been checked.
    async fn nearest(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        let mut neighbors = Neighbors::new(search.k, self.metric());
        let least = if self.devices().any(Device::is_gpu) { FEWEST_QUERIES } else { FEWEST_QUERIES_ON_CPU };
        // Each replica's share is to be as many.
        let sharers = if self.placement == Placement::Replicated { self.parts.len() } else { 1 };
        for step in Steps::new(queries.nrows(), least * sharers, queries.nrows(), &search.watch) {
            search.watch.check()?;
            let done = step.end;
            self.step(queries.slice_axis(Axis(0), step.into()), search).await?.finish(&mut neighbors);
            search.watch.tell(done, queries.nrows());
        }
        Ok(neighbors)
    }

    /// What all devices find for queries that they look for at the same time.
    async fn step(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Merging> {
        let accepted = search.filter.map(|filter| filter.on_devices(self.parts.len())).transpose()?;
        let candidates = search.candidates().min(search.most(self.ntotal()));
        let share = match self.placement {
            Placement::Sharded => queries.nrows(),
            Placement::Replicated => queries.nrows().div_ceil(self.parts.len()),
        };
        // What the CPU is given it does at once.
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|&number| !self.parts[number].device().is_gpu());
        let mut begun: Vec<(usize, usize, Begun<'_>)> = vec![];
        for number in order {
            let first = match self.placement {
                Placement::Sharded => 0,
                Placement::Replicated => (number * share).min(queries.nrows()),
            };
            let queries = queries.slice_move(s![first..(first + share).min(queries.nrows()), ..]);
            let accepted = accepted.and_then(|accepted| accepted.get(number));
            let part = OfPart { settling: search.settling(number), accepted };
            begun.push((number, first, self.parts[number].begin(queries, search, part, candidates, CHUNK_BYTES)?));
        }
        let mut merging = Merging::new(queries.nrows(), candidates);
        for (number, first, begun) in begun {
            let (found, count) = (begun.await?, self.parts.len());
            match self.placement {
                Placement::Sharded => merging.add(first, found, |row| row.saturating_mul(count).saturating_add(number)),
                Placement::Replicated => merging.add(first, found, |row| row),
            }
        }
        if let Some(source) = search.source() {
            source.rank(self.parts[0].context(), queries, search, &mut merging, CHUNK_BYTES).await?;
        }
        Ok(merging)
    }
}

/// A device's part of rows: every so many from the first of its own on.
struct PartOfRows<'a> {
    rows: ArrayView2<'a, f32>,
    first: usize,
    step: usize,
}

impl fmt::Debug for MultiDeviceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.placement, self.parts)
    }
}
