//! Similarity search: the cosines of random vectors, found through an IVF-PQ index.
//!
//! `cargo run --release --example seed_similarity -- [--device auto|cpu|gpu|gpu:<index or part of the name>]`

#[path = "common/device.rs"]
mod device;
#[path = "common/random.rs"]
mod random;

use std::error::Error;

use cellprobe::{IvfPqIndex, Metric};

fn main() -> Result<(), Box<dyn Error>> {
    let device = device::device()?;
    eprintln!("device: {device} ({})", device.reason());

    let mut random = random::Random::new(123);
    let vectors = random.rows(1000, 2048);
    let queries = random.rows(5, 2048);

    // 100 cells; 8 sub-quantizers of 8 bits, so that a vector of 8 KiB becomes a code of 8 bytes.
    // For the cosine, the index normalises vectors and queries itself.
    let mut index = IvfPqIndex::new(&device, 2048, 100, 8, 8, Metric::Cosine)?;
    index.train(vectors.view())?;
    index.add(vectors.view())?;

    let neighbors = index.search(queries.view(), 3)?;
    for (query, found) in neighbors.rows().enumerate() {
        println!("Results of query {}:", query + 1);
        for neighbor in found {
            println!("  ID: {}, similarity: {:.4}", neighbor.id, neighbor.score);
        }
        println!();
    }
    Ok(())
}
