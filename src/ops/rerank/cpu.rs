//! Exact distances of candidates on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Ranked, row, simd::distance, top::Top},
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
    let place = |id: u32| match places {
        Some(places) => places.get(id as usize).copied(),
        None => Some(id),
    };
    found.par_chunks_mut(k).zip(queries.par_chunks(dimension)).enumerate().for_each(|(index, (found, query))| {
        let mut top = Top::new(k);
        for candidate in row(candidates, per_query, index).iter().filter(|candidate| !candidate.is_none()) {
            let vector = place(candidate.id()).map_or(&[][..], |place| row(rows, dimension, place as usize));
            if !vector.is_empty() {
                top.offer(distance(query, vector, metric), candidate.id());
            }
        }
        top.write(found);
    });
    found
}
