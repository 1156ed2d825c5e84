//! Distances of many vectors to many rows on the CPU, handed to whatever keeps the ones that matter.
//!
//! Rows are packed side by side in panels, so that a SIMD lane belongs to a row; a few vectors meet a panel at a time
//! and their sums stay in registers. A pair's distance is one sum over the columns in ascending order, wherever the
//! pair falls: batches, tiles and threads do not change it.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    is_l2,
    simd::{Product, Square, Term},
};
use crate::Metric;

/// Vectors that meet a panel at a time: with two registers of sums each, what fits 16 registers.
const GROUP: usize = 6;

/// SIMD vectors in a line of a panel.
pub(super) const VECTORS: usize = 2;

/// Vectors that a thread takes at a time.
pub(super) const BLOCK: usize = 96;

/// Bytes of panels that stay in a core's second-level cache while a block of vectors passes.
const TILE_BYTES: usize = 256 << 10;

/// Tiles that are packed at once for all threads.
const SHARED_TILES: usize = 16;

/// What keeps distances of one vector, offered a panel of rows at a time. The distance of padding is NaN.
pub(super) trait Keep: Send {
    /// What it has of the panels of a tile so far, lane by lane.
    type Lanes<S: Simd>: Copy;

    fn begin<S: Simd>(simd: S) -> Self::Lanes<S>;

    /// The distances to the rows from number `first` on.
    fn offer<S: Simd>(&mut self, simd: S, lanes: &mut Self::Lanes<S>, first: u32, distances: [S::f32s; VECTORS]);

    /// Puts together what the lanes have.
    fn end<S: Simd>(&mut self, lanes: &Self::Lanes<S>);
}

/// What can be kept in parts and put together.
pub(super) trait Merge: Keep {
    fn merge(self, other: Self) -> Self;
}

/// Alignment to cache lines, so that no SIMD load crosses one.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([f32; 16]);

/// Rows packed side by side.
#[derive(Default)]
pub(super) struct Panels {
    /// Panel after panel of `width` rows: their first columns, their second columns, and so on. The last one is
    /// padded with NaN.
    data: Vec<Line>,
    rows: usize,
    dimension: usize,
}

impl Panels {
    pub(super) fn pack(rows: &[f32], dimension: usize) -> Self {
        let mut panels = Panels::default();
        panels.repack(rows, dimension);
        panels
    }

    /// Packs other rows into the same memory.
    fn repack(&mut self, rows: &[f32], dimension: usize) {
        let width = width();
        self.rows = rows.len() / dimension;
        self.dimension = dimension;
        let length = self.rows.next_multiple_of(width) * dimension;
        self.data.resize(length.div_ceil(16), Line([0.0; 16]));
        let data: &mut [f32] = bytemuck::cast_slice_mut(&mut self.data);
        let panels = data[..length].par_chunks_exact_mut(width * dimension).zip(rows.par_chunks(width * dimension));
        let panels = panels.with_min_len(TILE_BYTES / 4 / (width * dimension) + 1);
        panels.for_each(|(panel, rows)| pack_panel(panel, width, rows, dimension));
    }

    /// Offers each vector's distances to the rows, numbered from `first_id` on, to what is kept for it. The vectors
    /// are the first columns of the rows of `vectors`, `stride` long.
    pub(super) fn offer<K: Keep>(
        &self,
        first_id: usize,
        vectors: &[f32],
        stride: usize,
        metric: Metric,
        kept: &mut [K],
    ) {
        let vectors = vectors.chunks(stride);
        if is_l2(metric) {
            Arch::new().dispatch(Offer { panels: self, first_id, vectors, kept, term: Square });
        } else {
            Arch::new().dispatch(Offer { panels: self, first_id, vectors, kept, term: Product });
        }
    }
}

/// Rows in a panel.
fn width() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    VECTORS * Arch::new().dispatch(Lanes)
}

fn pack_panel(panel: &mut [f32], width: usize, rows: &[f32], dimension: usize) {
    if rows.len() < width * dimension {
        panel.fill(f32::NAN);
    }
    // Four rows at a time, so that stores are wide.
    for (rows, lane) in rows.chunks(4 * dimension).zip((0..).step_by(4)) {
        if rows.len() == 4 * dimension {
            let quads = panel.as_chunks_mut().0.iter_mut().skip(lane / 4).step_by(width / 4);
            let (a, b) = rows.split_at(2 * dimension);
            let ((a, b), (c, d)) = (a.split_at(dimension), b.split_at(dimension));
            for ((((quad, &a), &b), &c), &d) in quads.zip(a).zip(b).zip(c).zip(d) {
                *quad = [a, b, c, d];
            }
        } else {
            for (column, line) in panel.chunks_exact_mut(width).enumerate() {
                line[lane..].iter_mut().zip(rows.chunks(dimension)).for_each(|(place, row)| *place = row[column]);
            }
        }
    }
}

struct Offer<'a, K, T> {
    panels: &'a Panels,
    first_id: usize,
    vectors: std::slice::Chunks<'a, f32>,
    kept: &'a mut [K],
    term: T,
}

