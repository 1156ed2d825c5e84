//! What k-means promises: the same answer every time, objectives that do not rise, typed errors.

mod common;

use std::sync::{Arc, Mutex};

use cellprobe::{
    Device, Error, KMeans, Metric,
    kmeans::{Clustering, Init, Progress, Warning},
};
use ndarray::{Array2, ArrayView2, Axis, array, s};
use proptest::prelude::*;

/// Up to 60 rows of up to 9 columns, and a number of centroids that they allow.
fn rows_and_clusters() -> impl Strategy<Value = (Array2<f32>, usize)> {
    (1..60_usize, 1..10_usize).prop_flat_map(|(rows, columns)| {
        (prop::collection::vec(-8.0..8.0_f32, rows * columns), 1..=rows)
            .prop_map(move |(values, clusters)| (Array2::from_shape_vec((rows, columns), values).unwrap(), clusters))
    })
}

fn inits() -> impl Strategy<Value = Init> {
    prop_oneof![Just(Init::Random), Just(Init::PlusPlus)]
}

/// `count` points around each of four corners, 100 apart.
fn blobs(count: usize) -> Array2<f32> {
    Array2::from_shape_fn((4 * count, 2), |(row, column)| {
        let corner = 100.0 * ((row % 4) >> column & 1) as f32;
        corner + ((row * 7 + column * 5) % 11) as f32 / 11.0
    })
}

