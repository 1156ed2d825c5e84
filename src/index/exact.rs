//! Rows that decide, by exact distances, on what a search of codes found.

use std::fmt;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::{
    CHUNK_BYTES, Context, Filter, Kind, Search, VectorIndex,
    filter::Version,
    ids::Ids,
    parts::{Candidate, Merging, OfPart},
    uploaded,
};
use crate::{
    DeviceArray, Error, Result,
    ops::{self, Ranked},
    rows,
    storage::{RowSource, picked},
};

/// Rows to re-rank candidates by: on the index's device or devices (see [`VectorIndex::exact_rows`]), or where they lie, in
/// the host's memory or in a file, from where a search takes those of its candidates (see [`VectorIndex::exact_rows_from`]).
#[derive(Clone, Debug)]
pub struct ExactRows<'a> {
    /// Of the rows of the index.
    version: Version,
    rows: Rows<'a>,
}

#[derive(Clone, Debug)]
enum Rows<'a> {
    OnDevices(Vec<DeviceArray<f32>>),
    From(Source<'a>),
}

/// Rows that lie elsewhere than on a device.
#[derive(Clone)]
pub(super) struct Source<'a> {
    rows: &'a dyn RowSource,
    /// Where each row of the index is among them, if not in its own place.
    places: Option<Vec<u32>>,
}

/// How what is found is ranked at last.
#[derive(Clone, Copy)]
pub(super) enum Settling<'a> {
    /// By these rows.
    By(&'a DeviceArray<f32>),
    /// As the index does it without rows.
    Alone,
    /// Later, elsewhere.
    Later,
}

impl<'a> ExactRows<'a> {
    /// The rows of an index, part by part.
    pub(super) fn of_parts(version: &Version, parts: Vec<DeviceArray<f32>>) -> Self {
        ExactRows { version: version.clone(), rows: Rows::OnDevices(parts) }
    }

    /// The rows of an index of that dimension whose rows have the identifiers `own`; those of `rows`, if given, are `ids`.
    pub(super) fn of_source(
        version: &Version,
        rows: &'a dyn RowSource,
        ids: Option<&[i64]>,
        own: &Ids,
        dimension: usize,
    ) -> Result<Self> {
        let (what, found) = ("rows to re-rank by", rows.columns());
        if found != dimension {
            return Err(Error::Dimension { what, expected: dimension, found });
        }
        let places = match ids {
            None => own.check_rows(rows.rows()).map(|()| None),
            Some(ids) => own.places(rows.rows(), ids).map(Some),
        };
        Ok(ExactRows { version: version.clone(), rows: Rows::From(Source { rows, places: places? }) })
    }

    pub(super) fn check(&self, version: &Version) -> Result<()> {
        self.version.check(version, "rows to re-rank by")
    }

    /// How they rank what a part of the index finds.
    pub(super) fn settling(&self, part: usize) -> Settling<'_> {
        match &self.rows {
            Rows::OnDevices(parts) => parts.get(part).map_or(Settling::Alone, Settling::By),
            Rows::From(_) => Settling::Later,
        }
    }

    pub(super) fn source(&self) -> Option<&Source<'a>> {
        match &self.rows {
            Rows::OnDevices(_) => None,
            Rows::From(source) => Some(source),
        }
    }
}

