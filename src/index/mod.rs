//! Indexes: vectors kept for search.
//!
//! | index | keeps | searches |
//! | --- | --- | --- |
//! | [`FlatIndex`] | vectors | all, exactly |
//! | [`PqIndex`] | product-quantizer codes | all codes |
//! | [`IvfFlatIndex`] | vectors in inverted lists | the `nprobe` lists nearest to the query, exactly |
//! | [`IvfPqIndex`] | codes in inverted lists (Jégou, Douze, Schmid 2011) | the codes of the `nprobe` nearest lists |
//!
//! All are used alike: train (but for [`FlatIndex`]), add, search. Vectors may go through a [`Transform`] before they are
//! kept: see [`VectorIndex::behind`]. A search by codes can be followed by an exact
//! re-ranking with the vectors themselves, on the device or wherever else they lie: see [`ExactRows`]. [`Index`] is any of them, built from a factory string or read from a file.
//! [`MultiDeviceIndex`] is one of them on several devices, [`StreamedIndex`] one that is larger than its device's memory.
//!
//! A search may find only the rows that a [`Filter`] accepts, all rows [within a radius](Search::all_within), or both; on a
//! GPU as on the CPU. Rows are [removed](VectorIndex::remove) by their identifiers.
//!
//! ```
//! use cellprobe::{Device, IvfPqIndex, Metric, Search};
//! use ndarray::{Array2, s};
//! # fn main() -> cellprobe::Result<()> {
//! let vectors = Array2::from_shape_fn((1000, 16), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
//! let mut index = IvfPqIndex::new(&Device::auto(), 16, 10, 4, 8, Metric::L2)?;
//! index.train(vectors.view())?;
//! index.add(vectors.view())?;
//!
//! let exact = index.exact_rows(vectors.view())?;
//! let search = Search::new(3).nprobe(4).rerank(&exact, 10);
//! let neighbors = index.search_with(vectors.slice(s![..5, ..]), &search)?;
//! for neighbor in neighbors.row(0) {
//!     println!("{} at {}", neighbor.id, neighbor.score);
//! }
//! assert_eq!(neighbors.row(0)[0].score, 0.0);
//! # Ok(())
//! # }
//! ```

mod add;
mod any;
mod arrays;
mod exact;
mod factory;
mod files;
mod filter;
mod flat;
mod ids;
mod ivf;
mod ivf_flat;
mod ivf_pq;
mod kind;
mod multi_device;
mod parts;
mod pieces;
mod pq;
mod range;
mod search;
mod steps;
mod streamed;
mod training;
mod transformed;

use std::{fmt, sync::Arc};

use ndarray::{ArrayView2, Axis, s};

pub use add::Adding;
pub use any::Index;
pub use exact::ExactRows;
pub use filter::Filter;
pub use flat::FlatIndex;
pub use ivf_flat::IvfFlatIndex;
pub use ivf_pq::IvfPqIndex;
pub use kind::{Accepted, Context, Found, Kind, Wanted};
pub use multi_device::{MultiDeviceIndex, Placement};
pub use pq::PqIndex;
pub use search::Search;
pub use streamed::StreamedIndex;
pub use training::Training;

use crate::{
    Device, DeviceArray, Error, Metric, Neighbors, Result, Transform, device::block_on, kmeans::Warning, rows,
};
use filter::Version;
use ids::Ids;
use range::Rounds;
use steps::Steps;
use transformed::Placed;

/// Bytes of rows that go to the device at a time.
const CHUNK_BYTES: usize = 256 << 20;

/// Queries of a batch where somebody is told of each: as many as make it worth a GPU's while, and enough for the kernels
/// that many queries have.
const FEWEST_QUERIES: usize = 1024;
const FEWEST_QUERIES_ON_CPU: usize = 64;

/// An index of kind `K`: see [`FlatIndex`], [`PqIndex`], [`IvfFlatIndex`], [`IvfPqIndex`].
#[derive(Clone)]
pub struct VectorIndex<K> {
    /// Of what is kept: behind a transform, its dimension is that of what comes out.
    context: Context,
    transform: Option<Arc<Placed>>,
    kind: K,
    ids: Ids,
    /// None where identifiers ascend with the rows.
    order: Option<Order>,
    warnings: Vec<Warning>,
    form: files::Form,
    version: Version,
}

/// The rows in order of identifier, here and on the device.
#[derive(Clone)]
struct Order {
    rows: Vec<u32>,
    places: DeviceArray<u32>,
}

impl<K: Kind> VectorIndex<K> {
    fn with_kind(device: &Device, dimension: usize, metric: Metric, kind: K) -> Result<Self> {
        if dimension == 0 {
            return Err(Error::parameter("dimension", dimension, "at least 1"));
        }
        let context = Context { device: device.clone(), dimension, metric };
        Ok(VectorIndex {
            context,
            transform: None,
            kind,
            ids: Ids::default(),
            order: None,
            warnings: vec![],
            form: files::Form::default(),
            version: Version::default(),
        })
    }

