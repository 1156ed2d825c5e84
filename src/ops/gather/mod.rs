//! Rows in another order, and rows after rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use bytemuck::Pod;

use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// The rows of `rows` that `order` (one column, each below the number of rows) names, in its order.
///
/// # Errors
/// [`Error::OtherDevice`], [`Error::OutOfMemory`]; [`Error::Parameter`] unless elements are of 4 bytes.
pub fn gather<T: Pod + Send + Sync>(
    work: &mut Work,
    rows: &DeviceArray<T>,
    order: &DeviceArray<u32>,
) -> Result<DeviceArray<T>> {
    if size_of::<T>() != 4 {
        return Err(Error::parameter("bytes an element", size_of::<T>(), "4"));
    }
    match &mut work.0 {
        Backend::Cpu => {
            let gathered = cpu::gather(rows.host("rows")?, rows.columns(), order.host("order")?);
            Ok(DeviceArray::on_host(gathered, rows.columns()))
        }
        Backend::Gpu(recording) => gpu::gather(recording, rows, order),
    }
}

/// The rows of `first`, then those of `second`. Where one of them has none, the other itself.
///
/// # Errors
/// [`Error::Dimension`] if they differ in columns, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn concat<T: Pod + Send + Sync>(
    work: &mut Work,
    first: &DeviceArray<T>,
    second: &DeviceArray<T>,
) -> Result<DeviceArray<T>> {
    super::check_columns("rows to append", second, first)?;
    match &mut work.0 {
        Backend::Cpu => {
            let (left, right) = (first.host("first")?, second.host("second")?);
            Ok(match (left, right) {
                ([], _) => second.clone(),
                (_, []) => first.clone(),
                _ => DeviceArray::on_host([left, right].concat(), first.columns()),
            })
        }
        Backend::Gpu(recording) => recording.concat(first, second),
    }
}
