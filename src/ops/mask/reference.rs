//! Masks of entries, the plainest way.

/// The words of the mask of entries that stand for these rows, by the words of the rows' mask.
#[must_use]
pub fn mask(rows: &[u32], ids: &[u32]) -> Vec<u32> {
    let is_set = |&row: &u32| rows[row as usize / 32] >> (row % 32) & 1;
    let word = |ids: &[u32]| ids.iter().enumerate().map(|(bit, row)| is_set(row) << bit).sum();
    ids.chunks(32).map(word).collect()
}
