//! Selection on a GPU: few by queues in workgroup memory, more by their digits.

mod queue;
mod radix;
mod sort;

pub(in crate::ops) use queue::{merge, merge_listed};
pub(in crate::ops) use radix::{Lists, Open};

use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Segment, Variant, bounded_segments},
    ops::{
        Ranked,
        selection::{Candidates, QUEUED, SCRATCH_BYTES},
    },
};
use radix::Selection;

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    [queue::kernels(), radix::kernels(), sort::kernels()].concat()
}

/// Entries of rows to select from.
#[derive(Clone, Copy)]
enum Entries<'a> {
    /// Numbers, named by their columns.
    Values(&'a Part),
    /// Candidates, of which [`Ranked::NONE`] does not count.
    Ranked(&'a Part),
}

/// Rows of entries, from one on.
struct Rows<'a> {
    entries: Entries<'a>,
    place: usize,
    count: usize,
    columns: usize,
}

/// Words of a row of `bounds`: see `shaders/shared/bound.wgsl`.
const BOUND_WORDS: usize = 8;

/// The one with the length of the list of what was offered, in the first turn.
const OFFERED: usize = 4;

/// The one with the length of the list of what was kept.
const fn kept_word(turn: usize) -> usize {
    6 + turn
}

pub(super) fn select(recording: &mut Recording, values: &DeviceArray<f32>, k: usize) -> Result<DeviceArray<Ranked>> {
    values.check_on(recording.device(), "values")?;
    if k <= QUEUED {
        return queue::select(recording, values, k);
    }
    let found = recording.array(values.rows(), k)?;
    let columns = values.columns();
    let most_rows = SCRATCH_BYTES / radix::bytes(columns, k).max(1);
    let batches = bounded_segments(values.rows(), &[values.rows_per_part(), found.rows_per_part()], most_rows);
    let selection = Selection::new(recording, largest(&batches), columns, columns, k)?;
    for batch in &batches {
        let (part, place) = values.part(batch.first_row)?;
        let rows = Rows { entries: Entries::Values(part), place, count: batch.rows, columns };
        selection.select(recording, &rows, found.part(batch.first_row)?)?;
    }
    Ok(found)
}

/// Rows of the largest batch.
pub(in crate::ops) fn largest(batches: &[Segment]) -> usize {
    batches.iter().map(|batch| batch.rows).max().unwrap_or(0)
}

/// The `k` smallest of each row's candidates, `columns` of them, which `scan` records for a batch of rows in the buffer it
/// is given. `per_part` are the rows that each array it reads has in a buffer.
pub(in crate::ops) fn choose(
    recording: &mut Recording,
    rows: usize,
    per_part: &[usize],
    columns: usize,
    k: usize,
    mut scan: impl FnMut(&mut Recording, &Segment, &Part) -> Result<()>,
) -> Result<DeviceArray<Ranked>> {
    let found = recording.array(rows, k)?;
    let row_bytes = columns * size_of::<Ranked>();
    let beside = if k > QUEUED { radix::bytes(columns, k) } else { 0 };
    let most_rows = SCRATCH_BYTES / row_bytes.max(beside).max(1);
    let batches = bounded_segments(rows, &[per_part, &[found.rows_per_part()]].concat(), most_rows);
    let buffer = recording.scratch(largest(&batches) * row_bytes)?;
    let any_id = u32::MAX as usize;
    let selection =
        (k > QUEUED).then(|| Selection::new(recording, largest(&batches), columns, any_id, k)).transpose()?;
    let candidates = Candidates { buffer, columns };
    for batch in &batches {
        scan(recording, batch, &candidates.buffer)?;
        let found = found.part(batch.first_row)?;
        let entries = Entries::Ranked(&candidates.buffer);
        match &selection {
            Some(selection) => {
                selection.select(recording, &Rows { entries, place: 0, count: batch.rows, columns }, found)?;
            }
            None => merge(recording, batch.rows, &candidates, k, found)?,
        }
    }
    Ok(found)
}
