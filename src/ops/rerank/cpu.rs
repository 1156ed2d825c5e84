//! Exact distances of candidates on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Ranked, prefetch::prefetch, row, simd::distances, top::Top},
};

#[expect(clippy::too_many_arguments, reason = "the operation's own arguments")]
pub(super) fn rerank(
    queries: &[f32],
    rows: &[f32],
    dimension: usize,
    places: Option<&[u32]>,
    candidates: &[Ranked],
    per_query: usize,
    k: usize,
    metric: Metric,
) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; queries.len() / dimension * k];
    let vector = |id: u32| {
        let place = places.map_or(Some(id), |places| places.get(id as usize).copied())?;
        Some((id, row(rows, dimension, place as usize))).filter(|(_, vector)| !vector.is_empty())
    };
    found.par_chunks_mut(k).zip(queries.par_chunks(dimension)).enumerate().for_each(|(index, (found, query))| {
        let mut top = Top::new(k);
        let candidates = row(candidates, per_query, index).iter().filter(|candidate| !candidate.is_none());
        let vectors = candidates.clone().filter_map(|candidate| vector(candidate.id()));
        // Rows lie anywhere in memory.
        vectors.clone().for_each(|(_, vector)| prefetch(vector));
        distances(query, vectors, metric, |distance, id| top.offer(distance, id));
        top.write(found);
    });
    found
}
