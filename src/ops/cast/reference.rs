//! Rows out of bytes, the plainest way.

use half::f16;

/// The numbers of `rows` rows of `columns` in `bytes`: `stride` bytes from row to row, f16 if `halves`, else f32.
///
/// # Panics
/// If `bytes` ends before the rows.
#[must_use]
pub fn cast(bytes: &[u8], rows: usize, columns: usize, stride: usize, halves: bool) -> Vec<f32> {
    let size = if halves { 2 } else { 4 };
    let number = |place: usize| match bytes[place..place + size] {
        [a, b] => f16::from_le_bytes([a, b]).to_f32(),
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        _ => f32::NAN,
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| number(row * stride + column * size))).collect()
}
