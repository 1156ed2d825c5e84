//! What the kernels with a fused selection share: any k goes in passes of at most [`PASS`], each taking up after the
//! last candidate of the one before, and every pass is the operation's own scan followed by a merge.

use super::{Ranked, select};
use crate::{
    DeviceArray, Result,
    device::{Part, Recording, Segment, bounded_segments, segments},
};

/// Candidates that a workgroup can sort in its memory: two a thread.
pub(super) const QUEUE: usize = 512;

/// Most neighbours that one pass keeps: what leaves room in the queue for one offer a thread.
pub(super) const PASS: usize = 256;

/// Bytes that the candidates of one batch of queries, or their queues, may take.
pub(super) const SCRATCH_BYTES: usize = 64 << 20;

/// Workgroups that keep a large GPU busy.
const BUSY_GROUPS: usize = 1024;

pub(super) const NUMBERS: &[(&str, u32)] = &[("THREADS", super::tile::THREADS as u32), ("QUEUE", QUEUE as u32)];

/// One pass over a batch of queries.
pub(super) struct Pass<'a> {
    /// Neighbours that earlier passes found.
    pub taken: usize,
    /// Neighbours that this pass finds.
    pub keep: usize,
    /// Neighbours wanted in all: the row length of `found`.
    pub k: usize,
    /// What earlier passes found.
    pub found: &'a Part,
    /// Where in it the batch's first query is.
    pub found_place: usize,
}

/// The candidates of a batch, rows of equal length.
#[derive(Clone)]
pub(super) struct Candidates {
    pub buffer: Part,
    pub columns: usize,
}

/// Pieces that `work` units for each of `queries` are cut into, so that all queries together keep a GPU busy and a
/// piece still has `least` units.
pub(super) fn slabs(queries: usize, work: usize, least: usize) -> usize {
    BUSY_GROUPS.div_ceil(queries.max(1)).min(work.div_ceil(least)).max(1)
}

/// The `k` nearest of each of the rows of `segments`, which cover `rows` rows; `scan` records the candidates of a
/// segment in a pass.
pub(super) fn passes(
    recording: &mut Recording,
    found: &DeviceArray<Ranked>,
    segments: &[Segment],
    mut scan: impl FnMut(&mut Recording, &Segment, &Pass<'_>) -> Result<Candidates>,
) -> Result<()> {
    let k = found.columns();
    for segment in segments {
        let (buffer, found_place) = found.part(segment.first_row)?;
        let mut taken = 0;
        while taken < k {
            let pass = Pass { taken, keep: PASS.min(k - taken), k, found: buffer, found_place };
            let candidates = scan(recording, segment, &pass)?;
            select::gpu::merge(recording, segment.rows, &candidates, &pass)?;
            taken += pass.keep;
        }
    }
    Ok(())
}

/// How a scan of inverted lists is shared out: the entries in the stretches that their buffers hold, each list's part
/// of a stretch in slabs.
pub(super) struct ScanPlan {
    /// Pieces of every list in a stretch.
    pub slabs: usize,
    stretches: Vec<Segment>,
    /// Entries of a stretch that a query is likely to visit, as a share.
    share: f64,
}

impl ScanPlan {
    /// A plan for `queries` that each probe `nprobe` lists, with at least `least` entries a slab on average.
    pub(super) fn new(
        queries: usize,
        lists: &super::Lists,
        entries_per_part: usize,
        nprobe: usize,
        least: usize,
    ) -> Self {
        let probed = (lists.entries() as f64 * nprobe as f64 / lists.nlist().max(1) as f64) as usize;
        ScanPlan {
            slabs: slabs(queries, probed.min(lists.entries()), least),
            stretches: segments(lists.entries(), &[entries_per_part]),
            share: (nprobe as f64 / lists.nlist().max(1) as f64).min(1.0),
        }
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

    /// Batches of queries whose candidates are within bounds.
    pub(super) fn batches(&self, queries: usize, per_part: &[usize], k: usize) -> Vec<Segment> {
        let per_query = self.all_slabs() * PASS.min(k) * size_of::<Ranked>();
        bounded_segments(queries, per_part, SCRATCH_BYTES / per_query.max(1))
    }

    /// Room for a batch's candidates.
    pub(super) fn candidates(&self, recording: &mut Recording, batch: &Segment, pass: &Pass<'_>) -> Result<Candidates> {
        let columns = self.all_slabs() * pass.keep;
        let buffer = recording.scratch(batch.rows * columns * size_of::<Ranked>())?;
        Ok(Candidates { buffer, columns })
    }
}
