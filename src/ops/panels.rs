//! Distances of many vectors to many rows on the CPU, in registers.
//!
//! Rows are packed side by side in panels, so that a SIMD lane belongs to a row; a group of vectors, one number of each
//! broadcast at a time, meets a panel and its sums stay in registers. A pair's sum is one chain over the columns in
//! ascending order, wherever the pair falls: batches, tiles and threads do not change it.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::simd::Term;

/// SIMD vectors in a line of a panel.
pub(super) const VECTORS: usize = 2;

/// Vectors that a thread takes at a time: whole groups on every instruction set.
pub(super) const BLOCK: usize = 96;

/// Bytes of panels that stay in a core's second-level cache while a block of vectors passes.
const TILE_BYTES: usize = 256 << 10;

/// Vectors that a thread takes past its rows at a time: whole blocks.
const VECTORS_AT_ONCE: usize = 48 * BLOCK;

/// Vectors that meet a panel at a time: their sums fill the registers. 12 of AVX-512: 137 GFLOP/s a core at d = 100
/// and at d = 784, where 8 reach 124; of AVX2, 4 reach 75 and 6 reach 66 (Cascade Lake; its sgemm 120).
pub(super) const fn group_of(lanes: usize) -> usize {
    if lanes == 8 { 4 } else { 12 }
}

/// What keeps distances of one vector, offered a panel of rows at a time. The distance of padding is NaN.
pub(super) trait Keep: Send {
    /// The distances to the rows from number `first` on.
    fn offer<S: Simd>(&mut self, simd: S, first: u32, distances: [S::f32s; VECTORS]);
}

/// What can be kept in parts and put together.
pub(super) trait Merge: Keep {
    fn merge(self, other: Self) -> Self;
}

/// What a sum for a pair begins with.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// Zero, and the numbers are as they are.
    Zero,
    /// Half the squared norm, of vectors from this centre: less the inner product, it orders as distances do.
    HalfNorm(&'a [f32]),
}

/// Alignment to cache lines, so that no SIMD load crosses one.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([f32; 16]);

/// Rows packed side by side.
#[derive(Default)]
pub(super) struct Panels {
    /// Panel after panel of `width` rows: their first columns, their second columns, and so on.
    data: Vec<Line>,
    /// What each row's sums begin with; NaN for padding.
    starts: Vec<Line>,
    rows: usize,
    dimension: usize,
}

impl Panels {
    pub(super) fn pack(rows: &[f32], dimension: usize) -> Self {
        let mut panels = Panels::default();
        panels.repack(rows, dimension, dimension, Start::Zero);
        panels
    }

    /// Packs other rows into the same memory: the first columns of rows `stride` apart.
    pub(super) fn repack(&mut self, rows: &[f32], stride: usize, dimension: usize, start: Start<'_>) {
        let width = width();
        self.rows = rows.len().div_ceil(stride);
        self.dimension = dimension;
        let padded = self.rows.next_multiple_of(width);
        self.data.resize((padded * dimension).div_ceil(16), Line([0.0; 16]));
        self.starts.resize(padded.div_ceil(16), Line([0.0; 16]));
        let data: &mut [f32] = bytemuck::cast_slice_mut(&mut self.data);
        let starts: &mut [f32] = bytemuck::cast_slice_mut(&mut self.starts);
        let panels = data.par_chunks_exact_mut(width * dimension).zip(starts.par_chunks_exact_mut(width));
        let panels = panels.zip(rows.par_chunks(width * stride));
        let panels = panels.with_min_len(TILE_BYTES / 4 / (width * dimension) + 1);
        panels.for_each(|((panel, starts), rows)| {
            Arch::new().dispatch(Pack { panel, starts, rows, stride, dimension, start });
        });
    }

    /// What each row's sums begin with.
    pub(super) fn starts(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.starts)[..self.rows]
    }

    /// The panels as SIMD vectors, each a slice of `dimension` lines.
    pub(super) fn lines<S: Simd>(&self) -> impl Iterator<Item = &[[S::f32s; VECTORS]]> {
        let data: &[f32] = bytemuck::cast_slice(&self.data);
        let padded = self.rows.next_multiple_of(VECTORS * S::F32_LANES);
        S::as_simd_f32s(&data[..padded * self.dimension]).0.as_chunks().0.chunks_exact(self.dimension)
    }

    /// Offers the distances of the vectors of `groups` from number `first_vector` on, the first of a group, to the
    /// rows, numbered from `first_id` on, to what is kept for them.
    pub(super) fn offer<K: Keep, T: Term>(
        &self,
        first_id: usize,
        groups: &Groups,
        first_vector: usize,
        term: T,
        kept: &mut [K],
    ) {
        Arch::new().dispatch(Offer { panels: self, first_id, groups, first_vector, kept, term });
    }
}

/// Rows in a panel.
pub(super) fn width() -> usize {
    VECTORS * lanes()
}

fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

