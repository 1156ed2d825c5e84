//! The operations: what algorithms and indexes are made of, one folder each.
//!
//! A folder holds the contract and the choice between the two implementations (`mod.rs`), the CPU's (`cpu.rs`), the
//! GPU's (`gpu.rs`, with the kernel in `shaders/` under the operation's name) and the same in f64, the plainest
//! way (`reference.rs`), which tests and `verify` trust.
//!
//! A shader whose name goes on after an operation's, as `knn_doubt`, is a stage of that operation. `centre` is one of `knn`
//! and `nearest` (`products.rs`); `probe` measures what a device can do at most, for benchmarks.
//!
//! Throughout, *distance* means smaller is nearer: the squared Euclidean distance for [`Metric::L2`], minus the
//! inner product for [`Metric::InnerProduct`] and for [`Metric::Cosine`], whose rows the caller has normalised.
//! Euclidean distances are sums of squared differences, so they are as accurate far from the origin as near it. Where
//! norms and products compare first, differences decide whatever rounding leaves open. Equal distances are ordered by row number.
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

mod cast;
mod closest;
mod exact;
mod few;
mod flat_scan;
mod gather;
mod group;
mod integers;
mod knn;
mod lanes;
mod lists;
mod mask;
mod matrices;
mod nearest;
mod normalise;
mod panels;
mod pq_encode;
mod pq_interleave;
mod pq_rerank;
mod pq_scan;
mod pq_tables;
mod pq_terms;
mod prefetch;
mod products;
mod ranked;
mod rename;
mod rerank;
mod rotate;
mod round;
mod scan;
mod segment_sums;
mod select;
mod selection;
mod simd;
mod tile;
mod top;
mod update_centroids;

pub use cast::cast;
pub use flat_scan::flat_scan;
pub(crate) use gather::concat_all;
pub use gather::{concat, gather};
pub use group::{Grouping, group};
pub(crate) use knn::knn_alike;
pub use knn::{Subset, knn, knn_among};
pub use lists::{Codebook, Lists};
pub(crate) use mask::{Bits, words as mask_words};
pub use mask::{Mask, mask};
pub(crate) use nearest::{Moving, nearest_among};
pub use nearest::{Nearest, nearest};
pub use normalise::normalise;
pub use pq_encode::pq_encode;
pub(crate) use pq_encode::pq_nearest;
pub use pq_interleave::{PqCodes, pq_interleave};
pub use pq_rerank::{Places, pq_rerank};
pub use pq_scan::pq_scan;
pub use pq_tables::{Table, pq_tables};
pub use pq_terms::pq_terms;
pub use ranked::Ranked;
pub use rename::rename;
pub use rerank::rerank;
pub use rotate::{Rotation, rotate};
pub(crate) use round::rounded_bytes;
pub use round::{RoundedRows, round};
pub use segment_sums::{SegmentSums, segment_sums};
pub use select::select;
pub(crate) use update_centroids::update_codewords;
pub use update_centroids::{Updated, update_centroids};

#[doc = include_str!("ceilings.md")]
pub mod ceilings {}

/// The same operations in f64, one row at a time: what tests and `verify` trust.
pub mod reference {
    pub use super::{
        cast::reference::*, flat_scan::reference::*, gather::reference::*, group::reference::*, knn::reference::*,
        mask::reference::*, nearest::reference::*, normalise::reference::*, pq_encode::reference::*,
        pq_rerank::reference::*, pq_scan::reference::*, pq_tables::reference::*, pq_terms::reference::*,
        rename::reference::*, rerank::reference::*, rotate::reference::*, segment_sums::reference::*,
        select::reference::*, update_centroids::reference::*,
    };

    use super::Ranked;
    use crate::Metric;

