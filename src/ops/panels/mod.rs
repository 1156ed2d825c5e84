//! Distances of many vectors to many rows on the CPU, in registers.
//!
//! Rows are packed side by side in panels, so that a SIMD lane belongs to a row; a group of vectors, one number of each
//! broadcast at a time, meets a panel and its sums stay in registers. A pair's sum is one chain over the columns in
//! ascending order, wherever the pair falls: batches, tiles and threads do not change it.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

mod groups;

use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{integers::Integers, prefetch::prefetch, simd::Term};
use groups::Single;
pub(super) use groups::{Group, Groups, Vectors};

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

/// [`group_of`] this machine's lanes.
pub(super) fn group_size() -> usize {
    group_of(lanes())
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

/// What is packed of rows or vectors.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// They as they are. Sums begin with zero.
    Plain,
    /// They less this centre. Sums begin with half the squared norm: less the inner product, that orders as distances
    /// do.
    Centred(&'a [f32]),
    /// They less this centre, rounded to integers. As above.
    Rounded(&'a [f32], Integers),
}

impl Form<'_> {
    /// Numbers that a vector is packed in.
    fn depth(self, dimension: usize) -> usize {
        match self {
            Form::Rounded(..) => dimension.div_ceil(2),
            Form::Plain | Form::Centred(_) => dimension,
        }
    }
}

/// What a vector was rounded to.
#[derive(Clone, Copy, Default)]
pub(super) struct Rounding {
    /// What 1 stands for.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "nothing is rounded there"))]
    pub unit: f32,
    /// No less than the norm of what rounding took.
    pub error: f32,
}

/// What bounds the error of sums: no less than those of any row.
#[derive(Clone, Copy, Default)]
pub(super) struct Reach {
    /// Norm.
    pub norm: f32,
    /// Norm of what rounding to integers took.
    pub error: f32,
}

impl Reach {
    /// Of a vector, half of whose squared norm this is.
    fn of(half: f32, rounding: Rounding) -> Self {
        Reach { norm: (2.0 * half).sqrt(), error: rounding.error }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Reach { norm: self.norm.max(other.norm), error: self.error.max(other.error) }
    }

    /// What rounding may add to the difference of two sums with `other`: for each |r - r'||c| + |r'||c - c'|.
    #[inline]
    pub(super) fn doubt(self, other: Self) -> f32 {
        2.02 * (self.error * other.norm + (self.norm + self.error) * other.error)
    }
}

/// Alignment to cache lines, so that no SIMD load crosses one.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Line(pub [f32; 16]);

/// Rows packed side by side.
#[derive(Default)]
pub(super) struct Panels {
    /// Panel after panel of `width` rows: their first columns, their second columns, and so on.
    data: Vec<Line>,
    /// What each row's sums begin with; NaN for padding.
    starts: Vec<Line>,
    /// No less than the norm of what rounding took from each row.
    errors: Vec<Line>,
    /// What 1 stands for in each panel, where rows are rounded.
    units: Vec<f32>,
    rows: usize,
    /// Lines of a panel.
    depth: usize,
    scratch: Vec<Line>,
}

/// Where a panel, what its rows' sums begin with, their errors and its unit go.
type Places<'a> = ((&'a mut [f32], &'a mut [f32]), (&'a mut [f32], &'a mut f32));

/// A panel.
pub(super) struct Panel<'a, S: Simd> {
    pub lines: &'a [[S::f32s; VECTORS]],
    /// What the rows' sums begin with.
    pub starts: [S::f32s; VECTORS],
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "nothing is rounded there"))]
    pub unit: f32,
}

impl Panels {
    pub(super) fn pack(rows: &[f32], dimension: usize) -> Self {
        let mut panels = Panels::default();
        panels.repack(rows, dimension, dimension, Form::Plain);
        panels
    }

