//! Which spectra of a bucket are similar: candidates, then exact scores.

use ndarray::{Axis, s};
use rayon::prelude::*;

use super::{
    comparable::{Comparable, rooted},
    graph::Edge,
};
use crate::{Device, FlatIndex, IvfFlatIndex, Metric, Neighbors, Result, Search, index::Training, spectra::Spectrum};

/// Up to so many vectors are searched one by one; more of them in the cells of an inverted file.
const SEARCHED_ONE_BY_ONE: usize = 1 << 12;

/// Vectors in a cell of the inverted file.
const VECTORS_A_CELL: usize = 256;

/// Cells that a search visits.
const CELLS_VISITED: usize = 8;

/// The pairs of a bucket whose precursors agree and whose score reaches `1 - threshold`, in the order of their ends.
///
/// Where a spectrum has few others within the precursor tolerance on average, every pair is scored. Where it has more
/// than [`ClusterOptions::exact_neighbours`](super::ClusterOptions::exact_neighbours), the candidates are its
/// nearest ones by vectors, and only they are scored.
pub(super) fn edges(device: &Device, bucket: &Comparable) -> Result<Vec<Edge>> {
    let ends = window_ends(bucket);
    let mut edges = Vec::new();
    let mut start = 0;
    while start < bucket.len() {
        // All spectra of a block may share a cluster, and what they may share one with lies from `low` to `high`.
        let end = ends[start];
        let high = ends[end - 1];
        let low = ends.partition_point(|&reach| reach <= start);
        let pairs: usize = (start..end).map(|a| ends[a] - a - 1).sum();
        if pairs <= (end - start) * bucket.options.exact_neighbours {
            edges.extend(all_pairs(bucket, start..end, &ends));
        } else {
            edges.extend(candidates(device, bucket, start..end, low..high)?);
        }
        start = end;
    }
    edges.sort_unstable_by_key(|edge: &Edge| (edge.a, edge.b));
    edges.dedup_by_key(|edge| (edge.a, edge.b));
    Ok(edges)
}

/// For each spectrum, the number of the first one after it whose precursor is too far.
fn window_ends(bucket: &Comparable) -> Vec<usize> {
    let mut end = 0;
    let ends = (0..bucket.len()).map(|a| {
        end = end.max(a + 1);
        while end < bucket.len() && bucket.may_share(a as u32, end as u32) {
            end += 1;
        }
        end
    });
    ends.collect()
}

fn all_pairs(bucket: &Comparable, block: std::ops::Range<usize>, ends: &[usize]) -> Vec<Edge> {
    let pairs_of = |a: usize| (a + 1..ends[a]).filter_map(move |b| edge(bucket, a as u32, b as u32));
    block.into_par_iter().flat_map_iter(pairs_of).collect()
}

/// The edge of two spectra if they are similar enough.
fn edge(bucket: &Comparable, a: u32, b: u32) -> Option<Edge> {
    let score = bucket.score(a, b);
    (1.0 - score <= bucket.options.threshold).then_some(Edge { a: a.min(b), b: a.max(b), score: score as f32 })
}

/// Edges of the spectra of `block` to those of `base` that their vectors are nearest to.
fn candidates(
    device: &Device,
    bucket: &Comparable,
    block: std::ops::Range<usize>,
    base: std::ops::Range<usize>,
) -> Result<Vec<Edge>> {
    let found = nearest(device, bucket, &block, &base)?;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for (query, row) in found.rows().enumerate() {
        let a = (block.start + query) as u32;
        for neighbor in row {
            let b = base.start as u32 + neighbor.id as u32;
            if a != b && bucket.may_share(a, b) {
                pairs.push((a.min(b), a.max(b)));
            }
        }
    }
    pairs.par_sort_unstable();
    pairs.dedup();
    Ok(pairs.into_par_iter().filter_map(|(a, b)| edge(bucket, a, b)).collect())
}

fn nearest(
    device: &Device,
    bucket: &Comparable,
    block: &std::ops::Range<usize>,
    base: &std::ops::Range<usize>,
) -> Result<Neighbors> {
    let options = bucket.options;
    let vectors = if let Some(vectors) = &bucket.vectors {
        vectors.slice(s![base.clone(), ..]).to_owned()
    } else {
        let spectra = bucket.spectra[base.clone()].par_iter();
        let spectra: Vec<Spectrum> = spectra.map(|spectrum| rooted(spectrum, options.scaling())).collect();
        options.vectorizer.vectors(&spectra)?
    };
    let (_, queries) = vectors.view().split_at(Axis(0), block.start - base.start);
    let (queries, _) = queries.split_at(Axis(0), block.len());
    // Each spectrum finds itself too.
    let search = Search::new(options.candidates + 1).nprobe(CELLS_VISITED);
    if base.len() <= SEARCHED_ONE_BY_ONE {
        let mut index = FlatIndex::new(device, vectors.ncols(), Metric::InnerProduct)?;
        index.add(vectors.view())?;
        index.search_with(queries, &search)
    } else {
        let cells = base.len().div_ceil(VECTORS_A_CELL);
        let mut index = IvfFlatIndex::new(device, vectors.ncols(), cells, Metric::InnerProduct)?;
        index.train_with(vectors.view(), &Training::default().seed(options.seed).max_points_per_centroid(64))?;
        index.add(vectors.view())?;
        index.search_with(queries, &search)
    }
}
