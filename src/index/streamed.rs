//! An index that is larger than the memory of the device that searches it.

use std::{fmt, ops::Range};

use ndarray::{Array2, ArrayView2};

use super::{
    FlatIndex, Index, Kind, Search,
    filter::{Filter, Version},
    flat::Flat,
    kind::Accepted,
    parts::{Merging, OfPart},
    range::Rounds,
};
use crate::{
    Device, Error, Metric, Neighbors, Result,
    device::{block_on, double_buffered},
    ops, rows,
    storage::RowSource,
};

/// An index in the host's memory, or the rows of a file, searched on a device that need not have room for it. It finds
/// what the same index finds there in memory, to the bit.
///
/// It lies in pieces: of rows, or of whole lists (a list that is larger than a piece goes in several). Each search puts
/// one after the other on the device, the next one while the device is at work on the one before, and merges what they
/// find by (distance, identifier). So it moves the whole index once, however many queries there are: search for many at
/// a time. Each piece is one submission and one read-back a batch of queries, and another submission for codes, which
/// the device puts in order. [`Device::counters`] counts all of that.
///
/// `memory` is for all of it: a third each for a piece, the next one, and a batch of queries with what it needs; a batch
/// is one query at least. The host reads, copies and converts a piece while the device computes; wgpu has one queue, on
/// which transfers take turns with kernels. An index of parts takes as much host memory again while it is divided.
///
/// Candidates cannot be re-ranked here. A filter adds, for a search of rows, what it accepts of a piece to `memory`, and a
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
    device: Device,
    dimension: usize,
    metric: Metric,
    ntotal: usize,
    /// Bytes of a batch of queries.
    batch: usize,
    pieces: Pieces<'a>,
    version: Version,
}

/// What goes to the device piece by piece.
enum Pieces<'a> {
    /// Parts of an index, on the CPU.
    Parts(Vec<Index>),
    /// Rows, so many a piece.
    Rows(&'a dyn RowSource, usize),
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
        let pieces = Pieces::Rows(source, per_piece);
        Ok(StreamedIndex {
            device: device.clone(),
            dimension,
            metric,
            ntotal: source.rows(),
            batch,
            pieces,
            version: Version::default(),
        })
    }

    /// `index` for search on `device` within `memory` bytes.
    pub(super) async fn of(index: &Index, device: &Device, memory: u64) -> Result<Self> {
        if !index.is_trained() {
            return Err(Error::NotTrained { what: index.name() });
        }
        let (fixed, row) = index.bytes_on_device();
        let (per_piece, batch) = shares(memory, fixed, row)?;
        let mut parts = vec![];
        match index.rows_in_lists().await? {
            None => {
                for first in (0..index.ntotal()).step_by(per_piece) {
                    let rows = first as u32..(first + per_piece).min(index.ntotal()) as u32;
                    parts.push(part(index, rows.collect()).await?);
                }
            }
            Some((offsets, rows)) => {
                for stretch in stretches(&offsets, per_piece) {
                    parts.push(part(index, rows[stretch].to_vec()).await?);
                }
            }
        }
        let (dimension, metric, ntotal) = (index.dimension(), index.metric(), index.ntotal());
        let (pieces, version) = (Pieces::Parts(parts), Version::default());
        Ok(StreamedIndex { device: device.clone(), dimension, metric, ntotal, batch, pieces, version })
    }

    /// The device that searches it.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Number of rows.
    #[must_use]
    pub fn ntotal(&self) -> usize {
        self.ntotal
    }

    /// How many pieces go to the device one after the other.
    #[must_use]
    pub fn pieces(&self) -> usize {
        match &self.pieces {
            Pieces::Parts(parts) => parts.len(),
            Pieces::Rows(source, per_piece) => source.rows().div_ceil(*per_piece),
        }
    }

    /// A filter for searches that may find only rows whose identifiers `accepts`, a bit a row in the host's memory: see
    /// [`VectorIndex::filter`](super::VectorIndex::filter).
    #[must_use]
    pub fn filter(&self, mut accepts: impl FnMut(i64) -> bool) -> Filter {
        let pieces = match &self.pieces {
            Pieces::Parts(parts) => parts.iter().map(|part| part.accepting(&mut accepts)).collect(),
            Pieces::Rows(source, per_piece) => {
                let firsts = (0..source.rows()).step_by(*per_piece);
                let rows = |first| {
                    ops::mask_words(*per_piece.min(&(source.rows() - first)), |row| accepts((first + row) as i64))
                };
                firsts.map(rows).collect()
            }
        };
        Filter::of_pieces(&self.version, self.ntotal, pieces)
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
    /// As [`VectorIndex::search_with`](super::VectorIndex::search_with), and what reading rows fails with;
    /// [`Error::Parameter`] for a search that re-ranks.
    pub fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        block_on(self.search_with_async(queries, search))
    }

    /// [`StreamedIndex::search_with`], which reads as it goes, without blocking for the device.
    ///
    /// # Errors
    /// As [`StreamedIndex::search_with`].
    pub async fn search_with_async(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        if search.rerank.is_some() {
            let expected = "none: take more neighbours, and compare their rows";
            return Err(Error::parameter("rows to re-rank by of a streamed index", "given", expected));
        }
        search.check(&self.version)?;
        rows::check_dimension("queries", queries, self.dimension)?;
        let Some(mut rounds) = Rounds::new(search, queries.nrows(), self.ntotal, self.metric) else {
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
        let candidates = search.k.min(search.most(self.ntotal));
        let mut merging = Merging::new(queries.nrows(), candidates);
        // Without queries, or rows to find, nothing has to be moved.
        let pieces = if queries.nrows() == 0 || candidates == 0 { 0 } else { self.pieces() };
        let mut done = 0;
        double_buffered(
            pieces,
            |number| self.piece(number, search, accepted.and_then(|accepted| accepted.get(number))),
            |_, (piece, accepted): &(Index, Option<Accepted>)| {
                let part = OfPart { exact: None, accepted: accepted.as_ref() };
                piece.begin(queries, search, part, candidates, self.batch)
            },
            |found| {
                merging.add(0, found);
                done += 1;
                search.watch.tell(done, pieces);
            },
        )
        .await?;
        let mut neighbors = Neighbors::new(search.k, self.metric);
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
        let piece = self.piece_of_rows(number).await?;
        let accepted = words.map(|words| piece.accepted(words.clone())).transpose()?;
        Ok((piece, accepted))
    }

    async fn piece_of_rows(&self, number: usize) -> Result<Index> {
        match &self.pieces {
            Pieces::Parts(parts) => parts[number].to_device_async(&self.device).await,
            Pieces::Rows(source, per_piece) => {
                let first = number * per_piece;
                let end = (first + per_piece).min(source.rows());
                let values = source.read(first..end)?;
                let found = values.len();
                let rows = Array2::from_shape_vec((end - first, self.dimension), values).map_err(|_| {
                    Error::Length { what: "numbers of rows", expected: (end - first) * self.dimension, found }
                })?;
                let ids: Vec<i64> = (first as i64..end as i64).collect();
                let mut index = FlatIndex::new(&self.device, self.dimension, self.metric)?;
                index.add_async(rows.view(), Some(&ids)).await?;
                Ok(Index::Flat(index))
            }
        }
    }
}

