//! Closest rows on a GPU: by products where they pay, otherwise by differences; what no queue holds goes on lists.

mod differences;
mod products;
mod way;
mod within;

pub(in crate::ops) use differences::share_out;

use way::Way;

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant},
    ops::{Ranked, selection::QUEUED},
};

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    [differences::kernels(variant), products::kernels(variant), within::kernels(variant)].concat()
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
    if products::pay(recording.device(), queries, base, k, metric) {
        products::knn(recording, queries, base, k, metric)
    } else if k <= QUEUED {
        differences::knn(recording, queries, base, k, (metric, way))
    } else {
        within::knn(recording, queries, base, k, (metric, way), within::ENTRIES)
    }
}
