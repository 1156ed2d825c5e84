//! Rows sorted by label, the plainest way.

/// The positions of `groups` groups and the rows in order of (label, row).
#[must_use]
pub fn group(labels: &[u32], groups: usize) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    order.sort_by_key(|&row| labels[row as usize]);
    let below = |group: u32| labels.iter().filter(|&&label| label < group).count() as u32;
    ((0..=groups as u32).map(below).collect(), order)
}
