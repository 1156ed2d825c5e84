//! Matrices whose rows, or columns if there are fewer, have length 1 and are at right angles.

use nalgebra::DMatrix;
use ndarray::Array2;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::{Distribution, StandardNormal};

/// A random one, evenly distributed: Q of a matrix of normal numbers (Mezzadri 2007, section 4).
pub(super) fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let long = rows.max(columns);
    let normal = DMatrix::<f64>::from_fn(long, rows, |_, _| StandardNormal.sample(&mut random));
    let q = normal.qr().q();
    Array2::from_shape_fn((rows, columns), |(row, column)| q[(column, row)] as f32)
}

/// The one closest to a matrix: U Vᵀ of its singular value decomposition (Schönemann 1966). None if it is not found.
pub(super) fn closest(matrix: DMatrix<f64>) -> Option<Array2<f32>> {
    const ROUNDS: usize = 10_000;
    let (rows, columns) = matrix.shape();
    let parts = matrix.try_svd(true, true, f64::EPSILON, ROUNDS)?;
    let turned = parts.u? * parts.v_t?;
    Some(Array2::from_shape_fn((rows, columns), |place| turned[place] as f32))
}
