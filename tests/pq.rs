//! What product quantizers promise, whatever the shape.

mod common;

use std::sync::{Arc, Mutex};

use cellprobe::{
    Device, Error, KMeans, Metric, ProductQuantizer,
    device::{Cancel, Options, adapters},
    kmeans::{Progress, Warning},
    quantize::Training,
};
use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use proptest::prelude::*;

fn rows(count: usize, dimension: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, dimension), |(row, column)| ((row * 37 + column * 101 + row * column) % 97) as f32)
}

fn options() -> Training {
    Training::default().iterations(2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn codes_are_the_closest_centroids(m in 1..9_usize, nbits in 4..=8_usize, dsub in 1..5_usize, count in 0..20_usize, seed: u64) {
        let mut state = seed | 1;
        let mut number = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 40) as f32 / (1 << 20) as f32
        };
        let centroids = Array3::from_shape_simple_fn((m, 1 << nbits, dsub), &mut number);
        let rows = Array2::from_shape_simple_fn((count, m * dsub), &mut number);
        for device in common::devices() {
            let quantizer = ProductQuantizer::from_centroids(&device, centroids.clone()).unwrap();
            prop_assert_eq!((quantizer.dimension(), quantizer.m(), quantizer.nbits()), (m * dsub, m, nbits));
            let codes = quantizer.encode(rows.view()).unwrap();
            prop_assert_eq!(codes.dim(), (count, (m * nbits).div_ceil(8)));
            let decoded = quantizer.decode(codes.view()).unwrap();
            // A code's entries in the lookup table are the smallest, and are the distance of the decoded vector.
            let tables = quantizer.tables(rows.view(), Metric::L2).unwrap();
            for (row, (vector, decoded)) in rows.outer_iter().zip(decoded.outer_iter()).enumerate() {
                let smallest = tables.slice(s![row, .., ..]).outer_iter().map(|table| table.fold(f32::INFINITY, |a, &b| a.min(b))).sum::<f32>();
                let distance = (&vector - &decoded).pow2().sum();
                prop_assert!((smallest - distance).abs() <= 1e-4 * distance + 1e-6, "{} {}", smallest, distance);
            }
            // A decoded vector is its own code.
            let again = quantizer.encode(decoded.view()).unwrap();
            prop_assert_eq!(quantizer.decode(again.view()).unwrap(), decoded);
        }
    }
}

#[test]
fn training_gives_the_same_bits() {
    let rows = rows(200, 12);
    for device in common::devices() {
        let train = || ProductQuantizer::train(&device, rows.view(), 3, 5, &options()).unwrap();
        let quantizer = train();
        assert_eq!(quantizer.centroids(), train().centroids());
        assert_eq!(quantizer.centroids().dim(), (3, 32, 4));
        assert_eq!(quantizer.warnings(), [Warning::FewPoints { points: 200, centroids: 32, advised: 1248 }]);
    }
}

/// Small whole numbers, so that sums are exact: a GPU trains sub-quantizers together, as many as a binding has room for.
#[test]
fn each_sub_quantizer_is_what_k_means_makes_of_its_columns() {
    let (m, dsub) = (7, 3);
    // The same rows twice and columns of few numbers, so that clusters lose all their rows.
    let row = |row: usize, column: usize| (row % 150 * (column + 3) + column * row % 150 % 7) % (2 + column);
    for count in [16, 300, 20_000] {
        let rows = Array2::from_shape_fn((count, m * dsub), |(number, column)| row(number, column) as f32);
        let most = if count == 300 { Some(15) } else { None };
        let options = Training::default().iterations(1).max_points_per_centroid(most);
        let kmeans = KMeans::new(16).iterations(1).max_points_per_centroid(most);
        for device in common::devices() {
            let quantizer = ProductQuantizer::train(&device, rows.view(), m, 4, &options).unwrap();
            for (sub, centroids) in quantizer.centroids().axis_iter(Axis(0)).enumerate() {
                let columns = rows.slice(s![.., sub * dsub..(sub + 1) * dsub]);
                let alone = kmeans.train(&device, columns).unwrap();
                assert_eq!(centroids, alone.centroids(), "{count} rows, sub-quantizer {sub} on {device:?}");
            }
        }
    }
}

#[test]
fn a_quantizer_moves_between_devices() {
    let rows = rows(100, 8);
    let quantizer = ProductQuantizer::train(&Device::cpu(), rows.view(), 4, 4, &options()).unwrap();
    for device in common::devices() {
        let moved = quantizer.to_device(&device).unwrap();
        assert!(moved.device().same_as(&device));
        assert_eq!(moved.centroids(), quantizer.centroids());
        let error = |quantizer: &ProductQuantizer| {
            let codes = quantizer.encode(rows.view()).unwrap();
            (&rows - &quantizer.decode(codes.view()).unwrap()).pow2().sum()
        };
        assert!((error(&moved) - error(&quantizer)).abs() <= 1e-5 * error(&quantizer));
        assert_eq!(moved.warnings(), quantizer.warnings());
    }
}