    /// Packs other rows into the same memory: the first columns of rows `stride` apart.
    pub(super) fn repack(&mut self, rows: &[f32], stride: usize, dimension: usize, form: Form<'_>) {
        let width = width();
        self.rows = rows.len().div_ceil(stride);
        self.depth = form.depth(dimension);
        let padded = self.rows.next_multiple_of(width);
        self.data.resize((padded * self.depth).div_ceil(16), Line([0.0; 16]));
        self.starts.resize(padded.div_ceil(16), Line([0.0; 16]));
        self.errors.clear();
        self.errors.resize(padded.div_ceil(16), Line([0.0; 16]));
        self.units.resize(padded / width, 0.0);
        let at_once = width * stride;
        let pack = |scratch: &mut Vec<Line>, index, ((panel, starts), (errors, unit)): Places<'_>| {
            let (rows, later) = rows[index * at_once..].split_at(at_once.min(rows.len() - index * at_once));
            // Rows of which only some columns are packed came to the caches with the first of them.
            let later = if stride == dimension { later } else { &[] };
            let Form::Rounded(_, integers) = form else {
                Arch::new().dispatch(Pack { panel, starts, rows, later, stride, dimension, form });
                return;
            };
            scratch.resize((width * dimension).div_ceil(16), Line([0.0; 16]));
            let floats = &mut bytemuck::cast_slice_mut(scratch)[..width * dimension];
            Arch::new().dispatch(Pack { panel: floats, starts, rows, later, stride, dimension, form });
            let half = starts.iter().copied().fold(0.0, f32::max);
            *unit = integers.round_panel(floats, (2.0 * half).sqrt(), panel, errors);
        };
        let data: &mut [f32] = bytemuck::cast_slice_mut(&mut self.data);
        let starts: &mut [f32] = bytemuck::cast_slice_mut(&mut self.starts);
        let errors: &mut [f32] = bytemuck::cast_slice_mut(&mut self.errors);
        let panel = width * self.depth;
        if rows.len() < TILE_BYTES / 2 {
            let panels = data.chunks_exact_mut(panel).zip(starts.chunks_exact_mut(width));
            let panels = panels.zip(errors.chunks_exact_mut(width).zip(&mut self.units));
            panels.enumerate().for_each(|(index, places)| pack(&mut self.scratch, index, places));
            return;
        }
        let panels = data.par_chunks_exact_mut(panel).zip(starts.par_chunks_exact_mut(width));
        let panels = panels.zip(errors.par_chunks_exact_mut(width).zip(&mut self.units)).enumerate();
        let panels = panels.with_min_len(TILE_BYTES / 4 / (width * dimension) + 1);
        panels.for_each_init(Vec::new, |scratch, (index, places)| pack(scratch, index, places));
    }

    /// What each row's sums begin with.
    pub(super) fn starts(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.starts)[..self.rows]
    }

    /// No less than the norm of what rounding took from each row.
    pub(super) fn errors(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.errors)[..self.rows]
    }

    /// What bounds the error of the rows' sums, if they are centred.
    pub(super) fn reach(&self) -> Reach {
        let largest = |numbers: &[f32]| numbers.iter().copied().fold(0.0, f32::max);
        Reach { norm: (2.0 * largest(self.starts())).sqrt(), error: largest(self.errors()) }
    }

    pub(super) fn panels<S: Simd>(&self) -> impl Iterator<Item = Panel<'_, S>> {
        let padded = self.rows.next_multiple_of(VECTORS * S::F32_LANES);
        let data: &[f32] = bytemuck::cast_slice(&self.data);
        let starts: &[f32] = bytemuck::cast_slice(&self.starts);
        let panels = S::as_simd_f32s(&data[..padded * self.depth]).0.as_chunks().0.chunks_exact(self.depth);
        let starts = S::as_simd_f32s(starts).0.as_chunks::<VECTORS>().0;
        panels.zip(starts).zip(&self.units).map(|((lines, &starts), &unit)| Panel { lines, starts, unit })
    }

    /// Offers the distances of the vectors of `groups` from number `first_vector` on, the first of a group, to the
    /// rows, numbered from `first_id` on, to what is kept for them.
    pub(super) fn offer<K: Keep, T: Sums>(
        &self,
        first_id: usize,
        groups: &Groups,
        first_vector: usize,
        sums: T,
        kept: &mut [K],
    ) {
        sums.dispatch(Offer { panels: self, first_id, groups, first_vector, kept, sums });
    }
}

/// Rows in a panel.
pub(super) fn width() -> usize {
    VECTORS * lanes()
}

