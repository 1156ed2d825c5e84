//! The query's independent part of residual distances, the plainest way.

use crate::ops::reference::Codewords;

/// |r|² + 2 (c - o)·r of each code.
#[must_use]
pub fn pq_terms(
    codes: &[u32],
    codebook: &Codewords<'_>,
    centroids: &[f32],
    labels: &[u32],
    origin: &[f32],
) -> Vec<f64> {
    let term = |(code, &label): (&[u32], &u32)| {
        let centroid = &centroids[label as usize * codebook.dimension()..];
        let part = |(column, &r): (usize, &f32)| {
            let (r, c, o) = (f64::from(r), f64::from(centroid[column]), f64::from(origin[column]));
            r * r + 2.0 * (c - o) * r
        };
        codebook.decode(code).iter().enumerate().map(part).sum()
    };
    codes.chunks(codebook.words()).zip(labels).map(term).collect()
}
