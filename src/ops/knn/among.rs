//! Each query's k closest of some rows.

use super::{cpu, gpu};
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
    /// Their numbers, ascending.
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
            rows.extend(chosen.then_some(row as u32));
            chosen
        })?;
        let offsets = device.upload(vec![0, count as u32], 1)?;
        let lists = Lists::new(offsets, device.upload((0..count as u32).collect(), 1)?).masked(mask);
        Ok(Subset { lists, rows: device.upload(rows, 1)? })
    }
}

/// Queries that pass over the other rows on a GPU, unless three in four are others: copying rows takes as long as so many
/// scans of them. On the CPU all queries do, unless more than half are others.
const FEW: usize = 2;

/// Bytes of rows that are copied at a time.
const PIECE_BYTES: usize = 1 << 30;

/// [`knn`](super::knn()) among some rows of `base`, which keep their numbers.
///
/// The rows are copied, a gibibyte at a time, and searched there: that takes reading and writing them once more, a gibibyte,
/// and for each what [`knn`](super::knn()) takes beside it. One query or two pass over the others instead, unless most are
/// others.
///
/// # Errors
/// As [`knn`](super::knn()); [`Error::Length`](crate::Error::Length) if `among` is of another number of rows;
/// [`Error::Limit`](crate::Error::Limit) if numbers of rows exceed a binding.
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
    let rows = &among.rows;
    match &mut work.0 {
        Backend::Cpu => {
            let (queries, numbers) = (queries.host("queries")?, rows.host("numbers of rows")?);
            let mask = among.lists.host_mask()?;
            let all = cpu::Base { rows: base.host("base")?, dimension: base.columns(), mask };
            let found = if 2 * rows.rows() >= base.rows() {
                cpu::knn(queries, all, k, metric)
            } else {
                cpu::knn_among(queries, all, numbers, k, (metric, PIECE_BYTES))
            };
            Ok(DeviceArray::on_host(found, k))
        }
        Backend::Gpu(recording) if queries.rows() <= FEW && 4 * rows.rows() >= base.rows() => {
            // Of a probe only the number of its list counts.
            let list = recording.zeros(queries.rows(), 1)?;
            flat_scan(work, queries, base, None, &among.lists, &list, k, metric)
        }
        Backend::Gpu(recording) => gpu::knn_among(recording, queries, base, rows, k, (metric, PIECE_BYTES)),
    }
}