    /// The centroids of a product quantizer: see [`Codebook`](super::Codebook).
    #[derive(Clone, Copy, Debug)]
    pub struct Codewords<'a> {
        /// Row `sub * 2^nbits + code`, of dsub numbers.
        pub centroids: &'a [f32],
        /// Number of sub-quantizers.
        pub m: usize,
        /// Bits of a sub-quantizer's code.
        pub nbits: usize,
    }

    impl<'a> Codewords<'a> {
        /// Dimension of a subvector.
        #[must_use]
        pub fn dsub(&self) -> usize {
            self.centroids.len() / (self.m << self.nbits)
        }

        /// Dimension of the vectors.
        #[must_use]
        pub fn dimension(&self) -> usize {
            self.m * self.dsub()
        }

        /// Words of a code.
        #[must_use]
        pub fn words(&self) -> usize {
            (self.m * self.nbits).div_ceil(32)
        }

        /// Centroid `code` of sub-quantizer `sub`.
        #[must_use]
        pub fn centroid(&self, sub: usize, code: usize) -> &'a [f32] {
            let first = ((sub << self.nbits) + code) * self.dsub();
            &self.centroids[first..first + self.dsub()]
        }

        /// The number of each sub-quantizer in a code.
        #[must_use]
        pub fn unpack(&self, code: &[u32]) -> Vec<usize> {
            let bit = |bit: usize| (code[bit / 32] >> (bit % 32) & 1) as usize;
            (0..self.m).map(|sub| (0..self.nbits).map(|i| bit(sub * self.nbits + i) << i).sum()).collect()
        }

        /// The words of a code.
        #[must_use]
        pub fn pack(&self, numbers: &[usize]) -> Vec<u32> {
            let mut words = vec![0; self.words()];
            for bit in 0..self.m * self.nbits {
                let set = numbers[bit / self.nbits] >> (bit % self.nbits) & 1;
                words[bit / 32] |= (set as u32) << (bit % 32);
            }
            words
        }

        /// The vector that a code stands for.
        #[must_use]
        pub fn decode(&self, code: &[u32]) -> Vec<f32> {
            let numbers = self.unpack(code).into_iter().enumerate();
            numbers.flat_map(|(sub, number)| self.centroid(sub, number)).copied().collect()
        }
    }

    /// Inverted lists and the ones to scan for each query.
    #[derive(Clone, Copy, Debug)]
    pub struct ProbedLists<'a> {
        /// Where each list begins, and the number of entries.
        pub offsets: &'a [u32],
        /// Each entry's row number.
        pub ids: &'a [u32],
        /// `nprobe` lists a query.
        pub probes: &'a [Ranked],
        /// Number of probes a query.
        pub nprobe: usize,
        /// Words of the mask of the entries that are looked at, if not all are.
        pub mask: Option<&'a [u32]>,
    }

    impl ProbedLists<'_> {
        /// The entries to scan for a query, each with its row number and its probe.
        pub(super) fn entries(&self, query: usize) -> Vec<(usize, u32, Ranked)> {
            let probes = self.probes[query * self.nprobe..][..self.nprobe].iter().filter(|probe| !probe.is_none());
            let entries = |&probe: &Ranked| {
                let list = probe.id() as usize;
                let range = self.offsets[list] as usize..self.offsets[list + 1] as usize;
                let is_wanted = |entry: &usize| self.mask.is_none_or(|mask| mask[entry / 32] >> (entry % 32) & 1 == 1);
                range.filter(is_wanted).map(move |entry| (entry, self.ids[entry], probe))
            };
            probes.flat_map(entries).collect()
        }
    }

    /// The `k` smallest of (id, distance), ordered by (distance, id).
    pub(super) fn smallest(mut candidates: Vec<(u32, f64)>, k: usize) -> Vec<(u32, f64)> {
        candidates.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        candidates.truncate(k);
        candidates
    }

    /// The distance of two vectors, smaller is nearer.
    #[must_use]
    pub fn distance(a: &[f32], b: &[f32], metric: Metric) -> f64 {
        let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        // Adding zero turns -0 into +0.
        match metric {
            Metric::L2 => pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>() + 0.0,
            Metric::InnerProduct | Metric::Cosine => -pairs.map(|(a, b)| a * b).sum::<f64>() + 0.0,
        }
    }
}

/// Every kernel that a device of this variant may run.
pub(crate) fn kernels(variant: crate::device::Variant) -> Vec<crate::device::Kernel> {
    [
        cast::gpu::kernels,
        flat_scan::gpu::kernels,
        gather::gpu::kernels,
        group::gpu::kernels,
        knn::gpu::kernels,
        mask::gpu::kernels,
        nearest::gpu::kernels,
        normalise::gpu::kernels,
        pq_encode::gpu::kernels,
        pq_interleave::gpu::kernels,
        pq_rerank::gpu::kernels,
        pq_scan::gpu::kernels,
        pq_tables::gpu::kernels,
        pq_terms::gpu::kernels,
        matrices::kernels,
        products::kernels,
        rename::gpu::kernels,
        rerank::gpu::kernels,
        rotate::gpu::kernels,
        round::gpu::kernels,
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

/// Row `index` of `data`; empty if there is none.
fn row<T>(data: &[T], columns: usize, index: usize) -> &[T] {
    index.checked_mul(columns).and_then(|start| data.get(start..start.checked_add(columns)?)).unwrap_or_default()
}

/// Whether distances are sums of squared differences rather than minus inner products.
fn is_l2(metric: Metric) -> bool {
    metric == Metric::L2
}
