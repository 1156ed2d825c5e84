//! Exact distances of given candidates.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Ranked;
use crate::{DeviceArray, Metric, Result, Work, device::Backend};

/// The `k` closest of each query's `candidates` (one row a query, each row number at most once) by their exact
/// distance to `rows`, ordered by (distance, row number) and padded with [`Ranked::NONE`].
///
/// Candidate `id` is row `id` of `rows`, or row `places[id]` where `places` (one column) is given.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for a k of 0, [`Error::Length`](crate::Error::Length) or
/// [`Error::Dimension`](crate::Error::Dimension) if the arguments do not fit each other,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn rerank(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    rows: &DeviceArray<f32>,
    places: Option<&DeviceArray<u32>>,
    candidates: &DeviceArray<Ranked>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    super::check_k(k)?;
    super::check_columns("queries", queries, rows)?;
    super::check_rows("candidates", candidates, queries.rows())?;
    match &mut work.0 {
        Backend::Cpu => {
            let places = places.map(|places| places.host("places")).transpose()?;
            let ranked = cpu::rerank(
                queries.host("queries")?,
                rows.host("rows")?,
                queries.columns(),
                places,
                candidates.host("candidates")?,
                candidates.columns(),
                k,
                metric,
            );
            Ok(DeviceArray::on_host(ranked, k))
        }
        Backend::Gpu(recording) => {
            let naming = places.map_or(gpu::Naming::Rows, gpu::Naming::Places);
            gpu::rerank(recording, queries, rows, naming, candidates, k, metric)
        }
    }
}
