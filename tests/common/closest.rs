//! Closest rows, how they are checked, and rows that are hard to tell apart.

use cellprobe::{
    Device, Metric,
    ops::{self, Ranked, reference},
};

use super::*;

pub fn check_nearest(device: &Device, rows: &[f32], centroids: &[f32], dimension: usize, metric: Metric, kind: Kind) {
    let mut work = device.work();
    let (on_device, among) = (upload(device, rows, dimension), upload(device, centroids, dimension));
    let nearest = ops::nearest(&mut work, &on_device, &among, metric).unwrap();
    work.submit().unwrap();
    let labels = read(device.work(), nearest.labels);
    let distances = read(device.work(), nearest.distances);
    let expected = reference::nearest(rows, centroids, dimension, metric);
    assert_eq!((labels.len(), distances.len()), (expected.len(), expected.len()));
    for (row, expected) in expected.iter().enumerate() {
        let exact = judge(&rows[row * dimension..][..dimension], centroids, metric);
        assert_neighbours(&[Ranked::new(distances[row], labels[row])], &[*expected], kind, exact);
    }
}

pub fn check_knn(
    device: &Device,
    queries: &[f32],
    base: &[f32],
    dimension: usize,
    k: usize,
    metric: Metric,
    kind: Kind,
) {
    let mut work = device.work();
    let (on_device, among) = (upload(device, queries, dimension), upload(device, base, dimension));
    let found = ops::knn(&mut work, &on_device, &among, k, metric).unwrap();
    assert_eq!((found.rows(), found.columns()), (queries.len() / dimension, k));
    let found = read(work, found);
    let expected = reference::knn(queries, base, dimension, k, metric);
    for ((query, found), expected) in queries.chunks(dimension).zip(found.chunks(k)).zip(expected) {
        assert_neighbours(found, &expected, kind, judge(query, base, metric));
    }
}

/// The true distance of a query to row `id` of `rows`, and its rounding.
pub fn judge(query: &[f32], rows: &[f32], metric: Metric) -> impl Fn(u32) -> (f64, f64) {
    move |id| {
        let row = &rows[id as usize * query.len()..][..query.len()];
        (reference::distance(query, row, metric), distance_rounding(query, row, metric))
    }
}

/// Rows between which products leave much open: in two clusters far from each other and from the origin, every third
/// one like another.
pub fn clusters(numbers: &mut Numbers, rows: usize, dimension: usize) -> Vec<f32> {
    let mut all = numbers.vector(Kind::Even, rows * dimension);
    for row in 0..rows {
        let far = 5e3 + numbers.below(2) as f32 * 1e4;
        all[row * dimension..][..dimension].iter_mut().for_each(|value| *value += far);
        if row % 3 == 2 {
            all.copy_within((row - 2) * dimension..(row - 1) * dimension, row * dimension);
        }
    }
    all
}

/// Queries, rows, dimension: enough of each for products, and none a whole number of tiles.
pub const MANY: [(usize, usize, usize); 4] = [(65, 65, 8), (66, 130, 100), (200, 129, 9), (70, 1100, 12)];

/// Vectors of both sides for every kind, and in clusters.
pub fn many(queries: usize, rows: usize, dimension: usize) -> Vec<(Kind, Vec<f32>, Vec<f32>)> {
    let mut numbers = Numbers::new((queries * rows * dimension) as u64);
    let kinds = [Kind::Whole, Kind::Even, Kind::Far]
        .map(|kind| (kind, numbers.vector(kind, queries * dimension), numbers.vector(kind, rows * dimension)));
    let apart = (Kind::Far, clusters(&mut numbers, queries, dimension), clusters(&mut numbers, rows, dimension));
    kinds.into_iter().chain([apart]).collect()
}

/// Rows that rounding tells little about, or nothing.
pub fn hard_to_round(numbers: &mut Numbers, rows: usize, dimension: usize) -> Vec<(Kind, Vec<f32>)> {
    let even = numbers.vector(Kind::Even, rows * dimension);
    let by_row = |change: fn(usize, f32) -> f32| -> Vec<f32> {
        even.iter().enumerate().map(|(place, &value)| change(place / dimension, value)).collect()
    };
    vec![
        (Kind::Far, clusters(numbers, rows, dimension)),
        // Of different lengths, some of them zero.
        (Kind::Even, by_row(|row, value| value * [0.0, 1e-3, 1.0, 1e4][row % 4])),
        // One direction.
        (Kind::Even, by_row(|row, value| if row % 3 == 0 { 1e-3 * value } else { 1.0 })),
        // So small, or so large, that squares of their units are no floats.
        (Kind::Even, by_row(|_, value| 1e-17 * value)),
        (Kind::Even, by_row(|row, value| if row % 5 == 0 { 1e16 * value } else { value })),
        (Kind::Whole, vec![3.0; rows * dimension]),
        (Kind::Even, even),
    ]
}