/// The part of an index that has these rows, on the CPU.
async fn part(index: &Index, mut rows: Vec<u32>) -> Result<Index> {
    rows.sort_unstable();
    index.selected(&rows).await?.to_device_async(&Device::cpu()).await
}

/// Rows of a piece and bytes of a batch of queries, where `fixed` bytes go with each piece.
fn shares(memory: u64, fixed: usize, row: usize) -> Result<(usize, usize)> {
    let share = usize::try_from(memory / 3).unwrap_or(usize::MAX);
    match share.saturating_sub(fixed) / row {
        0 => Err(Error::Limit { limit: "bytes of memory", allowed: memory, asked: 3 * (fixed + row) as u64 }),
        rows => Ok((rows, share)),
    }
}

/// Stretches of at most `most` entries: whole lists, as many as go together, and parts of lists that are larger.
fn stretches(offsets: &[u32], most: usize) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = vec![];
    for list in offsets.windows(2) {
        let (start, end) = (list[0] as usize, list[1] as usize);
        match all.last_mut() {
            Some(last) if end - last.start <= most => last.end = end,
            _ => all.extend((start..end).step_by(most).map(|first| first..(first + most).min(end))),
        }
    }
    all
}

impl fmt::Debug for StreamedIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.pieces {
            Pieces::Parts(parts) => parts.first().map_or("index", Index::name),
            Pieces::Rows(..) => Flat::NAME,
        };
        let StreamedIndex { ntotal, dimension, metric, device, .. } = self;
        let pieces = self.pieces();
        write!(f, "{name} of {ntotal} rows of {dimension} numbers, {metric}, in {pieces} pieces for {device}")
    }
}

#[cfg(test)]
mod tests {
    use super::stretches;

    #[test]
    fn pieces_are_whole_lists_but_for_those_that_are_larger() {
        assert_eq!(stretches(&[0, 2, 2, 5, 6, 16, 17, 18], 5), [0..5, 5..6, 6..11, 11..16, 16..18]);
        assert_eq!(stretches(&[0, 7], 3), [0..3, 3..6, 6..7]);
        assert!(stretches(&[0, 0, 0], 3).is_empty());
        assert_eq!(stretches(&[0, 1, 2, 3], 1), [0..1, 1..2, 2..3]);
    }
}
