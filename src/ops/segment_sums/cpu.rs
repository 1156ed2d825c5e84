//! Sums of groups on the CPU, in f64.

use pulp::Arch;
use rayon::prelude::*;

use crate::ops::row;

/// Rows that are summed in sequence; the sums of such blocks are added in their order.
const BLOCK: usize = 4096;

pub(super) fn segment_sums(rows: &[f32], columns: usize, offsets: &[u32], order: &[u32]) -> Vec<f32> {
    let mut sums = vec![0.0; offsets.len().saturating_sub(1) * columns];
    let groups = sums.par_chunks_mut(columns.max(1)).zip(offsets.par_windows(2));
    groups.for_each(|(to, bounds)| {
        let members = order.get(bounds[0] as usize..bounds[1] as usize).unwrap_or_default();
        let total = members.par_chunks(BLOCK).map(|block| sum(rows, columns, block)).collect::<Vec<_>>();
        let total = total.into_iter().reduce(|mut a, b| {
            add(&mut a, b);
            a
        });
        to.iter_mut().zip(total.into_iter().flatten()).for_each(|(to, sum)| *to = sum as f32);
    });
    sums
}

fn sum(rows: &[f32], columns: usize, members: &[u32]) -> Vec<f64> {
    match columns {
        1 => sum_short::<1>(rows, members),
        2 => sum_short::<2>(rows, members),
        4 => sum_short::<4>(rows, members),
        8 => sum_short::<8>(rows, members),
        _ => Arch::new().dispatch(|| {
            let mut sum = vec![0.0; columns];
            for &member in members {
                add(&mut sum, row(rows, columns, member as usize).iter().copied());
            }
            sum
        }),
    }
}

/// In registers.
fn sum_short<const COLUMNS: usize>(rows: &[f32], members: &[u32]) -> Vec<f64> {
    let (rows, mut sum) = (rows.as_chunks::<COLUMNS>().0, [0.0; COLUMNS]);
    for row in members.iter().filter_map(|&member| rows.get(member as usize)) {
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sum.to_vec()
}

#[inline]
fn add<T: Into<f64>>(sum: &mut [f64], row: impl IntoIterator<Item = T>) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.into());
}
