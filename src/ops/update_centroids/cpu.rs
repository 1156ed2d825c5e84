//! New centroids on the CPU.

use crate::rows::normalise;

/// How far the halves of a split cluster lie apart, as a factor.
const SPLIT: f32 = 1.0 / 1024.0;

/// Rounds of the draws before the largest cluster is split.
const ROUNDS: usize = 16;

/// The new centroids, and the objective and number of empty clusters.
pub(super) fn update_centroids(
    sums: &[f32],
    columns: usize,
    offsets: &[u32],
    inertia: &[f32],
    draws: &[f32],
    spherical: bool,
) -> (Vec<f32>, [f32; 2]) {
    let mut sizes: Vec<f32> = offsets.windows(2).map(|bounds| bounds[1].saturating_sub(bounds[0]) as f32).collect();
    let mut centroids = sums.to_vec();
    for (centroid, &size) in centroids.chunks_mut(columns.max(1)).zip(&sizes) {
        if size > 0.0 {
            for value in centroid {
                *value /= size;
            }
        }
    }
    let rows = offsets.last().map_or(0, |&rows| rows as usize);
    let empty: Vec<usize> = (0..sizes.len()).filter(|&cluster| sizes[cluster] == 0.0).collect();
    let tries = ROUNDS * draws.len();
    let mut draws = draws.iter().cycle();
    for &cluster in &empty {
        let chosen = pick(&sizes, rows, draws.by_ref().take(tries));
        let donor = chosen.unwrap_or_else(|| largest(&sizes));
        split(&mut centroids, columns, cluster, donor);
        sizes[cluster] = sizes[donor] / 2.0;
        sizes[donor] -= sizes[cluster];
    }
    if spherical {
        normalise(&mut centroids, columns.max(1));
    }
    let objective: f64 = inertia.iter().map(|&inertia| f64::from(inertia)).sum();
    (centroids, [objective as f32, empty.len() as f32])
}

/// The cluster whose draw is below the share of its size.
fn pick<'a>(sizes: &[f32], rows: usize, mut draws: impl Iterator<Item = &'a f32>) -> Option<usize> {
    let spare = rows.checked_sub(sizes.len()).filter(|&spare| spare > 0)? as f32;
    (0..sizes.len()).cycle().find_map(|cluster| match draws.next() {
        None => Some(None),
        Some(&draw) => (draw < (sizes[cluster] - 1.0) / spare).then_some(Some(cluster)),
    })?
}

fn largest(sizes: &[f32]) -> usize {
    (0..sizes.len()).fold(0, |best, next| if sizes[next] > sizes[best] { next } else { best })
}

/// Makes `cluster` and `donor` two centroids next to the donor's.
fn split(centroids: &mut [f32], columns: usize, cluster: usize, donor: usize) {
    for column in 0..columns {
        let value = centroids[donor * columns + column];
        let up = if column % 2 == 0 { SPLIT } else { -SPLIT };
        centroids[cluster * columns + column] = value * (1.0 + up);
        centroids[donor * columns + column] = value * (1.0 - up);
    }
}
