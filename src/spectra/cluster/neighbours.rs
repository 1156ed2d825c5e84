//! Which groups of a bucket are similar: candidates, then exact scores.

use std::ops::Range;

use ndarray::Axis;
use rayon::prelude::*;

use super::{comparable::rooted, graph::Edge, groups::Groups};
use crate::{Device, FlatIndex, IvfFlatIndex, Metric, Neighbors, Result, Search, index::Training, spectra::Spectrum};

/// Up to so many vectors are searched one by one; more of them in the cells of an inverted file.
const SEARCHED_ONE_BY_ONE: usize = 1 << 12;

/// Vectors in a cell of the inverted file.
const VECTORS_A_CELL: usize = 256;

/// Cells that a search visits.
const CELLS_VISITED: usize = 8;

/// The pairs of groups whose precursors agree and whose score reaches `1 - threshold`, in the order of their ends.
///
/// Where a group has few others within the precursor tolerance on average, every pair is scored. Where it has more
/// than [`ClusterOptions::exact_neighbours`](super::ClusterOptions::exact_neighbours), the candidates are its
/// nearest ones by vectors, and only they are scored.
pub(super) fn edges(device: &Device, groups: &Groups) -> Result<Vec<Edge>> {
    let options = groups.bucket.options;
    let ends = groups.bucket.window_ends((0..groups.len() as u32).map(|group| groups.first(group)));
    let mut edges = Vec::new();
    let mut start = 0;
    while start < groups.len() {
        // All groups of a block may share a cluster, and what they may share one with lies from `low` to `high`.
        let end = ends[start];
        let high = ends[end - 1];
        let low = ends.partition_point(|&reach| reach <= start);
        let pairs: usize = (start..end).map(|a| ends[a] - a - 1).sum();
        if pairs <= (end - start) * options.exact_neighbours {
            edges.extend(all_pairs(groups, start..end, &ends));
        } else {
            edges.extend(candidates(device, groups, start..end, low..high)?);
        }
        start = end;
    }
    edges.sort_unstable_by_key(|edge: &Edge| (edge.a, edge.b));
    edges.dedup_by_key(|edge| (edge.a, edge.b));
    Ok(edges)
}

fn all_pairs(groups: &Groups, block: Range<usize>, ends: &[usize]) -> Vec<Edge> {
    let pairs_of = |a: usize| (a + 1..ends[a]).filter_map(move |b| edge(groups, a as u32, b as u32));
    block.into_par_iter().flat_map_iter(pairs_of).collect()
}

/// The edge of two groups, the first one named first, if they are similar enough and may share a cluster.
fn edge(groups: &Groups, a: u32, b: u32) -> Option<Edge> {
    if !groups.may_share(a, b) {
        return None;
    }
    let score = groups.score(a, b);
    (1.0 - score <= groups.bucket.options.threshold).then_some(Edge { a, b, score: score as f32 })
}

/// Edges of the groups of `block` to those of `base` that their vectors are nearest to.
fn candidates(device: &Device, groups: &Groups, block: Range<usize>, base: Range<usize>) -> Result<Vec<Edge>> {
    let found = nearest(device, groups, &block, &base)?;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for (query, row) in found.rows().enumerate() {
        let a = (block.start + query) as u32;
        let others = row.iter().map(|neighbor| base.start as u32 + neighbor.id as u32);
        pairs.extend(others.filter(|&b| a != b).map(|b| (a.min(b), a.max(b))));
    }
    pairs.par_sort_unstable();
    pairs.dedup();
    Ok(pairs.into_par_iter().filter_map(|(a, b)| edge(groups, a, b)).collect())
}

fn nearest(device: &Device, groups: &Groups, block: &Range<usize>, base: &Range<usize>) -> Result<Neighbors> {
    let (bucket, options) = (groups.bucket, groups.bucket.options);
    let first = |group: usize| groups.first(group as u32) as usize;
    let vectors = if let Some(vectors) = &bucket.vectors {
        vectors.select(Axis(0), &base.clone().map(first).collect::<Vec<_>>())
    } else {
        let rooted = |group: usize| rooted(&bucket.spectra[first(group)], options.scaling());
        let spectra: Vec<Spectrum> = base.clone().into_par_iter().map(rooted).collect();
        options.vectorizer.vectors(&spectra)?
    };
    let (_, queries) = vectors.view().split_at(Axis(0), block.start - base.start);
    let (queries, _) = queries.split_at(Axis(0), block.len());
    // Each group finds itself too.
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
