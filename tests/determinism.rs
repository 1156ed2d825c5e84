//! The same input gives the same bits, however many threads there are and however queries are batched.

mod common;

use cellprobe::{
    Device, Metric,
    ops::{self, Ranked},
};
use common::*;

const DIMENSION: usize = 37;

fn knn(device: &Device, queries: &[f32], base: &[f32], metric: Metric) -> Vec<Ranked> {
    let mut work = device.work();
    let (queries, base) = (upload(device, queries, DIMENSION), upload(device, base, DIMENSION));
    let found = ops::knn(&mut work, &queries, &base, 12, metric).unwrap();
    read(work, found)
}

fn nearest(device: &Device, rows: &[f32], centroids: &[f32], metric: Metric) -> (Vec<u32>, Vec<u32>) {
    let mut work = device.work();
    let (rows, centroids) = (upload(device, rows, DIMENSION), upload(device, centroids, DIMENSION));
    let nearest = ops::nearest(&mut work, &rows, &centroids, metric).unwrap();
    work.submit().unwrap();
    let distances = read(device.work(), nearest.distances);
    (read(device.work(), nearest.labels), distances.into_iter().map(f32::to_bits).collect())
}

#[test]
fn threads_do_not_change_the_cpu() {
    let (cpu, mut numbers) = (Device::cpu(), Numbers::new(1));
    for metric in [Metric::L2, Metric::InnerProduct] {
        let (queries, base) = (numbers.vector(Kind::Far, 500 * DIMENSION), numbers.vector(Kind::Far, 4000 * DIMENSION));
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (knn(&cpu, &queries, &base, metric), nearest(&cpu, &base, &queries, metric)))
        };
        let one = with_threads(1);
        assert!(one == with_threads(2) && one == with_threads(7), "{metric}");
    }
}

#[test]
fn batches_do_not_change_an_answer() {
    let mut numbers = Numbers::new(2);
    let (queries, base) = (numbers.vector(Kind::Even, 20 * DIMENSION), numbers.vector(Kind::Even, 700 * DIMENSION));
    for device in &devices() {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let (found, closest) = (knn(device, &queries, &base, metric), nearest(device, &queries, &base, metric));
            for batch in [1, 7] {
                let batches = || queries.chunks(batch * DIMENSION);
                let again: Vec<_> = batches().flat_map(|batch| knn(device, batch, &base, metric)).collect();
                assert_eq!(found, again, "{device:?}");
                let parts: Vec<_> = batches().map(|batch| nearest(device, batch, &base, metric)).collect();
                let (labels, distances): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                assert_eq!(closest, (labels.concat(), distances.concat()), "{device:?}");
            }
        }
    }
}
