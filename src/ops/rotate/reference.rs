//! Rows times a matrix, the plainest way.

/// Every row times `matrix`, a row of it for each number of `bias`, to which that is added.
#[must_use]
pub fn rotate(rows: &[f32], columns: usize, matrix: &[f32], bias: &[f32]) -> Vec<f64> {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let rotated = |row| matrix.chunks(columns).zip(bias).map(move |(line, &bias)| product(row, line) + f64::from(bias));
    rows.chunks(columns).flat_map(rotated).collect()
}
