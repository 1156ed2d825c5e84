//! Sums of groups on the CPU, in f64.

use pulp::Arch;
use rayon::prelude::*;

use super::Grouping;
use crate::{Result, ops::row};

/// Rows of a group that are summed in sequence; the sums of such blocks are added in their order.
const BLOCK: usize = 4096;

/// Sums of groups whose rows were added so far.
pub(super) struct Sums {
    columns: usize,
    /// Of whole blocks, one row a group.
    total: Vec<f64>,
    /// Of the block that was begun, one row a group.
    begun: Vec<f64>,
}

impl Sums {
    /// Nothing yet.
    pub(super) fn new(grouping: &Grouping, columns: usize) -> Result<Self> {
        let length = grouping.offsets.host("offsets")?.len().saturating_sub(1) * columns;
        Ok(Sums { columns, total: vec![0.0; length], begun: vec![0.0; length] })
    }

    /// Adds rows that are numbered from `first` on.
    pub(super) fn add(&mut self, grouping: &Grouping, rows: &[f32], first: usize) -> Result<()> {
        let (offsets, order) = (grouping.offsets.host("offsets")?, grouping.order.host("order")?);
        let columns = self.columns.max(1);
        let added = Added { rows, columns, first };
        let end = first + rows.len() / columns;
        let sums = self.total.par_chunks_mut(columns).zip(self.begun.par_chunks_mut(columns));
        sums.zip(offsets.par_windows(2)).for_each(|((total, begun), bounds)| {
            let members = order.get(bounds[0] as usize..bounds[1] as usize).unwrap_or_default();
            let start = members.partition_point(|&member| (member as usize) < first);
            let count = members[start..].partition_point(|&member| (member as usize) < end);
            let (rest, members) =
                members[start..start + count].split_at(count.min(start.next_multiple_of(BLOCK) - start));
            added.sum(begun, rest);
            if (start + rest.len()).is_multiple_of(BLOCK) {
                add(total, begun.iter().copied());
                begun.fill(0.0);
            }
            let sum = |block: &[u32]| {
                let mut sum = vec![0.0; columns];
                added.sum(&mut sum, block);
                sum
            };
            let blocks = members.par_chunks_exact(BLOCK);
            let last = blocks.remainder();
            blocks.map(sum).collect::<Vec<_>>().into_iter().for_each(|block| add(total, block));
            added.sum(begun, last);
        });
        Ok(())
    }

    /// The sums, once all rows were added.
    pub(super) fn finish(self) -> Vec<f32> {
        self.total.into_par_iter().zip(self.begun).map(|(total, begun)| (total + begun) as f32).collect()
    }
}

/// Rows to add.
struct Added<'a> {
    rows: &'a [f32],
    columns: usize,
    /// Number of the first.
    first: usize,
}

impl Added<'_> {
    /// Adds the rows of these numbers to `sum`, one after the other.
    fn sum(&self, sum: &mut [f64], members: &[u32]) {
        match self.columns {
            1 => self.sum_short::<1>(sum, members),
            2 => self.sum_short::<2>(sum, members),
            4 => self.sum_short::<4>(sum, members),
            8 => self.sum_short::<8>(sum, members),
            columns => Arch::new().dispatch(|| {
                for &member in members {
                    add(sum, row(self.rows, columns, member as usize - self.first).iter().copied());
                }
            }),
        }
    }

    /// In registers.
    fn sum_short<const COLUMNS: usize>(&self, sum: &mut [f64], members: &[u32]) {
        let rows = self.rows.as_chunks::<COLUMNS>().0;
        let Some(sum) = sum.first_chunk_mut::<COLUMNS>() else { return };
        let mut local = *sum;
        for row in members.iter().filter_map(|&member| rows.get(member as usize - self.first)) {
            local.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        *sum = local;
    }
}

#[inline]
fn add<T: Into<f64>>(sum: &mut [f64], row: impl IntoIterator<Item = T>) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.into());
}
