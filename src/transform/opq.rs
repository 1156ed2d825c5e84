//! Optimized product quantization: which way to turn vectors so that product quantization loses least.
//!
//! Codewords begin anew at each turn, at other rows. Where they go on from those of the turn before, as the paper and FAISS
//! have it, both soon stay where they are, near a random start. What is lost, of what is lost without turning, rows held out
//! in brackets:
//!
//! | rows, M | going on, 40 iterations and 4 a turn | anew, 4 a turn | anew, 2 a turn |
//! | --- | --- | --- | --- |
//! | 65,536 x 100 of words, 25 | 0.986 (0.988), 11.7 s | 0.954 (0.960), 12.0 s | 0.951 (0.956), 10.1 s |
//! | 10,000 x 100 of words, 25 | 0.986 (1.001) | 0.922 (0.973) | |
//! | 8,000 x 784 of images, 16 | 1.052 (1.124) | 0.869 (0.936), 36.7 s | 0.875 (0.935), 37.1 s |
//!
//! FAISS makes 0.980 (1.001) of the 10,000. (Seconds on two cores of an EPYC; of 784 columns nearly all are singular value
//! decompositions.)

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2, Axis};

use super::{mean, orthonormal, rotated};
use crate::{
    Device, Error, ProductQuantizer, Result,
    index::Training,
    kmeans::Progress,
    ops::{self, Rotation},
    quantize,
    rows::sampled,
};

/// Training rows, at most.
const MOST_ROWS: usize = 256 * 256;

/// Bits of a sub-quantizer's code, whatever the index will have.
const NBITS: usize = 8;

/// How often the rows are turned, and iterations of k-means each time.
const TURNS: usize = 50;
const ITERATIONS: usize = 2;

/// Rows whose products are added up in f32: so many that 128 of their columns fit any binding.
const TOGETHER: usize = 1024;

/// A matrix with orthonormal rows (columns if there are fewer) for rows of its output to be quantized.
pub(super) async fn train(
    device: &Device,
    rows: ArrayView2<'_, f32>,
    output_dimension: usize,
    m: usize,
    training: &Training,
) -> Result<Array2<f32>> {
    let (clusters, points) = (1 << NBITS, rows.nrows());
    if points < clusters {
        return Err(Error::TooFewPoints { points, centroids: clusters });
    }
    let dimension = rows.ncols();
    let centred = centred(rows, output_dimension, training.seed);
    let transposed = transposed_in_chunks(device, centred.view())?;
    let mut turn = orthonormal::random(output_dimension, centred.ncols(), training.seed);
    for number in 0..TURNS {
        training.cancel.check()?;
        let turned = rotated(device, centred.view(), &Rotation::new(device, turn.view(), None)?).await?;
        let options = quantize::Training::default()
            .iterations(ITERATIONS)
            .max_points_per_centroid(None)
            .seed(training.seed.wrapping_add(number as u64))
            .cancelled_by(&training.cancel);
        let quantizer = ProductQuantizer::train_async(device, turned.view(), m, NBITS, &options).await?;
        let codes = quantizer.encode_async(turned.view()).await?;
        let decoded = quantizer.decode(codes.view())?;
        if let Some(progress) = &training.progress {
            let errors = decoded.iter().zip(&turned).map(|(a, b)| f64::from(a - b).powi(2));
            progress("training the OPQ rotation", Progress { done: number + 1, of: TURNS, objective: errors.sum() });
        }
        let products = products(device, decoded.view(), &transposed, centred.ncols()).await?;
        let unsettled = || Error::parameter("training rows", "products", "such that have singular values");
        turn = orthonormal::closest(products).ok_or_else(unsettled)?;
    }
    // What was filled up with zeros.
    Ok(turn.slice_move(ndarray::s![.., ..dimension]))
}

/// A sample of the rows less their mean, filled up with zeros to at least `least` columns.
fn centred(rows: ArrayView2<'_, f32>, least: usize, seed: u64) -> Array2<f32> {
    let rows = sampled(rows, MOST_ROWS, seed);
    let mean = mean(rows.view());
    let (count, dimension) = rows.dim();
    Array2::from_shape_fn((count, dimension.max(least)), |(row, column)| {
        rows.get((row, column)).map_or(0.0, |&value| (f64::from(value) - mean[column]) as f32)
    })
}

/// Rows as matrices whose products with others sum over them, [`TOGETHER`] at a time.
fn transposed_in_chunks(device: &Device, rows: ArrayView2<'_, f32>) -> Result<Vec<Rotation>> {
    rows.axis_chunks_iter(Axis(0), TOGETHER).map(|rows| Rotation::new(device, rows.t(), None)).collect()
}

/// The sum over all rows of the products of each column of `rows` with each of those that were transposed.
async fn products(
    device: &Device,
    rows: ArrayView2<'_, f32>,
    transposed: &[Rotation],
    columns: usize,
) -> Result<DMatrix<f64>> {
    let mut sums = DMatrix::<f64>::zeros(rows.ncols(), columns);
    for (rows, matrix) in rows.axis_chunks_iter(Axis(0), TOGETHER).zip(transposed) {
        let columns_of_rows = device.rows(rows.t())?;
        let mut work = device.work();
        let found = ops::rotate(&mut work, &columns_of_rows, matrix)?;
        let found = work.read(found).await?;
        sums += DMatrix::from_row_iterator(rows.ncols(), columns, found.into_iter().map(f64::from));
    }
    if sums.iter().all(|sum| sum.is_finite()) {
        Ok(sums)
    } else {
        Err(Error::parameter("training rows", "numbers whose products exceed f32", "smaller ones"))
    }
}
