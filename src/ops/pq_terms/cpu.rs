//! The query's independent part of residual distances on the CPU.

use rayon::prelude::*;

use crate::ops::{Codebook, lists::code_at, row};

pub(super) fn pq_terms(
    codes: &[u32],
    codebook: &Codebook,
    codewords: &[f32],
    centroids: &[f32],
    labels: &[u32],
    origin: &[f32],
) -> Vec<f32> {
    let (dsub, nbits) = (codebook.dsub(), codebook.nbits());
    let term = |(code, &label): (&[u32], &u32)| {
        let centroid = row(centroids, codebook.dimension(), label as usize);
        let parts = centroid.chunks(dsub).zip(origin.chunks(dsub)).enumerate();
        let part = |(sub, (centroid, origin)): (usize, (&[f32], &[f32]))| {
            let residual = row(codewords, dsub, (sub << nbits) + code_at(code, sub, nbits));
            let terms = residual.iter().zip(centroid.iter().zip(origin)).map(|(r, (c, o))| r * (r + 2.0 * (c - o)));
            terms.sum::<f32>()
        };
        parts.map(part).sum::<f32>()
    };
    codes.par_chunks(codebook.words()).zip(labels).map(term).collect()
}
