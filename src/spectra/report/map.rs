//! Places of spectra in two dimensions.

use ndarray::{Array1, Array2, Axis};

/// Rounds of the power iteration: directions on a picture need not be exact.
const ROUNDS: usize = 30;

/// The two first principal components of rows of vectors.
pub(super) fn principal(rows: &Array2<f32>) -> Vec<[f64; 2]> {
    let mut centred = rows.mapv(f64::from);
    if let Some(mean) = centred.mean_axis(Axis(0)) {
        centred -= &mean;
    }
    let mut places = vec![[0.0; 2]; rows.nrows()];
    for axis in 0..2 {
        let direction = strongest(&centred);
        let along = centred.dot(&direction);
        for (place, &value) in places.iter_mut().zip(&along) {
            place[axis] = value;
        }
        for (mut row, &value) in centred.rows_mut().into_iter().zip(&along) {
            row.scaled_add(-value, &direction);
        }
    }
    places
}

/// The direction in which rows differ most, by power iteration from a start that is always the same.
fn strongest(rows: &Array2<f64>) -> Array1<f64> {
    let mut direction = Array1::from_shape_fn(rows.ncols(), |column| 1.0 + (column * 7 % 11) as f64);
    for _ in 0..ROUNDS {
        let next = rows.t().dot(&rows.dot(&direction));
        let norm = next.dot(&next).sqrt();
        if norm <= f64::MIN_POSITIVE {
            break;
        }
        direction = next / norm;
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_axis_comes_first() {
        let rows = Array2::from_shape_fn((21, 3), |(row, column)| {
            let along = row as f32 - 10.0;
            [3.0 * along, if row % 2 == 0 { 2.0 } else { -2.0 }, 5.0][column]
        });
        let places = principal(&rows);
        let steps: Vec<f64> = places.windows(2).map(|pair| (pair[1][0] - pair[0][0]).abs()).collect();
        assert!(steps.iter().all(|step| (step - 3.0).abs() < 0.2), "{steps:?}");
        assert!(places.iter().all(|place| place[1].abs() > 1.5 && place[1].abs() < 2.5), "{places:?}");
        assert_eq!(principal(&Array2::zeros((3, 4))), [[0.0; 2]; 3]);
        assert_eq!(principal(&Array2::zeros((0, 4))), [[0.0; 2]; 0]);
    }
}