impl<K: Kind> VectorIndex<K> {
    /// Rows on the index's device to re-rank by: those that were added, in that order. For cosine, copies are normalised.
    ///
    /// An inverted file (IVF without an id map) does not tell the order in which its rows were added: an index that was
    /// read from one takes them in ascending order of their identifiers. Where those of a list do not ascend, that is
    /// certainly another order, and an error; [`VectorIndex::exact_rows_with_ids`] always does.
    ///
    /// # Errors
    /// [`Error::Length`] unless there are [`VectorIndex::ntotal`], [`Error::Parameter`] if the order is not known,
    /// [`Error::Dimension`], [`Error::NotFinite`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn exact_rows(&self, rows: ArrayView2<'_, f32>) -> Result<ExactRows<'static>> {
        rows::check_dimension("rows to re-rank by", rows, self.dimension())?;
        self.ids.check_rows(rows.nrows())?;
        Ok(ExactRows::of_parts(&self.version, vec![self.upload(rows)?]))
    }

    /// [`VectorIndex::exact_rows`] in any order, `ids` being their identifiers, one a row.
    ///
    /// ```
    /// use cellprobe::{Device, FlatIndex, Metric, Search};
    /// # fn main() -> cellprobe::Result<()> {
    /// let mut index = FlatIndex::new(&Device::auto(), 1, Metric::L2)?;
    /// index.add_with_ids(ndarray::array![[0.0], [1.0], [2.0]].view(), &[30, 10, 20])?;
    /// let exact = index.exact_rows_with_ids(ndarray::array![[1.0], [2.0], [0.0]].view(), &[10, 20, 30])?;
    /// let found = index.search_with(ndarray::array![[1.9]].view(), &Search::new(1).rerank(&exact, 2))?;
    /// assert_eq!(found.row(0)[0].id, 20);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`VectorIndex::exact_rows`]; [`Error::Length`], [`Error::DuplicateId`] or [`Error::Parameter`] for identifiers
    /// that are not the index's, each once.
    pub fn exact_rows_with_ids(&self, rows: ArrayView2<'_, f32>, ids: &[i64]) -> Result<ExactRows<'static>> {
        rows::check_dimension("rows to re-rank by", rows, self.dimension())?;
        let rows = self.ids.in_order(rows, ids)?;
        Ok(ExactRows::of_parts(&self.version, vec![self.upload(rows.view())?]))
    }

    /// Rows to re-rank by that stay where they are, and need not fit the device: those that were added, in that order, or in
    /// any order if `ids` are their identifiers, one a row.
    ///
    /// A search reads the rows of its candidates, in the order of `rows`, each once for all queries that go together: as
    /// many as take 256 MiB on the device with their candidates, beside as much for rows. What it finds, to the bit, is
    /// what it finds by [`VectorIndex::exact_rows`]. Once it searches, what reading fails with is its error.
    ///
    /// ```
    /// use cellprobe::{Device, Metric, PqIndex, Search, storage::VectorFile};
    /// use ndarray::{Array2, s};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let vectors = Array2::from_shape_fn((2000, 16), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("vectors.npy");
    /// # cellprobe::storage::write_vectors(&path, vectors.view(), false)?;
    /// let mut index = PqIndex::new(&Device::auto(), 16, 4, 4, Metric::L2)?;
    /// index.train(vectors.view())?;
    /// index.add(vectors.view())?;
    /// let file = VectorFile::open(&path)?;
    /// let exact = index.exact_rows_from(&file, None)?;
    /// let found = index.search_with(vectors.slice(s![..5, ..]), &Search::new(3).rerank(&exact, 100))?;
    /// assert_eq!(found.row(0)[0].score, 0.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::Length`] unless there are [`VectorIndex::ntotal`]; [`Error::Parameter`] if the order is
    /// not known; [`Error::Length`], [`Error::DuplicateId`] or [`Error::Parameter`] for identifiers that are not the
    /// index's, each once.
    pub fn exact_rows_from<'a>(&self, rows: &'a dyn RowSource, ids: Option<&[i64]>) -> Result<ExactRows<'a>> {
        ExactRows::of_source(&self.version, rows, ids, &self.ids, self.dimension())
    }

    /// What is found for `queries`, ranked by rows that lie elsewhere.
    pub(super) async fn ranked_by(
        &self,
        source: &Source<'_>,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
    ) -> Result<Merging> {
        let accepted = search.filter.map(Filter::on_one_device).transpose()?;
        let candidates = search.candidates().min(search.most(self.ntotal()));
        let part = OfPart { settling: Settling::Later, accepted };
        let mut found = Merging::new(queries.nrows(), candidates);
        found.add(0, self.begin(queries, search, part, candidates, CHUNK_BYTES)?.await?, |row| row);
        source.rank(&self.context, queries, search, &mut found, CHUNK_BYTES).await?;
        Ok(found)
    }
}

