//! Grouping on a GPU: a radix sort of (label, row).

use super::Grouping;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Variant, params},
};

/// Invocations a workgroup.
const THREADS: usize = 64;
/// Bits of a label that one pass sorts by.
const BITS: usize = 4;
/// Rows, or counts, that a workgroup has.
const BLOCK: usize = THREADS << BITS;

params! {
    struct Params {
        // Rows, or counts.
        length: u32,
        // Blocks of them, or positions to find.
        blocks: u32,
        // The lowest bit to sort by, and the last label: what lies past it counts as that.
        shift: u32,
        last_label: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![count(), total(), scan(false), scan(true), scatter(false), scatter(true), begin()]
}

fn kernel(entry: &'static str, flag: Option<&'static str>) -> Kernel {
    Kernel {
        name: "group",
        source: include_str!("../../../shaders/group.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32), ("BITS", BITS as u32)],
        flags: flag.into_iter().collect(),
    }
}

fn count() -> Kernel {
    kernel("count", None)
}

fn total() -> Kernel {
    kernel("total", None)
}

/// The scan of one block, or of one of several.
fn scan(several: bool) -> Kernel {
    kernel("scan", several.then_some("BLOCKS"))
}

/// The first pass takes the rows as they come.
fn scatter(first: bool) -> Kernel {
    kernel("scatter", first.then_some("FIRST"))
}

fn begin() -> Kernel {
    kernel("begin", None)
}

/// Labels and their rows.
struct Pairs {
    labels: DeviceArray<u32>,
    rows: DeviceArray<u32>,
}

impl Pairs {
    fn new(recording: &Recording, length: usize) -> Result<Self> {
        Ok(Pairs { labels: recording.array(length, 1)?, rows: recording.array(length, 1)? })
    }
}

/// How often each digit occurs, or sums of that.
struct Counts {
    length: usize,
    buffer: Part,
}

impl Counts {
    fn new(recording: &Recording, length: usize) -> Result<Self> {
        Ok(Counts { length, buffer: recording.scratch(length * size_of::<u32>())? })
    }
}

pub(in crate::ops) fn group(recording: &mut Recording, labels: &DeviceArray<u32>, groups: usize) -> Result<Grouping> {
    labels.check_on(recording.device(), "labels")?;
    let length = labels.rows();
    let blocks = length.div_ceil(BLOCK);
    let counts = Counts::new(recording, blocks << BITS)?;
    let mut params = Params { length: length as u32, blocks: blocks as u32, shift: 0, last_label: groups as u32 - 1 };
    let mut sorted = Pairs::new(recording, length)?;
    sort_by_digit(recording, &params, (labels, None), &counts, &sorted)?;
    let mut spare = None;
    for shift in (BITS as u32..u32::BITS - params.last_label.leading_zeros()).step_by(BITS) {
        let next = spare.map_or_else(|| Pairs::new(recording, length), Ok)?;
        params.shift = shift;
        sort_by_digit(recording, &params, (&sorted.labels, Some(&sorted.rows)), &counts, &next)?;
        spare = Some(std::mem::replace(&mut sorted, next));
    }
    let offsets = recording.array(groups + 1, 1)?;
    recording.dispatch(
        begin(),
        &Params { blocks: groups as u32 + 1, ..params },
        &[("labels", sorted.labels.whole("bytes of labels")?), ("offsets", offsets.whole("bytes of offsets")?)],
        (groups + 1).div_ceil(THREADS),
    )?;
    Ok(Grouping { offsets, order: sorted.rows })
}

/// Sorts labels and their rows by one digit. Without rows these are numbered as they come.
fn sort_by_digit(
    recording: &mut Recording,
    params: &Params,
    (labels, rows): (&DeviceArray<u32>, Option<&DeviceArray<u32>>),
    counts: &Counts,
    sorted: &Pairs,
) -> Result<()> {
    let blocks = params.blocks as usize;
    let mut buffers = vec![("labels", labels.whole("bytes of labels")?), ("counts", &counts.buffer)];
    recording.dispatch(count(), params, &buffers, blocks)?;
    sum_up(recording, counts)?;
    buffers.push(("sorted_labels", sorted.labels.whole("bytes of labels")?));
    buffers.push(("sorted_rows", sorted.rows.whole("bytes of row numbers")?));
    if let Some(rows) = rows {
        buffers.push(("rows", rows.whole("bytes of row numbers")?));
    }
    recording.dispatch(scatter(rows.is_none()), params, &buffers, blocks)
}

/// Replaces each count by the sum of those before it: blocks are totalled, the totals summed up in the same way, and
/// each block then goes on from its total.
fn sum_up(recording: &mut Recording, counts: &Counts) -> Result<()> {
    let blocks = counts.length.div_ceil(BLOCK);
    let params = Params { length: counts.length as u32, blocks: blocks as u32, shift: 0, last_label: 0 };
    let counted = ("counts", &counts.buffer);
    if blocks <= 1 {
        return recording.dispatch(scan(false), &params, &[counted], blocks);
    }
    let totals = Counts::new(recording, blocks)?;
    let totalled = ("totals", &totals.buffer);
    recording.dispatch(total(), &params, &[counted, totalled], blocks)?;
    sum_up(recording, &totals)?;
    recording.dispatch(scan(true), &params, &[counted, totalled], blocks)
}
