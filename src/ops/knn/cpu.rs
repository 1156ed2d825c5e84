//! Exact nearest neighbours on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Ranked, simd::distance, top::Top},
};

pub(super) fn knn(queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; queries.len() / dimension * k];
    found.par_chunks_mut(k).zip(queries.par_chunks(dimension)).for_each(|(found, query)| {
        let mut top = Top::new(k);
        for (id, row) in (0..).zip(base.chunks(dimension)) {
            top.offer(distance(query, row, metric), id);
        }
        top.write(found);
    });
    found
}
