//! Clustering, then search among the clusters: random spectra, k-means, and an IVF-PQ index of the centroids.
//!
//! `cargo run --release --example seed_clusters -- [--device auto|cpu|gpu|gpu:<index or part of the name>]`

#[path = "common/device.rs"]
mod device;
#[path = "common/random.rs"]
mod random;

use std::error::Error;

use cellprobe::{IvfPqIndex, KMeans, Metric, PqIndex};

fn main() -> Result<(), Box<dyn Error>> {
    let device = device::device()?;
    eprintln!("device: {device} ({})", device.reason());

    // 2,000 spectra of 200 features, and 100 clusters of them.
    let mut random = random::Random::new(123);
    let spectra = random.rows(2000, 200);
    let clustering = KMeans::new(100).train(&device, spectra.view())?;
    let centroids = clustering.centroids();

    // The centroids as codes of 8 numbers of 4 bits: 4 bytes instead of 800.
    let mut codes = PqIndex::new(&device, 200, 8, 4, Metric::L2)?;
    codes.train(centroids)?;
    codes.add(centroids)?;
    eprintln!("{codes:?}");

    // An IVF-PQ index with a cell for each of the 100 centroids. A search visits one cell, so it finds one centroid.
    let mut index = IvfPqIndex::new(&device, 200, 100, 8, 4, Metric::L2)?;
    index.train(centroids)?;
    index.add(centroids)?;

    let queries = random.rows(5, 200);
    let neighbors = index.search(queries.view(), 3)?;
    for (query, found) in neighbors.rows().enumerate() {
        println!("Query spectrum {query}:");
        for (place, neighbor) in found.iter().enumerate() {
            println!("  Neighbor {}: Cluster {} (squared distance: {:.4})", place + 1, neighbor.id, neighbor.score);
        }
        if found.is_empty() {
            println!("  No valid clusters found");
        }
    }
    Ok(())
}
