//! An index that is larger than the memory of the device that searches it.

use std::fmt;

use ndarray::{Array2, ArrayView2};

use super::{
    Context, ExactRows, Index, Search,
    exact::Settling,
    filter::{Filter, Version},
    ids::Ids,
    kind::Accepted,
    parts::{Merging, OfPart},
    pieces::Pieces,
    range::Rounds,
};
use crate::{
    Device, Error, Metric, Neighbors, Result,
    device::{block_on, double_buffered},
    rows,
    storage::RowSource,
};

/// An index in the host's memory, or the rows of a file, searched on a device that need not have room for it. It finds
/// what the same index finds there in memory, to the bit.
///
/// It lies in pieces: of rows, or of whole lists (a list that is larger than a piece goes in several). Each search puts
/// one after the other on the device, the next one while the device is at work on the one before, and merges what they
/// find by (distance, identifier). So it moves the whole index once, however many queries there are: search for many at
/// a time. Pieces without a list that a query visits stay where they are, and those without a row that a filter accepts.
///
/// Each piece is one submission and one read-back a batch of queries, and another submission for codes, which the device
/// puts in order; finding out which lists are visited, where not all are, is one of each a batch as well.
/// [`Device::counters`] counts all of that.
///
/// `memory` is for all of it: a third each for a piece, the next one, and a batch of queries with what it needs; a batch
/// is one query at least. The host reads, copies and converts a piece while the device computes; wgpu has one queue, on
/// which transfers take turns with kernels. An index of parts takes as much host memory again while it is divided.
///
/// Candidates are re-ranked by rows that need not fit the device either: see [`StreamedIndex::exact_rows_from`]. A filter
/// adds, for a search of rows, what it accepts of a piece to `memory`, and a
/// submission a piece for one of lists; a search within a radius moves the index again as often as it looks for more.
///
/// ```
/// use cellprobe::{Device, Index, Metric, Search, StreamedIndex, storage::VectorFile};
/// use ndarray::{Array2, s};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vectors = Array2::from_shape_fn((2000, 16), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
/// let mut index = Index::new(&Device::cpu(), 16, "IVF16,PQ4", Metric::L2)?;
/// index.train(vectors.view())?;
/// index.add(vectors.view())?;
/// let device = Device::auto();
/// let streamed = index.streamed_to(&device, 64 << 20)?;
/// let neighbors = streamed.search_with(vectors.slice(s![..5, ..]), &Search::new(3).nprobe(4))?;
/// assert_eq!(neighbors.row(0).len(), 3);
///
/// // The rows of a file, exactly.
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vectors.npy");
/// # cellprobe::storage::write_vectors(&path, vectors.view(), false)?;
/// let file = VectorFile::open(&path)?;
/// let streamed = StreamedIndex::of_rows(&file, Metric::L2, &device, 64 << 20)?;
/// assert_eq!(streamed.search(vectors.slice(s![..1, ..]), 1)?.row(0)[0].id, 0);
/// # Ok(())
/// # }
/// ```
pub struct StreamedIndex<'a> {
    context: Context,
    ids: Ids,
    /// Bytes of a batch of queries.
    batch: usize,
    pieces: Pieces<'a>,
    version: Version,
}

impl<'a> StreamedIndex<'a> {
    /// The rows of `source`, which are numbered from 0 on, for exact search on `device` within `memory` bytes.
    ///
    /// # Errors
    /// [`Error::Empty`] for rows of no columns, [`Error::Limit`] for a `memory` that a row alone takes.
    pub fn of_rows(source: &'a dyn RowSource, metric: Metric, device: &Device, memory: u64) -> Result<Self> {
        let dimension = source.columns();
        if dimension == 0 {
            return Err(Error::Empty { what: "rows" });
        }
        let (per_piece, batch) = shares(memory, 0, size_of::<f32>() * dimension)?;
        let context = Context { device: device.clone(), dimension, metric };
        let (ids, pieces) = (Ids::numbered(source.rows()), Pieces::Rows(source, per_piece));
        Ok(StreamedIndex { context, ids, batch, pieces, version: Version::default() })
    }

