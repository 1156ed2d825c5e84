//! New centroids, the plainest way.

/// The new centroids, and the objective and number of empty clusters.
#[must_use]
pub fn update_centroids(
    sums: &[f32],
    columns: usize,
    offsets: &[u32],
    inertia: &[f32],
    draws: &[f32],
    spherical: bool,
) -> (Vec<f64>, [f64; 2]) {
    let k = offsets.len() - 1;
    let rows = f64::from(offsets[k]);
    let mut sizes: Vec<f64> = (0..k).map(|cluster| f64::from(offsets[cluster + 1] - offsets[cluster])).collect();
    let mut centroids: Vec<f64> = sums.iter().map(|&sum| f64::from(sum)).collect();
    for cluster in 0..k {
        for column in 0..columns {
            centroids[cluster * columns + column] /= sizes[cluster].max(1.0);
        }
    }
    let mut next = 0;
    let mut empty = 0;
    for cluster in 0..k {
        if sizes[cluster] > 0.0 {
            continue;
        }
        empty += 1;
        let mut donor = None;
        if rows > k as f64 {
            for tried in 0..16 * draws.len() {
                let draw = draws[next % draws.len()];
                next += 1;
                // The share is rounded as FAISS rounds it, so that the same donors are found.
                if draw < ((sizes[tried % k] - 1.0) / (rows - k as f64)) as f32 {
                    donor = Some(tried % k);
                    break;
                }
            }
        }
        let largest = (0..k).rev().max_by(|&a, &b| sizes[a].total_cmp(&sizes[b])).unwrap_or(0);
        let donor = donor.unwrap_or(largest);
        for column in 0..columns {
            let value = centroids[donor * columns + column];
            let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
            centroids[cluster * columns + column] = value * (1.0 + sign / 1024.0);
            centroids[donor * columns + column] = value * (1.0 - sign / 1024.0);
        }
        sizes[cluster] = sizes[donor] / 2.0;
        sizes[donor] -= sizes[cluster];
    }
    if spherical {
        for centroid in centroids.chunks_mut(columns.max(1)) {
            let norm = centroid.iter().map(|value| value * value).sum::<f64>().sqrt();
            if norm > 0.0 {
                for value in centroid {
                    *value /= norm;
                }
            }
        }
    }
    (centroids, [inertia.iter().map(|&inertia| f64::from(inertia)).sum(), f64::from(empty)])
}
