//! k-means and the indexes, from end to end, against the CPU.

use ndarray::Array2;

use super::{
    ROUNDING, Verifier,
    compare::{neighbors, worst},
    data::{Random, Values},
};
use crate::{
    Device, FlatIndex, IvfFlatIndex, IvfPqIndex, KMeans, Metric, Neighbors, PqIndex, Result, Search,
    index::{Kind, Training, VectorIndex},
    kmeans::Init,
    ops::{Ranked, reference},
};

const ROWS: usize = 450;
const QUERIES: usize = 10;
const DIMENSION: usize = 12;
const NLIST: usize = 9;
const M: usize = 4;
const NBITS: usize = 4;

/// The largest relative difference of two objectives.
const OBJECTIVE: f64 = 1e-4;

/// The largest share of other neighbours: where a rounding error tips the choice between two equally close centroids,
/// a code is another one.
const OTHERS: f64 = 0.02;

pub(super) async fn check(verifier: &mut Verifier<'_>) -> Result<()> {
    let device = &verifier.device.clone();
    for spherical in [false, true] {
        for (init, name) in [(Init::Random, "random start"), (Init::PlusPlus, "k-means++")] {
            let words = format!("{ROWS} rows of {DIMENSION}, {NLIST} clusters, {name}");
            let words = words + if spherical { ", spherical" } else { "" };
            verifier.check("kmeans", words, OBJECTIVE, kmeans(device, init, spherical)).await?;
        }
    }
    let cpu = &Device::cpu();
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        Box::pin(check_index(verifier, "Flat", FlatIndex::new(cpu, DIMENSION, metric)?)).await?;
        Box::pin(check_index(verifier, "PQ", PqIndex::new(cpu, DIMENSION, M, NBITS, metric)?)).await?;
        Box::pin(check_index(verifier, "IVF,Flat", IvfFlatIndex::new(cpu, DIMENSION, NLIST, metric)?)).await?;
        let index = IvfPqIndex::new(cpu, DIMENSION, NLIST, M, NBITS, metric)?;
        Box::pin(check_index(verifier, "IVF,PQ", index)).await?;
    }
    Ok(())
}

/// Rows around a few centres.
fn rows(seed: u64, count: usize) -> Array2<f32> {
    let centres = Random::new(20).numbers(NLIST * DIMENSION, Values::Integers);
    let mut random = Random::new(seed);
    Array2::from_shape_fn((count, DIMENSION), |(row, column)| {
        centres[row % NLIST * DIMENSION + column] + random.number(Values::Uniform) / 2.0
    })
}

/// How much the objective differs from the CPU's, and from that of the same centroids in f64.
async fn kmeans(device: &Device, init: Init, spherical: bool) -> Result<f64> {
    let rows = rows(21, ROWS);
    let kmeans = KMeans::new(NLIST).iterations(8).init(init).spherical(spherical);
    let found = kmeans.train_async(device, rows.view()).await?;
    let expected = kmeans.train_async(&Device::cpu(), rows.view()).await?.objective();
    let metric = if spherical { Metric::InnerProduct } else { Metric::L2 };
    let rows: Vec<f32> = rows.iter().copied().collect();
    let centroids: Vec<f32> = found.centroids().iter().copied().collect();
    let distances = reference::nearest(&rows, &centroids, DIMENSION, metric);
    let exact = distances.into_iter().map(|(_, distance)| distance).sum::<f64>().abs();
    Ok(worst([expected, exact].into_iter().map(|other| ((found.objective() - other) / other).abs())))
}

async fn check_index<K: Kind>(
    verifier: &mut Verifier<'_>,
    operation: &'static str,
    mut index: VectorIndex<K>,
) -> Result<()> {
    let device = &verifier.device.clone();
    let words = format!("{ROWS} rows of {DIMENSION}, {}", index.metric());
    let untrained = index.clone();
    index.train_async(rows(22, ROWS).view(), &Training::default()).await?;
    index.add_async(rows(22, ROWS).view(), None).await?;
    let index = &index;
    for nprobe in [1, NLIST] {
        let words = format!("{words}, nprobe {nprobe}, built on the cpu");
        verifier.check(operation, words, ROUNDING, moved(device, index, nprobe)).await?;
    }
    let words = format!("{words}, built on the device");
    verifier.check(operation, words, OTHERS, built(device, untrained, index)).await
}

/// How much what the index finds on the device differs from what it finds on the CPU.
async fn moved<K: Kind>(device: &Device, on_cpu: &VectorIndex<K>, nprobe: usize) -> Result<f64> {
    let queries = rows(23, QUERIES);
    let on_device = on_cpu.to_device_async(device).await?;
    let everything = Search::new(ROWS).nprobe(nprobe);
    let all = ranked(&on_cpu.search_with_async(queries.view(), &everything).await?, on_cpu.metric());
    let all: Vec<Vec<(u32, f64)>> =
        all.into_iter().map(|row| row.into_iter().map(|hit| (hit.id(), hit.distance().into())).collect()).collect();
    let largest = match on_cpu.metric() {
        Metric::Cosine => 1.0,
        _ => rows(22, ROWS).outer_iter().map(|row| f64::from(row.dot(&row)).sqrt()).fold(0.0, f64::max),
    };
    // Both sides round, and what they sum is at most (|q| + |x|)².
    let bound =
        2.0 * super::compare::rounding(std::iter::repeat_n(4.0 * largest * largest / DIMENSION as f64, DIMENSION));
    let mut errors = vec![];
    for k in [1, 10, ROWS] {
        let search = Search::new(k).nprobe(nprobe);
        let found = ranked(&on_device.search_with_async(queries.view(), &search).await?, on_cpu.metric());
        let found: Vec<Ranked> = found
            .into_iter()
            .flat_map(|row| row.into_iter().chain(std::iter::repeat(Ranked::NONE)).take(k).collect::<Vec<_>>())
            .collect();
        errors.push(neighbors(&found, k, &all, |_, _| bound));
    }
    Ok(worst(errors.into_iter()))
}

/// The share of neighbours that the index built on the device does not find and that built on the CPU does.
async fn built<K: Kind>(device: &Device, untrained: VectorIndex<K>, on_cpu: &VectorIndex<K>) -> Result<f64> {
    let mut index = untrained.to_device_async(device).await?;
    index.train_async(rows(22, ROWS).view(), &Training::default()).await?;
    index.add_async(rows(22, ROWS / 2).view(), None).await?;
    let rest = rows(22, ROWS);
    index.add_async(rest.slice(ndarray::s![ROWS / 2.., ..]), None).await?;
    let queries = rows(23, QUERIES);
    let search = Search::new(10).nprobe(3);
    let found = index.search_with_async(queries.view(), &search).await?;
    let expected = on_cpu.search_with_async(queries.view(), &search).await?;
    let missed = |(expected, found): (&[crate::Neighbor], &[crate::Neighbor])| {
        expected.iter().filter(|wanted| !found.iter().any(|hit| hit.id == wanted.id)).count()
    };
    let missed: usize = expected.rows().zip(found.rows()).map(missed).sum();
    Ok(missed as f64 / (QUERIES * 10) as f64)
}

/// Each query's neighbours with distances, smaller is nearer.
fn ranked(neighbors: &Neighbors, metric: Metric) -> Vec<Vec<Ranked>> {
    let sign = if metric.larger_is_nearer() { -1.0 } else { 1.0 };
    let row = |row: &[crate::Neighbor]| row.iter().map(|hit| Ranked::new(sign * hit.score, hit.id as u32)).collect();
    neighbors.rows().map(row).collect()
}
