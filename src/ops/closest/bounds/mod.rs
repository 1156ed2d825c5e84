//! The closest centroids of the same rows again, after the centroids moved, by bounds that leave most of them out.
//!
//! Yinyang k-means (Ding, Zhao, Shen, Musuvathi, Mytkowicz 2015), without its bounds of single centroids: centroids are
//! in groups, and each row has a lower bound of its distance to the centroids of each group, its own left out. When
//! centroids move, the bound falls by no more than the furthest that one of the group moved (the triangle inequality).
//! A row is compared with the group of its centroid, and with those whose bounds are not above the distance found there.
//!
//! The comparisons are differences, so that labels and distances are those of all centroids compared by differences.

mod groups;
mod pass;

use pulp::Arch;
use rayon::prelude::*;

use super::FEWEST;
use crate::ops::panels::Line;
use groups::Moved;
use pass::{Pass, Scratch};

/// Centroids of a group.
const SIZE: usize = 16;

/// Rows that a thread takes at a time.
const BLOCK: usize = 1024;

/// Fewest columns. In all, with and without: k-means of 100,000 x 100 and 1024 centroids 1.30 times as fast, of 60,000 x 49
/// and 256 centroids 1.19, of 65,536 x 4 and 256 centroids 0.90 (Zen 4).
const FEWEST_COLUMNS: usize = 32;

/// Most groups, or as many as columns: what is known of a row takes no more memory than it does, or 256 bytes.
const MOST_GROUPS: usize = 64;

/// What is known of rows and of the centroids that they were compared with last.
pub(in crate::ops) struct Bounds {
    dimension: usize,
    moved: Moved,
    /// Number of each row's closest centroid.
    labels: Vec<u32>,
    /// Row after row, a bound of each group; infinite past the last.
    lower: Vec<Line>,
    pay: bool,
}

impl Bounds {
    /// Whether bounds may pay for so many centroids.
    pub(in crate::ops) fn may_pay(centroids: usize, dimension: usize) -> bool {
        dimension >= FEWEST_COLUMNS && (FEWEST..=SIZE * MOST_GROUPS.max(dimension)).contains(&centroids)
    }

    /// Of rows about which only their closest centroids are known, for centroids near these, which are finite.
    pub(in crate::ops) fn new(labels: &[u32], centroids: &[f32], dimension: usize) -> Self {
        let moved = Moved::new(centroids, dimension);
        let mut unknown = vec![Line([f32::INFINITY; 16]); moved.groups().div_ceil(16)];
        bytemuck::cast_slice_mut(&mut unknown)[..moved.groups()].fill(0.0_f32);
        Bounds { dimension, moved, labels: labels.to_vec(), lower: unknown.repeat(labels.len()), pay: true }
    }

    /// The number of the closest centroid of each row, the lower among equals, and the distances to them. Rows and
    /// centroids are finite.
    pub(in crate::ops) fn closest(&mut self, rows: &[f32], centroids: &[f32]) -> (Vec<u32>, Vec<f32>) {
        self.moved.to(centroids);
        let (dimension, moved) = (self.dimension, &self.moved);
        let mut distances = vec![0.0; self.labels.len()];
        let blocks = self.labels.par_chunks_mut(BLOCK).zip(distances.par_chunks_mut(BLOCK));
        let lower = self.lower.par_chunks_mut(BLOCK * moved.groups().div_ceil(16));
        let blocks = blocks.zip(rows.par_chunks(BLOCK * dimension).zip(lower));
        let met = blocks.map_init(Scratch::default, |scratch, ((labels, distances), (rows, lower))| {
            let lower = bytemuck::cast_slice_mut(lower);
            Arch::new().dispatch(Pass { rows, moved, labels, distances, lower, scratch })
        });
        let (met, all) = (met.sum::<usize>(), self.labels.len() * moved.groups());
        self.pay = met == all || 2 * met < all;
        (self.labels.clone(), distances)
    }

    /// Whether they left out enough the last time: to compare all by products of integers takes half as long a
    /// centroid. The first time they leave out nothing.
    pub(in crate::ops) fn pay(&self) -> bool {
        self.pay
    }
}

