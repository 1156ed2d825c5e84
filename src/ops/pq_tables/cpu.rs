//! Lookup tables on the CPU.

use rayon::prelude::*;

use crate::ops::Codebook;

/// Of squared distances, or of inner products: with the negated query, or with -2 times the query minus `origin`.
pub(super) fn pq_tables(
    queries: &[f32],
    codebook: &Codebook,
    codewords: &[f32],
    squared: bool,
    origin: Option<&[f32]>,
) -> Vec<f32> {
    let (dimension, dsub, columns) = (codebook.dimension(), codebook.dsub(), codebook.m() * codebook.ksub());
    let mut tables = vec![0.0; queries.len() / dimension * columns];
    tables.par_chunks_mut(columns).zip(queries.par_chunks(dimension)).for_each(|(table, query)| {
        let query: Vec<f32> = match origin {
            Some(origin) => query.iter().zip(origin).map(|(q, o)| -2.0 * (q - o)).collect(),
            None if squared => query.to_vec(),
            None => query.iter().map(|q| -q).collect(),
        };
        let parts =
            table.chunks_mut(codebook.ksub()).zip(query.chunks(dsub)).zip(codewords.chunks(dsub * codebook.ksub()));
        for ((table, part), codewords) in parts {
            for (entry, codeword) in table.iter_mut().zip(codewords.chunks(dsub)) {
                let pairs = part.iter().zip(codeword);
                *entry =
                    if squared { pairs.map(|(q, y)| (q - y) * (q - y)).sum() } else { pairs.map(|(q, y)| q * y).sum() };
            }
        }
    });
    tables
}
