//! Product-quantizer codes, the plainest way.

use crate::ops::reference::{Codewords, smallest};

/// The code of each row, or of each row minus its centroid, given centroids and labels.
#[must_use]
pub fn pq_encode(rows: &[f32], codebook: &Codewords<'_>, residual: Option<(&[f32], &[u32])>) -> Vec<u32> {
    let (dimension, dsub) = (codebook.dimension(), codebook.dsub());
    let encode = |(index, row): (usize, &[f32])| {
        let centroid =
            residual.map(|(centroids, labels)| &centroids[labels[index] as usize * dimension..][..dimension]);
        let value =
            |column: usize| f64::from(row[column]) - centroid.map_or(0.0, |centroid| f64::from(centroid[column]));
        let closest = |sub: usize| {
            let distance = |code: u32| {
                let codeword = codebook.centroid(sub, code as usize).iter().enumerate();
                codeword.map(|(i, &y)| (value(sub * dsub + i) - f64::from(y)).powi(2)).sum()
            };
            smallest((0..1 << codebook.nbits).map(|code| (code, distance(code))).collect(), 1)[0].0 as usize
        };
        codebook.pack(&(0..codebook.m).map(closest).collect::<Vec<_>>())
    };
    rows.chunks(dimension).enumerate().flat_map(encode).collect()
}