    /// The device that the index is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.context.device
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.transform().map_or(self.context.dimension, Transform::dimension)
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.context.metric
    }

    /// Number of rows.
    #[must_use]
    pub fn ntotal(&self) -> usize {
        self.ids.len()
    }

    /// Whether rows can be added.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.kind.is_trained() && self.transform().is_none_or(Transform::is_trained)
    }

    /// What the training rows did not really allow.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Trains an empty index on `rows`. An index that needs no training stays as it is.
    ///
    /// # Errors
    /// [`Error::TooFewPoints`] for fewer rows than centroids, [`Error::Dimension`], [`Error::NotFinite`],
    /// [`Error::Parameter`] if there are rows in the index already, [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn train(&mut self, rows: ArrayView2<'_, f32>) -> Result<()> {
        self.train_with(rows, &Training::default())
    }

    /// [`VectorIndex::train`] with options.
    ///
    /// # Errors
    /// As [`VectorIndex::train`].
    pub fn train_with(&mut self, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        block_on(self.train_async(rows, training))
    }

    /// [`VectorIndex::train_with`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::train`].
    pub async fn train_async(&mut self, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        rows::check_dimension("training rows", rows, self.dimension())?;
        if self.ntotal() > 0 {
            return Err(Error::parameter("rows in the index to train", self.ntotal(), "none"));
        }
        let prepared = self.prepared(rows);
        let rows = prepared.as_ref().map_or(rows, |rows| rows.view());
        let (transform, rotated) = match &self.transform {
            Some(placed) => Some(Box::pin(placed.train(self.device(), rows, training)).await?).unzip(),
            None => (None, None),
        };
        let rows = rotated.as_ref().map_or(rows, |rows| rows.view());
        (self.kind, self.warnings) = self.kind.train(&self.context, rows, training).await?;
        self.transform = transform.map(Arc::new);
        self.version = Version::default();
        Ok(())
    }

    /// The `k` nearest rows of each query.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a k of 0, [`Error::NotTrained`], [`Error::Dimension`], [`Error::NotFinite`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn search(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with(queries, &Search::new(k))
    }

    /// [`VectorIndex::search`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::search`].
    pub async fn search_async(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with_async(queries, &Search::new(k)).await
    }

    /// The nearest rows of each query, as `search` says.
    ///
    /// # Errors
    /// As [`VectorIndex::search`]; [`Error::Parameter`] for an nprobe or a factor of 0 and for rows to re-rank by or a
    /// filter that are not of this index and its rows, [`Error::OtherDevice`] for those of a copy elsewhere.
    pub fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        block_on(self.search_with_async(queries, search))
    }

    /// [`VectorIndex::search_with`] without blocking. On a GPU a batch of queries is one submission and one
    /// read-back; there is more than one batch only where one would need over 256 MiB, or where somebody
    /// [is told](Search::progress) or [may cancel](Search::cancelled_by). Rows that candidates are re-ranked by, where they
    /// stay [elsewhere](VectorIndex::exact_rows_from), are read as it goes, and are submissions of their own.
    ///
    /// # Errors
    /// As [`VectorIndex::search_with`].
    pub async fn search_with_async(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        self.check_search(search)?;
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
        // More than there are cannot be found.
        let k = search.k.min(search.most(self.ntotal()));
        let batch = CHUNK_BYTES / self.bytes_per_query(search);
        let least = if self.device().is_gpu() { FEWEST_QUERIES } else { FEWEST_QUERIES_ON_CPU };
        for step in Steps::new(queries.nrows(), least, batch, &search.watch) {
            search.watch.check()?;
            let done = step.end;
            if k == 0 {
                step.for_each(|_| neighbors.push(&[], |_| -1));
            } else if let Some(source) = search.source() {
                let queries = queries.slice_axis(Axis(0), step.into());
                self.ranked_by(source, queries, search).await?.finish(&mut neighbors);
            } else {
                let uploaded = self.upload(queries.slice_axis(Axis(0), step.into()))?;
                let mut work = self.device().work();
                search.watch.cancel.into_iter().for_each(|cancel| work.cancelled_by(cancel));
                let hits = self.ranked(&mut work, &uploaded, search, k)?;
                let found = work.read(hits).await?;
                found.chunks_exact(k).for_each(|row| neighbors.push(row, |rank| self.identify(rank)));
            }
            search.watch.tell(done, queries.nrows());
        }
        Ok(neighbors)
    }

    /// The queries that are searched for together: so many that they and what they need take at most `bytes`, or one.
    fn batches<'a>(
        &self,
        queries: ArrayView2<'a, f32>,
        search: &Search<'_>,
        bytes: usize,
    ) -> impl Iterator<Item = ArrayView2<'a, f32>> {
        let batch = (bytes / self.bytes_per_query(search)).max(1);
        (0..queries.nrows()).step_by(batch).map(move |first| {
            let end = (first + batch).min(queries.nrows());
            queries.slice_move(s![first..end, ..])
        })
    }

    fn check_search(&self, search: &Search<'_>) -> Result<()> {
        if !self.is_trained() {
            return Err(Error::NotTrained { what: K::NAME });
        }
        search.check(&self.version)
    }

    /// The index with these of its rows alone, which ascend and keep their identifiers.
    async fn selected(&self, rows: &[u32]) -> Result<Self> {
        let ids = self.ids.selected(rows);
        let kind = self.kind.selected(&self.context, rows).await?;
        // Ranked if all rows are, for what is ranked may be scanned by another kernel, whose sums have another order.
        let order = ids.order().or_else(|| self.order.as_ref().map(|_| (0..rows.len() as u32).collect()));
        let (kind, order) = if self.is_trained() { ranked(&self.context, kind, order)? } else { (kind, None) };
        let (context, transform, warnings) = (self.context.clone(), self.transform.clone(), self.warnings.clone());
        let (form, version) = (files::Form::default(), Version::default());
        Ok(VectorIndex { context, transform, kind, ids, order, warnings, form, version })
    }

    /// Ranks the rows even if they are in the order of their identifiers: they are some of rows that are not.
    fn rank(&mut self) -> Result<()> {
        if self.order.is_none() && self.is_trained() {
            let order = Some((0..self.ntotal() as u32).collect());
            (self.kind, self.order) = ranked(&self.context, self.kind.clone(), order)?;
            self.version = Version::default();
        }
        Ok(())
    }

    /// The same index on another device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        block_on(self.to_device_async(device))
    }

    /// [`VectorIndex::to_device`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::to_device`].
    pub async fn to_device_async(&self, device: &Device) -> Result<Self> {
        let kind = self.kind.moved(&self.context, device).await?;
        let order = match &self.order {
            Some(Order { rows, .. }) => Some(Order { rows: rows.clone(), places: device.upload(rows.clone(), 1)? }),
            None => None,
        };
        let context = Context { device: device.clone(), ..self.context.clone() };
        let transform = self.transform.as_ref().map(|placed| placed.moved(device).map(Arc::new)).transpose()?;
        let (ids, warnings, form) = (self.ids.clone(), self.warnings.clone(), self.form.clone());
        Ok(VectorIndex { context, transform, kind, ids, order, warnings, form, version: self.version.clone() })
    }

    /// The identifier of the row of a rank.
    fn identify(&self, rank: u32) -> i64 {
        match &self.order {
            Some(order) => order.rows.get(rank as usize).map_or(-1, |&row| self.ids.of(row)),
            None => self.ids.of(rank),
        }
    }

    /// The number of the row of a rank; none of its own for a rank that there is not.
    fn row(&self, rank: u32) -> usize {
        let Some(order) = &self.order else { return rank as usize };
        order.rows.get(rank as usize).map_or(usize::MAX, |&row| row as usize)
    }

    /// Normalised copies where the metric asks for them.
    fn prepared(&self, rows: ArrayView2<'_, f32>) -> Option<ndarray::Array2<f32>> {
        (self.metric() == Metric::Cosine).then(|| rows::normalised(rows))
    }

    fn upload(&self, rows: ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        uploaded(self.device(), self.metric(), rows)
    }

    /// [`VectorIndex::upload`] of rows for what submits anyway.
    fn begin_upload(&self, rows: ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        if self.metric() == Metric::Cosine {
            return self.device().begin_rows(rows::normalised(rows).view());
        }
        self.device().begin_rows(rows)
    }
}

/// Rows or queries on a device, as the metric asks for them.
fn uploaded(device: &Device, metric: Metric, rows: ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
    match metric {
        Metric::Cosine => device.rows(rows::normalised(rows).view()),
        Metric::L2 | Metric::InnerProduct => device.rows(rows),
    }
}

/// The kind with its rows ranked by identifier: in this order, where they are not in it anyway.
fn ranked<K: Kind>(context: &Context, kind: K, order: Option<Vec<u32>>) -> Result<(K, Option<Order>)> {
    let Some(rows) = order else {
        return Ok((kind, None));
    };
    let mut ranks = vec![0; rows.len()];
    rows.iter().enumerate().for_each(|(rank, &row)| ranks[row as usize] = rank as u32);
    let kind = kind.with_ranks(context, &context.device.upload(ranks, 1)?)?;
    let places = context.device.upload(rows.clone(), 1)?;
    Ok((kind, Some(Order { rows, places })))
}

impl<K: Kind> fmt::Debug for VectorIndex<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} rows of {} numbers, {}, on {}",
            K::NAME,
            self.ntotal(),
            self.dimension(),
            self.metric(),
            self.device()
        )
    }
}
