//! Rows sorted by label.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// Rows sorted by label: those of label `g` are `order[offsets[g] .. offsets[g + 1]]`, in ascending order.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// Number of labels + 1 positions in `order`, one column.
    pub offsets: DeviceArray<u32>,
    /// Row numbers, one column.
    pub order: DeviceArray<u32>,
}

/// Sorts rows by their `labels`, each below `groups`, stably: a counting sort, no race decides the order.
///
/// # Errors
/// [`Error::Parameter`] for no groups or too many, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn group(work: &mut Work, labels: &DeviceArray<u32>, groups: usize) -> Result<Grouping> {
    if groups == 0 || groups >= u32::MAX as usize {
        return Err(Error::parameter("groups", groups, "from 1 to 2^32 - 2"));
    }
    match &mut work.0 {
        Backend::Cpu => {
            let (offsets, order) = cpu::group(labels.host("labels")?, groups);
            Ok(Grouping { offsets: DeviceArray::on_host(offsets, 1), order: DeviceArray::on_host(order, 1) })
        }
        Backend::Gpu(recording) => gpu::group(recording, labels, groups),
    }
}
