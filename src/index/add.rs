//! How rows come into an index.

use futures::future::BoxFuture;
use ndarray::{ArrayView2, Axis};

use super::{
    CHUNK_BYTES, Kind, VectorIndex,
    filter::Version,
    ids::Ids,
    ranked,
    steps::{Steps, Watch},
};
use crate::{
    DeviceArray, Error, Result,
    device::{Cancel, block_on},
    rows,
    storage::faiss::DirectMap,
};

/// Rows of a step where somebody is told of each: enough for the kernels that many rows have.
const FEWEST_ROWS: usize = 1 << 14;

/// How rows are added.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adding<'a> {
    ids: Option<&'a [i64]>,
    watch: Watch<'a>,
}

impl<'a> Adding<'a> {
    /// Gives the rows identifiers, one a row, none of them twice or below 0. Without, they are numbered on.
    #[must_use]
    pub fn ids(mut self, ids: &'a [i64]) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Calls `progress` with the number of rows done and of all, some times a second. Rows that are done can be searched
    /// once all are.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(usize, usize) + Send + Sync)) -> Self {
        self.watch.progress = Some(progress);
        self
    }

    /// Lets somebody else cancel it, some times a second. The index is then as it was.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &'a Cancel) -> Self {
        self.watch.cancel = Some(cancel);
        self
    }
}

impl<K: Kind> VectorIndex<K> {
    /// Adds rows, numbered on: from [`VectorIndex::ntotal`] and the number of rows removed so far, or else from the largest
    /// identifier and 1, whichever is more.
    ///
    /// The index is put together anew, however few rows come: all that it has is copied, and meanwhile there is memory for
    /// both. Add many rows at a time.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::Dimension`], [`Error::NotFinite`], [`Error::Limit`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`]. The index is then as it was.
    pub fn add(&mut self, rows: ArrayView2<'_, f32>) -> Result<()> {
        self.add_with(rows, &Adding::default())
    }

