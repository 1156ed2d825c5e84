//! A counting sort on the CPU.

/// The positions of the groups and the order of the rows. A label past the groups counts as the last of them.
pub(super) fn group(labels: &[u32], groups: usize) -> (Vec<u32>, Vec<u32>) {
    let group_of = |label: u32| (label as usize).min(groups - 1);
    let mut offsets = vec![0; groups + 1];
    for &label in labels {
        offsets[group_of(label) + 1] += 1;
    }
    for group in 0..groups {
        offsets[group + 1] += offsets[group];
    }
    let mut next = offsets.clone();
    let mut order = vec![0; labels.len()];
    for (row, &label) in (0..).zip(labels) {
        let place = &mut next[group_of(label)];
        order[*place as usize] = row;
        *place += 1;
    }
    (offsets, order)
}
