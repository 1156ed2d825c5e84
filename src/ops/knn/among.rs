//! Each query's k closest of some rows.

use super::gpu;
use crate::{
    Device, DeviceArray, Metric, Result, Work,
    device::Backend,
    ops::{Lists, Mask, Ranked, check_k, check_rows, flat_scan},
};

/// Some of the rows of an array on a device.
#[derive(Clone, Debug)]
pub struct Subset {
    /// All rows in one list, of which scans look at these.
    lists: Lists,
    /// Their numbers, ascending, on a GPU.
    rows: DeviceArray<u32>,
}

impl Subset {
    /// The rows of `0..count` for which `is_chosen` holds.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub fn new(device: &Device, count: usize, mut is_chosen: impl FnMut(usize) -> bool) -> Result<Self> {
        let mut rows = vec![];
        let mask = Mask::new(device, count, |row| {
            let chosen = is_chosen(row);
            rows.extend((chosen && device.is_gpu()).then_some(row as u32));
            chosen
        })?;
        let offsets = device.upload(vec![0, count as u32], 1)?;
        let lists = Lists::new(offsets, device.upload((0..count as u32).collect(), 1)?).masked(mask);
        Ok(Subset { lists, rows: device.upload(rows, 1)? })
    }
}

/// Queries that scan the rows one by one, on a GPU: copying the rows takes as long as two of them.
const FEW: usize = 2;

/// [`knn`](super::knn()) among some rows of `base`, which keep their numbers.
///
/// # On a GPU
/// The rows are copied, a gibibyte at a time, and searched there: that takes reading and writing them once more, and as much
/// memory. One or two queries, and all on the CPU, pass over the others instead.
///
/// # Errors
/// As [`knn`](super::knn()); [`Error::Length`](crate::Error::Length) if `among` is of another number of rows.
pub fn knn_among(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    among: &Subset,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    crate::ops::check_columns("queries", queries, base)?;
    check_k(k)?;
    check_rows("base", base, among.lists.entries())?;
    let list = match &mut work.0 {
        Backend::Gpu(recording) if queries.rows() > FEW => {
            return gpu::knn_among(recording, queries, base, &among.rows, k, metric);
        }
        // Of a probe only the number of its list counts.
        Backend::Gpu(recording) => recording.zeros(queries.rows(), 1)?,
        Backend::Cpu => DeviceArray::on_host(vec![Ranked::new(0.0, 0); queries.rows()], 1),
    };
    flat_scan(work, queries, base, None, &among.lists, &list, k, metric)
}
