//! Rows are transformed before they are kept, and an index finds them by what they were.

mod cases;
mod common;

use cases::{Built, Case, cases};
use cellprobe::{
    Device, Error, Index, Metric, ProductQuantizer, Search, Transform,
    index::{Placement, Training},
    ops::{self, Rotation, reference},
    quantize,
    storage::faiss,
    transform::Pca,
};
use common::*;
use ndarray::{Array2, ArrayView2, Axis, s};
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

/// Indexes that faiss made: see `tests/golden/transforms/make.py`.
const GOLDENS: [&str; 10] = [
    "opq_pq",
    "opq_ivfpq",
    "opq_ivfpq_ip",
    "pca_flat",
    "pcawr_flat",
    "pcar_ivfflat",
    "rr_flat",
    "norm_opq_pq",
    "idmap_pca_flat",
    "pca_idmap_flat",
];

fn golden_path(name: &str) -> String {
    format!("{}/tests/golden/transforms/{name}.faiss", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn files_of_faiss_come_back_to_the_byte() {
    for name in GOLDENS.into_iter().chain(["untrained_pca_flat"]) {
        let bytes = std::fs::read(golden_path(name)).unwrap();
        let index = Index::read_file(golden_path(name), &Device::cpu()).unwrap();
        assert_eq!((index.dimension(), index.is_trained()), (16, !name.starts_with("untrained")), "{name}");
        for stored in [faiss::read(&bytes[..], None).unwrap(), index.to_stored().unwrap()] {
            let mut written = vec![];
            faiss::write(&stored, &mut written).unwrap();
            assert!(written == bytes, "{name}");
        }
    }
}

#[test]
fn files_of_faiss_find_what_faiss_finds() {
    let queries: Array2<f32> = npy::read("transforms/rows");
    let queries = queries.slice(s![..10, ..]);
    for device in &devices() {
        for name in GOLDENS {
            let index = Index::read_file(golden_path(name), device).unwrap();
            let found = index.search(queries, 5).unwrap();
            let distances: Array2<f32> = npy::read(&format!("transforms/{name}_distances"));
            let ids: Array2<i64> = npy::read(&format!("transforms/{name}_ids"));
            for (query, (found, (distances, ids))) in
                found.rows().zip(distances.outer_iter().zip(ids.outer_iter())).enumerate()
            {
                let tolerance = 1e-5 * (1.0 + distances.iter().fold(0.0_f32, |most, one| most.max(one.abs())));
                for (rank, one) in found.iter().enumerate() {
                    let close = |other: usize| (distances[other] - distances[rank]).abs() <= tolerance;
                    assert!(
                        (one.score - distances[rank]).abs() <= tolerance,
                        "{name}, query {query}: {found:?}, {distances}"
                    );
                    // Where others are as near, any of them; the last may have been pushed out by one.
                    let may_be = |other: usize| close(other) && (ids[other] == one.id || close(4));
                    assert!((0..5).any(may_be), "{name}, query {query}: {found:?}, {ids}");
                }
            }
        }
    }
}

/// A map of a case's own kind of numbers, from `dimension` columns to those of its index.
fn map(case: &Case, dimension: usize) -> Transform {
    let mut numbers = Numbers::new(case.seed);
    let kind = if case.is_exact() { Kind::Whole } else { Kind::Even };
    let matrix = numbers.vector(kind, case.dimension() * dimension);
    let bias = case.seed.is_multiple_of(2).then(|| numbers.vector(kind, case.dimension()));
    Transform::linear(Array2::from_shape_vec((case.dimension(), dimension), matrix).unwrap(), bias).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_behind_a_transform_is_one_of_what_comes_out(case in cases(), dimension in 1..40_usize) {
        // For cosine, what comes out is not normalised.
        let metric = if case.metric == Metric::Cosine { Metric::InnerProduct } else { case.metric };
        let built = Built::new(Case { metric, ..case });
        let transform = map(&built.case, dimension);
        let mut numbers = Numbers::new(!built.case.seed);
        let mut random = |rows: usize| {
            Array2::from_shape_vec((rows, dimension), numbers.vector(Kind::Whole, rows * dimension)).unwrap()
        };
        let (rows, queries) = (random(built.rows.nrows()), random(built.queries.nrows()));
        for device in &built.case.devices() {
            let plain = Built {
                rows: transform.apply(device, rows.view()).unwrap(),
                queries: transform.apply(device, queries.view()).unwrap(),
                ids: built.ids.clone(),
                ..Built::new(built.case.clone())
            };
            let expected_of = plain.index(device);
            let behind = Index::from_stored(built.empty.clone(), device).unwrap().behind(transform.clone()).unwrap();
            let behind = Built { rows: rows.clone(), empty: behind.to_stored().unwrap(), ..Built::new(built.case.clone()) };
            let behind = Built { ids: built.ids.clone(), ..behind };
            let index = behind.index(device);
            prop_assert_eq!((index.dimension(), index.ntotal()), (dimension, rows.nrows()));

            let search = built.case.search();
            let expected = expected_of.search_with(plain.queries.view(), &search).unwrap();
            let found = index.search_with(queries.view(), &search).unwrap();
            prop_assert_eq!(&found, &expected, "{:?}", device);

            let again = Index::from_stored(index.to_stored().unwrap(), device).unwrap();
            prop_assert_eq!(&again.search_with(queries.view(), &search).unwrap(), &expected, "stored, {:?}", device);
            let parts = index.to_devices(&vec![device.clone(); 2], Placement::Sharded).unwrap();
            let in_parts = parts.search_with(queries.view(), &search).unwrap();
            let of_parts = expected_of.to_devices(&vec![device.clone(); 2], Placement::Sharded).unwrap();
            let expected_parts = of_parts.search_with(plain.queries.view(), &search).unwrap();
            prop_assert_eq!(&in_parts, &expected_parts, "in parts, {:?}", device);
            let streamed = index.streamed_to(device, 200_000).unwrap();
            prop_assert_eq!(&streamed.search_with(queries.view(), &search).unwrap(), &expected, "streamed, {:?}", device);

            let mut work = device.work();
            let uploaded = device.matrix(queries.view()).unwrap();
            let here = index.search_on(&mut work, &uploaded, &search).unwrap();
            let here = index.neighbors(&read(work, here), built.case.k).unwrap();
            prop_assert_eq!(&here, &expected, "on the device, {:?}", device);

            // Re-ranked by what came in.
            let exact = index.exact_rows(rows.view()).unwrap();
            let all = Search::new(3).nprobe(built.case.nlist).rerank(&exact, rows.nrows().max(1));
            let reranked = index.search_with(queries.view(), &all).unwrap();
            let mut flat = Index::new(device, dimension, "Flat", metric).unwrap();
            behind.add(&mut flat, 0, rows.nrows());
            prop_assert_eq!(&reranked, &flat.search(queries.view(), 3).unwrap(), "re-ranked, {:?}", device);
        }
    }
}

/// Rows whose columns are correlated, away from the origin.
fn correlated(rows: usize, dimension: usize, seed: u64) -> Array2<f32> {
    let mut numbers = Numbers::new(seed);
    let mut even =
        |rows, columns| Array2::from_shape_vec((rows, columns), numbers.vector(Kind::Even, rows * columns)).unwrap();
    let mut sources: Array2<f32> = even(rows, dimension);
    for (column, mut values) in sources.axis_iter_mut(Axis(1)).enumerate() {
        values *= 0.7_f32.powi(column as i32);
    }
    sources.dot(&even(dimension, dimension)) + 3.0
}

/// The mean squared difference of rows to what a product quantizer of `m` codes makes of them.
fn loss(device: &Device, rows: ArrayView2<'_, f32>, m: usize) -> f32 {
    let quantizer = ProductQuantizer::train(device, rows, m, 8, &quantize::Training::default()).unwrap();
    let decoded = quantizer.decode(quantizer.encode(rows).unwrap().view()).unwrap();
    (&decoded - &rows).mapv(|difference| difference * difference).sum() / rows.nrows() as f32
}

fn trained(mut transform: Transform, device: &Device, rows: ArrayView2<'_, f32>) -> Transform {
    transform.train(device, rows, &Training::default()).unwrap();
    transform
}

/// How far rows are from having length 1 and being at right angles.
fn skew(matrix: ArrayView2<'_, f32>) -> f32 {
    let products = matrix.dot(&matrix.t()) - Array2::<f32>::eye(matrix.nrows());
    products.iter().fold(0.0, |most, one| most.max(one.abs()))
}

#[test]
fn opq_loses_less_than_codes_alone() {
    let rows = correlated(3000, 16, 1);
    for device in &devices() {
        let plain = loss(device, rows.view(), 4);
        let opq = trained(Transform::opq(16, 16, 4).unwrap(), device, rows.view());
        let turned = opq.apply(device, rows.view()).unwrap();
        let loss = loss(device, turned.view(), 4);
        println!("{device:?}: {plain} without, {loss} with OPQ");
        assert!(loss < 0.25 * plain, "{device:?}: {loss} of {plain}");
        assert!(skew(opq.matrix().unwrap()) < 1e-5 && opq.bias().is_none());
        // Fewer columns, and more.
        let fewer = trained(Transform::opq(16, 8, 4).unwrap(), device, rows.slice(s![..600, ..]));
        assert!(fewer.matrix().unwrap().dim() == (8, 16) && skew(fewer.matrix().unwrap()) < 1e-5);
        let more = trained(Transform::opq(16, 24, 4).unwrap(), device, rows.slice(s![..600, ..]));
        assert!(more.matrix().unwrap().dim() == (24, 16) && skew(more.matrix().unwrap().t()) < 1e-3);
        let again = trained(Transform::opq(16, 8, 4).unwrap(), device, rows.slice(s![..600, ..]));
        assert_eq!(again.matrix(), fewer.matrix());
    }
}

#[test]
fn components_are_those_of_faiss() {
    let rows: Array2<f32> = npy::read("transforms/rows");
    let device = Device::cpu();
    for (name, pca) in [("pca_flat", Pca::default()), ("pcawr_flat", Pca { whiten: true, rotate: true })] {
        let known = Index::read_file(golden_path(name), &device).unwrap();
        let known = known.transform().unwrap();
        let found = trained(Transform::pca(16, 6, pca).unwrap(), &device, rows.view());
        // Components may point either way, and another rotation mixes them: what they span and how much is the same.
        let gram = |transform: &Transform| transform.matrix().unwrap().t().dot(&transform.matrix().unwrap());
        let (found_gram, known_gram) = (gram(&found), gram(known));
        let most = known_gram.iter().fold(0.0_f32, |most, one| most.max(one.abs()));
        let apart = (&found_gram - &known_gram).iter().fold(0.0_f32, |most, one| most.max(one.abs()));
        assert!(apart < 1e-3 * most, "{name}: {apart} of {most}");
        let means = found.apply(&device, rows.view()).unwrap().mean_axis(Axis(0)).unwrap();
        assert!(means.iter().all(|mean| mean.abs() < 1e-4), "{name}: {means}");
    }
}

#[test]
fn random_rotations_keep_lengths() {
    let rows = correlated(1, 9, 4);
    for (output, keeps) in [(9, true), (20, true), (4, false)] {
        let transform = trained(Transform::random_rotation(9, output).unwrap(), &Device::cpu(), rows.view());
        let matrix = transform.matrix().unwrap();
        assert!(skew(if keeps { matrix.t() } else { matrix }) < 1e-5, "{output}");
        let seeded = |seed| {
            let mut transform = Transform::random_rotation(9, output).unwrap();
            transform.train(&Device::cpu(), rows.view(), &Training::default().seed(seed)).unwrap();
            transform.matrix().unwrap().to_owned()
        };
        assert!(seeded(1) == seeded(1) && seeded(1) != seeded(2));
    }
}

#[test]
fn indexes_behind_transforms_are_built_from_factory_strings() {
    let rows = correlated(1500, 12, 6);
    for device in &devices() {
        for factory in [
            "OPQ4,PQ4x4",
            "OPQ3_6,IVF4,PQ3x4",
            "PCA5,Flat",
            "PCAWR6,IVF4,Flat",
            "RR,PQ4",
            "RR20,Flat",
            "IDMap,PCA4,PQ2",
        ] {
            let mut index = Index::new(device, 12, factory, Metric::L2).unwrap();
            assert!(!index.is_trained() && index.dimension() == 12 && index.factory() == factory, "{factory}");
            assert_eq!(error_of(index.add(rows.view())), "NotTrained");
            assert_eq!(error_of(index.train(rows.slice(s![.., ..11]))), "Dimension");
            index.train(rows.view()).unwrap();
            index.add(rows.view()).unwrap();
            index.set_nprobe(4).unwrap();
            let found = index.search(rows.slice(s![..50, ..]), 10).unwrap();
            let own = found.rows().enumerate().filter(|(row, found)| found.iter().any(|one| one.id == *row as i64));
            assert!(own.count() >= 45, "{factory} on {device:?}");
            let stored = index.to_stored().unwrap();
            assert!(matches!(stored, faiss::Stored::Transformed(_) | faiss::Stored::IdMap(_)), "{factory}");
            let again = Index::from_stored(stored, device).unwrap();
            assert_eq!(again.search(rows.slice(s![..50, ..]), 10).unwrap(), found, "{factory}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let device = &Device::cpu();
    for factory in ["OPQ5,Flat", "OPQ4_6,Flat", "PCA13,Flat", "RR0,Flat", "PCA0,Flat", "OPQ0,Flat", "OPQ4_8,PQ3"] {
        assert_eq!(error_of(Index::new(device, 12, factory, Metric::L2)), "Parameter", "{factory}");
    }
    assert_eq!(error_of(Transform::linear(Array2::zeros((0, 2)), None)), "Empty");
    assert_eq!(error_of(Transform::linear(Array2::zeros((2, 0)), None)), "Empty");
    assert_eq!(error_of(Transform::linear(Array2::zeros((2, 2)), Some(vec![0.0]))), "Length");
    assert_eq!(error_of(Transform::linear(Array2::zeros((1, 2)), Some(vec![f32::NAN]))), "NotFinite");
    let few = correlated(255, 4, 2);
    let mut opq = Transform::opq(4, 4, 2).unwrap();
    assert_eq!(error_of(opq.train(device, few.view(), &Training::default())), "TooFewPoints");
    assert_eq!(error_of(opq.apply(device, few.view())), "NotTrained");
    let mut pca = Transform::pca(4, 2, Pca::default()).unwrap();
    assert_eq!(error_of(pca.train(device, few.slice(s![..0, ..]), &Training::default())), "Empty");
    let flat =
        Array2::from_shape_fn((50, 4), |(row, column)| if column < 2 { row as f32 * (column + 1) as f32 } else { 1.0 });
    let mut whitened = Transform::pca(4, 2, Pca { whiten: true, rotate: false }).unwrap();
    assert_eq!(error_of(whitened.train(device, flat.view(), &Training::default())), "Parameter");
    let mut pca = Transform::pca(4, 2, Pca::default()).unwrap();
    pca.train(device, flat.view(), &Training::default()).unwrap();
    let huge = few.mapv(|value| value * 1e25);
    let mut opq = Transform::opq(4, 4, 2).unwrap();
    let huge = ndarray::concatenate![Axis(0), huge, huge];
    assert_eq!(error_of(opq.train(device, huge.view(), &Training::default())), "Parameter");
    let mut index = Index::new(device, 4, "Flat", Metric::L2).unwrap();
    let identity = || Transform::linear(Array2::eye(4), None).unwrap();
    assert_eq!(error_of(index.clone().behind(Transform::random_rotation(4, 3).unwrap())), "Dimension");
    assert_eq!(error_of(index.clone().behind(identity()).unwrap().behind(identity())), "Parameter");
    index.add(few.view()).unwrap();
    assert_eq!(error_of(index.behind(identity())), "Parameter");
}
