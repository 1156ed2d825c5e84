//! Bindings and dispatch of `shaders/pq_scan_probes.wgsl`: which queries are scanned for side by side.
//!
//! A kernel merges the probes of each two queries: the union of their lists, with a bit for each that probes one. Entries of
//! a list that only one of two probes are read in vain for the other. By the clocks of RDNA's instructions two would
//! pay for themselves once a seventh of what each probes is the other's as well; but where registers leave room for one
//! workgroup of two queries, nothing runs while it waits. On an H100 (1,000,000 codes of 16 look-ups, vectors at random,
//! neighbours in order of the lists that they probe first) a query alone and two side by side take:
//!
//! | queries, lists, probed | alone, ms | side by side, ms |
//! | --- | --- | --- |
//! | 1024, 1024, 32 | 0.71 | 1.08 |
//! | 1024, 1024, 64 | 1.16 | 1.71 |
//! | 1024, 1024, 256 | 3.38 | 4.28 |
//! | 1024, 256, 16 | 1.14 | 1.59 |
//! | 1024, 256, 64 | 3.30 | 3.81 |
//! | 8192, 1024, 8 | 1.92 | 2.49 |
//!
//! By these figures it takes more than half of the codes in common, and word vectors and images have less: of 1,000 queries
//! in order of their first lists, neighbours share 0.22 to 0.33 of what they probe of 1024 lists, and 0.41 to 0.75 of 4 to 64
//! of 256. So two go side by side where each probes half of the lists or more.
//!
//! What is left of ordering queries by list is that those that run at the same time read the same: where codes are more than
//! a last-level cache holds.

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
    vec![kernel("first_lists"), kernel("merge")]
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel {
        name: "pq_scan_probes",
        source: include_str!("../../../../shaders/pq_scan_probes.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32)],
        flags: vec![],
    }
}

fn params(batch: &Segment, probes: &DeviceArray<Ranked>) -> Result<Params> {
    Ok(Params {
        queries: batch.rows as u32,
        probe_place: probes.part(batch.first_row)?.1 as u32,
        nprobe: probes.columns() as u32,
    })
}

/// Whether two queries probe enough of the same lists to be scanned for side by side.
pub(super) fn meet(queries: usize, nprobe: usize, nlist: usize) -> bool {
    queries >= TWO && nprobe >= nlist.div_ceil(2)
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
    recording.dispatch(kernel("first_lists"), &params, &buffers, batch.rows.div_ceil(THREADS))?;
    Ok(group::gpu::group(recording, &labels, nlist)?.order)
}

/// The lists that the queries of a batch probe, two by two.
pub(super) fn merge(recording: &mut Recording, batch: &Segment, probes: &DeviceArray<Ranked>) -> Result<Part> {
    let probed = batch.rows.next_multiple_of(TWO) * probes.columns();
    let merged = recording.scratch(probed * MERGED_BYTES)?;
    let buffers = [("probes", probes.part(batch.first_row)?.0), ("merged", &merged)];
    let params = params(batch, probes)?;
    recording.expect(probed * probes.columns());
    recording.dispatch(kernel("merge"), &params, &buffers, probed.div_ceil(THREADS))?;
    Ok(merged)
}