    /// Adds rows with identifiers, one a row, none of them twice or below 0.
    ///
    /// # Errors
    /// As [`VectorIndex::add`], [`Error::DuplicateId`], and [`Error::Length`] or [`Error::Parameter`] for identifiers that do
    /// not fit.
    pub fn add_with_ids(&mut self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<()> {
        self.add_with(rows, &Adding::default().ids(ids))
    }

    /// Adds rows as `adding` says.
    ///
    /// ```
    /// use cellprobe::{Device, Error, FlatIndex, Metric, device::Cancel, index::Adding};
    /// # fn main() -> cellprobe::Result<()> {
    /// let rows = ndarray::array![[0.0, 0.0], [3.0, 4.0]];
    /// let mut index = FlatIndex::new(&Device::cpu(), 2, Metric::L2)?;
    /// let cancel = Cancel::default();
    /// let adding = Adding::default().progress(&|done, of| println!("{done} of {of}")).cancelled_by(&cancel);
    /// index.add_with(rows.view(), &adding)?;
    /// assert_eq!(index.ntotal(), 2);
    /// // Somewhere else, while more are added.
    /// cancel.cancel();
    /// assert!(matches!(index.add_with(rows.view(), &adding), Err(Error::Cancelled)));
    /// assert_eq!(index.ntotal(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`VectorIndex::add_with_ids`], and [`Error::Cancelled`].
    pub fn add_with(&mut self, rows: ArrayView2<'_, f32>, adding: &Adding<'_>) -> Result<()> {
        block_on(self.add_with_async(rows, adding))
    }

    /// [`VectorIndex::add`] or [`VectorIndex::add_with_ids`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::add_with_ids`].
    pub async fn add_async(&mut self, rows: ArrayView2<'_, f32>, ids: Option<&[i64]>) -> Result<()> {
        self.add_with_async(rows, &Adding { ids, ..Adding::default() }).await
    }

    /// [`VectorIndex::add_with`] without blocking.
    ///
    /// On a GPU at most 256 MiB of rows at a time are encoded, while the next are uploaded.
    ///
    /// # Errors
    /// As [`VectorIndex::add_with`].
    pub async fn add_with_async(&mut self, rows: ArrayView2<'_, f32>, adding: &Adding<'_>) -> Result<()> {
        let Adding { ids, watch } = *adding;
        if !self.is_trained() {
            return Err(Error::NotTrained { what: K::NAME });
        }
        rows::check_dimension("rows to add", rows, self.dimension())?;
        let (before, count) = (self.ntotal(), rows.nrows());
        let ids = self.ids.extended(count, ids)?;
        let mut encoded = vec![];
        let mut running: Option<(BoxFuture<'static, Result<()>>, usize)> = None;
        for step in
            Steps::new(count, FEWEST_ROWS, CHUNK_BYTES / (4 * self.dimension().max(self.context.dimension)), &watch)
        {
            watch.check()?;
            let done = step.end;
            let uploaded = self.begin_upload(rows.slice_axis(Axis(0), step.into()))?;
            let mut work = self.device().work();
            let transformed = self.transformed(&mut work, &uploaded)?;
            encoded.push(self.kind.encode(&self.context, &mut work, &transformed)?);
            // The step before ran while this one was uploaded; there are never more than two of them.
            if let Some((running, done)) = running.take() {
                running.await?;
                watch.tell(done, count);
                watch.check()?;
            }
            running = Some((work.begin()?, done));
        }
        if let Some((running, done)) = running {
            // Otherwise the caller need not wait.
            if watch.progress.is_some() {
                running.await?;
                watch.tell(done, count);
            }
            watch.check()?;
            let kind = self.kind.append(&self.context, encoded, before).await?;
            self.replace(kind, ids, count)?;
        }
        Ok(())
    }

    /// Adds rows that are on the index's device, with identifiers or else numbered on. An empty [`FlatIndex`] of
    /// another metric than cosine, behind no transform, keeps the array itself, so that rows in a caller's buffer are
    /// searched in place.
    ///
    /// The rows must be finite. They are read at once: work that makes them has to be submitted before.
    ///
    /// # Errors
    /// As [`VectorIndex::add_with_ids`], and [`Error::OtherDevice`] for rows elsewhere; [`Error::Parameter`] for rows in a
    /// buffer that is to be copied from and has not the usage `COPY_SRC`.
    ///
    /// [`FlatIndex`]: super::FlatIndex
    pub fn add_array(&mut self, rows: &DeviceArray<f32>, ids: Option<&[i64]>) -> Result<()> {
        block_on(self.add_array_async(rows, ids))
    }

    /// [`VectorIndex::add_array`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::add_array`].
    pub async fn add_array_async(&mut self, rows: &DeviceArray<f32>, ids: Option<&[i64]>) -> Result<()> {
        if !self.is_trained() {
            return Err(Error::NotTrained { what: K::NAME });
        }
        rows.check_at(self.device(), "rows to add")?;
        self.check_columns("rows to add", rows)?;
        let ids: Ids = self.ids.extended(rows.rows(), ids)?;
        if rows.rows() == 0 {
            return Ok(());
        }
        let mut work = self.device().work();
        let prepared = self.at_unit_length(&mut work, rows)?;
        let transformed = self.transformed(&mut work, &prepared)?;
        let encoded = self.kind.encode(&self.context, &mut work, &transformed)?;
        work.submit()?;
        let kind = self.kind.append(&self.context, vec![encoded], self.ntotal()).await?;
        self.replace(kind, ids, rows.rows())
    }

    /// Takes the place of what was there before `added` rows.
    fn replace(&mut self, kind: K, ids: Ids, added: usize) -> Result<()> {
        let (kind, order) = ranked(&self.context, kind, ids.order())?;
        (self.kind, self.order, self.ids) = (kind, order, ids);
        self.version = Version::default();
        if added > 0 {
            self.form.direct_map = DirectMap::None;
        }
        Ok(())
    }
}