fn bits(clustering: &Clustering) -> Vec<u32> {
    clustering.centroids().iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_gives_the_same_bits(
        (rows, clusters) in rows_and_clusters(), init in inits(), seed: u64, spherical: bool, most in 1..9_usize,
    ) {
        let kmeans = KMeans::new(clusters).init(init).seed(seed).spherical(spherical).max_points_per_centroid(most).iterations(4);
        for device in common::devices() {
            let first = kmeans.train(&device, rows.view()).unwrap();
            let again = kmeans.train(&device, rows.view()).unwrap();
            let uploaded = kmeans.train_on_device(&device, &device.matrix(rows.view()).unwrap()).unwrap();
            prop_assert_eq!(bits(&first), bits(&again));
            prop_assert_eq!(bits(&first), bits(&uploaded));
            prop_assert_eq!(first.points(), rows.nrows().min(most * clusters));
            if spherical {
                for centroid in first.centroids().rows() {
                    prop_assert!((centroid.dot(&centroid) - 1.0).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn the_objective_does_not_rise((rows, clusters) in rows_and_clusters(), init in inits(), seed: u64) {
        for device in common::devices() {
            let clustering = KMeans::new(clusters).init(init.clone()).seed(seed).iterations(8).train(&device, rows.view()).unwrap();
            let objectives: Vec<f64> = clustering.objectives().iter().copied().chain([clustering.objective()]).collect();
            for (pair, &empty) in objectives.windows(2).zip(clustering.empty_clusters()) {
                prop_assert!(empty > 0 || pair[1] <= pair[0] * (1.0 + 1e-5) + 1e-5, "{}: {:?}", device, objectives);
            }
        }
    }

    #[test]
    fn assignment_is_to_the_closest_centroid((rows, clusters) in rows_and_clusters()) {
        for device in common::devices() {
            let clustering = KMeans::new(clusters).iterations(2).train(&device, rows.view()).unwrap();
            let assignment = clustering.assign(rows.view()).unwrap();
            let total: f64 = assignment.distances.iter().map(|&distance| f64::from(distance)).sum();
            prop_assert!((total - clustering.objective()).abs() <= 1e-4 * total + 1e-4);
            for (row, (&label, &distance)) in rows.rows().into_iter().zip(assignment.labels.iter().zip(&assignment.distances)) {
                let squared = |centroid: usize| (&row - &clustering.centroids().row(centroid)).pow2().sum();
                prop_assert!((squared(label as usize) - distance).abs() <= 1e-5 * distance + 1e-5);
                prop_assert!((0..clusters).all(|other| distance <= squared(other) + 1e-4));
            }
        }
    }
}

#[test]
fn as_many_rows_as_centroids_are_copied() {
    let rows = blobs(3);
    for device in common::devices() {
        let clustering = KMeans::new(12).restarts(3).train(&device, rows.view()).unwrap();
        assert_eq!(clustering.centroids(), rows);
        assert_eq!((clustering.iterations(), clustering.objective()), (0, 0.0));
    }
}

#[test]
fn one_row_and_one_column() {
    for device in common::devices() {
        let clustering = KMeans::new(1).train(&device, array![[7.5]].view()).unwrap();
        assert_eq!(clustering.centroids(), array![[7.5]]);
        let clustering = KMeans::new(2).train(&device, array![[0.0], [1.0], [10.0], [11.0]].view()).unwrap();
        let mut centroids = clustering.centroids().iter().copied().collect::<Vec<_>>();
        centroids.sort_by(f32::total_cmp);
        assert_eq!(centroids, [0.5, 10.5]);
        assert!((clustering.objective() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn equal_rows() {
    let rows = Array2::from_elem((40, 3), 2.0);
    for device in common::devices() {
        for init in [Init::Random, Init::PlusPlus] {
            let clustering = KMeans::new(5).init(init).train(&device, rows.view()).unwrap();
            assert!(clustering.objective() < 1e-2, "{device}: {}", clustering.objective());
            assert!(clustering.centroids().iter().all(|value| (value - 2.0).abs() < 0.5));
            assert_eq!(clustering.empty_clusters()[0], 4);
        }
    }
}

#[test]
fn plus_plus_begins_in_every_blob() {
    let rows = blobs(50);
    for device in common::devices() {
        for seed in 0..10 {
            let clustering =
                KMeans::new(4).init(Init::PlusPlus).seed(seed).iterations(1).train(&device, rows.view()).unwrap();
            assert!(clustering.objective() < 200.0, "{device}, seed {seed}: {}", clustering.objective());
        }
    }
}

#[test]
fn restarts_keep_the_best() {
    let rows = blobs(50);
    for device in common::devices() {
        // A seed whose first start leaves two blobs to one centroid.
        let train = |seed, restarts| {
            KMeans::new(4).seed(seed).restarts(restarts).train(&device, rows.view()).unwrap().objective()
        };
        let seed = (0..100).find(|&seed| train(seed, 1) > 1e4).unwrap();
        assert!(train(seed, 20) < 200.0, "{device}");
    }
}

#[test]
fn inner_product_is_maximised() {
    let rows = array![[3.0, 0.1], [5.0, -0.1], [0.1, 2.0], [-0.1, 4.0]];
    for device in common::devices() {
        let start = Init::Given(array![[1.0, 0.0], [0.0, 1.0]]);
        let kmeans = KMeans::new(2).init(start).iterations(3);
        let clustering = kmeans.clone().metric(Metric::InnerProduct).train(&device, rows.view()).unwrap();
        assert_eq!(clustering.centroids(), array![[4.0, 0.0], [0.0, 3.0]]);
        assert!((clustering.objective() - 50.0).abs() < 1e-4 && (clustering.objectives()[0] - 14.0).abs() < 1e-4);
        assert!((clustering.assign(rows.view()).unwrap().distances[0] - 12.0).abs() < 1e-5);
        let clustering = kmeans.spherical(true).train(&device, rows.view()).unwrap();
        assert!((&clustering.centroids() - &array![[1.0, 0.0], [0.0, 1.0]]).iter().all(|gap| gap.abs() < 1e-6));
    }
}

#[test]
fn progress_is_told_of_every_iteration() {
    let rows = blobs(20);
    for device in common::devices() {
        let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let listener = Arc::clone(&told);
        let kmeans = KMeans::new(3).iterations(5).restarts(2);
        let clustering = kmeans
            .clone()
            .progress(move |step| listener.lock().unwrap().push(step))
            .train(&device, rows.view())
            .unwrap();
        let told = told.lock().unwrap();
        assert_eq!(
            told.iter().map(|step| (step.done, step.of)).collect::<Vec<_>>(),
            (1..=10).map(|done| (done, 10)).collect::<Vec<_>>()
        );
        let objectives: Vec<f64> = told.iter().map(|step| step.objective).collect();
        assert!(objectives.chunks(5).any(|run| run == clustering.objectives()));
        assert_eq!(bits(&clustering), bits(&kmeans.train(&device, rows.view()).unwrap()));
    }
}

#[test]
fn few_points_are_a_warning() {
    let few = |rows: ArrayView2<'_, f32>| KMeans::new(2).train(&Device::cpu(), rows).unwrap().warnings().to_vec();
    let rows = blobs(20);
    assert_eq!(few(rows.slice(s![..78, ..])), []);
    assert_eq!(few(rows.slice(s![..77, ..])), [Warning::FewPoints { points: 77, centroids: 2, advised: 78 }]);
}

#[test]
fn rows_in_any_layout() {
    let rows = blobs(20);
    let reversed = rows.slice(s![..;-1, ..]);
    let standard = reversed.as_standard_layout();
    let train = |rows: ArrayView2<'_, f32>| {
        bits(&KMeans::new(5).max_points_per_centroid(8).train(&Device::cpu(), rows).unwrap())
    };
    assert_eq!(train(reversed), train(standard.view()));
}

#[test]
fn what_cannot_be_is_an_error() {
    let rows = blobs(5);
    for device in common::devices() {
        let error = |kmeans: KMeans, rows: ArrayView2<'_, f32>| kmeans.train(&device, rows).unwrap_err();
        let is_parameter = |kmeans: KMeans, wrong: &str| matches!(error(kmeans, rows.view()), Error::Parameter { name, .. } if name == wrong);
        assert!(is_parameter(KMeans::new(0), "clusters"));
        assert!(is_parameter(KMeans::new(2).iterations(0), "iterations"));
        assert!(is_parameter(KMeans::new(2).restarts(0), "restarts"));
        assert!(is_parameter(KMeans::new(2).max_points_per_centroid(0), "max_points_per_centroid"));
        assert!(is_parameter(KMeans::new(2).metric(Metric::Cosine), "metric"));
        assert!(matches!(error(KMeans::new(21), rows.view()), Error::TooFewPoints { points: 20, centroids: 21 }));
        let none = rows.slice(s![..0, ..]);
        assert!(matches!(error(KMeans::new(1), none), Error::TooFewPoints { points: 0, centroids: 1 }));
        assert!(matches!(error(KMeans::new(1), rows.slice(s![.., ..0])), Error::Empty { .. }));
        let given = |centroids| KMeans::new(2).init(Init::Given(centroids));
        assert!(matches!(
            error(given(Array2::zeros((2, 3))), rows.view()),
            Error::Dimension { expected: 2, found: 3, .. }
        ));
        assert!(matches!(
            error(given(Array2::zeros((3, 2))), rows.view()),
            Error::Length { expected: 2, found: 3, .. }
        ));
        assert!(matches!(error(given(Array2::from_elem((2, 2), f32::NAN)), rows.view()), Error::NotFinite { .. }));
        let mut broken = rows.clone();
        broken[[7, 1]] = f32::INFINITY;
        assert!(matches!(error(KMeans::new(2), broken.view()), Error::NotFinite { row: 7, column: 1, .. }));
        // Sums past f32 are told of too.
        assert!(matches!(
            error(KMeans::new(1), Array2::from_elem((4, 2), 3e38).view()),
            Error::NotFinite { what: "centroids", .. }
        ));
        let clustering = KMeans::new(2).train(&device, rows.view()).unwrap();
        assert!(matches!(
            clustering.assign(rows.slice(s![.., ..1])),
            Err(Error::Dimension { expected: 2, found: 1, .. })
        ));
        assert_eq!(clustering.assign(none).unwrap().labels.len_of(Axis(0)), 0);
    }
}
