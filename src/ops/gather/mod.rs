//! Rows in another order, and rows after rows.

pub(super) mod cpu;
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
    concat_all(work, [first, second].into_iter())
}

/// The rows of all of `arrays`, at least one, in order. Where no other has any, that one itself.
pub(crate) fn concat_all<'a, T: Pod + Send + Sync>(
    work: &mut Work,
    arrays: impl Iterator<Item = &'a DeviceArray<T>>,
) -> Result<DeviceArray<T>> {
    let arrays: Vec<_> = arrays.collect();
    let Some((&first, others)) = arrays.split_first() else { return Err(Error::Empty { what: "arrays to join" }) };
    others.iter().try_for_each(|other| super::check_columns("rows to append", other, first))?;
    match &mut work.0 {
        Backend::Cpu => {
            let parts = arrays.iter().map(|array| array.host("an array to join")).collect::<Result<Vec<_>>>()?;
            let some: Vec<_> = arrays.iter().filter(|array| array.rows() > 0).collect();
            match some[..] {
                [] => Ok(first.clone()),
                [one] => Ok((*one).clone()),
                _ => Ok(DeviceArray::on_host(parts.concat(), first.columns())),
            }
        }
        Backend::Gpu(recording) => recording.concat(&arrays),
    }
}
