//! Rows at unit length.

pub(super) mod gpu;
pub(super) mod reference;

use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// Copies of the rows at unit length, as [`Metric::Cosine`](crate::Metric::Cosine) compares them; a row of zeros stays
/// as it is.
///
/// On a GPU the absolute values of a row must add up to less than f32's largest.
///
/// # Errors
/// [`Error::Empty`] for rows of no columns, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn normalise(work: &mut Work, rows: &DeviceArray<f32>) -> Result<DeviceArray<f32>> {
    if rows.columns() == 0 {
        return Err(Error::Empty { what: "rows" });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let mut normalised = rows.host("rows")?.to_vec();
            crate::rows::normalise(&mut normalised, rows.columns());
            Ok(DeviceArray::on_host(normalised, rows.columns()))
        }
        Backend::Gpu(recording) => gpu::normalise(recording, rows),
    }
}