    /// `index` for search on `device` within `memory` bytes, or as many as it has.
    pub(super) async fn of(index: &Index, device: &Device, memory: Option<u64>) -> Result<Self> {
        if !index.is_trained() {
            return Err(Error::NotTrained { what: index.name() });
        }
        if let Some(memory) = memory {
            return Self::within(index, device, memory).await;
        }
        let (fixed, row) = index.bytes_on_device();
        let bytes = |rows: usize| 3 * fixed as u64 + row as u64 * rows as u64;
        let (least, mut memory) = (bytes(3), bytes(index.ntotal().max(1).next_multiple_of(3)));
        loop {
            let streamed = Self::within(index, device, memory).await?;
            match streamed.fit().await {
                Ok(()) => return Ok(streamed),
                Err(error) if error.exceeds(device.name()) && memory / 2 >= least => memory /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Fails unless the two largest pieces can be searched beside a batch of queries.
    async fn fit(&self) -> Result<()> {
        let Context { device, dimension, .. } = &self.context;
        let room = device.room(self.batch)?;
        let mut pieces = vec![];
        for number in self.pieces.largest(2) {
            pieces.push(self.pieces.load(number, &self.context).await?);
        }
        let (query, search) = (Array2::zeros((1, *dimension)), Search::new(1).nprobe(usize::MAX));
        for piece in &pieces {
            let part = OfPart { settling: Settling::Alone, accepted: None };
            piece.begin(query.view(), &search, part, 1, self.batch)?.await?;
        }
        drop(room);
        Ok(())
    }

    async fn within(index: &Index, device: &Device, memory: u64) -> Result<Self> {
        let (fixed, row) = index.bytes_on_device();
        let (per_piece, batch) = shares(memory, fixed, row)?;
        let (dimension, metric) = (index.dimension(), index.metric());
        let context = Context { device: device.clone(), dimension, metric };
        let (ids, pieces) = (index.ids().clone(), Pieces::of(index, per_piece).await?);
        Ok(StreamedIndex { context, ids, batch, pieces, version: Version::default() })
    }

    /// The device that searches it.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.context.device
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.context.dimension
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

    /// How many pieces go to the device one after the other.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.count()
    }

    /// Rows to re-rank by that stay where they are: those of the index in its order, or in any order if `ids` are their
    /// identifiers, one a row.
    ///
    /// A search finds all its candidates first, and then reads their rows, in the order of `rows`, each once for the queries
    /// that go together: a third of the memory is for these, and a third for rows. It finds, to the bit, what the index finds
    /// in memory and by rows there.
    ///
    /// ```
    /// use cellprobe::{Device, Index, Metric, Search};
    /// use ndarray::{Array2, s};
    /// # fn main() -> cellprobe::Result<()> {
    /// let vectors = Array2::from_shape_fn((2000, 16), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
    /// let mut index = Index::new(&Device::cpu(), 16, "IVF16,PQ4", Metric::L2)?;
    /// index.train(vectors.view())?;
    /// index.add(vectors.view())?;
    /// let streamed = index.streamed_to(&Device::auto(), 1 << 20)?;
    /// // Or a file, as a `VectorFile`.
    /// let rows = vectors.view();
    /// let exact = streamed.exact_rows_from(&rows, None)?;
    /// let search = Search::new(3).nprobe(4).rerank(&exact, 10);
    /// let neighbors = streamed.search_with(vectors.slice(s![..5, ..]), &search)?;
    /// assert_eq!(neighbors.row(0)[0].score, 0.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`VectorIndex::exact_rows_from`](super::VectorIndex::exact_rows_from).
    pub fn exact_rows_from<'r>(&self, rows: &'r dyn RowSource, ids: Option<&[i64]>) -> Result<ExactRows<'r>> {
        ExactRows::of_source(&self.version, rows, ids, &self.ids, self.dimension())
    }

