//! What comes in from callers: checked once, here.

use ndarray::{Array2, ArrayView2, Axis};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use rayon::prelude::*;

use crate::{Error, Result};

/// Fails on rows without columns and on numbers that are not finite.
pub(crate) fn check(what: &'static str, rows: ArrayView2<'_, f32>) -> Result<()> {
    if rows.ncols() == 0 {
        return Err(Error::Empty { what });
    }
    let not_finite = |row: usize| {
        let values = rows.row(row);
        let column = values.iter().position(|value| !value.is_finite())?;
        Some(Error::NotFinite { what, row, column, value: values[column] })
    };
    match (0..rows.nrows()).into_par_iter().find_map_first(not_finite) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// [`check`], and that there are rows, of dimension `dimension`.
pub(crate) fn check_dimension(what: &'static str, rows: ArrayView2<'_, f32>, dimension: usize) -> Result<()> {
    if rows.ncols() != dimension {
        return Err(Error::Dimension { what, expected: dimension, found: rows.ncols() });
    }
    check(what, rows)
}

/// The rows' elements, row after row.
pub(crate) fn contiguous(rows: ArrayView2<'_, f32>) -> Vec<f32> {
    match rows.as_slice() {
        Some(slice) => slice.to_vec(),
        None => rows.iter().copied().collect(),
    }
}

/// The rows, or a random sample of `most` of them, in order.
pub(crate) fn sampled(rows: ArrayView2<'_, f32>, most: usize, seed: u64) -> Array2<f32> {
    if rows.nrows() <= most {
        return rows.to_owned();
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut chosen = rand::seq::index::sample(&mut random, rows.nrows(), most).into_vec();
    chosen.sort_unstable();
    rows.select(Axis(0), &chosen)
}

/// Scales each row to unit length; a row of zeros stays as it is.
pub(crate) fn normalise(rows: &mut [f32], columns: usize) {
    rows.par_chunks_mut(columns).for_each(|row| {
        let squares: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        if squares > 0.0 {
            let scale = 1.0 / squares.sqrt();
            for value in row {
                *value = (f64::from(*value) * scale) as f32;
            }
        }
    });
}

/// Copies of the rows at unit length.
pub(crate) fn normalised(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut copies = rows.as_standard_layout().into_owned();
    if let Some(data) = copies.as_slice_mut() {
        normalise(data, rows.ncols());
    }
    copies
}