struct Pack<'a> {
    panel: &'a mut [f32],
    starts: &'a mut [f32],
    rows: &'a [f32],
    stride: usize,
    dimension: usize,
    start: Start<'a>,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = VECTORS * S::F32_LANES;
        let count = self.rows.len().div_ceil(self.stride);
        if count < width {
            self.panel.fill(0.0);
        }
        self.copy::<S>(count);
        self.starts.fill(0.0);
        if let Start::HalfNorm(centre) = self.start {
            let mut norms = [simd.splat_f32s(0.0); VECTORS];
            let lines = S::as_mut_simd_f32s(self.panel).0.as_chunks_mut::<VECTORS>().0;
            for (line, &centre) in lines.iter_mut().zip(centre) {
                let centre = simd.splat_f32s(centre);
                for (value, norm) in line.iter_mut().zip(&mut norms) {
                    *value = simd.sub_f32s(*value, centre);
                    *norm = simd.mul_add_e_f32s(*value, *value, *norm);
                }
            }
            let halves = norms.map(|norm| simd.mul_f32s(norm, simd.splat_f32s(0.5)));
            self.starts.copy_from_slice(bytemuck::cast_slice(&halves));
        }
        self.starts[count..].fill(f32::NAN);
    }
}

impl Pack<'_> {
    /// Copies the columns of rows to lines.
    #[inline(always)]
    fn copy<S: Simd>(&mut self, count: usize) {
        let width = VECTORS * S::F32_LANES;
        let Pack { ref mut panel, rows, stride, dimension, .. } = *self;
        let row = |lane: usize| &rows[lane * stride..][..dimension];
        for first in (0..count).step_by(4) {
            if first + 4 > count {
                for lane in first..count {
                    let places = panel[lane..].iter_mut().step_by(width);
                    places.zip(row(lane)).for_each(|(place, &value)| *place = value);
                }
                continue;
            }
            // Squares of four rows and columns, so that loads and stores are wide.
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| row(first + index));
            let squares = a.as_chunks().0.iter().zip(b.as_chunks().0).zip(c.as_chunks().0).zip(d.as_chunks().0);
            for (lines, (((a, b), c), d)) in panel.chunks_exact_mut(4 * width).zip(squares) {
                for (line, quad) in lines.chunks_exact_mut(width).zip(transposed([*a, *b, *c, *d])) {
                    line[first..][..4].copy_from_slice(&quad);
                }
            }
            for column in dimension / 4 * 4..dimension {
                panel[column * width + first..][..4].copy_from_slice(&[a[column], b[column], c[column], d[column]]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::{__m128, _mm_movehl_ps, _mm_movelh_ps, _mm_unpackhi_ps, _mm_unpacklo_ps};
    // Shuffles, which compilers do not find.
    let [a, b, c, d]: [__m128; 4] = bytemuck::cast(rows);
    // SAFETY: every x86-64 has SSE.
    let columns = unsafe {
        let (low, high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (low_after, high_after) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        [
            _mm_movelh_ps(low, low_after),
            _mm_movehl_ps(low_after, low),
            _mm_movelh_ps(high, high_after),
            _mm_movehl_ps(high_after, high),
        ]
    };
    bytemuck::cast(columns)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn transposed(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|column| rows.map(|row| row[column]))
}

/// Vectors packed to be broadcast: group after group, their first columns, their second columns, and so on.
pub(super) struct Groups {
    values: Vec<f32>,
    /// What each vector's sums begin with, where that is the vectors' affair; infinite for padding.
    starts: Vec<f32>,
    dimension: usize,
}

impl Groups {
    pub(super) fn pack<'a>(vectors: impl Iterator<Item = &'a [f32]>, dimension: usize, start: Start<'_>) -> Self {
        let size = group_of(lanes());
        let mut groups = Groups { values: vec![], starts: vec![], dimension };
        for (index, vector) in vectors.enumerate() {
            let lane = index % size;
            if lane == 0 {
                groups.values.resize(groups.values.len() + size * dimension, 0.0);
                groups.starts.resize(index + size, f32::INFINITY);
            }
            let first = index / size * size * dimension + lane;
            let places = groups.values[first..].iter_mut().step_by(size);
            groups.starts[index] = match start {
                Start::Zero => {
                    places.zip(vector).for_each(|(place, &value)| *place = value);
                    0.0
                }
                Start::HalfNorm(centre) => {
                    let mut norm = 0.0;
                    for ((place, &value), &centre) in places.zip(vector).zip(centre) {
                        *place = value - centre;
                        norm += *place * *place;
                    }
                    0.5 * norm
                }
            };
        }
        groups
    }

    /// What each vector's sums begin with; infinite for padding.
    pub(super) fn starts(&self) -> &[f32] {
        &self.starts
    }

    /// Groups of `N`, each a slice of `dimension`.
    pub(super) fn groups<const N: usize>(&self) -> impl Iterator<Item = &[[f32; N]]> + Clone {
        self.values.as_chunks().0.chunks_exact(self.dimension)
    }
}

struct Offer<'a, K, T> {
    panels: &'a Panels,
    first_id: usize,
    groups: &'a Groups,
    first_vector: usize,
    kept: &'a mut [K],
    term: T,
}

impl<K: Keep, T: Term> WithSimd for Offer<'_, K, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if const { group_of(S::F32_LANES) == 4 } {
            self.in_groups::<S, 4>(simd);
        } else {
            self.in_groups::<S, 12>(simd);
        }
    }
}

