//! Lookup tables, the plainest way.

use crate::ops::reference::Codewords;

/// The lookup tables of each query: |q - y|² if `squared`, -2 (q - o)·y with an `origin`, -q·y otherwise.
#[must_use]
pub fn pq_tables(queries: &[f32], codebook: &Codewords<'_>, squared: bool, origin: Option<&[f32]>) -> Vec<f64> {
    let (dimension, dsub) = (codebook.dimension(), codebook.dsub());
    let mut tables = vec![];
    for query in queries.chunks(dimension) {
        for sub in 0..codebook.m {
            for code in 0..1 << codebook.nbits {
                let entry = codebook.centroid(sub, code).iter().enumerate().map(|(i, &y)| {
                    let (column, y) = (sub * dsub + i, f64::from(y));
                    let q = f64::from(query[column]);
                    match origin {
                        Some(origin) => -2.0 * (q - f64::from(origin[column])) * y,
                        None if squared => (q - y) * (q - y),
                        None => -q * y,
                    }
                });
                tables.push(entry.sum());
            }
        }
    }
    tables
}
