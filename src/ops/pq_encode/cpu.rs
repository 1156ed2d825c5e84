//! Product-quantizer codes on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Codebook, row, simd::distance},
};

pub(super) fn pq_encode(
    rows: &[f32],
    codebook: &Codebook,
    codewords: &[f32],
    residual: Option<(&[f32], &[u32])>,
) -> Vec<u32> {
    let (dimension, dsub, words, nbits) = (codebook.dimension(), codebook.dsub(), codebook.words(), codebook.nbits());
    let mut codes = vec![0; rows.len() / dimension * words];
    codes.par_chunks_mut(words).zip(rows.par_chunks(dimension)).enumerate().for_each(|(index, (code, vector))| {
        let mut vector = vector.to_vec();
        if let Some((centroids, labels)) = residual {
            let centroid = labels.get(index).map_or(&[][..], |&label| row(centroids, dimension, label as usize));
            vector.iter_mut().zip(centroid).for_each(|(value, centre)| *value -= centre);
        }
        for (sub, (part, codewords)) in vector.chunks(dsub).zip(codewords.chunks(dsub << nbits)).enumerate() {
            let distances = codewords.chunks(dsub).map(|codeword| distance(part, codeword, Metric::L2));
            let nearest = (0..).zip(distances).fold((0, f32::INFINITY), |a, b| if b.1 < a.1 { b } else { a }).0;
            put(code, sub, nbits, nearest);
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
