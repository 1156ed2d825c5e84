//! The callers' identifiers of rows.

use crate::{Error, Result};

/// The identifiers of an index's rows, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ids {
    count: usize,
    /// Rows removed so far, whose numbers are not given anew.
    removed: usize,
    /// None while each row's identifier is its number.
    given: Option<Vec<i64>>,
}

impl Ids {
    /// Identifiers as a file has them, in the order of its rows.
    pub(super) fn from_rows(ids: Vec<i64>) -> Self {
        let numbered = ids.iter().enumerate().all(|(row, &id)| id == row as i64);
        Ids { count: ids.len(), removed: 0, given: if numbered { None } else { Some(ids) } }
    }

    /// Identifiers of entries in any order, and each entry's row: the identifiers ascend with the rows.
    pub(super) fn from_entries(ids: &[i64]) -> (Self, Vec<u32>) {
        let mut order: Vec<u32> = (0..ids.len() as u32).collect();
        order.sort_by_key(|&entry| ids[entry as usize]);
        let mut rows = vec![0; ids.len()];
        order.iter().enumerate().for_each(|(row, &entry)| rows[entry as usize] = row as u32);
        (Self::from_rows(order.iter().map(|&entry| ids[entry as usize]).collect()), rows)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// With `count` more rows, which have the identifiers `ids` or else go on from their number, that of those removed included.
    pub(super) fn extended(&self, count: usize, ids: Option<&[i64]>) -> Result<Self> {
        let total = self.count + count;
        if total > u32::MAX as usize - 1 {
            return Err(Error::Limit {
                limit: "rows of an index",
                allowed: u64::from(u32::MAX) - 1,
                asked: total as u64,
            });
        }
        if ids.is_none() && self.given.is_none() && self.removed == 0 {
            return Ok(Ids { count: total, ..self.clone() });
        }
        let new = match ids {
            Some(ids) if ids.len() != count => {
                return Err(Error::Length { what: "ids", expected: count, found: ids.len() });
            }
            Some(ids) => ids.to_vec(),
            None => ((self.count + self.removed) as i64..(total + self.removed) as i64).collect(),
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
        Ok(Ids { removed: self.removed, ..Self::from_rows(all) })
    }

    /// Of these rows alone, the others having been removed.
    pub(super) fn remaining(&self, rows: &[u32]) -> Self {
        Ids { removed: self.removed + self.count - rows.len(), ..self.selected(rows) }
    }

    /// Of these rows alone, numbered anew.
    pub(super) fn selected(&self, rows: &[u32]) -> Self {
        Self::from_rows(rows.iter().map(|&row| self.of(row)).collect())
    }

    /// Whether the identifiers ascend with the rows.
    pub(super) fn ascend(&self) -> bool {
        self.given.as_ref().is_none_or(|ids| ids.is_sorted())
    }

    /// The rows in ascending order of identifier, unless they are so already.
    pub(super) fn order(&self) -> Option<Vec<u32>> {
        let given = self.given.as_ref().filter(|_| !self.ascend())?;
        let mut order: Vec<u32> = (0..given.len() as u32).collect();
        order.sort_by_key(|&row| given[row as usize]);
        Some(order)
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
