//! Which rows a search may find.

use std::sync::Arc;

use super::{Kind, VectorIndex, kind::Accepted};
use crate::{Error, Result, ops, storage::faiss::DirectMap};

/// Tells rows of an index from those after some came or went, and from another index's.
#[derive(Clone, Debug, Default)]
pub(super) struct Version(Arc<()>);

impl Version {
    /// Fails unless the rows are those of `now`, for which the parameter `name` must have been made.
    pub(super) fn check(&self, now: &Version, name: &'static str) -> Result<()> {
        if Arc::ptr_eq(&self.0, &now.0) {
            return Ok(());
        }
        let expected = "what this index made since its rows came or went last";
        Err(Error::parameter(name, "of another index or of other rows", expected))
    }
}

/// Which rows of an index a search may find: see [`VectorIndex::filter`](super::VectorIndex::filter). FAISS calls it
/// `IDSelector`.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of the rows that it is for.
    version: Version,
    ntotal: usize,
    accepted: usize,
    parts: Parts,
}

/// What the parts of an index accept.
#[derive(Clone, Debug)]
enum Parts {
    /// On their devices.
    Here(Vec<Accepted>),
    /// Not there yet: a bit for each row.
    Words(Vec<Vec<u32>>),
}

impl Filter {
    /// Number of rows that it accepts.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// Number of rows of the index that it is for.
    #[must_use]
    pub fn ntotal(&self) -> usize {
        self.ntotal
    }

    /// For parts on their devices.
    pub(super) fn of_parts(version: &Version, ntotal: usize, accepted: usize, parts: Vec<Accepted>) -> Self {
        Filter { version: version.clone(), ntotal, accepted, parts: Parts::Here(parts) }
    }

    /// For parts that are not on a device yet.
    pub(super) fn of_pieces(version: &Version, ntotal: usize, pieces: Vec<Vec<u32>>) -> Self {
        let accepted = pieces.iter().map(|words| count(words)).sum();
        Filter { version: version.clone(), ntotal, accepted, parts: Parts::Words(pieces) }
    }

    /// What each of so many parts, on their devices, accepts.
    pub(super) fn on_devices(&self, parts: usize) -> Result<&[Accepted]> {
        match &self.parts {
            Parts::Here(here) if here.len() == parts => Ok(here),
            _ => Err(Error::OtherDevice { what: "a filter" }),
        }
    }

    /// What an index on one device accepts.
    pub(super) fn on_one_device(&self) -> Result<&Accepted> {
        Ok(&self.on_devices(1)?[0])
    }

    /// What each of so many parts accepts, none of them on a device yet.
    pub(super) fn words(&self, parts: usize) -> Result<&[Vec<u32>]> {
        match &self.parts {
            Parts::Words(words) if words.len() == parts => Ok(words),
            _ => Err(Error::OtherDevice { what: "a filter" }),
        }
    }

    /// Fails unless it is for these rows.
    pub(super) fn check(&self, version: &Version) -> Result<()> {
        self.version.check(version, "filter")
    }
}

/// How many bits are set.
pub(super) fn count(words: &[u32]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

impl<K: Kind> VectorIndex<K> {
    /// A filter for searches that may find only rows whose identifiers `accepts`: see [`Search::filter`].
    ///
    /// It is made once, on the index's device, for any number of searches, which then find the nearest of the accepted
    /// rows, `k` of them if there are as many in the lists that they visit. It takes a bit a row there; for a
    /// [`FlatIndex`] 4 bytes a row, and as many for each row that is accepted. Once rows come or go it is an error to search
    /// with it. Where few rows are accepted and searched for often, [removing](Self::remove) the others from a clone of the
    /// index makes searches of codes faster as well.
    ///
    /// A filtered search of a [`FlatIndex`] on a GPU reads the rows in place or copies those accepted, as these are many or
    /// few: scores may then differ in the last bits from those of a search without a filter, and so may those of an index in
    /// parts from those of one.
    ///
    /// ```
    /// use cellprobe::{Device, FlatIndex, Metric, Search};
    /// # fn main() -> cellprobe::Result<()> {
    /// let mut index = FlatIndex::new(&Device::auto(), 1, Metric::L2)?;
    /// index.add_with_ids(ndarray::array![[0.0], [1.0], [2.0]].view(), &[10, 11, 12])?;
    /// let even = index.filter(|id| id % 2 == 0)?;
    /// let found = index.search_with(ndarray::array![[1.1]].view(), &Search::new(3).filter(&even))?;
    /// let ids: Vec<i64> = found.row(0).iter().map(|neighbor| neighbor.id).collect();
    /// assert_eq!(ids, [12, 10]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::OutOfMemory`], [`Error::DeviceLost`]; [`Error::Limit`] for more rows than a binding has
    /// numbers of.
    ///
    /// [`Search::filter`]: super::Search::filter
    /// [`FlatIndex`]: super::FlatIndex
    pub fn filter(&self, accepts: impl FnMut(i64) -> bool) -> Result<Filter> {
        if !self.is_trained() {
            return Err(Error::NotTrained { what: K::NAME });
        }
        let words = self.accepting(accepts);
        Ok(Filter::of_parts(&self.version, self.ntotal(), count(&words), vec![self.accepted(words)?]))
    }

    /// A bit for each row.
    pub(super) fn accepting(&self, mut accepts: impl FnMut(i64) -> bool) -> Vec<u32> {
        ops::mask_words(self.ntotal(), |row| accepts(self.ids.of(row as u32)))
    }

    /// Bits of rows as searches take them.
    pub(super) fn accepted(&self, words: Vec<u32>) -> Result<Accepted> {
        self.kind.accepted(&self.context, words, self.ntotal())
    }

    /// Removes the rows whose identifiers `removes`; the others keep theirs and their order. Gives how many it removed.
    ///
    /// What stays is put together anew, which takes as much memory again. Rows added later without identifiers are numbered
    /// on as if nothing had been removed; an index that was written and read again does not know what was, and numbers them
    /// on from the largest identifier left.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. The index is then as it was.
    pub fn remove(&mut self, removes: impl FnMut(i64) -> bool) -> Result<usize> {
        crate::device::block_on(self.remove_async(removes))
    }

    /// [`VectorIndex::remove`] without blocking.
    ///
    /// # Errors
    /// As [`VectorIndex::remove`].
    pub async fn remove_async(&mut self, mut removes: impl FnMut(i64) -> bool) -> Result<usize> {
        let before = self.ntotal();
        let stay: Vec<u32> = (0..before as u32).filter(|&row| !removes(self.ids.of(row))).collect();
        if stay.len() < before {
            let ids = self.ids.remaining(&stay);
            let mut form = self.form.clone();
            form.direct_map = DirectMap::None;
            *self = VectorIndex { ids, form, ..self.selected(&stay).await? };
        }
        Ok(before - stay.len())
    }
}
