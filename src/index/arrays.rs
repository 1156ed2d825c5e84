//! Rows, queries and results that are on the index's device and stay there.

use super::{ExactRows, Filter, Found, Kind, Search, VectorIndex, Wanted, exact::Settling};
use crate::{
    DeviceArray, Error, Metric, Neighbors, Result, Transform, Work,
    ops::{self, Ranked},
};

impl<K: Kind> VectorIndex<K> {
    /// Asks for the nearest rows of each of `queries` as part of `work`: nothing is submitted or waited for here, and
    /// nothing needs to be read back. What is found is as in [`VectorIndex::search_with`].
    ///
    /// The array has a row of k for each query, nearest first, padded with [`Ranked::NONE`] where there are fewer.
    /// [`Ranked::id`] is the number of a row in the order in which rows were added, [`VectorIndex::id_of`] its
    /// identifier, and [`Ranked::distance`] smaller for the nearer: minus the score for inner product and cosine.
    /// [`VectorIndex::neighbors`] turns what was read back into scores and identifiers. A kernel sees `vec2<u32>(id,
    /// key)`: `bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u))` is the distance.
    ///
    /// All queries go together: [`VectorIndex::bytes_per_query`] says what that takes. For cosine they are normalised
    /// here, on a GPU in f32, so that scores may differ from plain search's in the last bits. They must be finite;
    /// a query that is not finds something or nothing, and the others what they would without it. A
    /// [radius](Search::within) is not for here, where k a query are given, nor is who [is told](Search::progress) or
    /// [may cancel](Search::cancelled_by): [`Work::cancelled_by`] is.
    ///
    /// ```
    /// use cellprobe::{Device, FlatIndex, Metric, Search};
    /// # fn main() -> cellprobe::Result<()> {
    /// let device = Device::auto();
    /// let mut index = FlatIndex::new(&device, 2, Metric::L2)?;
    /// index.add(ndarray::array![[0.0, 0.0], [3.0, 4.0]].view())?;
    /// // Made on the device by somebody else, or put there.
    /// let queries = device.upload(vec![3.0, 3.0], 2)?;
    /// let mut work = device.work();
    /// let found = index.search_on(&mut work, &queries, &Search::new(2))?;
    /// let found = pollster::block_on(work.read(found))?;
    /// assert_eq!((found[0].id(), found[0].distance()), (1, 1.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::OtherDevice`] unless work and queries are on the index's device; [`Error::Parameter`] for a k, an nprobe
    /// or a factor of 0, and for what is not for here; [`Error::NotTrained`], [`Error::Dimension`], [`Error::Limit`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn search_on(
        &self,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        search: &Search<'_>,
    ) -> Result<DeviceArray<Ranked>> {
        self.check_search(search)?;
        if let Some(radius) = search.radius {
            return Err(Error::parameter("radius of a search whose results stay on the device", radius, "none"));
        }
        if search.watch.is_watched() {
            let expected = "none: nothing is done yet, and Work::cancelled_by cancels what will be";
            return Err(Error::parameter("watcher of a search whose results stay on the device", "given", expected));
        }
        if search.source().is_some() {
            let (name, value) = ("rows to re-rank by of a search whose results stay on the device", "elsewhere");
            return Err(Error::parameter(name, value, "those of exact_rows, on the device"));
        }
        work.check_at(self.device(), "the index")?;
        queries.check_at(self.device(), "queries")?;
        self.check_columns("queries", queries)?;
        let queries = &self.at_unit_length(work, queries)?;
        if self.ntotal() == 0 {
            let none = self.device().upload(vec![], self.dimension())?;
            return ops::knn(work, queries, &none, search.k, self.metric());
        }
        let found = self.ranked(work, queries, search, search.k)?;
        match &self.order {
            Some(order) => ops::rename(work, &found, &order.places),
            None => Ok(found),
        }
    }

    /// Bytes on the device that each query of a search takes, the results among them.
    #[must_use]
    pub fn bytes_per_query(&self, search: &Search<'_>) -> usize {
        let candidates = search.candidates().min(search.most(self.ntotal()));
        let transformed = self.transform().map_or(0, Transform::output_dimension);
        4 * (self.dimension() + transformed) + 16 * candidates + self.kind.query_bytes(search.nprobe)
    }

    /// What [`VectorIndex::search_on`] found, once it has been read back, as plain search gives it: `k` a query.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not `k` for each query; [`Error::Parameter`] for a k of 0.
    pub fn neighbors(&self, found: &[Ranked], k: usize) -> Result<Neighbors> {
        if k == 0 {
            return Err(Error::parameter("k", k, "at least 1"));
        }
        if !found.len().is_multiple_of(k) {
            return Err(Error::Length { what: "candidates", expected: found.len() / k * k, found: found.len() });
        }
        let mut neighbors = Neighbors::new(k, self.metric());
        found.chunks_exact(k).for_each(|row| neighbors.push(row, |row| self.ids.of(row)));
        Ok(neighbors)
    }

    /// The identifier of the row of that number in the order in which rows were added.
    #[must_use]
    pub fn id_of(&self, row: u32) -> Option<i64> {
        ((row as usize) < self.ntotal()).then(|| self.ids.of(row))
    }

    /// Rows to re-rank by that are on the index's device: see [`VectorIndex::exact_rows`]. They are used in place, but
    /// for cosine.
    ///
    /// # Errors
    /// As [`VectorIndex::exact_rows`], and [`Error::OtherDevice`] for rows elsewhere.
    pub fn exact_array(&self, rows: &DeviceArray<f32>) -> Result<ExactRows<'static>> {
        rows.check_at(self.device(), "rows to re-rank by")?;
        self.check_columns("rows to re-rank by", rows)?;
        self.ids.check_rows(rows.rows())?;
        Ok(ExactRows::of_parts(&self.version, vec![self.at_unit_length_now(rows)?]))
    }

    /// The best candidates for each query, named by rank, `k` of them.
    pub(super) fn ranked(
        &self,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        search: &Search<'_>,
        k: usize,
    ) -> Result<DeviceArray<Ranked>> {
        let Search { nprobe, rerank, filter, .. } = *search;
        let accepted = filter.map(Filter::on_one_device).transpose()?;
        let candidates = rerank.map_or(k, |_| search.candidates().min(search.most(self.ntotal())).max(1));
        let wanted = Wanted { k: candidates, nprobe, accepted };
        let (found, settled) = self.found(work, queries, wanted, search.settling(0), k)?;
        Ok(settled.unwrap_or(found.hits))
    }

    /// What is found; and the `k` best of it by exact distances, or all of it by distances that are accurate, in their order;
    /// nothing where they are so already, or will be later.
    pub(super) fn found(
        &self,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted<'_>,
        settling: Settling<'_>,
        k: usize,
    ) -> Result<(Found, Option<DeviceArray<Ranked>>)> {
        let transformed = self.transformed(work, queries)?;
        let found = self.kind.search(&self.context, work, &transformed, wanted)?;
        let settled = match settling {
            Settling::By(exact) => {
                let places = self.order.as_ref().map(|order| &order.places);
                Some(ops::rerank(work, queries, exact, places, &found.hits, k, self.metric())?)
            }
            Settling::Alone => self.kind.settled(work, &transformed, &found)?,
            Settling::Later => None,
        };
        Ok((found, settled))
    }

    /// The rows as the metric asks for them.
    pub(super) fn at_unit_length(&self, work: &mut Work, rows: &DeviceArray<f32>) -> Result<DeviceArray<f32>> {
        match self.metric() {
            Metric::Cosine => ops::normalise(work, rows),
            Metric::L2 | Metric::InnerProduct => Ok(rows.clone()),
        }
    }

    fn at_unit_length_now(&self, rows: &DeviceArray<f32>) -> Result<DeviceArray<f32>> {
        let mut work = self.device().work();
        let rows = self.at_unit_length(&mut work, rows)?;
        work.submit()?;
        Ok(rows)
    }

    pub(super) fn check_columns(&self, what: &'static str, rows: &DeviceArray<f32>) -> Result<()> {
        if rows.columns() == self.dimension() {
            return Ok(());
        }
        Err(Error::Dimension { what, expected: self.dimension(), found: rows.columns() })
    }
}
