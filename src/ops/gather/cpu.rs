//! Copies rows on the CPU.

use bytemuck::Pod;
use rayon::prelude::*;

use crate::ops::row;

pub(in crate::ops) fn gather<T: Pod + Send + Sync>(rows: &[T], columns: usize, order: &[u32]) -> Vec<T> {
    let mut gathered = vec![T::zeroed(); order.len() * columns];
    gathered.par_chunks_mut(columns.max(1)).with_min_len(256).zip(order).for_each(|(to, &from)| {
        to.iter_mut().zip(row(rows, columns, from as usize)).for_each(|(to, from)| *to = *from);
    });
    gathered
}
