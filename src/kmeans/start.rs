//! Where centroids start.

use rand::{RngExt, rngs::Xoshiro256PlusPlus, seq::index::sample};

use super::{Init, points::Points};
use crate::{Device, DeviceArray, Metric, Result};

/// `clusters` centroids to start from. There must be as many rows.
pub(super) async fn start(
    init: &Init,
    device: &Device,
    rows: &Points<'_>,
    clusters: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<DeviceArray<f32>> {
    let picks = match init {
        Init::Given(centroids) => return device.rows(centroids.view()),
        Init::Random => picks(rows.rows(), clusters, random),
        Init::PlusPlus => plus_plus(device, rows, clusters, random).await?,
    };
    let mut work = device.work();
    let centroids = rows.pick(&mut work, device, &picks)?;
    work.submit()?;
    Ok(centroids)
}

/// Numbers of distinct rows among `rows`.
pub(super) fn picks(rows: usize, clusters: usize, random: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    sample(random, rows, clusters).into_vec()
}

/// Numbers of distinct rows, each drawn in proportion to its squared distance to the nearest drawn before.
async fn plus_plus(
    device: &Device,
    rows: &Points<'_>,
    clusters: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<Vec<usize>> {
    let mut newest = random.random_range(0..rows.rows() as u32) as usize;
    let mut picks = vec![newest];
    let mut weights = vec![f32::INFINITY; rows.rows()];
    while picks.len() < clusters {
        // Only the newest centroid can be nearer than those before it.
        let mut work = device.work();
        let centroid = rows.pick(&mut work, device, &[newest])?;
        let nearest = rows.nearest(&mut work, &centroid, Metric::L2).await?;
        for (weight, distance) in weights.iter_mut().zip(work.read(nearest.distances).await?) {
            *weight = weight.min(distance);
        }
        newest = draw(&weights, random.random()).unwrap_or_else(|| unpicked(&picks, rows.rows(), random));
        picks.push(newest);
    }
    Ok(picks)
}

/// The row where the running sum of weights passes `fraction` of their total, if any has a weight.
fn draw(weights: &[f32], fraction: f64) -> Option<usize> {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let mut left = fraction * total;
    let mut last = None;
    for (row, &weight) in weights.iter().enumerate().filter(|&(_, &weight)| weight > 0.0) {
        last = Some(row);
        left -= f64::from(weight);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// A random row that is not among `picks`: what is left to draw when all rows lie on centroids.
fn unpicked(picks: &[usize], rows: usize, random: &mut Xoshiro256PlusPlus) -> usize {
    let mut sorted = picks.to_vec();
    sorted.sort_unstable();
    let place = random.random_range(0..(rows - picks.len()) as u32) as usize;
    sorted.into_iter().fold(place, |row, pick| if pick <= row { row + 1 } else { row })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_fall_in_proportion_to_weights() {
        let weights = [0.0, 1.0, 0.0, 3.0, 0.0];
        let drawn: Vec<_> = [0.0, 0.24, 0.26, 0.99].iter().map(|&fraction| draw(&weights, fraction)).collect();
        assert_eq!(drawn, [Some(1), Some(1), Some(3), Some(3)]);
        assert_eq!(draw(&[0.0, 0.0], 0.5), None);
    }

    #[test]
    fn unpicked_rows_are_never_among_the_picks() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let picks = [5, 0, 2];
        let mut found: Vec<_> = (0..200).map(|_| unpicked(&picks, 6, &mut random)).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [1, 3, 4]);
    }
}
