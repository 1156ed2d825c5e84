//! Each row's closest centroid.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use crate::{DeviceArray, Error, Metric, Result, Work, device::Backend};

/// Each row's closest centroid.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// Number of the centroid, one column.
    pub labels: DeviceArray<u32>,
    /// Distance to it (squared, or minus the inner product), one column.
    pub distances: DeviceArray<f32>,
}

/// Each of `rows`' closest of `centroids`, the lower number among equals: distance and argmin in one pass, the
/// rows x centroids matrix never written.
///
/// # Errors
/// [`Error::Dimension`] if they differ in columns, [`Error::Empty`] without centroids, [`Error::OtherDevice`],
/// [`Error::OutOfMemory`].
pub fn nearest(
    work: &mut Work,
    rows: &DeviceArray<f32>,
    centroids: &DeviceArray<f32>,
    metric: Metric,
) -> Result<Nearest> {
    super::check_columns("rows", rows, centroids)?;
    if centroids.rows() == 0 {
        return Err(Error::Empty { what: "centroids" });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let (labels, distances) =
                cpu::nearest(rows.host("rows")?, centroids.host("centroids")?, rows.columns(), metric);
            Ok(Nearest { labels: DeviceArray::on_host(labels, 1), distances: DeviceArray::on_host(distances, 1) })
        }
        Backend::Gpu(recording) => gpu::nearest(recording, rows, centroids, metric),
    }
}
