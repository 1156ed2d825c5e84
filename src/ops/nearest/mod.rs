//! Each row's closest centroid.

mod cpu;
pub(super) mod gpu;
mod moving;
pub(super) mod reference;

use crate::{DeviceArray, Error, Metric, Result, Work, device::Backend};
pub(crate) use moving::Moving;

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
/// # On a GPU
/// What it cannot do without: a multiply-add a row, centroid and column; reading the rows once, 4 bytes a number, and
/// writing 8 bytes a row. From 65 rows and centroids of 8 columns on it compares by products, 128 x 128 at a time, and
/// is bound by multiply-adds. Squared distances are |c|²/2 - r·c of rows and centroids less the centroids' mean; rows
/// that rounding might send elsewhere are listed on the GPU and compared by differences in the same submission. With up
/// to 32 centroids a tile has 16 of them and 256 rows, and reading the rows bounds it. In between, and of short rows,
/// differences bound it.
///
/// Where a Vulkan driver multiplies cooperative matrices of f16 with sums of f32, 8,193 rows and more of 32 columns and more, and
/// 65 centroids and more, are compared by these for squared distances; rows that f16 leaves open go to differences as well.
/// On an H100 that takes 3.4 ms for 1,000,000 x 128 and 1,024 centroids, an eighth of it for rows that were left open, and by
/// products of f32 8.7.
///
/// Share of the multiply-add peak for squared distances that the machine code leaves on NAVI21 and GFX1100, one
/// multiply-add a term, by the counts of [`ceilings`](super::ceilings):
///
/// | | hot loop | whole tile, d = 64 | 100 | 128 | 768 | 2048 |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | differences, 64 x 64 | 45 % | 43 % | 39 % | 44 % | 44 % | 44 % |
/// | products, 128 x 128 | 96 % | 88 % | 87 % | 92 % | 95 % | 96 % |
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
    nearest_among(work, rows, rows.rows(), centroids, metric)
}

/// [`nearest`] of some of `all` rows, with the bits that their distances have among all of them: how rows are compared goes
/// by their number.
pub(crate) fn nearest_among(
    work: &mut Work,
    rows: &DeviceArray<f32>,
    all: usize,
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
        Backend::Gpu(recording) => gpu::nearest(recording, rows, all, centroids, metric),
    }
}
