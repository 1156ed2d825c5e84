//! Sums of groups, the plainest way.

/// The sum of the rows `order[offsets[g] .. offsets[g + 1]]` for each g.
#[must_use]
pub fn segment_sums(rows: &[f32], columns: usize, offsets: &[u32], order: &[u32]) -> Vec<f64> {
    let mut sums = vec![0.0; (offsets.len() - 1) * columns];
    for group in 0..offsets.len() - 1 {
        for &row in &order[offsets[group] as usize..offsets[group + 1] as usize] {
            for column in 0..columns {
                sums[group * columns + column] += f64::from(rows[row as usize * columns + column]);
            }
        }
    }
    sums
}
