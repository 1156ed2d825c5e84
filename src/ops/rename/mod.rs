//! Candidates under other names.

pub(super) mod gpu;
pub(super) mod reference;

use super::Ranked;
use crate::{DeviceArray, Result, Work, device::Backend};

/// The candidates in the same places, candidate `id` as `names[id]` (one column, a name for each).
///
/// # Errors
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory);
/// [`Error::Limit`](crate::Error::Limit) if the names exceed a binding.
pub fn rename(
    work: &mut Work,
    candidates: &DeviceArray<Ranked>,
    names: &DeviceArray<u32>,
) -> Result<DeviceArray<Ranked>> {
    match &mut work.0 {
        Backend::Cpu => {
            let renamed = reference::rename(candidates.host("candidates")?, names.host("names")?);
            Ok(DeviceArray::on_host(renamed, candidates.columns()))
        }
        Backend::Gpu(recording) => gpu::rename(recording, candidates, names),
    }
}
