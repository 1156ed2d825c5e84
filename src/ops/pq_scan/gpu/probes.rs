//! Bindings and dispatch of `shaders/pq_scan_probes.wgsl`: which queries are scanned for side by side.
//!
//! A kernel merges the probes of each two queries: the union of their lists, with a bit for each that probes one. A list
//! that only one of two probes costs what it costs for one query, for its entries are read in vain for the other: 4.3
//! clocks, where one query takes 4.0. Two pay for themselves once the lists that both probe are more than a seventh of each
//! one's. Where every list is probed they are all. Elsewhere, queries are ordered by the list that they probe first,
//! and neighbours are put side by side if there are as many queries as lists. Shares of the codes that both of two
//! neighbours probe, of word vectors of 100 dimensions and of Fashion-MNIST:
//!
//! | lists, queries | 1 probed | 4 | 16 | 64 |
//! | --- | --- | --- | --- | --- |
//! | 1024, 256 | 0.25 | 0.11 | 0.13 | 0.22 |
//! | 1024, 1000 | 0.54 | 0.22 | 0.24 | 0.33 |
//! | 1024, 2000 | 0.74 | 0.30 | 0.31 | 0.39 |
//! | 256, 256 | 0.60, 0.45 | 0.27, 0.28 | 0.35, 0.36 | 0.55, 0.54 |
//! | 256, 1000 | 0.85, 0.82 | 0.41, 0.45 | 0.44, 0.61 | 0.61, 0.75 |
//! | 256, 10,000 | 0.98 | 0.55 | 0.73 | 0.86 |
//!
//! Ordering by the second list as well adds 0.1 at most; in the order they come, queries share what chance gives them.

use super::TWO;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Segment, params},
    ops::{Ranked, group, tile::THREADS},
};

params! {
    struct Params {
        queries: u32,
        probe_place: u32,
        nprobe: u32,
    }
}

/// Fewest queries that are worth ordering by list: fewer leave no two of a list running at the same time.
pub(super) const ORDERED_QUERIES: usize = 256;

/// Bytes of what is known of a list that one of two queries probes.
pub(super) const MERGED_BYTES: usize = 4 * size_of::<u32>();

pub(super) fn kernels() -> Vec<Kernel> {
    vec![kernel("first_lists", false), kernel("merge", false), kernel("merge", true)]
}

fn kernel(entry: &'static str, ordered: bool) -> Kernel {
    Kernel {
        name: "pq_scan_probes",
        source: include_str!("../../../../shaders/pq_scan_probes.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32)],
        flags: ordered.then_some("ORDERED").into_iter().collect(),
    }
}

fn params(batch: &Segment, probes: &DeviceArray<Ranked>) -> Result<Params> {
    Ok(Params {
        queries: batch.rows as u32,
        probe_place: probes.part(batch.first_row)?.1 as u32,
        nprobe: probes.columns() as u32,
    })
}

/// Whether queries are likely enough to probe the same lists for two to be scanned for side by side.
pub(super) fn meet(queries: usize, nprobe: usize, nlist: usize) -> bool {
    queries >= TWO && (nprobe >= nlist || queries >= nlist.max(ORDERED_QUERIES))
}

/// The queries of a batch in the order of the lists that they probe first, so that what runs at the same time reads much
/// of the same.
pub(super) fn order(
    recording: &mut Recording,
    batch: &Segment,
    probes: &DeviceArray<Ranked>,
    nlist: usize,
) -> Result<DeviceArray<u32>> {
    let labels: DeviceArray<u32> = recording.array(batch.rows, 1)?;
    let buffers = [("probes", probes.part(batch.first_row)?.0), ("labels", labels.whole("bytes of labels")?)];
    let params = params(batch, probes)?;
    recording.dispatch(kernel("first_lists", false), &params, &buffers, batch.rows.div_ceil(THREADS))?;
    Ok(group::gpu::group(recording, &labels, nlist)?.order)
}

/// The lists that the queries of a batch probe, two by two.
pub(super) fn merge(
    recording: &mut Recording,
    batch: &Segment,
    probes: &DeviceArray<Ranked>,
    order: Option<&Part>,
) -> Result<Part> {
    let probed = batch.rows.next_multiple_of(TWO) * probes.columns();
    let merged = recording.scratch(probed * MERGED_BYTES)?;
    let mut buffers = vec![("probes", probes.part(batch.first_row)?.0), ("merged", &merged)];
    buffers.extend(order.map(|order| ("order", order)));
    let params = params(batch, probes)?;
    recording.dispatch(kernel("merge", order.is_some()), &params, &buffers, probed.div_ceil(THREADS))?;
    Ok(merged)
}
