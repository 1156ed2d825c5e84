//! The operations: what algorithms and indexes are made of, one folder each.
//!
//! A folder holds the contract and the choice between the two implementations (`mod.rs`), the CPU's (`cpu.rs`), the
//! GPU's (`gpu.rs`, with the kernel in `shaders/` under the operation's name) and the same in f64, the plainest
//! way (`reference.rs`), which tests and `verify` trust.
//!
//! Throughout, *distance* means smaller is nearer: the squared Euclidean distance for [`Metric::L2`], minus the
//! inner product for [`Metric::InnerProduct`] and for [`Metric::Cosine`], whose rows the caller has normalised.
//! Euclidean distances are sums of squared differences, never expanded into norms and products, so they are as
//! accurate far from the origin as near it. Equal distances are ordered by row number.
//!
//! ```
//! use cellprobe::{Device, Metric, ops};
//! # fn main() -> cellprobe::Result<()> {
//! let device = Device::cpu();
//! let base = device.upload(vec![0.0, 0.0, 3.0, 4.0, 1.0, 0.0], 2)?;
//! let queries = device.upload(vec![0.9, 0.1], 2)?;
//! let mut work = device.work();
//! let nearest = ops::knn(&mut work, &queries, &base, 2, Metric::L2)?;
//! let nearest = pollster::block_on(work.read(nearest))?;
//! assert_eq!((nearest[0].id(), nearest[1].id()), (2, 0));
//! # Ok(())
//! # }
//! ```

use crate::{DeviceArray, Error, Metric, Result};

mod flat_scan;
mod gather;
mod group;
mod knn;
mod lanes;
mod lists;
mod nearest;
mod pq_encode;
mod pq_rerank;
mod pq_scan;
mod pq_tables;
mod pq_terms;
mod ranked;
mod rerank;
mod segment_sums;
mod select;
mod selection;
mod tile;
mod update_centroids;

pub use flat_scan::flat_scan;
pub use gather::{concat, gather};
pub use group::{Grouping, group};
pub use knn::knn;
pub use lists::{Codebook, Lists};
pub use nearest::{Nearest, nearest};
pub use pq_encode::pq_encode;
pub use pq_rerank::pq_rerank;
pub use pq_scan::pq_scan;
pub use pq_tables::{Table, pq_tables};
pub use pq_terms::pq_terms;
pub use ranked::Ranked;
pub use rerank::rerank;
pub use segment_sums::segment_sums;
pub use select::select;
pub use update_centroids::{Updated, update_centroids};

/// The same operations in f64, one row at a time: what tests and `verify` trust.
pub mod reference {
    pub use super::{
        flat_scan::reference::*, gather::reference::*, group::reference::*, knn::reference::*, nearest::reference::*,
        pq_encode::reference::*, pq_rerank::reference::*, pq_scan::reference::*, pq_tables::reference::*,
        pq_terms::reference::*, rerank::reference::*, segment_sums::reference::*, select::reference::*,
        update_centroids::reference::*,
    };

    use crate::Metric;

    /// The distance of two vectors, smaller is nearer.
    #[must_use]
    pub fn distance(a: &[f32], b: &[f32], metric: Metric) -> f64 {
        let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        match metric {
            Metric::L2 => pairs.map(|(a, b)| (a - b) * (a - b)).sum(),
            Metric::InnerProduct | Metric::Cosine => -pairs.map(|(a, b)| a * b).sum::<f64>(),
        }
    }
}

/// Every kernel that a device of this variant may run.
pub(crate) fn kernels(variant: crate::device::Variant) -> Vec<crate::device::Kernel> {
    [
        flat_scan::gpu::kernels,
        gather::gpu::kernels,
        group::gpu::kernels,
        knn::gpu::kernels,
        nearest::gpu::kernels,
        pq_encode::gpu::kernels,
        pq_rerank::gpu::kernels,
        pq_scan::gpu::kernels,
        pq_tables::gpu::kernels,
        pq_terms::gpu::kernels,
        rerank::gpu::kernels,
        segment_sums::gpu::kernels,
        select::gpu::kernels,
        update_centroids::gpu::kernels,
    ]
    .into_iter()
    .flat_map(|kernels| kernels(variant))
    .collect()
}

/// Fails unless both have rows of one length, at least 1.
fn check_columns<A: bytemuck::Pod, B: bytemuck::Pod>(
    what: &'static str,
    found: &DeviceArray<A>,
    expected: &DeviceArray<B>,
) -> Result<()> {
    if expected.columns() == 0 {
        return Err(Error::Empty { what });
    }
    if found.columns() != expected.columns() {
        return Err(Error::Dimension { what, expected: expected.columns(), found: found.columns() });
    }
    Ok(())
}

/// Fails unless `found` has `expected` rows.
fn check_rows<A: bytemuck::Pod>(what: &'static str, found: &DeviceArray<A>, expected: usize) -> Result<()> {
    if found.rows() != expected {
        return Err(Error::Length { what, expected, found: found.rows() });
    }
    Ok(())
}

/// Fails on a k of zero.
fn check_k(k: usize) -> Result<()> {
    if k == 0 { Err(Error::parameter("k", k, "at least 1")) } else { Ok(()) }
}

/// Whether distances are sums of squared differences rather than minus inner products.
fn is_l2(metric: Metric) -> bool {
    metric == Metric::L2
}
