//! Rows are transformed before they are kept, and an index finds them by what they were.

mod common;

use cellprobe::{
    Error,
    ops::{self, Rotation, reference},
};
use common::*;
use ndarray::Array2;
use proptest::prelude::*;

#[test]
fn rotate_gives_rows_times_a_matrix() {
    let columns = || prop_oneof![Just(1), 1..40usize, 120..140usize];
    let rows = prop_oneof![Just(0), Just(1), 1..64usize, 65..300usize];
    on_devices(&(rows, columns(), columns(), kinds(), any::<bool>(), any::<u64>()), |device, shape| {
        let (rows, columns, rotated_columns, kind, biased, seed) = shape;
        let mut numbers = Numbers::new(seed);
        let values = numbers.vector(kind, rows * columns);
        let matrix = numbers.vector(kind, rotated_columns * columns);
        let bias = if biased { numbers.vector(kind, rotated_columns) } else { vec![0.0; rotated_columns] };
        let lines = Array2::from_shape_vec((rotated_columns, columns), matrix.clone()).unwrap();
        let rotation = match Rotation::new(device, lines.view(), biased.then_some(&bias)) {
            // 128 rows of a matrix must fit a binding.
            Err(Error::Limit { allowed: SMALL_BINDING, .. }) if columns > 16 => return,
            rotation => rotation.unwrap(),
        };
        let rotated = |rows: &[f32]| {
            let mut work = device.work();
            let rotated = ops::rotate(&mut work, &upload(device, rows, columns), &rotation).unwrap();
            assert_eq!(rotated.columns(), rotated_columns);
            read(work, rotated)
        };
        let found = rotated(&values);
        let expected = reference::rotate(&values, columns, &matrix, &bias);
        assert_eq!(found.len(), expected.len());
        for (place, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let (row, line) = (place / rotated_columns, place % rotated_columns);
            let pairs = values[row * columns..][..columns].iter().zip(&matrix[line * columns..][..columns]);
            let products = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b));
            assert_close(f64::from(found), expected, rounding(products.chain([f64::from(bias[line])])));
        }
        // A row alone, to the bit.
        if let Some(first) = values.chunks(columns).next_back() {
            assert_eq!(rotated(first), found[found.len() - rotated_columns..]);
        }
    });
}

#[test]
fn rotate_wants_a_matrix_that_fits() {
    for device in &devices() {
        let matrix = Array2::<f32>::eye(3);
        assert_eq!(error_of(Rotation::new(device, Array2::zeros((0, 3)).view(), None)), "Empty");
        assert_eq!(error_of(Rotation::new(device, Array2::zeros((3, 0)).view(), None)), "Empty");
        assert_eq!(error_of(Rotation::new(device, matrix.view(), Some(&[0.0; 2]))), "Length");
        assert_eq!(error_of(Rotation::new(device, (&matrix * f32::INFINITY).view(), None)), "NotFinite");
        let rotation = Rotation::new(device, matrix.view(), None).unwrap();
        assert_eq!((rotation.columns(), rotation.rotated_columns()), (3, 3));
        let rows = upload(device, &[0.0; 8], 4);
        assert_eq!(error_of(ops::rotate(&mut device.work(), &rows, &rotation)), "Dimension");
    }
}
