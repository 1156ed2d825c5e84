//! An index whose kind is known when the program runs.

use std::path::Path;

use ndarray::ArrayView2;

use super::{
    Adding, ExactRows, Filter, FlatIndex, IvfFlatIndex, IvfPqIndex, MultiDeviceIndex, Placement, PqIndex, Search,
    StreamedIndex, Training,
    factory::{Factory, Front},
    files,
};
use crate::{
    Device, DeviceArray, Metric, Neighbors, Result, Transform, Work,
    device::block_on,
    kmeans::Warning,
    ops::Ranked,
    storage::{RowSource, faiss},
};

/// Any of the indexes, as a factory string or a file says.
///
/// ```
/// use cellprobe::{Device, Index, Metric};
/// # fn main() -> cellprobe::Result<()> {
/// let index = Index::new(&Device::cpu(), 64, "IVF16,PQ8", Metric::L2)?;
/// assert_eq!(index.factory(), "IVF16,PQ8");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program has few indexes, and what they hold is on the heap")]
pub enum Index {
    /// Vectors as they are.
    Flat(FlatIndex),
    /// Codes.
    Pq(PqIndex),
    /// Vectors in inverted lists.
    IvfFlat(IvfFlatIndex),
    /// Codes in inverted lists.
    IvfPq(IvfPqIndex),
}

macro_rules! each {
    ($self:expr, $index:ident => $call:expr) => {
        match $self {
            Index::Flat($index) => $call,
            Index::Pq($index) => $call,
            Index::IvfFlat($index) => $call,
            Index::IvfPq($index) => $call,
        }
    };
}

mod inner;

impl Index {
    /// The index that a FAISS factory string asks for: `Flat`, `PQ16`, `PQ8x4`, `IVF1024,Flat`, `IVF1024,PQ16`,
    /// `IVF1024,PQ8x4`, each of which may stand behind a [`Transform`] of vectors of `dimension`: `OPQ16,` or `OPQ16_64,`,
    /// `PCA64,` (`PCAR64,` rotated, `PCAW64,` whitened, `PCAWR64,` both), `RR,` or `RR64,`. With `IDMap,` or `IDMap2,` in
    /// front, its files have an id map.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for another string and for sizes that do not fit the dimension.
    pub fn new(device: &Device, dimension: usize, factory: &str, metric: Metric) -> Result<Self> {
        let Factory { id_map, transform, nlist, codes } = factory.parse()?;
        let transform = transform.map(|front| front.transform(dimension)).transpose()?;
        let dimension = transform.as_ref().map_or(dimension, Transform::output_dimension);
        let mut index = match (nlist, codes) {
            (None, None) => Index::Flat(FlatIndex::new(device, dimension, metric)?),
            (None, Some((m, nbits))) => Index::Pq(PqIndex::new(device, dimension, m, nbits, metric)?),
            (Some(nlist), None) => Index::IvfFlat(IvfFlatIndex::new(device, dimension, nlist, metric)?),
            (Some(nlist), Some((m, nbits))) => {
                Index::IvfPq(IvfPqIndex::new(device, dimension, nlist, m, nbits, metric)?)
            }
        };
        if let Some(two_way) = id_map {
            each!(&mut index, index => index.form.add_id_map(two_way));
        }
        match transform {
            Some(transform) => index.behind(transform),
            None => Ok(index),
        }
    }

    /// The empty index behind a transform: see [`VectorIndex::behind`](super::VectorIndex::behind).
    ///
    /// # Errors
    /// As there.
    pub fn behind(self, transform: Transform) -> Result<Self> {
        Ok(match self {
            Index::Flat(index) => Index::Flat(index.behind(transform)?),
            Index::Pq(index) => Index::Pq(index.behind(transform)?),
            Index::IvfFlat(index) => Index::IvfFlat(index.behind(transform)?),
            Index::IvfPq(index) => Index::IvfPq(index.behind(transform)?),
        })
    }

    /// What vectors go through before they are kept, if anything.
    #[must_use]
    pub fn transform(&self) -> Option<&Transform> {
        each!(self, index => index.transform())
    }