/// How far computed distances and roots of them may be off.
#[derive(Clone, Copy)]
struct Rounding {
    /// Of themselves.
    relative: f32,
    /// What is lost below the range of floats.
    least: f32,
}

impl Rounding {
    /// A squared distance is off by (d + 2)u of itself at most (Higham 2002, section 3.1), its root by half of that and
    /// what the root itself and these products are rounded by.
    fn new(dimension: usize) -> Self {
        Rounding {
            relative: (dimension as f32 + 8.0) * f32::EPSILON / 2.0,
            least: (dimension as f32 * f32::MIN_POSITIVE).sqrt(),
        }
    }

    /// No less than the distance whose computed square this is, nor than that of anything computed to be as near, or
    /// more than any bound.
    #[inline]
    fn above(self, squared: f32) -> f32 {
        (squared.sqrt() * (1.0 + self.relative) + self.least).min(f32::MAX)
    }

    /// No more than the distance whose computed square this is: past the range of floats it is not known.
    #[inline]
    fn below(self, squared: f32) -> f32 {
        squared.min(f32::MAX).sqrt() * (1.0 - self.relative) - self.least
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BLOCK, Bounds};
    use crate::{
        Metric,
        ops::closest::{Centroids, Scratch},
    };

    /// Each centroid goes to the mean of its rows. One without rows goes where another one went, or far away.
    fn update(centroids: &mut [f32], rows: &[f32], labels: &[u32], dimension: usize, away: f32) {
        let mut sums = vec![0.0_f64; centroids.len()];
        let mut sizes = vec![0; centroids.len() / dimension];
        for (row, &label) in rows.chunks(dimension).zip(labels) {
            let sums = sums[label as usize * dimension..].iter_mut();
            sums.zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            sizes[label as usize] += 1;
        }
        let mut last = vec![away; dimension];
        for ((centroid, sums), &size) in centroids.chunks_mut(dimension).zip(sums.chunks(dimension)).zip(&sizes) {
            if size == 0 {
                centroid.copy_from_slice(&last);
                continue;
            }
            centroid.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / f64::from(size)) as f32);
            last.copy_from_slice(centroid);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever bounds may confuse: duplicates, clusters far apart, far from the origin, past the range of floats,
        /// centroids that jump.
        #[test]
        fn bounds_find_what_comparing_all_finds(
            dimension in prop_oneof![1_usize..10, 10_usize..60],
            count in 64_usize..300,
            rows in 300_usize..=BLOCK + 5,
            steps in 1_u32..2000,
            offset in prop_oneof![Just(0.0_f32), Just(1000.0), Just(1e6)],
            apart in prop_oneof![Just(0.0_f32), Just(1e4)],
            scale in prop_oneof![8 => Just(1.0_f32), 1 => Just(1e18), 1 => Just(1e-21), 1 => Just(1e-30)],
            away in prop_oneof![Just(0.0_f32), Just(1e6), Just(1e30)],
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let rows: Vec<f32> = (0..rows).flat_map(|_| {
                let far = if next() % 2 == 0 { apart } else { 0.0 };
                (0..dimension).map(|_| scale * (offset + far + (next() % steps) as f32 / 7.0)).collect::<Vec<_>>()
            }).collect();
            let mut centroids = rows[..count * dimension].to_vec();
            let mut bounds = Bounds::new(&vec![0; rows.len() / dimension], &centroids, dimension);
            for _ in 0..5 {
                let mut labels = vec![0; rows.len() / dimension];
                let mut distances = vec![0.0; labels.len()];
                let all = Centroids::new(&centroids, dimension, Metric::L2);
                all.closest(&rows, &mut Scratch::default(), &mut labels, &mut distances);
                let found = bounds.closest(&rows, &centroids);
                prop_assert_eq!(&found.0, &labels);
                prop_assert_eq!(&found.1, &distances);
                update(&mut centroids, &rows, &labels, dimension, away);
            }
        }
    }
}