#[test]
fn progress_is_told_of_every_sub_quantizer() {
    let rows = rows(50, 6);
    for device in common::devices() {
        let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let listener = Arc::clone(&told);
        let options = options().progress(move |step| listener.lock().unwrap().push(step));
        let quantizer = ProductQuantizer::train(&device, rows.view(), 3, 4, &options).unwrap();
        let decoded = quantizer.decode(quantizer.encode(rows.view()).unwrap().view()).unwrap();
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert_eq!(told.iter().map(|step| (step.done, step.of)).collect::<Vec<_>>(), [(1, 3), (2, 3), (3, 3)]);
        for (sub, step) in told.iter().enumerate() {
            let columns = s![.., 2 * sub..2 * sub + 2];
            let objective = f64::from((&rows.slice(columns) - &decoded.slice(columns)).pow2().sum());
            assert!((step.objective - objective).abs() <= 1e-4 * objective, "{device:?}: {step:?}, {objective}");
        }
    }
}

#[test]
fn a_cancelled_training_is_an_error() {
    let cancel = Cancel::default();
    let options = options().cancelled_by(&cancel);
    cancel.cancel();
    for device in common::devices() {
        let trained = ProductQuantizer::train(&device, rows(50, 6).view(), 3, 4, &options);
        assert!(matches!(trained, Err(Error::Cancelled)), "{device:?}");
    }
}

/// The start, and each iteration with a submission of its own; what is read is the centroids.
#[test]
fn sub_quantizers_are_trained_together() {
    let rows = rows(600, 24);
    if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
        return;
    }
    // Opened anew, so that nobody else counts on them.
    for adapter in adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl") {
        let device = Device::open(&format!("gpu:{}", adapter.index), &Options::default()).unwrap();
        let before = device.counters();
        ProductQuantizer::train(&device, rows.view(), 8, 4, &Training::default().iterations(5)).unwrap();
        let after = device.counters();
        let asked_for = (after.submissions - before.submissions, after.read_backs - before.read_backs);
        assert_eq!(asked_for, (6, 1), "{device:?}");
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let rows = rows(100, 12);
    for device in common::devices() {
        let error = |rows: ArrayView2<'_, f32>, m, nbits| {
            ProductQuantizer::train(&device, rows, m, nbits, &options()).unwrap_err()
        };
        for m in [0, 5, 24] {
            assert!(matches!(error(rows.view(), m, 4), Error::Parameter { name: "M", .. }));
        }
        for nbits in [0, 3, 9, 64] {
            assert!(matches!(error(rows.view(), 4, nbits), Error::Parameter { name: "nbits", .. }));
        }
        assert!(matches!(error(rows.view(), 4, 7), Error::TooFewPoints { points: 100, centroids: 128 }));
        assert!(matches!(error(rows.slice(s![.., ..0]), 4, 4), Error::Empty { .. }));
        let mut broken = rows.clone();
        broken[[3, 9]] = f32::NAN;
        assert!(matches!(error(broken.view(), 4, 4), Error::NotFinite { row: 3, column: 9, .. }));
        let none = ProductQuantizer::train(&device, rows.view(), 4, 4, &options().iterations(0));
        assert!(matches!(none, Err(Error::Parameter { name: "iterations", .. })));

        let quantizer = ProductQuantizer::train(&device, rows.view(), 4, 4, &options()).unwrap();
        assert!(matches!(
            quantizer.encode(rows.slice(s![.., ..8])),
            Err(Error::Dimension { expected: 12, found: 8, .. })
        ));
        assert!(matches!(quantizer.encode(broken.view()), Err(Error::NotFinite { row: 3, column: 9, .. })));
        assert!(matches!(quantizer.tables(broken.view(), Metric::L2), Err(Error::NotFinite { .. })));
        assert!(matches!(
            quantizer.decode(Array2::zeros((1, 3)).view()),
            Err(Error::Length { expected: 2, found: 3, .. })
        ));

        for ksub in [0, 8, 20, 512] {
            let wrong = ProductQuantizer::from_centroids(&device, Array3::zeros((2, ksub, 2)));
            assert!(matches!(wrong, Err(Error::Parameter { .. })));
        }
        assert!(ProductQuantizer::from_centroids(&device, Array3::zeros((0, 16, 2))).is_err());
        assert!(ProductQuantizer::from_centroids(&device, Array3::zeros((2, 16, 0))).is_err());
    }
}
