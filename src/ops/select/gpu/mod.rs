//! Selection on a GPU: few in one pass with a queue in workgroup memory, more by their digits.

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
        selection::{self, Candidates, PASS, SCRATCH_BYTES},
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
    rows: usize,
    columns: usize,
}

/// A row of `bounds`: see `shaders/shared/bound.wgsl`.
struct Row(#[expect(dead_code, reason = "kernels alone read it")] [u32; 8]);

impl Row {
    /// The word with the length of the list of what was offered, in the first turn.
    const OFFERED: usize = 4;

    /// The word with the length of the list of what was kept.
    const fn kept(turn: usize) -> usize {
        6 + turn
    }
}

pub(super) fn select(recording: &mut Recording, values: &DeviceArray<f32>, k: usize) -> Result<DeviceArray<Ranked>> {
    values.check_on(recording.device(), "values")?;
    let found = recording.array(values.rows(), k)?;
    if k <= PASS {
        queue::select(recording, values, &found)?;
        return Ok(found);
    }
    let columns = values.columns();
    let most_rows = SCRATCH_BYTES / radix::bytes(columns, k);
    let batches = bounded_segments(values.rows(), &[values.rows_per_part(), found.rows_per_part()], most_rows);
    let selection = Selection::new(recording, largest(&batches), columns, columns, k)?;
    for batch in &batches {
        let (part, place) = values.part(batch.first_row)?;
        let rows = Rows { entries: Entries::Values(part), place, rows: batch.rows, columns };
        selection.select(recording, &rows, found.part(batch.first_row)?)?;
    }
    Ok(found)
}

/// Rows of the largest batch.
pub(in crate::ops) fn largest(batches: &[Segment]) -> usize {
    batches.iter().map(|batch| batch.rows).max().unwrap_or(0)
}

/// Selects among candidates, batch after batch of rows.
pub(in crate::ops) struct Choice {
    columns: usize,
    selection: Option<Selection>,
}

impl Choice {
    /// Most rows of `columns` candidates whose `k` smallest are found at a time.
    pub(in crate::ops) fn most_rows(columns: usize, k: usize) -> usize {
        let beside = if k <= PASS { 1 } else { radix::bytes(columns, k) };
        SCRATCH_BYTES / beside.max(columns * size_of::<Ranked>())
    }

    /// Room to find the `k` smallest of so many rows of `columns` candidates.
    pub(in crate::ops) fn new(recording: &mut Recording, rows: usize, columns: usize, k: usize) -> Result<Self> {
        let any_id = u32::MAX as usize;
        let selection = if k <= PASS { None } else { Some(Selection::new(recording, rows, columns, any_id, k)?) };
        Ok(Choice { columns, selection })
    }

    /// Writes the smallest candidates of each row of a batch in order.
    pub(in crate::ops) fn choose(
        &self,
        recording: &mut Recording,
        batch: &Segment,
        candidates: &Part,
        found: &DeviceArray<Ranked>,
    ) -> Result<()> {
        let Some(selection) = &self.selection else {
            let candidates = Candidates { buffer: candidates.clone(), columns: self.columns };
            let batch = std::slice::from_ref(batch);
            return selection::passes(recording, found, batch, |_, _, _| Ok(candidates.clone()));
        };
        let rows = Rows { entries: Entries::Ranked(candidates), place: 0, rows: batch.rows, columns: self.columns };
        selection.select(recording, &rows, found.part(batch.first_row)?)
    }
}