/// Numbers in a SIMD vector.
pub(super) fn lanes() -> usize {
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
    /// What is packed next: to ask for it ahead takes 0.85 of the time of scans of lists at d = 100.
    later: &'a [f32],
    stride: usize,
    dimension: usize,
    form: Form<'a>,
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
        if let Form::Centred(centre) | Form::Rounded(centre, _) = self.form {
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
        let Pack { ref mut panel, rows, later, stride, dimension, .. } = *self;
        let mut later = later.chunks(4 * stride);
        let row = |lane: usize| &rows[lane * stride..][..dimension];
        for first in (0..count).step_by(4) {
            later.next().into_iter().for_each(prefetch);
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

struct Offer<'a, K, T> {
    panels: &'a Panels,
    first_id: usize,
    groups: &'a Groups,
    first_vector: usize,
    kept: &'a mut [K],
    sums: T,
}

impl<K: Keep, T: Sums> WithSimd for Offer<'_, K, T> {
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

impl<K: Keep, T: Sums> Offer<'_, K, T> {
    #[inline(always)]
    fn in_groups<S: Simd, const N: usize>(self, simd: S) {
        let mut first = self.first_id as u32;
        let (whole, few) = match self.kept.len() % N {
            // A group of mostly padding would take longer than its few vectors one by one.
            rest if rest <= N / 4 => self.kept.split_at_mut(self.kept.len() - rest),
            _ => (self.kept, &mut [][..]),
        };
        let groups = || self.groups.groups::<N>().skip(self.first_vector / N);
        let last = groups().nth(whole.len() / N);
        let single = |lane: usize| last.map(|last| Single::new(last, lane));
        let singles: Vec<_> = (0..few.len()).filter_map(single).collect();
        // A panel stays in the first-level cache while the groups pass.
        for panel in self.panels.panels::<S>() {
            for (group, kept) in groups().zip(whole.chunks_mut(N)) {
                let sums = self.sums.sums(simd, group, &panel, |_| panel.starts);
                for (kept, sums) in kept.iter_mut().zip(sums) {
                    kept.offer(simd, first, sums);
                }
            }
            for (single, kept) in singles.iter().zip(&mut *few) {
                let [sums] = self.sums.sums(simd, single.group(), &panel, |_| panel.starts);
                kept.offer(simd, first, sums);
            }
            first += (VECTORS * S::F32_LANES) as u32;
        }
    }
}

/// How sums are made of what is packed.
pub(super) trait Sums: Copy + Send + Sync {
    /// Runs `work` compiled for an instruction set that this needs.
    #[inline(always)]
    fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        Arch::new().dispatch(work)
    }

    /// The sums of each of a group's vectors with the rows of a panel. Those of a vector begin with what `start` gives
    /// for its place in the group.
    fn sums<S: Simd, const N: usize>(
        self,
        simd: S,
        group: Group<'_, N>,
        panel: &Panel<'_, S>,
        start: impl Fn(usize) -> [S::f32s; VECTORS],
    ) -> [[S::f32s; VECTORS]; N];
}

impl<T: Term> Sums for T {
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(
        self,
        simd: S,
        group: Group<'_, N>,
        panel: &Panel<'_, S>,
        start: impl Fn(usize) -> [S::f32s; VECTORS],
    ) -> [[S::f32s; VECTORS]; N] {
        let mut sums = std::array::from_fn(start);
        for (values, rows) in group.values.iter().zip(panel.lines) {
            for (sums, &value) in sums.iter_mut().zip(values) {
                let value = simd.splat_f32s(value);
                for (sum, &row) in sums.iter_mut().zip(rows) {
                    *sum = self.add(simd, *sum, value, row);
                }
            }
        }
        sums
    }
}

/// What `new` makes, for each of `count` vectors, after it was offered the vector's distances to all `rows`, and what
/// bounds their error.
pub(super) fn offer_all<K: Merge, T: Sums>(
    groups: &Groups,
    count: usize,
    (rows, dimension): (&[f32], usize),
    sums: T,
    form: Form<'_>,
    new: impl Fn() -> K + Sync,
) -> (Vec<K>, Reach) {
    let fresh = |count: usize| (0..count).map(|_| new()).collect::<Vec<_>>();
    let rows_per_tile = (TILE_BYTES / 4 / dimension).next_multiple_of(width());
    let tiles = (rows.len() / dimension).div_ceil(rows_per_tile);
    if tiles < 4 * rayon::current_num_threads() && tiles < count.div_ceil(BLOCK) {
        // Threads share packed rows and divide the vectors.
        let mut panels = Panels::default();
        panels.repack(rows, dimension, dimension, form);
        let mut kept = fresh(count);
        let blocks = kept.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(block, kept)| panels.offer(0, groups, block * BLOCK, sums, kept));
        return (kept, panels.reach());
    }
    // Each thread packs some of the rows for all vectors.
    let tiles_per_thread = tiles.div_ceil(4 * rayon::current_num_threads());
    let (mut all, mut most) = (vec![], Reach::default());
    for first in (0..count).step_by(VECTORS_AT_ONCE) {
        let count = VECTORS_AT_ONCE.min(count - first);
        let tiles = rows.par_chunks(rows_per_tile * dimension).enumerate().with_min_len(tiles_per_thread);
        let parts = tiles.fold(
            || (fresh(count), Reach::default(), Panels::default()),
            |(mut kept, reach, mut panels), (index, rows)| {
                panels.repack(rows, dimension, dimension, form);
                for (block, kept) in kept.chunks_mut(BLOCK).enumerate() {
                    panels.offer(index * rows_per_tile, groups, first + block * BLOCK, sums, kept);
                }
                (kept, reach.max(panels.reach()), panels)
            },
        );
        let merge = |(a, reach): (Vec<K>, Reach), (b, other): (Vec<K>, Reach)| {
            (a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect(), reach.max(other))
        };
        let parts = parts.map(|(kept, reach, _)| (kept, reach)).reduce_with(merge);
        let (kept, reach) = parts.unwrap_or_else(|| (fresh(count), Reach::default()));
        all.extend(kept);
        most = reach.max(most);
    }
    (all, most)
}
