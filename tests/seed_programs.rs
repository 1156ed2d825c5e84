//! The steps of `examples/seed_similarity.rs` and `examples/seed_clusters.rs` on every device, compared with exact
//! search and with faiss.

mod common;
#[path = "../examples/common/random.rs"]
mod random;

use cellprobe::{
    FlatIndex, Index, IvfPqIndex, KMeans, Metric, PqIndex, Search,
    storage::faiss::{IvfPq, Stored},
};
use common::{devices, npy};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Ix1, Ix2};
use random::Random;

const MISSING: f32 = f32::MAX;

fn assert_close(found: f32, expected: f32, tolerance: f32) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} is not {expected}");
}

fn normalised(row: ArrayView1<'_, f32>) -> Array1<f32> {
    let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    row.mapv(|value| (f64::from(value) / norm) as f32)
}

/// What the codes of an index of residuals stand for, row by row.
fn decoded(index: &IvfPqIndex) -> Array2<f32> {
    let Stored::Normalized(stored) = Index::IvfPq(index.clone()).to_stored().unwrap() else { panic!("not normalised") };
    let Stored::IvfPq(IvfPq { ivf, by_residual: true, lists, .. }) = *stored else { panic!("not an IVF-PQ index") };
    let Stored::Flat(coarse) = *ivf.quantizer else { panic!("not a flat quantizer") };
    let quantizer = index.quantizer().unwrap();
    let codes = ArrayView2::from_shape((lists.ids.len(), quantizer.code_size()), &lists.entries).unwrap();
    let residuals = quantizer.decode(codes).unwrap();
    let centroids = ArrayView2::from_shape((index.nlist(), index.dimension()), &coarse.vectors).unwrap();
    let labels = lists.sizes.iter().enumerate().flat_map(|(list, &size)| std::iter::repeat_n(list, size));
    let mut rows = Array2::zeros(residuals.raw_dim());
    for ((id, label), residual) in lists.ids.iter().zip(labels).zip(residuals.outer_iter()) {
        rows.row_mut(*id as usize).assign(&(&residual + &centroids.row(label)));
    }
    rows
}

#[test]
fn similarities_are_inner_products_with_the_decoded_vectors() {
    let mut random = Random::new(123);
    let (vectors, queries) = (random.rows(1000, 2048), random.rows(5, 2048));
    // Trained once: on random vectors, which have no clusters, rounding would decide what training ends in.
    let mut trained = IvfPqIndex::new(&devices()[0], 2048, 100, 8, 8, Metric::Cosine).unwrap();
    trained.train(vectors.view()).unwrap();
    let mut first = None;
    // The codebook of 2 MiB is too large for the small bindings of the devices' checked form.
    for device in devices().into_iter().filter(|device| !device.variant().contains("checked")) {
        let mut index = trained.to_device(&device).unwrap();
        index.add(vectors.view()).unwrap();
        let neighbors = index.search(queries.view(), 3).unwrap();
        let decoded = decoded(&index);
        for (query, found) in queries.outer_iter().map(normalised).zip(neighbors.rows()) {
            assert_eq!(found.len(), 3, "{device}");
            assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{device}");
            for neighbor in found {
                assert_close(neighbor.score, query.dot(&decoded.row(neighbor.id as usize)), 1e-5);
            }
        }
        assert_eq!(&neighbors.ids(), first.get_or_insert_with(|| neighbors.ids()), "{device}");

        // All cells visited, it finds what exact search among the decoded vectors finds.
        let mut exact = FlatIndex::new(&device, 2048, Metric::InnerProduct).unwrap();
        exact.add(decoded.view()).unwrap();
        let unit = Array2::from_shape_fn((5, 2048), |(row, column)| normalised(queries.row(row))[column]);
        let exact = exact.search(unit.view(), 3).unwrap();
        let all = index.search_with(queries.view(), &Search::new(3).nprobe(100)).unwrap();
        all.scores().iter().zip(&exact.scores()).for_each(|(&found, &exact)| assert_close(found, exact, 1e-5));
    }
}

#[test]
fn an_index_of_as_many_cells_as_vectors_finds_what_faiss_finds() {
    let centroids = npy::read::<f32, Ix2>("seed/clusters_centroids");
    let queries = npy::read::<f32, Ix2>("seed/clusters_query");
    let (distances, ids) = (npy::read::<f32, Ix2>("seed/clusters_D"), npy::read::<i64, Ix2>("seed/clusters_I"));
    for device in devices() {
        let mut index = IvfPqIndex::new(&device, 200, 100, 8, 4, Metric::L2).unwrap();
        index.train(centroids.view()).unwrap();
        index.add(centroids.view()).unwrap();
        let neighbors = index.search(queries.view(), 3).unwrap();
        assert_eq!(neighbors.ids(), ids, "{device}");
        assert!(neighbors.rows().all(|found| found.len() == 1), "{device}: a cell holds one vector");
        for (&found, &expected) in neighbors.scores().iter().zip(&distances) {
            assert_eq!(found == MISSING, expected == MISSING, "{device}");
            assert_close(found, expected, 1e-4);
        }
    }
}

#[test]
fn spectra_are_clustered_as_well_as_by_faiss() {
    let mut random = Random::new(123);
    let (spectra, queries) = (random.rows(2000, 200), random.rows(5, 200));
    assert_eq!(queries, npy::read::<f32, Ix2>("seed/clusters_query"), "not the random numbers of the golden files");
    let objectives = npy::read::<f64, Ix1>("seed/clusters_obj");
    let expected = objectives[objectives.len() - 1];
    for device in devices() {
        let clustering = KMeans::new(100).train(&device, spectra.view()).unwrap();
        let found = clustering.objective();
        assert!(found < 1.01 * expected, "{device}: objective {found}, that of faiss is {expected}");
        let centroids = clustering.centroids();

        let mut codes = PqIndex::new(&device, 200, 8, 4, Metric::L2).unwrap();
        codes.train(centroids).unwrap();
        codes.add(centroids).unwrap();
        assert_eq!(codes.ntotal(), 100);

        // Every centroid is a cell of its own, so the nearest cell is the nearest centroid, and nothing is lost.
        let mut index = IvfPqIndex::new(&device, 200, 100, 8, 4, Metric::L2).unwrap();
        index.train(centroids).unwrap();
        index.add(centroids).unwrap();
        let mut exact = FlatIndex::new(&device, 200, Metric::L2).unwrap();
        exact.add(centroids).unwrap();
        let (found, exact) = (index.search(queries.view(), 3).unwrap(), exact.search(queries.view(), 1).unwrap());
        for (found, exact) in found.rows().zip(exact.rows()) {
            assert_eq!((found.len(), found[0].id), (1, exact[0].id), "{device}");
            assert_close(found[0].score, exact[0].score, 1e-5);
        }
    }
}