impl<K: Keep, T: Term> WithSimd for Offer<'_, K, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Panels { data, rows, dimension } = self.panels;
        let width = VECTORS * S::F32_LANES;
        let data: &[f32] = bytemuck::cast_slice(data);
        let lines = S::as_simd_f32s(&data[..rows.next_multiple_of(width) * dimension]).0.as_chunks().0;
        let panels_per_tile = (TILE_BYTES / 4 / (width * dimension)).max(1);
        let mut packed = vec![[0.0; GROUP]; *dimension];
        let mut single = vec![[0.0]; *dimension];
        for (tile, lines) in lines.chunks(panels_per_tile * dimension).enumerate() {
            let first = tile * panels_per_tile * width;
            let tile = Tile { lines, dimension: *dimension, first_id: self.first_id + first };
            for (group, kept) in self.kept.chunks_mut(GROUP).enumerate() {
                let vectors = self.vectors.clone().skip(group * GROUP);
                if kept.len() >= GROUP / 2 {
                    pack(&mut packed, vectors.take(GROUP));
                    tile.offer(simd, self.term, &packed, kept);
                } else {
                    // A group of mostly padding would take longer than its few vectors one by one.
                    for (vector, kept) in vectors.zip(kept.chunks_mut(1)) {
                        pack(&mut single, [vector]);
                        tile.offer(simd, self.term, &single, kept);
                    }
                }
            }
        }
    }
}

/// Packs vectors side by side.
fn pack<'a, const N: usize>(packed: &mut [[f32; N]], vectors: impl IntoIterator<Item = &'a [f32]>) {
    for (lane, vector) in vectors.into_iter().enumerate() {
        packed.iter_mut().zip(vector).for_each(|(line, &value)| line[lane] = value);
    }
}

/// Panels that fit the cache.
struct Tile<'a, F> {
    lines: &'a [[F; VECTORS]],
    dimension: usize,
    first_id: usize,
}

impl<F: Pod> Tile<'_, F> {
    /// Offers the distances of `N` packed vectors to all rows; those without something `kept` are padding.
    #[inline(always)]
    fn offer<S: Simd<f32s = F>, T: Term, K: Keep, const N: usize>(
        &self,
        simd: S,
        term: T,
        vectors: &[[f32; N]],
        kept: &mut [K],
    ) {
        let width = VECTORS * S::F32_LANES;
        let mut lanes = [K::begin(simd); N];
        for (panel, lines) in self.lines.chunks_exact(self.dimension).enumerate() {
            let first = (self.first_id + panel * width) as u32;
            let sums = sums(simd, term, vectors, lines);
            for ((kept, lanes), sums) in kept.iter_mut().zip(&mut lanes).zip(sums) {
                kept.offer(simd, lanes, first, sums);
            }
        }
        kept.iter_mut().zip(&lanes).for_each(|(kept, lanes)| kept.end(lanes));
    }
}

/// The distances of packed vectors to the rows of a panel.
#[inline(always)]
fn sums<S: Simd, T: Term, const N: usize>(
    simd: S,
    _: T,
    vectors: &[[f32; N]],
    lines: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; N] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; N];
    for (values, rows) in vectors.iter().zip(lines) {
        for (sums, &value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f32s(value);
            for (sum, &row) in sums.iter_mut().zip(rows) {
                *sum = T::add(simd, *sum, value, row);
            }
        }
    }
    sums
}

/// What `new` makes, for each vector, after it was offered the vector's distances to all `rows`.
pub(super) fn offer_all<K: Merge>(
    vectors: &[f32],
    rows: &[f32],
    dimension: usize,
    metric: Metric,
    new: impl Fn() -> K + Sync,
) -> Vec<K> {
    let count = vectors.len() / dimension;
    let fresh = || (0..count).map(|_| new()).collect::<Vec<_>>();
    let rows_per_tile = (TILE_BYTES / 4 / dimension).next_multiple_of(width());
    let (blocks, tiles) = (count.div_ceil(BLOCK), (rows.len() / dimension).div_ceil(rows_per_tile));
    if blocks >= tiles.min(4 * rayon::current_num_threads()) {
        // Threads share packed rows and divide the vectors.
        let mut kept = fresh();
        let rows_at_once = SHARED_TILES * rows_per_tile;
        let mut panels = Panels::default();
        for (index, rows) in rows.chunks(rows_at_once * dimension).enumerate() {
            panels.repack(rows, dimension);
            let blocks = kept.par_chunks_mut(BLOCK).zip(vectors.par_chunks(BLOCK * dimension));
            blocks.for_each(|(kept, vectors)| panels.offer(index * rows_at_once, vectors, dimension, metric, kept));
        }
        return kept;
    }
    // Each thread packs some of the rows for all vectors.
    let tiles_per_thread = tiles.div_ceil(4 * rayon::current_num_threads());
    let tiles = rows.par_chunks(rows_per_tile * dimension).enumerate().with_min_len(tiles_per_thread);
    let parts = tiles.fold(
        || (fresh(), Panels::default()),
        |(mut kept, mut panels), (index, rows)| {
            panels.repack(rows, dimension);
            panels.offer(index * rows_per_tile, vectors, dimension, metric, &mut kept);
            (kept, panels)
        },
    );
    let merge = |a: Vec<K>, b: Vec<K>| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect();
    parts.map(|(kept, _)| kept).reduce_with(merge).unwrap_or_else(fresh)
}
