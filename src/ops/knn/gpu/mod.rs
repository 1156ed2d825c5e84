//! Closest rows on a GPU: by products where they pay, of f16 where subgroups multiply matrices, otherwise by differences; what
//! no queue holds goes on lists.

mod among;
mod differences;
mod matrices;
mod products;
mod way;
mod within;

pub(super) use among::knn_among;
pub(in crate::ops) use differences::share_out;

use way::Way;

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant},
    ops::{Ranked, selection::QUEUED},
};

/// Terms of distances that differences take no longer for than what goes with products. On an H100 1,024 queries to 1,024
/// centroids of 128, half of it, take 0.10 ms by differences, in 3 dispatches, where by products they took 0.18, in 14.
const LITTLE: usize = 1 << 28;

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let ways = [differences::kernels, matrices::kernels, products::kernels, within::kernels];
    ways.into_iter().flat_map(|kernels| kernels(variant)).collect()
}

pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    (metric, alike): (Metric, bool),
) -> Result<DeviceArray<Ranked>> {
    let way = Way::of(queries, alike);
    queries.check_on(recording.device(), "queries")?;
    base.check_on(recording.device(), "base")?;
    // Few terms take less time than what goes with products, eleven short kernels.
    let little =
        alike && queries.rows().saturating_mul(base.rows()).saturating_mul(base.columns()) <= LITTLE && k <= QUEUED;
    if little {
        differences::knn(recording, queries, base, k, (metric, way))
    } else if matrices::pay(recording.device(), queries, base, k) {
        matrices::knn(recording, queries, base, k, metric)
    } else if products::pay(recording.device(), queries, base, k, metric) {
        products::knn(recording, queries, base, k, metric)
    } else if k <= QUEUED {
        differences::knn(recording, queries, base, k, (metric, way))
    } else {
        within::knn(recording, queries, base, k, (metric, way), within::ENTRIES)
    }
}
