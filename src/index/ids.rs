//! The callers' identifiers of rows.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};

use crate::{Error, Result};

/// The identifiers of an index's rows, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ids {
    count: usize,
    /// Rows removed so far, whose numbers are not given anew.
    removed: usize,
    /// None while each row's identifier is its number.
    given: Option<Vec<i64>>,
    /// Whether the rows were certainly added in another order.
    reordered: bool,
}

impl Ids {
    /// Those of `count` rows that are numbered.
    pub(super) fn numbered(count: usize) -> Self {
        Ids { count, ..Ids::default() }
    }

    /// Identifiers as a file has them, in the order of its rows.
    pub(super) fn from_rows(ids: Vec<i64>) -> Self {
        let count = ids.len();
        let numbered = ids.iter().enumerate().all(|(row, &id)| id == row as i64);
        let given = if numbered { None } else { Some(ids) };
        Ids { count, given, ..Ids::default() }
    }

    /// Identifiers of entries of lists of these sizes, in any order, and each entry's row: the identifiers ascend with the
    /// rows. Lists grow at their ends, so that rows were added in another order if those of a list do not ascend.
    pub(super) fn from_entries(ids: &[i64], sizes: &[usize]) -> (Self, Vec<u32>) {
        let order = ascending(ids);
        let mut rows = vec![0; ids.len()];
        order.iter().enumerate().for_each(|(row, &entry)| rows[entry as usize] = row as u32);
        let mut left = ids;
        let mut list_ascends = |&size: &usize| {
            let (list, rest) = left.split_at(size.min(left.len()));
            left = rest;
            list.is_sorted()
        };
        let reordered = !sizes.iter().all(&mut list_ascends);
        let ids = Self::from_rows(order.iter().map(|&entry| ids[entry as usize]).collect());
        (Ids { reordered, ..ids }, rows)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// With `count` more rows, which have the identifiers `ids` or else are [numbered on](Ids::numbered_on).
    pub(super) fn extended(&self, count: usize, ids: Option<&[i64]>) -> Result<Self> {
        let total = self.count + count;
        check_count(total)?;
        if ids.is_none() && self.given.is_none() && self.removed == 0 {
            return Ok(Ids { count: total, ..self.clone() });
        }
        let new = match ids {
            Some(ids) if ids.len() != count => {
                return Err(Error::Length { what: "ids", expected: count, found: ids.len() });
            }
            Some(ids) => ids.to_vec(),
            None => self.numbered_on(count)?.collect(),
        };
        if let Some(negative) = new.iter().find(|&&id| id < 0) {
            return Err(Error::parameter("id", negative, "0 or above"));
        }
        // What was there before need not be so: a file may hold other identifiers.
        let mut sorted = new.clone();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let mut before = (0..self.count as u32).map(|row| self.of(row));
        if let Some(id) = twice.or_else(|| before.find(|id| sorted.binary_search(id).is_ok())) {
            return Err(Error::DuplicateId { id });
        }
        let all = (0..self.count as u32).map(|row| self.of(row)).chain(new).collect();
        Ok(Ids { removed: self.removed, reordered: self.reordered, ..Self::from_rows(all) })
    }

    /// Fails unless `count` rows in the order in which they were added can be the rows, in theirs.
    pub(super) fn check_rows(&self, count: usize) -> Result<()> {
        if count != self.count {
            return Err(Error::Length { what: "rows to re-rank by", expected: self.count, found: count });
        }
        if self.reordered {
            let expected = "give identifiers (exact_rows_with_ids, or --rerank-ids): the index's file does not tell the \
                            order in which its rows were added";
            return Err(Error::parameter("rows to re-rank by", "without identifiers", expected));
        }
        Ok(())
    }

    /// Where each row is among `count` that have these identifiers.
    pub(super) fn places(&self, count: usize, ids: &[i64]) -> Result<Vec<u32>> {
        for (what, found) in [("rows to re-rank by", count), ("ids of rows to re-rank by", ids.len())] {
            if found != self.count {
                return Err(Error::Length { what, expected: self.count, found });
            }
        }
        check_count(count)?;
        let order = ascending(ids);
        let id_at = |&place: &u32| ids[place as usize];
        if let Some((place, _)) = order.iter().zip(order.iter().skip(1)).find(|(a, b)| id_at(a) == id_at(b)) {
            return Err(Error::DuplicateId { id: id_at(place) });
        }
        let place = |row| {
            let id = self.of(row);
            let missing = |_| Error::parameter("ids of rows to re-rank by", format!("without {id}"), "the index's own");
            order.binary_search_by_key(&id, id_at).map(|rank| order[rank]).map_err(missing)
        };
        (0..count as u32).map(place).collect()
    }

    /// What has these identifiers in the order of the rows.
    pub(super) fn in_order(&self, given: ArrayView2<'_, f32>, ids: &[i64]) -> Result<Array2<f32>> {
        let places = self.places(given.nrows(), ids)?;
        Ok(given.select(Axis(0), &places.iter().map(|&place| place as usize).collect::<Vec<_>>()))
    }

    /// Numbers for `count` more rows: above every identifier, and above the numbers of rows that were removed.
    fn numbered_on(&self, count: usize) -> Result<Range<i64>> {
        let rows = (self.count + self.removed) as i64;
        let largest = self.given.iter().flatten().max();
        let first = largest.map_or(rows, |largest| rows.max(largest.saturating_add(1)));
        let limit = Error::Limit {
            limit: "the largest identifier",
            allowed: i64::MAX as u64,
            asked: first as u64 + count as u64,
        };
        first.checked_add(count as i64).map(|end| first..end).ok_or(limit)
    }

    /// Of these rows alone, the others having been removed.
    pub(super) fn remaining(&self, rows: &[u32]) -> Self {
        Ids { removed: self.removed + self.count - rows.len(), ..self.selected(rows) }
    }

    /// Of these rows alone, numbered anew.
    pub(super) fn selected(&self, rows: &[u32]) -> Self {
        let ids = Self::from_rows(rows.iter().map(|&row| self.of(row)).collect());
        Ids { reordered: self.reordered, ..ids }
    }

    /// Whether the identifiers ascend with the rows.
    pub(super) fn ascend(&self) -> bool {
        self.given.as_ref().is_none_or(|ids| ids.is_sorted())
    }

    /// The rows in ascending order of identifier, unless they are so already.
    pub(super) fn order(&self) -> Option<Vec<u32>> {
        self.given.as_ref().filter(|_| !self.ascend()).map(|given| ascending(given))
    }

    /// A row's identifier.
    pub(super) fn of(&self, row: u32) -> i64 {
        self.given.as_ref().and_then(|ids| ids.get(row as usize).copied()).unwrap_or_else(|| i64::from(row))
    }

    /// Every row's identifier, if any differs from the row's number.
    pub(super) fn given(&self) -> Option<&[i64]> {
        self.given.as_deref()
    }
}

/// Fails on more rows than have numbers.
fn check_count(count: usize) -> Result<()> {
    let allowed = u64::from(u32::MAX) - 1;
    if count as u64 <= allowed {
        return Ok(());
    }
    Err(Error::Limit { limit: "rows of an index", allowed, asked: count as u64 })
}

/// The places of identifiers in ascending order of these, equal ones as they stand.
fn ascending(ids: &[i64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by_key(|&place| ids[place as usize]);
    order
}
