//! The callers' identifiers of rows.

use std::ops::Range;

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

    /// With `count` more rows, which have the identifiers `ids` or else are [numbered on](Ids::numbered_on).
    pub(super) fn extended(&self, count: usize, ids: Option<&[i64]>) -> Result<Self> {
        let total = self.count + count;
        if total > u32::MAX as usize - 1 {
            return Err(Error::Limit {
                limit: "rows of an index",
                allowed: u64::from(u32::MAX) - 1,
                asked: total as u64,
            });
        }
        let removed = self.removed;
        if ids.is_none() && self.given.is_none() && removed == 0 {
            return Ok(Ids { count: total, removed, given: None });
        }
        let mut all = self.given.clone().unwrap_or_else(|| (0..self.count as i64).collect());
        match ids {
            Some(ids) if ids.len() != count => {
                return Err(Error::Length { what: "ids", expected: count, found: ids.len() });
            }
            Some(ids) => all.extend_from_slice(ids),
            None => all.extend(self.numbered_on(count)?),
        }
        if let Some(negative) = all.iter().find(|&&id| id < 0) {
            return Err(Error::parameter("id", negative, "0 or above"));
        }
        let mut sorted = all.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::DuplicateId { id: pair[0] }),
            None => Ok(Ids { removed, ..Self::from_rows(all) }),
        }
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
