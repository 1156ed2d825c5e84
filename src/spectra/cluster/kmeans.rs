//! Spherical k-means over the vectors of all spectra.

use rayon::prelude::*;

use super::{
    ClusterOptions, Clusters,
    bucket::Buckets,
    comparable::{Comparable, comparable, rooted},
};
use crate::{
    Device, Error, KMeans, Result,
    spectra::{Collection, Spectrum},
};

/// Spectra that are vectors at once when they are assigned.
const ASSIGNED_AT_ONCE: usize = 1 << 14;

/// Most training vectors a centroid.
const POINTS_A_CENTROID: usize = 256;

/// Clusters spectra around `k` centroids, then cuts what differs in polarity, charge or precursor.
///
/// The centroids are trained on at most 256 spectra each, evenly spread over the precursors.
pub(super) fn cluster<C: Collection + ?Sized>(
    device: &Device,
    spectra: &C,
    buckets: &Buckets,
    k: usize,
    old: &[u32],
    options: &ClusterOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Clusters> {
    if !old.is_empty() {
        return Err(Error::parameter(
            "method",
            "kmeans",
            "another one: k-means has no clusters that spectra could join",
        ));
    }
    if spectra.is_empty() {
        return Ok(Clusters::new(0, vec![], vec![]));
    }
    let order = &buckets.order;
    let step = order.len().div_ceil(k.saturating_mul(POINTS_A_CENTROID)).max(1);
    let sample: Vec<u32> = order.iter().copied().step_by(step).collect();
    let training = vectors(spectra, &sample, options)?;
    let kmeans = KMeans::new(k).spherical(true).seed(options.seed).max_points_per_centroid(None);
    let centroids = kmeans.train(device, training.view())?;
    drop(training);
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); k];
    for (batch, numbers) in order.chunks(ASSIGNED_AT_ONCE).enumerate() {
        let assigned = centroids.assign(vectors(spectra, numbers, options)?.view())?;
        for (label, &number) in assigned.labels.iter().zip(numbers) {
            members[*label as usize].push(number);
        }
        progress(batch * ASSIGNED_AT_ONCE, order.len());
    }
    let mut clusters = Vec::new();
    for numbers in members {
        for same in numbers.chunk_by(|&a, &b| kind(spectra, a) == kind(spectra, b)) {
            clusters.extend(cut(spectra, same, options)?);
        }
    }
    let mut place = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, &number)| place[number as usize] = at);
    clusters.sort_unstable_by_key(|(_, numbers)| place[numbers[0] as usize]);
    progress(order.len(), order.len());
    Ok(Clusters::new(order.len(), clusters, vec![]))
}

/// What no cluster mixes: polarity, charge, and whether the precursor is known.
fn kind<C: Collection + ?Sized>(spectra: &C, number: u32) -> (Option<crate::spectra::Polarity>, Option<i32>, bool) {
    let ion = spectra.ion(number);
    (ion.polarity, ion.charge, ion.mz.is_some())
}

/// Cuts spectra of one cell by their precursors.
fn cut<C: Collection + ?Sized>(spectra: &C, numbers: &[u32], options: &ClusterOptions) -> Result<Vec<(u32, Vec<u32>)>> {
    let bucket = Comparable::new(spectra.fetch(numbers)?, options);
    let parts = bucket.split_by_precursor((0..numbers.len() as u32).collect());
    let number = |place: u32| numbers[place as usize];
    let clusters = parts
        .into_par_iter()
        .map(|members| (number(bucket.medoid(&members, &members)), members.into_iter().map(number).collect()));
    Ok(clusters.collect())
}

fn vectors<C: Collection + ?Sized>(
    spectra: &C,
    numbers: &[u32],
    options: &ClusterOptions,
) -> Result<ndarray::Array2<f32>> {
    if let Some(vectors) = spectra.vectors(numbers) {
        return Ok(vectors);
    }
    let scaling = options.scaling();
    let fetched = spectra.fetch(numbers)?.into_par_iter();
    let ready: Vec<Spectrum> = fetched.map(|spectrum| rooted(&comparable(spectrum, options), scaling)).collect();
    options.vectorizer.vectors(&ready)
}
