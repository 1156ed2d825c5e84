//! Exact nearest neighbours on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{Ranked, panels, top::Top},
};

pub(super) fn knn(queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric) -> Vec<Ranked> {
    let tops = panels::offer_all(queries, base, dimension, metric, || Top::new(k));
    let mut found = vec![Ranked::NONE; tops.len() * k];
    found.par_chunks_mut(k).zip(tops).for_each(|(row, top)| top.write(row));
    found
}
