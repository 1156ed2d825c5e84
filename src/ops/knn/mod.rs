//! Each query's k closest rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Ranked;
use crate::{DeviceArray, Metric, Result, Work, device::Backend};

/// Each of `queries`' `k` closest rows of `base`, nearest first, equal distances by row number; rows past the number
/// of base rows are [`Ranked::NONE`]. One row of `k` a query. Distances and selection are fused: what is held
/// beyond the result is a bounded queue a query.
///
/// # Errors
/// [`Error::Dimension`](crate::Error::Dimension) if they differ in columns,
/// [`Error::Parameter`](crate::Error::Parameter) for a k of 0,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn knn(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    super::check_columns("queries", queries, base)?;
    super::check_k(k)?;
    match &mut work.0 {
        Backend::Cpu => {
            let ranked = cpu::knn(queries.host("queries")?, base.host("base")?, queries.columns(), k, metric);
            Ok(DeviceArray::on_host(ranked, k))
        }
        Backend::Gpu(recording) => gpu::knn(recording, queries, base, k, metric),
    }
}
