//! Product-quantizer codes on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Codebook,
        panels::{BLOCK, Panels},
        row,
        top::Best,
    },
};

pub(super) fn pq_encode(
    rows: &[f32],
    codebook: &Codebook,
    codewords: &[f32],
    residual: Option<(&[f32], &[u32])>,
) -> Vec<u32> {
    let (dimension, dsub, words, nbits) = (codebook.dimension(), codebook.dsub(), codebook.words(), codebook.nbits());
    let subs: Vec<_> = codewords.chunks(dsub << nbits).map(|codewords| Panels::pack(codewords, dsub)).collect();
    let mut codes = vec![0; rows.len() / dimension * words];
    let blocks = codes.par_chunks_mut(BLOCK * words).zip(rows.par_chunks(BLOCK * dimension)).enumerate();
    blocks.for_each(|(block, (codes, rows))| {
        let mut rows = rows.to_vec();
        if let Some((centroids, labels)) = residual {
            for (vector, &label) in rows.chunks_mut(dimension).zip(labels.iter().skip(block * BLOCK)) {
                let centroid = row(centroids, dimension, label as usize);
                vector.iter_mut().zip(centroid).for_each(|(value, centre)| *value -= centre);
            }
        }
        for (sub, codewords) in subs.iter().enumerate() {
            let mut closest = [Best::new(); BLOCK];
            let closest = &mut closest[..rows.len() / dimension];
            codewords.offer(0, &rows[sub * dsub..], dimension, Metric::L2, closest);
            for (code, best) in codes.chunks_mut(words).zip(closest) {
                put(code, sub, nbits, best.0.id());
            }
        }
    });
    codes
}

/// Sets the number of sub-quantizer `sub` in a code of zeros.
fn put(code: &mut [u32], sub: usize, nbits: usize, number: u32) {
    let (word, shift) = (sub * nbits / 32, sub * nbits % 32);
    code[word] |= number << shift;
    if shift + nbits > 32 {
        code[word + 1] |= number >> (32 - shift);
    }
}
