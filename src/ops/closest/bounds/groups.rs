//! Groups of centroids, and how far they moved.

use super::{Rounding, SIZE};
use crate::{
    Metric,
    ops::{panels::Line, row, simd::chained},
};

/// Rounds of the power iteration that finds along which line centroids are parted.
const ROUNDS: usize = 3;

/// Centroids in groups of those near each other when they began.
pub(super) struct Moved {
    dimension: usize,
    centroids: Vec<f32>,
    /// Group after group, ascending within a group.
    numbers: Vec<u32>,
    /// Of each centroid, where it is in `numbers`.
    places: Vec<u32>,
    /// Group after group: first columns, second columns, and so on; infinite past a group's end.
    lines: Vec<Line>,
    /// No less than how far any centroid of each group moved; zero past the last.
    drifts: Vec<Line>,
    pub rounding: Rounding,
}

impl Moved {
    /// Nothing has moved yet.
    pub(super) fn new(centroids: &[f32], dimension: usize) -> Self {
        let count = centroids.len() / dimension;
        let mut numbers: Vec<u32> = (0..count as u32).collect();
        part(centroids, dimension, &mut numbers);
        let mut places = vec![0; count];
        (0..).zip(&numbers).for_each(|(place, &number)| places[number as usize] = place);
        let groups = count.div_ceil(SIZE);
        Moved {
            dimension,
            centroids: centroids.to_vec(),
            numbers,
            places,
            lines: vec![Line([f32::INFINITY; 16]); groups * dimension],
            drifts: vec![Line([0.0; 16]); groups.div_ceil(16)],
            rounding: Rounding::new(dimension),
        }
    }

    /// Moves them there.
    pub(super) fn to(&mut self, centroids: &[f32]) {
        let vectors = |centroids| <[f32]>::chunks_exact(centroids, self.dimension);
        let pairs: Vec<_> = vectors(&self.centroids).zip(vectors(centroids)).collect();
        let mut squares = vec![0.0; pairs.len()];
        chained(&pairs, Metric::L2, &mut squares);
        let drifts: &mut [f32] = bytemuck::cast_slice_mut(&mut self.drifts);
        for (drift, numbers) in drifts.iter_mut().zip(self.numbers.chunks(SIZE)) {
            let each = numbers.iter().map(|&number| self.rounding.above(squares[number as usize]));
            *drift = each.fold(0.0, f32::max);
        }
        for (lines, numbers) in self.lines.chunks_exact_mut(self.dimension).zip(self.numbers.chunks(SIZE)) {
            for (lane, &number) in numbers.iter().enumerate() {
                let values = row(centroids, self.dimension, number as usize);
                lines.iter_mut().zip(values).for_each(|(line, &value)| line.0[lane] = value);
            }
        }
        self.centroids.copy_from_slice(centroids);
    }

    pub(super) fn groups(&self) -> usize {
        self.numbers.len().div_ceil(SIZE)
    }

    /// The group of a centroid.
    #[inline]
    pub(super) fn group_of(&self, number: u32) -> usize {
        self.places[number as usize] as usize / SIZE
    }

    /// The lowest number of centroids of a group.
    #[inline]
    pub(super) fn lowest(&self, group: usize, lanes: u32) -> u32 {
        self.numbers[group * SIZE + lanes.trailing_zeros() as usize % SIZE]
    }

    /// A group's columns.
    #[inline]
    pub(super) fn lines(&self, group: usize) -> &[f32] {
        bytemuck::cast_slice(&self.lines[group * self.dimension..][..self.dimension])
    }

    /// How far each group moved.
    #[inline]
    pub(super) fn drifts(&self) -> &[f32] {
        bytemuck::cast_slice(&self.drifts)
    }
}

/// Orders centroids so that each `SIZE` in turn are near each other: parts them in the middle of the line along which
/// they vary most, and the parts again.
fn part(centroids: &[f32], dimension: usize, numbers: &mut [u32]) {
    if numbers.len() <= SIZE {
        numbers.sort_unstable();
        return;
    }
    let vector = |number: u32| row(centroids, dimension, number as usize);
    let mut mean = vec![0.0; dimension];
    for &number in numbers.iter() {
        mean.iter_mut().zip(vector(number)).for_each(|(mean, value)| *mean += value / numbers.len() as f32);
    }
    let along = |number: u32, line: &[f32]| -> f32 {
        vector(number).iter().zip(&mean).zip(line).map(|((value, mean), line)| (value - mean) * line).sum()
    };
    let mut line: Vec<f32> = vector(numbers[0]).iter().zip(&mean).map(|(value, mean)| value - mean).collect();
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; dimension];
        for &number in numbers.iter() {
            let share = along(number, &line);
            let each = next.iter_mut().zip(vector(number)).zip(&mean);
            each.for_each(|((next, value), mean)| *next += share * (value - mean));
        }
        let longest = next.iter().copied().map(f32::abs).fold(f32::MIN_POSITIVE, f32::max);
        line = next.iter().map(|value| value / longest).collect();
    }
    let half = numbers.len().div_ceil(SIZE) / 2 * SIZE;
    numbers.sort_by_cached_key(|&number| crate::ops::Ranked::new(along(number, &line), number));
    let (low, high) = numbers.split_at_mut(half);
    part(centroids, dimension, low);
    part(centroids, dimension, high);
}