impl<K: Keep, T: Term> Offer<'_, K, T> {
    #[inline(always)]
    fn in_groups<S: Simd, const N: usize>(self, simd: S) {
        let starts: &[f32] = bytemuck::cast_slice(&self.panels.starts);
        let starts = S::as_simd_f32s(starts).0.as_chunks::<VECTORS>().0;
        let mut first = self.first_id as u32;
        let (whole, few) = match self.kept.len() % N {
            // A group of mostly padding would take longer than its few vectors one by one.
            rest if rest <= N / 4 => self.kept.split_at_mut(self.kept.len() - rest),
            _ => (self.kept, &mut [][..]),
        };
        let groups = || self.groups.groups::<N>().skip(self.first_vector / N);
        let last = groups().nth(whole.len() / N).unwrap_or_default();
        let singles = |lane: usize| last.iter().map(move |values| [values[lane]]).collect::<Vec<_>>();
        let singles: Vec<_> = (0..few.len()).map(singles).collect();
        // A panel stays in the first-level cache while the groups pass.
        for (lines, starts) in self.panels.lines::<S>().zip(starts) {
            for (group, kept) in groups().zip(whole.chunks_mut(N)) {
                let sums = sums(simd, self.term, [*starts; N], group, lines);
                for (kept, sums) in kept.iter_mut().zip(sums) {
                    kept.offer(simd, first, sums);
                }
            }
            for (single, kept) in singles.iter().zip(&mut *few) {
                let [sums] = sums(simd, self.term, [*starts], single, lines);
                kept.offer(simd, first, sums);
            }
            first += (VECTORS * S::F32_LANES) as u32;
        }
    }
}

/// `sums` and the terms of a group with the rows of a panel.
#[inline(always)]
pub(super) fn sums<S: Simd, T: Term, const N: usize>(
    simd: S,
    term: T,
    mut sums: [[S::f32s; VECTORS]; N],
    group: &[[f32; N]],
    lines: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; N] {
    for (values, rows) in group.iter().zip(lines) {
        for (sums, &value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f32s(value);
            for (sum, &row) in sums.iter_mut().zip(rows) {
                *sum = term.add(simd, *sum, value, row);
            }
        }
    }
    sums
}

/// What `new` makes, for each of `count` vectors, after it was offered the vector's distances to all `rows`, and the
/// largest of what the rows' sums began with.
pub(super) fn offer_all<K: Merge, T: Term>(
    groups: &Groups,
    count: usize,
    rows: &[f32],
    term: T,
    start: Start<'_>,
    new: impl Fn() -> K + Sync,
) -> (Vec<K>, f32) {
    let dimension = groups.dimension;
    let fresh = |count: usize| (0..count).map(|_| new()).collect::<Vec<_>>();
    let largest = |panels: &Panels, before: f32| panels.starts().iter().copied().fold(before, f32::max);
    let rows_per_tile = (TILE_BYTES / 4 / dimension).next_multiple_of(width());
    let tiles = (rows.len() / dimension).div_ceil(rows_per_tile);
    if tiles < 4 * rayon::current_num_threads() && tiles < count.div_ceil(BLOCK) {
        // Threads share packed rows and divide the vectors.
        let mut panels = Panels::default();
        panels.repack(rows, dimension, dimension, start);
        let mut kept = fresh(count);
        let blocks = kept.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(block, kept)| panels.offer(0, groups, block * BLOCK, term, kept));
        return (kept, largest(&panels, 0.0));
    }
    // Each thread packs some of the rows for all vectors.
    let tiles_per_thread = tiles.div_ceil(4 * rayon::current_num_threads());
    let (mut all, mut most) = (vec![], 0.0);
    for first in (0..count).step_by(VECTORS_AT_ONCE) {
        let count = VECTORS_AT_ONCE.min(count - first);
        let tiles = rows.par_chunks(rows_per_tile * dimension).enumerate().with_min_len(tiles_per_thread);
        let parts = tiles.fold(
            || (fresh(count), 0.0, Panels::default()),
            |(mut kept, most, mut panels), (index, rows)| {
                panels.repack(rows, dimension, dimension, start);
                for (block, kept) in kept.chunks_mut(BLOCK).enumerate() {
                    panels.offer(index * rows_per_tile, groups, first + block * BLOCK, term, kept);
                }
                (kept, largest(&panels, most), panels)
            },
        );
        let merge = |(a, most): (Vec<K>, f32), (b, other): (Vec<K>, f32)| {
            (a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect(), most.max(other))
        };
        let parts = parts.map(|(kept, most, _)| (kept, most)).reduce_with(merge);
        let (kept, longest) = parts.unwrap_or_else(|| (fresh(count), 0.0));
        all.extend(kept);
        most = longest.max(most);
    }
    (all, most)
}
