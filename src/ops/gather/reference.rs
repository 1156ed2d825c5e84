//! Rows in another order, the plainest way.

/// The rows of `rows` that `order` names.
#[must_use]
pub fn gather<T: Copy>(rows: &[T], columns: usize, order: &[u32]) -> Vec<T> {
    order.iter().flat_map(|&row| rows[row as usize * columns..][..columns].to_vec()).collect()
}
