//! Segment sums on a GPU: blocks of the sorted rows, then blocks of their partial sums.

use super::Grouping;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
};

/// Invocations a workgroup.
const THREADS: usize = 64;
/// Rows that a lane adds up.
const BLOCK: usize = 128;

params! {
    struct Params {
        columns: u32,
        // Positions of this level, and the level: 0 is of the rows themselves.
        length: u32,
        level: u32,
        // Lanes, a power of two, that neighbouring columns have.
        lanes: u32,
        // Of the blocks whose partial sums are in one buffer.
        first_block: u32,
        blocks: u32,
        // Of the groups whose sums are in one buffer.
        first_group: u32,
        groups: u32,
        // Of the rows that are in one buffer.
        first_row: u32,
        rows: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(true), kernel(false)]
}

/// The kernel for rows in the order of the grouping, or for partial sums, which lie in order.
fn kernel(ordered: bool) -> Kernel {
    Kernel {
        name: "segment_sums",
        source: include_str!("../../../shaders/segment_sums.wgsl"),
        params: Params::WGSL,
        entry: "segment_sums",
        numbers: vec![("THREADS", THREADS as u32), ("BLOCK", BLOCK as u32)],
        flags: if ordered { vec!["ORDERED"] } else { vec![] },
    }
}

/// Sums of groups whose rows were added so far.
pub(super) struct Sums {
    sums: DeviceArray<f32>,
    /// A row a block: the sums of the runs that it shares with the block before it and with the block after it.
    partials: DeviceArray<f32>,
}

impl Sums {
    /// Nothing yet.
    pub(super) fn new(recording: &mut Recording, grouping: &Grouping, columns: usize) -> Result<Self> {
        grouping.offsets.check_on(recording.device(), "offsets")?;
        grouping.order.check_on(recording.device(), "order")?;
        let sums = recording.zeros(grouping.offsets.rows().saturating_sub(1), columns)?;
        let partials = recording.zeros(grouping.order.rows().div_ceil(BLOCK), 2 * columns)?;
        Ok(Sums { sums, partials })
    }

    /// Adds rows that are numbered from `first` on.
    pub(super) fn add(
        &self,
        recording: &mut Recording,
        grouping: &Grouping,
        rows: &DeviceArray<f32>,
        first: usize,
    ) -> Result<()> {
        rows.check_on(recording.device(), "rows")?;
        let level = Level { rows, count: rows.rows(), first, length: grouping.order.rows(), depth: 0 };
        add(recording, &level, grouping, &self.sums, &self.partials)
    }

    /// The sums, once all rows were added.
    pub(super) fn finish(self, recording: &mut Recording, grouping: &Grouping) -> Result<DeviceArray<f32>> {
        let Sums { sums, mut partials } = self;
        let (mut length, mut depth) = (grouping.order.rows(), 0);
        while partials.rows() > 1 && sums.rows() > 0 {
            (length, depth) = (length / BLOCK + partials.rows(), depth + 1);
            let next = recording.zeros(length.div_ceil(BLOCK), 2 * sums.columns())?;
            let level = Level { rows: &partials, count: length, first: 0, length, depth };
            add(recording, &level, grouping, &sums, &next)?;
            partials = next;
        }
        Ok(sums)
    }
}

/// What one level adds up: rows, or partial sums, two of which are a row of their array.
struct Level<'a> {
    rows: &'a DeviceArray<f32>,
    /// How many of them there are here, and the number of the first.
    count: usize,
    first: usize,
    /// How many there are in all.
    length: usize,
    depth: u32,
}

/// Adds the rows of a level to the sums of their groups, or to partial sums; both begin as zeros.
fn add(
    recording: &mut Recording,
    level: &Level<'_>,
    grouping: &Grouping,
    sums: &DeviceArray<f32>,
    partials: &DeviceArray<f32>,
) -> Result<()> {
    let columns = sums.columns();
    let lanes = columns.next_power_of_two().min(THREADS);
    let rows_per_row = if level.depth == 0 { 1 } else { 2 };
    let workgroups = |blocks: usize| columns.div_ceil(lanes) * blocks.div_ceil(THREADS / lanes);
    for blocks in segments(partials.rows(), &[partials.rows_per_part()]) {
        for groups in segments(sums.rows(), &[sums.rows_per_part()]) {
            for rows in segments(level.count, &[level.rows.rows_per_part() * rows_per_row]) {
                let params = Params {
                    columns: columns as u32,
                    length: level.length as u32,
                    level: level.depth,
                    lanes: lanes as u32,
                    first_block: blocks.first_row as u32,
                    blocks: blocks.rows as u32,
                    first_group: groups.first_row as u32,
                    groups: groups.rows as u32,
                    first_row: (level.first + rows.first_row) as u32,
                    rows: rows.rows as u32,
                };
                let mut buffers = vec![
                    ("rows", level.rows.part(rows.first_row / rows_per_row)?.0),
                    ("offsets", grouping.offsets.whole("bytes of offsets")?),
                    ("sums", sums.part(groups.first_row)?.0),
                    ("partials", partials.part(blocks.first_row)?.0),
                ];
                if level.depth == 0 {
                    buffers.push(("order", grouping.order.whole("bytes of row numbers")?));
                }
                recording.dispatch(kernel(level.depth == 0), &params, &buffers, workgroups(blocks.rows))?;
            }
        }
    }
    Ok(())
}
