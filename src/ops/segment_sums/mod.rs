//! The sum of each group of rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Grouping;
use crate::{DeviceArray, Result, Work, device::Backend};

/// The sum of the rows of each group; zeros for an empty one. One row a group. The order of additions depends on
/// the grouping alone, so the same input gives the same bits; a large group is split like many small ones.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) if the grouping is of another number of rows,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn segment_sums(work: &mut Work, rows: &DeviceArray<f32>, grouping: &Grouping) -> Result<DeviceArray<f32>> {
    super::check_rows("rows of the grouping", &grouping.order, rows.rows())?;
    match &mut work.0 {
        Backend::Cpu => {
            let (offsets, order) = (grouping.offsets.host("offsets")?, grouping.order.host("order")?);
            let sums = cpu::segment_sums(rows.host("rows")?, rows.columns(), offsets, order);
            Ok(DeviceArray::on_host(sums, rows.columns()))
        }
        Backend::Gpu(recording) => gpu::segment_sums(recording, rows, grouping),
    }
}