    /// The factory string that asks for such an index.
    #[must_use]
    pub fn factory(&self) -> String {
        let (nlist, codes) = match self {
            Index::Flat(_) => (None, None),
            Index::Pq(index) => (None, Some((index.kind.m, index.kind.nbits))),
            Index::IvfFlat(index) => (Some(index.nlist()), None),
            Index::IvfPq(index) => (Some(index.nlist()), Some((index.kind.m, index.kind.nbits))),
        };
        let transform = self.transform().and_then(|transform| Front::of(transform, codes.map(|(m, _)| m)));
        let id_map = each!(self, index => index.form.id_map());
        Factory { id_map, transform, nlist, codes }.to_string()
    }

    /// The device that the index is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        each!(self, index => index.device())
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        each!(self, index => index.dimension())
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        each!(self, index => index.metric())
    }

    /// Number of rows.
    #[must_use]
    pub fn ntotal(&self) -> usize {
        each!(self, index => index.ntotal())
    }

    /// Whether rows can be added.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        each!(self, index => index.is_trained())
    }

    /// What the training rows did not really allow.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        each!(self, index => index.warnings())
    }

    /// Bytes that a row takes: its vector or code, and with lists its identifier.
    #[must_use]
    pub fn bytes_per_vector(&self) -> usize {
        let codes = |m: usize, nbits: usize| (m * nbits).div_ceil(8);
        match self {
            Index::Flat(index) => 4 * index.context.dimension,
            Index::Pq(index) => codes(index.kind.m, index.kind.nbits),
            Index::IvfFlat(index) => 4 * index.context.dimension + size_of::<i64>(),
            Index::IvfPq(index) => codes(index.kind.m, index.kind.nbits) + size_of::<i64>(),
        }
    }

    /// Lists and how many of them a search visits; none for an index without lists.
    #[must_use]
    pub fn lists(&self) -> Option<(usize, usize)> {
        match self {
            Index::Flat(_) | Index::Pq(_) => None,
            Index::IvfFlat(index) => Some((index.nlist(), index.nprobe())),
            Index::IvfPq(index) => Some((index.nlist(), index.nprobe())),
        }
    }

    /// Sets the number of lists that a search visits; nothing to set for an index without lists.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for 0.
    pub fn set_nprobe(&mut self, nprobe: usize) -> Result<()> {
        match self {
            Index::Flat(_) | Index::Pq(_) => Ok(()),
            Index::IvfFlat(index) => index.set_nprobe(nprobe),
            Index::IvfPq(index) => index.set_nprobe(nprobe),
        }
    }

    /// Trains an empty index: see [`VectorIndex::train`](super::VectorIndex::train).
    ///
    /// # Errors
    /// As there.
    pub fn train(&mut self, rows: ArrayView2<'_, f32>) -> Result<()> {
        self.train_with(rows, &Training::default())
    }

    /// [`Index::train`] with options.
    ///
    /// # Errors
    /// As [`VectorIndex::train`](super::VectorIndex::train).
    pub fn train_with(&mut self, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        each!(self, index => index.train_with(rows, training))
    }

    /// [`Index::train_with`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::train`](super::VectorIndex::train).
    pub async fn train_async(&mut self, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        each!(self, index => index.train_async(rows, training).await)
    }

    /// Adds rows, best many at a time: see [`VectorIndex::add`](super::VectorIndex::add).
    ///
    /// # Errors
    /// As there.
    pub fn add(&mut self, rows: ArrayView2<'_, f32>) -> Result<()> {
        each!(self, index => index.add(rows))
    }

    /// Adds rows with identifiers: see [`VectorIndex::add_with_ids`](super::VectorIndex::add_with_ids).
    ///
    /// # Errors
    /// As there.
    pub fn add_with_ids(&mut self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<()> {
        each!(self, index => index.add_with_ids(rows, ids))
    }

    /// Adds rows as `adding` says: see [`VectorIndex::add_with`](super::VectorIndex::add_with).
    ///
    /// # Errors
    /// As there.
    pub fn add_with(&mut self, rows: ArrayView2<'_, f32>, adding: &Adding<'_>) -> Result<()> {
        each!(self, index => index.add_with(rows, adding))
    }

    /// [`Index::add_with`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::add_with`](super::VectorIndex::add_with).
    pub async fn add_with_async(&mut self, rows: ArrayView2<'_, f32>, adding: &Adding<'_>) -> Result<()> {
        each!(self, index => index.add_with_async(rows, adding).await)
    }

    /// The `k` nearest rows of each query.
    ///
    /// # Errors
    /// As [`VectorIndex::search`](super::VectorIndex::search).
    pub fn search(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with(queries, &Search::new(k))
    }

    /// [`Index::search`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::search`](super::VectorIndex::search).
    pub async fn search_async(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with_async(queries, &Search::new(k)).await
    }

    /// The nearest rows of each query, as `search` says.
    ///
    /// # Errors
    /// As [`VectorIndex::search_with`](super::VectorIndex::search_with).
    pub fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        each!(self, index => index.search_with(queries, search))
    }

    /// [`Index::search_with`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::search_with`](super::VectorIndex::search_with).
    pub async fn search_with_async(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        each!(self, index => index.search_with_async(queries, search).await)
    }

    /// Asks for the nearest rows of queries on the index's device as part of `work`, the results to stay there: see
    /// [`VectorIndex::search_on`](super::VectorIndex::search_on).
    ///
    /// # Errors
    /// As there.
    pub fn search_on(
        &self,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        search: &Search<'_>,
    ) -> Result<DeviceArray<Ranked>> {
        each!(self, index => index.search_on(work, queries, search))
    }

    /// Bytes on the device that each query of a search takes, the results among them.
    #[must_use]
    pub fn bytes_per_query(&self, search: &Search<'_>) -> usize {
        each!(self, index => index.bytes_per_query(search))
    }

    /// What [`Index::search_on`] found, once read back, as plain search gives it: see
    /// [`VectorIndex::neighbors`](super::VectorIndex::neighbors).
    ///
    /// # Errors
    /// As there.
    pub fn neighbors(&self, found: &[Ranked], k: usize) -> Result<Neighbors> {
        each!(self, index => index.neighbors(found, k))
    }

    /// The identifier of the row of that number in the order in which rows were added.
    #[must_use]
    pub fn id_of(&self, row: u32) -> Option<i64> {
        each!(self, index => index.id_of(row))
    }

    /// Adds rows that are on the index's device: see [`VectorIndex::add_array`](super::VectorIndex::add_array).
    ///
    /// # Errors
    /// As there.
    pub fn add_array(&mut self, rows: &DeviceArray<f32>, ids: Option<&[i64]>) -> Result<()> {
        each!(self, index => index.add_array(rows, ids))
    }

    /// [`Index::add_array`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::add_array`](super::VectorIndex::add_array).
    pub async fn add_array_async(&mut self, rows: &DeviceArray<f32>, ids: Option<&[i64]>) -> Result<()> {
        each!(self, index => index.add_array_async(rows, ids).await)
    }

    /// Rows to re-rank by that are on the index's device: see
    /// [`VectorIndex::exact_array`](super::VectorIndex::exact_array).
    ///
    /// # Errors
    /// As there.
    pub fn exact_array(&self, rows: &DeviceArray<f32>) -> Result<ExactRows<'static>> {
        each!(self, index => index.exact_array(rows))
    }

    /// Rows to re-rank by: see [`VectorIndex::exact_rows`](super::VectorIndex::exact_rows).
    ///
    /// # Errors
    /// As there.
    pub fn exact_rows(&self, rows: ArrayView2<'_, f32>) -> Result<ExactRows<'static>> {
        each!(self, index => index.exact_rows(rows))
    }

    /// Rows to re-rank by, in any order: see [`VectorIndex::exact_rows_with_ids`](super::VectorIndex::exact_rows_with_ids).
    ///
    /// # Errors
    /// As there.
    pub fn exact_rows_with_ids(&self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<ExactRows<'static>> {
        each!(self, index => index.exact_rows_with_ids(rows, ids))
    }

    /// Rows to re-rank by that stay where they are: see [`VectorIndex::exact_rows_from`](super::VectorIndex::exact_rows_from).
    ///
    /// # Errors
    /// As there.
    pub fn exact_rows_from<'a>(&self, rows: &'a dyn RowSource, ids: Option<&[i64]>) -> Result<ExactRows<'a>> {
        each!(self, index => index.exact_rows_from(rows, ids))
    }

    /// A filter for searches that may find only rows whose identifiers `accepts`: see
    /// [`VectorIndex::filter`](super::VectorIndex::filter).
    ///
    /// # Errors
    /// As there.
    pub fn filter(&self, accepts: impl FnMut(i64) -> bool) -> Result<Filter> {
        each!(self, index => index.filter(accepts))
    }

    /// Removes the rows whose identifiers `removes`: see [`VectorIndex::remove`](super::VectorIndex::remove).
    ///
    /// # Errors
    /// As there.
    pub fn remove(&mut self, removes: impl FnMut(i64) -> bool) -> Result<usize> {
        each!(self, index => index.remove(removes))
    }

    /// [`Index::remove`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::remove`](super::VectorIndex::remove).
    pub async fn remove_async(&mut self, removes: impl FnMut(i64) -> bool) -> Result<usize> {
        each!(self, index => index.remove_async(removes).await)
    }

    /// The same index on another device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        block_on(self.to_device_async(device))
    }

    /// [`Index::to_device`] without blocking.
    ///
    /// # Errors
    /// As [`Index::to_device`].
    pub async fn to_device_async(&self, device: &Device) -> Result<Self> {
        Ok(match self {
            Index::Flat(index) => Index::Flat(index.to_device_async(device).await?),
            Index::Pq(index) => Index::Pq(index.to_device_async(device).await?),
            Index::IvfFlat(index) => Index::IvfFlat(index.to_device_async(device).await?),
            Index::IvfPq(index) => Index::IvfPq(index.to_device_async(device).await?),
        })
    }

    /// The same index on several devices: see [`MultiDeviceIndex`].
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained), [`Error::Empty`](crate::Error::Empty) without devices,
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn to_devices(&self, devices: &[Device], placement: Placement) -> Result<MultiDeviceIndex> {
        block_on(self.to_devices_async(devices, placement))
    }

    /// [`Index::to_devices`] without blocking.
    ///
    /// # Errors
    /// As [`Index::to_devices`].
    pub async fn to_devices_async(&self, devices: &[Device], placement: Placement) -> Result<MultiDeviceIndex> {
        MultiDeviceIndex::new(self, devices, placement).await
    }

    /// The index in the host's memory, to be searched on a device that it need not fit: see [`StreamedIndex`]. Without a
    /// `memory`, what fits is tried out by putting two pieces on the device: as much as the index takes, or half of that, and
    /// so on.
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained); [`Error::Limit`](crate::Error::Limit) for a `memory` that centroids
    /// and a row alone take; [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn streamed_to(&self, device: &Device, memory: impl Into<Option<u64>>) -> Result<StreamedIndex<'static>> {
        block_on(self.streamed_to_async(device, memory))
    }

    /// [`Index::streamed_to`] without blocking.
    ///
    /// # Errors
    /// As [`Index::streamed_to`].
    pub async fn streamed_to_async(
        &self,
        device: &Device,
        memory: impl Into<Option<u64>>,
    ) -> Result<StreamedIndex<'static>> {
        StreamedIndex::of(self, device, memory.into()).await
    }

    /// Reads a FAISS index file to a device.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::File`](crate::Error::File) with the place for a file that is damaged, or holds what this crate has not;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn read_file(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        files::from_stored(faiss::read_file(path)?, device).map_err(|error| error.in_file(path))
    }

    /// Writes a FAISS index file, whole or not at all; one that exists is an error unless `overwrite`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn write_file(&self, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
        faiss::write_file(&self.to_stored()?, path.as_ref(), overwrite)
    }

    /// An index of what a file holds.
    ///
    /// # Errors
    /// As [`faiss::write()`] if the contents do not fit together; [`Error::Parameter`](crate::Error::Parameter) for what
    /// this crate has not, [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn from_stored(stored: faiss::Stored, device: &Device) -> Result<Self> {
        faiss::check(&stored)?;
        files::from_stored(stored, device)
    }

    /// What a file of the index holds. An index that was read from a file and not added to gives what it was read from.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn to_stored(&self) -> Result<faiss::Stored> {
        block_on(self.to_stored_async())
    }

    /// [`Index::to_stored`] without blocking.
    ///
    /// # Errors
    /// As [`Index::to_stored`].
    pub async fn to_stored_async(&self) -> Result<faiss::Stored> {
        files::to_stored(self).await
    }
}