    /// A filter for searches that may find only rows whose identifiers `accepts`, a bit a row in the host's memory: see
    /// [`VectorIndex::filter`](super::VectorIndex::filter).
    #[must_use]
    pub fn filter(&self, accepts: impl FnMut(i64) -> bool) -> Filter {
        Filter::of_pieces(&self.version, self.ntotal(), self.pieces.accepting(accepts))
    }

    /// The `k` nearest rows of each query.
    ///
    /// # Errors
    /// As [`VectorIndex::search`](super::VectorIndex::search), and what reading rows fails with.
    pub fn search(&self, queries: ArrayView2<'_, f32>, k: usize) -> Result<Neighbors> {
        self.search_with(queries, &Search::new(k))
    }

    /// The nearest rows of each query, as `search` says. What cancels it does so between pieces and batches of queries.
    ///
    /// # Errors
    /// As [`VectorIndex::search_with`](super::VectorIndex::search_with), and what reading rows fails with.
    pub fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        block_on(self.search_with_async(queries, search))
    }

    /// [`StreamedIndex::search_with`], which reads as it goes, without blocking for the device.
    ///
    /// # Errors
    /// As [`StreamedIndex::search_with`].
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
        let accepted = search.filter.map(|filter| filter.words(self.pieces())).transpose()?;
        let candidates = search.candidates().min(search.most(self.ntotal()));
        let mut merging = Merging::new(queries.nrows(), candidates);
        // Without queries, or rows to find, nothing has to be moved.
        let pieces = match queries.nrows().min(candidates) {
            0 => vec![],
            _ => self.pieces.wanted(&self.context, queries, search, accepted, self.batch).await?,
        };
        let source = search.source();
        let steps = pieces.len() + usize::from(source.is_some());
        let mut done = 0;
        double_buffered(
            pieces.len(),
            |step| self.piece(pieces[step], search, accepted.and_then(|accepted| accepted.get(pieces[step]))),
            |_, (piece, accepted): &(Index, Option<Accepted>)| {
                let part = OfPart { settling: search.settling(0), accepted: accepted.as_ref() };
                piece.begin(queries, search, part, candidates, self.batch)
            },
            |found| {
                merging.add(0, found, |row| self.pieces.row(pieces[done], row));
                done += 1;
                search.watch.tell(done, steps);
            },
        )
        .await?;
        if let Some(source) = source {
            source.rank(&self.context, queries, search, &mut merging, self.batch).await?;
            search.watch.tell(steps, steps);
        }
        let mut neighbors = Neighbors::new(search.k, self.metric());
        merging.finish(&mut neighbors);
        Ok(neighbors)
    }

    /// A piece on the device, and what of it may be found.
    async fn piece(
        &self,
        number: usize,
        search: &Search<'_>,
        words: Option<&Vec<u32>>,
    ) -> Result<(Index, Option<Accepted>)> {
        search.watch.check()?;
        let piece = self.pieces.load(number, &self.context).await?;
        let accepted = words.map(|words| piece.accepted(words.clone())).transpose()?;
        Ok((piece, accepted))
    }
}

/// Rows of a piece and bytes of a batch of queries, where `fixed` bytes go with each piece.
fn shares(memory: u64, fixed: usize, row: usize) -> Result<(usize, usize)> {
    let share = usize::try_from(memory / 3).unwrap_or(usize::MAX);
    match share.saturating_sub(fixed) / row {
        0 => Err(Error::Limit { limit: "bytes of memory", allowed: memory, asked: 3 * (fixed + row) as u64 }),
        rows => Ok((rows, share)),
    }
}

impl fmt::Debug for StreamedIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, ntotal, pieces) = (self.pieces.name(), self.ntotal(), self.pieces());
        let Context { device, dimension, metric } = &self.context;
        write!(f, "{name} of {ntotal} rows of {dimension} numbers, {metric}, in {pieces} pieces for {device}")
    }
}
