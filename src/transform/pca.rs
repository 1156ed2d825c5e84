//! Principal components.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2, Axis};

use super::{Map, PcaForm, mean, orthonormal};
use crate::{Error, Result, index::Training, rows::sampled};

/// Training rows a dimension, at most.
const POINTS_PER_DIMENSION: usize = 1000;

/// Seed of the rotation that mixes components, FAISS's: the same whatever the rows.
const ROTATION_SEED: u64 = 5;

/// Rows whose products are added up together.
const TOGETHER: usize = 4096;

/// What a PCA was made of: all components, whichever of them its matrix has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Principal {
    pub mean: Vec<f32>,
    /// Descending: how much rows vary, a sum of squares, as in FAISS.
    pub eigenvalues: Vec<f32>,
    /// A row each.
    pub components: Vec<f32>,
}

pub(super) fn train(
    rows: ArrayView2<'_, f32>,
    output_dimension: usize,
    form: PcaForm,
    training: &Training,
) -> Result<Map> {
    if form.balanced_bins != 0 {
        return Err(Error::parameter("balanced_bins of a PCA to be trained", form.balanced_bins, "0"));
    }
    if rows.nrows() == 0 {
        return Err(Error::Empty { what: "training rows" });
    }
    let rows = sampled(rows, POINTS_PER_DIMENSION * rows.ncols(), training.seed);
    let mean = mean(rows.view());
    let principal = components(rows.view(), &mean, training)?;
    // What does not vary, but for rounding, cannot be scaled to vary.
    let least = f32::EPSILON * principal.eigenvalues[0];
    let varying = principal.eigenvalues.iter().filter(|&&eigenvalue| eigenvalue + form.epsilon > least).count();
    if form.eigen_power < 0.0 && varying < output_dimension {
        let expected = format!("at most {varying}, in which training rows vary, to be whitened");
        return Err(Error::parameter("dimension after a PCA", output_dimension, expected));
    }
    let matrix = scaled(&principal, output_dimension, form);
    let shift = |line: ndarray::ArrayView1<'_, f32>| -> f64 {
        line.iter().zip(&mean).map(|(&value, mean)| f64::from(value) * mean).sum()
    };
    let bias = matrix.outer_iter().map(|line| -shift(line) as f32).collect();
    Ok(Map { matrix, bias: Some(bias), principal: Some(principal) })
}

/// The eigenvectors of the rows' covariance (times their number), by descending eigenvalue.
fn components(rows: ArrayView2<'_, f32>, mean: &[f64], training: &Training) -> Result<Principal> {
    const ROUNDS: usize = 10_000;
    let dimension = rows.ncols();
    let mut covariance = DMatrix::<f64>::zeros(dimension, dimension);
    for rows in rows.axis_chunks_iter(Axis(0), TOGETHER) {
        training.cancel.check()?;
        let centred = |row, column| f64::from(rows[(row, column)]) - mean[column];
        let centred = DMatrix::from_fn(rows.nrows(), dimension, centred);
        covariance.gemm_tr(1.0, &centred, &centred, 1.0);
    }
    let eigen = covariance.try_symmetric_eigen(f64::EPSILON, ROUNDS);
    let eigen = eigen.ok_or_else(|| Error::parameter("training rows", "a covariance", "one with eigenvalues"))?;
    let mut order: Vec<usize> = (0..dimension).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    Ok(Principal {
        mean: mean.iter().map(|&value| value as f32).collect(),
        // Rounding may leave what is nothing below it.
        eigenvalues: order.iter().map(|&at| eigen.eigenvalues[at].max(0.0) as f32).collect(),
        components: order
            .iter()
            .flat_map(|&at| eigen.eigenvectors.column(at).iter().map(|&value| value as f32).collect::<Vec<_>>())
            .collect(),
    })
}

/// The first components, each scaled, and mixed if that is asked for.
fn scaled(principal: &Principal, output_dimension: usize, form: PcaForm) -> Array2<f32> {
    let dimension = principal.mean.len();
    let scale = |line: usize| -> f32 {
        // A power of 0 is none, also of a variance of 0.
        if form.eigen_power == 0.0 { 1.0 } else { (principal.eigenvalues[line] + form.epsilon).powf(form.eigen_power) }
    };
    let scaled = Array2::from_shape_fn((output_dimension, dimension), |(line, column)| {
        scale(line) * principal.components[line * dimension + column]
    });
    if form.rotate {
        orthonormal::random(output_dimension, output_dimension, ROTATION_SEED).dot(&scaled)
    } else {
        scaled
    }
}
