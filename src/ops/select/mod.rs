//! The k smallest of long rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Ranked;
use crate::{DeviceArray, Result, Work, device::Backend};

/// The `k` smallest numbers of each row of `values` with their columns, ordered by (value, column); any k, padded
/// with [`Ranked::NONE`] past the number of columns.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for a k of 0, [`Error::OtherDevice`](crate::Error::OtherDevice),
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn select(work: &mut Work, values: &DeviceArray<f32>, k: usize) -> Result<DeviceArray<Ranked>> {
    super::check_k(k)?;
    match &mut work.0 {
        Backend::Cpu => {
            Ok(DeviceArray::on_host(cpu::select(values.host("values")?, values.rows(), values.columns(), k), k))
        }
        Backend::Gpu(recording) => gpu::select(recording, values, k),
    }
}
