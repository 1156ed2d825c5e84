//! Product-quantizer codes.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::{Codebook, Nearest};
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// The code of each row: for each subvector its closest centroid (squared Euclidean, the lower number among
/// equals). With `residual`, centroids and each row's label among them, the code of the row minus its centroid.
/// One row of [`Codebook::words`] words a row; padding bits are zero.
///
/// # On a GPU
/// What it cannot do without: a subtraction and a multiply-add a row, column and code of a sub-quantizer; reading the rows
/// once and writing the codes. An invocation keeps subvectors of up to 16 columns, rounded up to 2, 4, 8, 12 or 16, of four
/// rows in registers while the codewords pass by, and the choice takes three instructions more: bound by vector
/// instructions. Subvectors of more columns meet the codewords in tiles of 64 x 64, 16 columns at a time.
///
/// # Errors
/// [`Error::Dimension`] if the rows are not of the codebook's dimension, [`Error::Length`] if labels are not one a
/// row, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn pq_encode(
    work: &mut Work,
    rows: &DeviceArray<f32>,
    codebook: &Codebook,
    residual: Option<(&DeviceArray<f32>, &DeviceArray<u32>)>,
) -> Result<DeviceArray<u32>> {
    if rows.columns() != codebook.dimension() {
        return Err(Error::Dimension { what: "rows", expected: codebook.dimension(), found: rows.columns() });
    }
    if let Some((centroids, labels)) = residual {
        super::check_columns("centroids", centroids, rows)?;
        super::check_rows("labels", labels, rows.rows())?;
    }
    match &mut work.0 {
        Backend::Cpu => {
            let residual = match residual {
                Some((centroids, labels)) => Some((centroids.host("centroids")?, labels.host("labels")?)),
                None => None,
            };
            let codes = cpu::pq_encode(rows.host("rows")?, codebook, codebook.centroids().host("codebook")?, residual);
            Ok(DeviceArray::on_host(codes, codebook.words()))
        }
        Backend::Gpu(recording) => gpu::pq_encode(recording, rows, codebook, residual),
    }
}

/// Each subvector's closest centroid, numbered over all sub-quantizers, and the squared distance to it: row after row, one
/// subvector after the other. On a GPU alone: the CPU has no use for it.
pub(crate) fn pq_nearest(work: &mut Work, rows: &DeviceArray<f32>, codebook: &Codebook) -> Result<Nearest> {
    match &mut work.0 {
        Backend::Cpu => Err(Error::OtherDevice { what: "rows" }),
        Backend::Gpu(recording) => gpu::pq_nearest(recording, rows, codebook),
    }
}
