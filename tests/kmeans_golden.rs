//! From the same start, k-means goes where FAISS goes. The files are of faiss 1.15.1.

mod common;

use cellprobe::{Device, KMeans, kmeans::Init};
use common::npy;
use ndarray::{Array1, Array2};

#[test]
fn plain() {
    agrees_with_faiss("plain", "plain_x", "plain_init", false);
}

#[test]
fn one_iteration() {
    agrees_with_faiss("one_iter", "plain_x", "plain_init", false);
}

#[test]
fn empty_clusters() {
    agrees_with_faiss("empty", "plain_x", "empty_init", false);
}

#[test]
fn spherical() {
    agrees_with_faiss("spherical", "spherical_x", "spherical_init", true);
}

fn agrees_with_faiss(case: &str, rows: &str, init: &str, spherical: bool) {
    let rows: Array2<f32> = npy::read(&format!("kmeans/{rows}"));
    let init: Array2<f32> = npy::read(&format!("kmeans/{init}"));
    let centroids: Array2<f32> = npy::read(&format!("kmeans/{case}_centroids"));
    let objectives: Array1<f64> = npy::read(&format!("kmeans/{case}_obj"));
    let splits: Array1<i32> = npy::read(&format!("kmeans/{case}_nsplit"));
    let labels: Array1<i32> = npy::read(&format!("kmeans/{case}_assign"));
    let distances: Array1<f32> = npy::read(&format!("kmeans/{case}_dist"));
    for device in common::devices() {
        let clustering = KMeans::new(init.nrows())
            .iterations(objectives.len())
            .spherical(spherical)
            .init(Init::Given(init.clone()))
            .train(&device, rows.view())
            .unwrap();
        for (&found, &expected) in clustering.objectives().iter().zip(&objectives) {
            close(&device, found, expected, 1e-4);
        }
        assert_eq!(clustering.objectives().len(), objectives.len(), "{device}");
        close(&device, clustering.objective(), distances.iter().map(|&distance| f64::from(distance)).sum(), 1e-4);
        assert!(clustering.empty_clusters().iter().zip(&splits).all(|(&found, &split)| found == split as usize));
        for (&found, &expected) in clustering.centroids().iter().zip(&centroids) {
            assert!((found - expected).abs() < 1e-4, "{device}: centroid at {found}, FAISS's at {expected}");
        }
        let assignment = clustering.assign(rows.view()).unwrap();
        for (row, (&label, &expected)) in assignment.labels.iter().zip(&labels).enumerate() {
            let gap = (assignment.distances[row] - distances[row]).abs();
            assert!(label == expected as u32 || gap < 1e-5 * distances[row].abs(), "{device}: row {row}");
            close(&device, assignment.distances[row].into(), distances[row].into(), 1e-4);
        }
        let moved =
            assignment.labels.iter().zip(&labels).filter(|&(&label, &expected)| label != expected as u32).count();
        assert!(moved <= 2, "{device}: {moved} rows are elsewhere");
    }
}

fn close(device: &Device, found: f64, expected: f64, tolerance: f64) {
    let scale = expected.abs().max(1e-3);
    assert!((found - expected).abs() <= tolerance * scale, "{device}: {found}, FAISS {expected}");
}
