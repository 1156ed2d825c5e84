//! What the kernels with a fused selection share: up to [`QUEUED`] neighbours wait in a queue in workgroup memory. Of
//! more, a scan of lists keeps some 2 k a workgroup in storage, which it cuts by their digits when they are full, and a
//! scan of all rows, which many workgroups share, puts them on one list a query: see `knn`. Whatever k is, everything
//! is scanned once.

use super::{Ranked, select::gpu::choose};
use crate::{
    DeviceArray, Result,
    device::{Part, Recording, Segment, segments},
};

/// Candidates that a workgroup can sort in its memory: two a thread.
pub(super) const QUEUE: usize = 512;

/// Most neighbours that a queue keeps: what leaves room in it for one offer a thread.
pub(super) const QUEUED: usize = 256;

/// Bytes that the candidates of one batch of queries, or their queues, may take.
pub(super) const SCRATCH_BYTES: usize = 64 << 20;

/// Workgroups of large tiles that run at the same time on a large GPU.
pub(super) const PARALLEL_GROUPS: usize = 256;

/// Workgroups that keep a large GPU busy.
const BUSY_GROUPS: usize = 1024;

pub(super) const NUMBERS: &[(&str, u32)] = &[("THREADS", super::tile::THREADS as u32), ("QUEUE", QUEUE as u32)];

/// The candidates of a batch, rows of equal length.
pub(super) struct Candidates {
    pub buffer: Part,
    pub columns: usize,
}

/// Pieces that `work` units for each of `queries` are cut into, so that all queries together keep a GPU busy and a
/// piece still has `least` units.
pub(super) fn slabs(queries: usize, work: usize, least: usize) -> usize {
    BUSY_GROUPS.div_ceil(queries.max(1)).min(work.div_ceil(least)).max(1)
}

/// Candidates that a queue in storage has room for: twice as many as it keeps or more, if there are so many and that is
/// within bounds, and more than one offer of each thread. It is cut whenever twice as many entries were scanned, or four
/// times as many where it has room for 4 k, so that cutting takes less than scanning.
fn long_room(entries: usize, k: usize) -> usize {
    let most = k.max(SCRATCH_BYTES / size_of::<Ranked>());
    entries.min(k.saturating_mul(2).max(7 * QUEUE)).min(most) + QUEUE
}

/// How a scan of inverted lists is shared out: the entries in the stretches that their buffers hold, each list's part
/// of a stretch in slabs.
pub(super) struct ScanPlan {
    /// Neighbours wanted.
    k: usize,
    /// Pieces of every list in a stretch.
    pub slabs: usize,
    stretches: Vec<Segment>,
    /// Entries of a stretch that a query is likely to visit, as a share.
    share: f64,
    /// Candidates that a slab has room for.
    pub room: usize,
}

impl ScanPlan {
    /// A plan for `queries` that each probe `nprobe` lists, with at least `least` entries a slab on average, or as many as
    /// are wanted.
    pub(super) fn new(
        queries: usize,
        lists: &super::Lists,
        entries_per_part: usize,
        nprobe: usize,
        (k, least): (usize, usize),
    ) -> Self {
        let probed = (lists.entries() as f64 * nprobe as f64 / lists.nlist().max(1) as f64) as usize;
        let stretches = segments(lists.entries(), &[entries_per_part]);
        let (room, least) = if k > QUEUED { (long_room(lists.entries(), k), least.max(k)) } else { (k, least) };
        let most_slabs = SCRATCH_BYTES / (room * size_of::<Ranked>() * stretches.len().max(1));
        ScanPlan {
            k,
            slabs: slabs(queries, probed.min(lists.entries()), least).min(most_slabs.max(1)),
            stretches,
            share: (nprobe as f64 / lists.nlist().max(1) as f64).min(1.0),
            room,
        }
    }

    /// Whether what is kept lies in storage.
    pub(super) fn is_long(&self) -> bool {
        self.k > QUEUED
    }

    /// Entries of a stretch that a query is likely to visit.
    pub(super) fn probed(&self, stretch: &Segment) -> usize {
        (stretch.rows as f64 * self.share).ceil() as usize
    }

    /// Each stretch of entries and the number of its first slab.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (&Segment, usize)> {
        self.stretches.iter().enumerate().map(|(number, stretch)| (stretch, number * self.slabs))
    }

    pub(super) fn all_slabs(&self) -> usize {
        self.slabs * self.stretches.len()
    }

    /// The `k` nearest of each of `queries`, `per_part` of them in a buffer of each array; `scan` records the candidates
    /// of a batch of them.
    pub(super) fn search(
        &self,
        recording: &mut Recording,
        queries: usize,
        per_part: &[usize],
        scan: impl FnMut(&mut Recording, &Segment, &Part) -> Result<()>,
    ) -> Result<DeviceArray<Ranked>> {
        choose(recording, queries, per_part, self.all_slabs() * self.room, self.k, scan)
    }
}
