//! Product-quantizer codes on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Codebook,
        closest::{Centroids, Scratch},
        row,
    },
};

/// Vectors that a thread takes at a time.
const BLOCK: usize = 768;

pub(super) fn pq_encode(
    rows: &[f32],
    codebook: &Codebook,
    codewords: &[f32],
    residual: Option<(&[f32], &[u32])>,
) -> Vec<u32> {
    let (dimension, dsub, words, nbits) = (codebook.dimension(), codebook.dsub(), codebook.words(), codebook.nbits());
    let subs = codewords.chunks(dsub << nbits).map(|codewords| Centroids::new(codewords, dsub, Metric::L2));
    let subs: Vec<_> = subs.collect();
    let mut codes = vec![0; rows.len() / dimension * words];
    let blocks = codes.par_chunks_mut(BLOCK * words).zip(rows.par_chunks(BLOCK * dimension)).enumerate();
    blocks.for_each_init(
        || (Scratch::default(), vec![]),
        |(scratch, residuals), (block, (codes, rows))| {
            let rows = match residual {
                Some((centroids, labels)) => {
                    residuals.clear();
                    residuals.extend_from_slice(rows);
                    for (vector, &label) in residuals.chunks_mut(dimension).zip(labels.iter().skip(block * BLOCK)) {
                        let centroid = row(centroids, dimension, label as usize);
                        vector.iter_mut().zip(centroid).for_each(|(value, centre)| *value -= centre);
                    }
                    &residuals[..]
                }
                None => rows,
            };
            let mut labels = [0; BLOCK];
            let labels = &mut labels[..rows.len() / dimension];
            for (sub, codewords) in subs.iter().enumerate() {
                codewords.labels(&rows[sub * dsub..], dimension, scratch, labels);
                put(codes, words, sub, nbits, labels);
            }
        },
    );
    codes
}

/// Sets the numbers of sub-quantizer `sub` in codes of zeros.
fn put(codes: &mut [u32], words: usize, sub: usize, nbits: usize, numbers: &[u32]) {
    let (word, shift) = (sub * nbits / 32, sub * nbits % 32);
    for (code, &number) in codes.chunks_exact_mut(words).zip(numbers) {
        code[word] |= number << shift;
        if shift + nbits > 32 {
            code[word + 1] |= number >> (32 - shift);
        }
    }
}
