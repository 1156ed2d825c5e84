//! Rows at unit length, the plainest way.

/// The rows at unit length; a row of zeros as it is.
#[must_use]
pub fn normalise(rows: &[f32], columns: usize) -> Vec<f64> {
    let unit = |row: &[f32]| {
        let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        row.iter().map(|&value| f64::from(value) / if norm > 0.0 { norm } else { 1.0 }).collect::<Vec<_>>()
    };
    rows.chunks(columns.max(1)).flat_map(unit).collect()
}
