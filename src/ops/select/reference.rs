//! The k smallest of rows, the plainest way.

use crate::ops::reference::smallest;

/// The `k` smallest (column, value) of each row, ordered by (value, column).
#[must_use]
pub fn select(values: &[f32], columns: usize, k: usize) -> Vec<Vec<(u32, f64)>> {
    // Adding zero turns -0 into +0.
    let row = |row: &[f32]| smallest((0..).zip(row.iter().map(|&value| f64::from(value) + 0.0)).collect(), k);
    values.chunks(columns.max(1)).map(row).collect()
}
