//! New centroids from the sums of their rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// What an iteration of k-means leaves behind.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The new centroids.
    pub centroids: DeviceArray<f32>,
    /// One row an iteration so far: the objective of the assignment that it began with, and how many clusters of
    /// that assignment were empty.
    pub history: DeviceArray<f32>,
}

/// The centroids of the next iteration: each the mean of its rows. An empty cluster takes half of another one, in
/// ascending order of the empty ones: the donor is the first cluster from 0 on, round and round, for which the next
/// of `draws` (over all the empty ones, round and round) is below (size - 1) / (rows - k), as in FAISS; both get the
/// donor's centroid, in even columns the empty one's times 1 + 1/1024 and the donor's times 1 - 1/1024, in odd ones
/// the other way round, and half of its size, which need not be whole. With no more rows than clusters, or when
/// `draws` were gone round 16 times in vain, the largest cluster (the lowest number among equals) is the donor.
/// After that, if `spherical`, centroids are scaled to unit length (one of zeros stays).
///
/// `sums` has a row a cluster, `offsets` their positions as from [`group`](super::group), `inertia` one column: the
/// sum of the distances of each cluster's rows. `draws` are numbers in 0..1, one column.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) if the clusters of the arguments differ in number,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn update_centroids(
    work: &mut Work,
    sums: &DeviceArray<f32>,
    offsets: &DeviceArray<u32>,
    inertia: &DeviceArray<f32>,
    history: &DeviceArray<f32>,
    draws: &DeviceArray<f32>,
    spherical: bool,
) -> Result<Updated> {
    super::check_rows("offsets", offsets, sums.rows() + 1)?;
    super::check_rows("inertia", inertia, sums.rows())?;
    match &mut work.0 {
        Backend::Cpu => {
            let (centroids, entry) = cpu::update_centroids(
                sums.host("sums")?,
                sums.columns(),
                offsets.host("offsets")?,
                inertia.host("inertia")?,
                draws.host("draws")?,
                spherical,
            );
            let mut rows = history.host("history")?.to_vec();
            rows.extend(entry);
            Ok(Updated {
                centroids: DeviceArray::on_host(centroids, sums.columns()),
                history: DeviceArray::on_host(rows, 2),
            })
        }
        Backend::Gpu(recording) => gpu::update_centroids(recording, sums, offsets, inertia, history, draws, spherical),
    }
}

/// [`update_centroids`] of `m` clusterings of as many clusters that follow each other, each as if it were alone, by squared
/// distances; nobody is told how they go. On a GPU alone: the CPU has no use for it.
pub(crate) fn update_codewords(
    work: &mut Work,
    sums: &DeviceArray<f32>,
    offsets: &DeviceArray<u32>,
    draws: &DeviceArray<f32>,
    m: usize,
) -> Result<DeviceArray<f32>> {
    super::check_rows("offsets", offsets, sums.rows() + 1)?;
    match &mut work.0 {
        Backend::Cpu => Err(Error::OtherDevice { what: "sums" }),
        Backend::Gpu(recording) => gpu::update_codewords(recording, sums, offsets, draws, m),
    }
}
