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
    rows.for_each_init(Residuals::default, |residuals, (found, query)| {
        for candidate in &mut *found {
            let known = !candidate.is_none() && decoder.decode(candidate.id(), query, residuals);
            let id = candidate.id();
            *candidate = Ranked::NONE;
            if known {
                let row = std::iter::once((id, &residuals.of_code[..]));
                let query = &residuals.of_query;
                distances(query, row, Metric::L2, |distance, id| *candidate = Ranked::new(distance, id));
            }
        }
        found.sort_unstable();
    });
    found
}

impl Decoder<'_> {
    /// The residuals of a query and of what the code of row `id` stands for, if there is one.
    fn decode(&self, id: u32, query: &[f32], residuals: &mut Residuals) -> bool {
        let (dsub, nbits) = (self.codebook.dsub(), self.codebook.nbits());
        let Residuals { of_query, of_code } = residuals;
        of_query.clear();
        of_code.clear();
        let Some(&position) = self.positions.get(id as usize) else { return false };
        let list = self.offsets.partition_point(|&offset| offset <= position).checked_sub(1);
        let centroid = list.map_or(&[][..], |list| row(self.centroids, self.codebook.dimension(), list));
        let code = row(self.codes, self.codebook.words(), position as usize);
        if code.is_empty() || centroid.is_empty() {
            return false;
        }
        of_query.extend(query.iter().zip(centroid).map(|(query, centroid)| query - centroid));
        for sub in 0..self.codebook.m() {
            of_code.extend_from_slice(row(self.codewords, dsub, (sub << nbits) + code_at(code, sub, nbits)));
        }
        true
    }
}

/// Differences to a list's centroid: what is far from the origin is near it once that is taken away.
#[derive(Default)]
struct Residuals {
    of_query: Vec<f32>,
    of_code: Vec<f32>,
}
