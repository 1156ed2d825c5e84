//! Exact distances to decoded residual codes on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Codebook, Ranked, lists::code_at, row, simd::distances},
};

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
    let rows = found.par_chunks_mut(per_query.max(1)).zip(queries.par_chunks(dimension));
    rows.for_each_init(Vec::new, |decoded, (found, query)| {
        for candidate in &mut *found {
            let known = !candidate.is_none() && decoder.decode(candidate.id(), decoded);
            let id = candidate.id();
            *candidate = Ranked::NONE;
            if known {
                let row = std::iter::once((id, &decoded[..]));
                distances(query, row, Metric::L2, |distance, id| *candidate = Ranked::new(distance, id));
            }
        }
        found.sort_unstable();
    });
    found
}

impl Decoder<'_> {
    /// Decodes what the code of row `id` stands for, if there is one.
    fn decode(&self, id: u32, decoded: &mut Vec<f32>) -> bool {
        let (dsub, nbits) = (self.codebook.dsub(), self.codebook.nbits());
        decoded.clear();
        let Some(&position) = self.positions.get(id as usize) else { return false };
        let list = self.offsets.partition_point(|&offset| offset <= position).checked_sub(1);
        let centroid = list.map_or(&[][..], |list| row(self.centroids, self.codebook.dimension(), list));
        let code = row(self.codes, self.codebook.words(), position as usize);
        if code.is_empty() || centroid.is_empty() {
            return false;
        }
        for (sub, centroid) in centroid.chunks(dsub).enumerate() {
            let residual = row(self.codewords, dsub, (sub << nbits) + code_at(code, sub, nbits));
            decoded.extend(centroid.iter().zip(residual).map(|(centroid, residual)| centroid + residual));
        }
        true
    }
}
