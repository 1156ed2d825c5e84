//! The k smallest of long rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Ranked;
use crate::{DeviceArray, Result, Work, device::Backend};

/// The `k` smallest numbers of each row of `values` with their columns, ordered by (value, column); any k, padded
/// with [`Ranked::NONE`] past the number of columns.
///
/// # On a GPU
/// What it cannot do without: reading each number once, 4 bytes. Up to k = 256, queues in workgroup memory see to that. For
/// more, the digits of the last number wanted are found from the highest, 11 bits at a time, by counting. A long row is
/// shared out over workgroups, which read it once for each of the three digits and once to collect what is wanted: memory
/// bounds it, at a quarter of what the floor allows. Digits of the column come after that, looked at only in rows where some of equal numbers are
/// wanted and some are not. What is collected is sorted, by blocks in workgroup memory and merges. Rows of up to 4096 are
/// sorted whole.
///
/// Of a row of 1,000,000, k = 1,000 takes 13 dispatches and moves 16 MB, k = 5,000 takes 16, each doubling one more;
/// passes of 256 took 8 dispatches and 20 MB, and 40 and 100 MB.
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