impl Source<'_> {
    /// Gives the candidates of `queries` their exact distances. Queries go in batches of at most `bytes` with all that they
    /// need, the rows of a batch's candidates in pieces of as much.
    pub(super) async fn rank(
        &self,
        context: &Context,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        found: &mut Merging,
        bytes: usize,
    ) -> Result<()> {
        let row_bytes = size_of::<f32>() * queries.ncols();
        let batch = (bytes / (row_bytes + 2 * size_of::<Ranked>() * found.candidates)).max(1);
        for (number, candidates) in found.queries.chunks_mut(batch).enumerate() {
            let first = number * batch;
            let queries = queries.slice(s![first..first + candidates.len(), ..]);
            let queries = uploaded(&context.device, context.metric, queries)?;
            candidates.par_iter_mut().for_each(|row| {
                row.retain(|one| one.row < self.rows.rows());
                row.sort_unstable_by_key(|one| self.place(one));
            });
            let mut places: Vec<usize> = candidates.par_iter().flatten_iter().map(|one| self.place(one)).collect();
            places.par_sort_unstable();
            places.dedup();
            for places in places.chunks((bytes / row_bytes).max(1)) {
                self.compare(context, &queries, search, candidates, places).await?;
            }
        }
        Ok(())
    }

    /// Compares queries with those of their candidates that lie at `places`, which ascend, as those of each query do.
    async fn compare(
        &self,
        context: &Context,
        queries: &DeviceArray<f32>,
        search: &Search<'_>,
        candidates: &mut [Vec<Candidate>],
        places: &[usize],
    ) -> Result<()> {
        search.watch.check()?;
        let values = picked(self.rows, places)?;
        let (expected, found) = (places.len() * queries.columns(), values.len());
        let rows = Array2::from_shape_vec((places.len(), queries.columns()), values);
        let rows = rows.map_err(|_| Error::Length { what: "numbers of rows", expected, found })?;
        let rows = uploaded(&context.device, context.metric, rows.view())?;
        let mut there: Vec<&mut [Candidate]> = candidates.par_iter_mut().map(|row| self.among(row, places)).collect();
        let columns = there.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
        let mut names = vec![Ranked::NONE; there.len() * columns];
        names.par_chunks_mut(columns).zip(&there).for_each(|(names, row)| {
            for (name, one) in names.iter_mut().zip(row.iter()) {
                *name = Ranked::new(0.0, places.partition_point(|&place| place < self.place(one)) as u32);
            }
        });
        let names = context.device.upload(names, columns)?;
        let mut work = context.device.work();
        search.watch.cancel.into_iter().for_each(|cancel| work.cancelled_by(cancel));
        let ranked = ops::rerank(&mut work, queries, &rows, None, &names, columns, context.metric)?;
        let mut ranked = work.read(ranked).await?;
        // In the order of their names again, which is that of the candidates. What has no distance, for it is no number, is
        // no neighbour.
        ranked.par_chunks_mut(columns).zip(&mut there).for_each(|(ranked, row)| {
            ranked.sort_unstable_by_key(|one| one.id());
            let mut ranked = ranked.iter().peekable();
            for one in row.iter_mut() {
                let name = places.partition_point(|&place| place < self.place(one)) as u32;
                one.exact = ranked.next_if(|ranked| ranked.id() == name).map_or(f32::NAN, |ranked| ranked.distance());
            }
        });
        Ok(())
    }

    /// The candidates that lie at `places`.
    fn among<'c>(&self, candidates: &'c mut [Candidate], places: &[usize]) -> &'c mut [Candidate] {
        let (first, last) = (places.first().copied().unwrap_or(0), places.last().copied().unwrap_or(0));
        let start = candidates.partition_point(|one| self.place(one) < first);
        let end = candidates.partition_point(|one| self.place(one) <= last);
        &mut candidates[start..end]
    }

    fn place(&self, candidate: &Candidate) -> usize {
        let place = self.places.as_ref().and_then(|places| places.get(candidate.row));
        place.map_or(candidate.row, |&place| place as usize)
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {} numbers", self.rows.rows(), self.rows.columns())
    }
}
