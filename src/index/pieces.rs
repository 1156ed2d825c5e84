//! What goes to a device piece by piece.

use std::{cmp::Reverse, ops::Range};

use ndarray::{Array2, ArrayView2};

use super::{Context, FlatIndex, Index, Kind, Search, flat::Flat};
use crate::{Device, Error, Result, ops, storage::RowSource};

/// What goes to a device piece by piece.
pub(super) enum Pieces<'a> {
    /// Of an index; and the same without rows, on the CPU, if it has lists.
    Parts(Vec<Part>, Option<Box<Index>>),
    /// Rows, so many a piece.
    Rows(&'a dyn RowSource, usize),
}

/// A part of an index.
pub(super) struct Part {
    /// On the CPU.
    index: Index,
    /// Its rows, which ascend, as the whole index numbers them.
    rows: Vec<u32>,
    /// The lists that have its rows, if there are lists.
    lists: Range<usize>,
}

impl Pieces<'_> {
    /// Of at most `most` rows of an index, or of whole lists if they have as many.
    pub(super) async fn of(index: &Index, most: usize) -> Result<Self> {
        let mut parts = vec![];
        let Some((offsets, rows)) = index.rows_in_lists().await? else {
            for first in (0..index.ntotal()).step_by(most) {
                let rows = first as u32..(first + most).min(index.ntotal()) as u32;
                parts.push(Part::of(index, rows.collect(), 0..0).await?);
            }
            return Ok(Pieces::Parts(parts, None));
        };
        for stretch in stretches(&offsets, most) {
            let lists = lists_of(&offsets, &stretch);
            parts.push(Part::of(index, rows[stretch].to_vec(), lists).await?);
        }
        let without_rows = Part::of(index, vec![], 0..0).await?.index;
        Ok(Pieces::Parts(parts, Some(Box::new(without_rows))))
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Pieces::Parts(parts, _) => parts.len(),
            Pieces::Rows(source, most) => source.rows().div_ceil(*most),
        }
    }

    /// The numbers of so many of its largest pieces.
    pub(super) fn largest(&self, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.count()).collect();
        if let Pieces::Parts(parts, _) = self {
            numbers.sort_by_key(|&number| Reverse(parts[number].rows.len()));
        }
        numbers.truncate(count);
        numbers
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Pieces::Parts(parts, _) => parts.first().map_or("index", |part| part.index.name()),
            Pieces::Rows(..) => Flat::NAME,
        }
    }

    /// A bit for each row of each piece.
    pub(super) fn accepting(&self, mut accepts: impl FnMut(i64) -> bool) -> Vec<Vec<u32>> {
        match self {
            Pieces::Parts(parts, _) => parts.iter().map(|part| part.index.accepting(&mut accepts)).collect(),
            Pieces::Rows(source, most) => {
                let rows =
                    |first| ops::mask_words((*most).min(source.rows() - first), |row| accepts((first + row) as i64));
                (0..source.rows()).step_by(*most).map(rows).collect()
            }
        }
    }

    /// The number in the index of a row of a piece; none of its own for a row that there is not.
    pub(super) fn row(&self, number: usize, row: usize) -> usize {
        match self {
            Pieces::Parts(parts, _) => {
                let rows = parts.get(number).map(|part| &part.rows);
                rows.and_then(|rows| rows.get(row)).map_or(usize::MAX, |&row| row as usize)
            }
            Pieces::Rows(_, most) => (number * most).saturating_add(row),
        }
    }

    /// The pieces in which a search may find something: that have lists that queries visit, and rows that it accepts.
    pub(super) async fn wanted(
        &self,
        context: &Context,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        accepted: Option<&[Vec<u32>]>,
        batch: usize,
    ) -> Result<Vec<usize>> {
        let accepts = |number: usize| {
            let words = accepted.and_then(|accepted| accepted.get(number));
            words.is_none_or(|words| words.iter().any(|&word| word > 0))
        };
        let mut numbers: Vec<usize> = (0..self.count()).filter(|&number| accepts(number)).collect();
        if let Pieces::Parts(parts, Some(without_rows)) = self
            && let Some((nlist, nprobe)) = without_rows.lists()
            && numbers.len() > 1
            && search.nprobe.unwrap_or(nprobe) < nlist
        {
            let without_rows = without_rows.to_device_async(&context.device).await?;
            let visited = without_rows.visited(queries, search, batch, nlist).await?;
            numbers.retain(|&number| visited[parts[number].lists.clone()].contains(&true));
        }
        Ok(numbers)
    }

    /// A piece on the device.
    pub(super) async fn load(&self, number: usize, context: &Context) -> Result<Index> {
        match self {
            Pieces::Parts(parts, _) => parts[number].index.to_device_async(&context.device).await,
            Pieces::Rows(source, most) => {
                let first = number * most;
                let end = (first + most).min(source.rows());
                let rows = read(*source, first..end)?;
                let ids: Vec<i64> = (first as i64..end as i64).collect();
                let mut index = FlatIndex::new(&context.device, context.dimension, context.metric)?;
                index.add_async(rows.view(), Some(&ids)).await?;
                Ok(Index::Flat(index))
            }
        }
    }
}

impl Part {
    /// These rows of an index, which lie in these lists.
    async fn of(index: &Index, mut rows: Vec<u32>, lists: Range<usize>) -> Result<Self> {
        rows.sort_unstable();
        Ok(Part { index: index.selected(&rows).await?.to_device_async(&Device::cpu()).await?, rows, lists })
    }
}

fn read(source: &dyn RowSource, rows: Range<usize>) -> Result<Array2<f32>> {
    let shape = (rows.len(), source.columns());
    let values = source.read(rows)?;
    let (expected, found) = (shape.0 * shape.1, values.len());
    Array2::from_shape_vec(shape, values).map_err(|_| Error::Length { what: "numbers of rows", expected, found })
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

/// The lists from that of the first entry of a stretch to that of its last.
fn lists_of(offsets: &[u32], stretch: &Range<usize>) -> Range<usize> {
    let first = offsets.partition_point(|&offset| offset as usize <= stretch.start).saturating_sub(1);
    first..offsets.partition_point(|&offset| (offset as usize) < stretch.end)
}

#[cfg(test)]
mod tests {
    use super::{lists_of, stretches};

    #[test]
    fn pieces_know_their_lists() {
        let offsets = [0, 0, 2, 2, 5, 16, 16];
        let lists = [(0..2, 1..2), (0..5, 1..4), (2..5, 3..4), (3..7, 3..5), (6..11, 4..5), (11..16, 4..5)];
        for (stretch, lists) in lists {
            assert_eq!(lists_of(&offsets, &stretch), lists, "{stretch:?}");
        }
    }

    #[test]
    fn pieces_are_whole_lists_but_for_those_that_are_larger() {
        assert_eq!(stretches(&[0, 2, 2, 5, 6, 16, 17, 18], 5), [0..5, 5..6, 6..11, 11..16, 16..18]);
        assert_eq!(stretches(&[0, 7], 3), [0..3, 3..6, 6..7]);
        assert!(stretches(&[0, 0, 0], 3).is_empty());
        assert_eq!(stretches(&[0, 1, 2, 3], 1), [0..1, 1..2, 2..3]);
    }
}
