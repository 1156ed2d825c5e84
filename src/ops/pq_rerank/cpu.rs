//! Exact distances to decoded residual codes on the CPU.

use rayon::prelude::*;

use crate::ops::{Codebook, Ranked, lists::code_at, row};

/// What decoding an entry reads.
pub(super) struct Decoder<'a> {
    pub codebook: &'a Codebook,
    pub codewords: &'a [f32],
    pub codes: &'a [u32],
    pub offsets: &'a [u32],
    pub positions: &'a [u32],
    pub centroids: &'a [f32],
}

pub(super) fn pq_rerank(
    queries: &[f32],
    decoder: &Decoder<'_>,
    candidates: &[Ranked],
    per_query: usize,
) -> Vec<Ranked> {
    let dimension = decoder.codebook.dimension();
    let mut found = candidates.to_vec();
    found.par_chunks_mut(per_query.max(1)).zip(queries.par_chunks(dimension)).for_each(|(found, query)| {
        for candidate in &mut *found {
            *candidate = match decoder.distance(query, candidate.id()) {
                Some(distance) if !candidate.is_none() => Ranked::new(distance, candidate.id()),
                _ => Ranked::NONE,
            };
        }
        found.sort_unstable();
    });
    found
}

impl Decoder<'_> {
    /// The squared distance of a query to what the code of row `id` stands for.
    fn distance(&self, query: &[f32], id: u32) -> Option<f32> {
        let (dsub, nbits) = (self.codebook.dsub(), self.codebook.nbits());
        let position = *self.positions.get(id as usize)?;
        let list = self.offsets.partition_point(|&offset| offset <= position).checked_sub(1)?;
        let centroid = row(self.centroids, self.codebook.dimension(), list);
        let code = row(self.codes, self.codebook.words(), position as usize);
        if code.is_empty() || centroid.is_empty() {
            return None;
        }
        let part = |(sub, (query, centroid)): (usize, (&[f32], &[f32]))| {
            let residual = row(self.codewords, dsub, (sub << nbits) + code_at(code, sub, nbits));
            let differences = query.iter().zip(centroid).zip(residual).map(|((q, c), r)| q - c - r);
            differences.map(|difference| difference * difference).sum::<f32>()
        };
        Some(query.chunks(dsub).zip(centroid.chunks(dsub)).enumerate().map(part).sum())
    }
}
