//! Bindings and dispatch of `shaders/select_sort.wgsl`: blocks are sorted in workgroup memory, then runs merged two by
//! two. What a merge moves is an entry read and written once; for runs that are short beside a GPU's caches, searching
//! for ranks reads no more from memory. A radix sort by digits of 4 bits would move each entry 3 times for each of 8
//! digits.

use super::{BOUND_WORDS, Entries};
use crate::{
    Result,
    device::{Kernel, Part, Recording, params},
    ops::{
        Ranked,
        selection::{NUMBERS, QUEUE},
        tile::THREADS,
    },
};

params! {
    struct Params {
        rows: u32,
        place: u32,
        columns: u32,
        // Words of a row of lengths, and which of them it is.
        lengths_columns: u32,
        length: u32,
        blocks: u32,
        run: u32,
        sorted_place: u32,
        sorted_columns: u32,
    }
}

params! {
    struct MergeParams {
        rows: u32,
        // Threads of a row.
        width: u32,
        columns: u32,
        run: u32,
        // What becomes of two runs.
        sorted_run: u32,
        sorted_place: u32,
        sorted_columns: u32,
    }
}

pub(super) fn kernels() -> Vec<Kernel> {
    vec![sort(Some("VALUES")), sort(Some("COUNTED")), sort(None), merge()]
}

fn sort(flag: Option<&'static str>) -> Kernel {
    Kernel {
        name: "select_sort",
        source: include_str!("../../../../shaders/select_sort.wgsl"),
        params: Params::WGSL,
        entry: "sort",
        numbers: NUMBERS.to_vec(),
        flags: flag.into_iter().collect(),
    }
}

fn merge() -> Kernel {
    let numbers = vec![("THREADS", THREADS as u32)];
    Kernel { params: MergeParams::WGSL, entry: "merge", numbers, ..sort(Some("MERGE")) }
}

/// Rows to sort.
pub(super) struct Unsorted<'a> {
    pub entries: Entries<'a>,
    /// Where in the buffer the first row is.
    pub place: usize,
    pub rows: usize,
    pub columns: usize,
    /// How many entries each row has, if not all: a word of each row of a buffer of bounds.
    pub lengths: Option<(&'a Part, usize)>,
}

/// Room for the runs of rows.
pub(super) struct Sort {
    /// What a sort of blocks or a merge writes and the next merge reads, in turn.
    runs: [Part; 2],
}

impl Sort {
    /// Room for the `k` smallest of as many rows of `columns`.
    pub(super) fn new(recording: &Recording, rows: usize, columns: usize, k: usize) -> Result<Self> {
        let bytes = rows * run_bytes(columns, k);
        let merges = columns.div_ceil(QUEUE).next_power_of_two().ilog2();
        let room = |needed: bool| recording.scratch(if needed { bytes } else { 0 });
        Ok(Sort { runs: [room(merges > 0)?, room(merges > 1)?] })
    }

    /// Writes the `k` smallest entries of rows in order, padded, from a row of `found` on.
    pub(super) fn sort(
        &self,
        recording: &mut Recording,
        rows: &Unsorted<'_>,
        k: usize,
        (found, found_place): (&Part, usize),
    ) -> Result<()> {
        let mut run = QUEUE.min(k);
        let mut columns = joined(rows.columns, QUEUE, run);
        let [mut from, mut to] = [&self.runs[0], &self.runs[1]];
        // What is sorted in one block is found, padded by further ones.
        let last = columns <= run;
        let (blocks, sorted_columns) = if last { (k.div_ceil(QUEUE), k) } else { (columns.div_ceil(run), columns) };
        let (sorted, sorted_place) = if last { (found, found_place) } else { (from, 0) };
        let params = Params {
            rows: rows.rows as u32,
            place: rows.place as u32,
            columns: rows.columns as u32,
            lengths_columns: BOUND_WORDS as u32,
            length: rows.lengths.map_or(0, |(_, word)| word) as u32,
            blocks: blocks as u32,
            run: run as u32,
            sorted_place: sorted_place as u32,
            sorted_columns: sorted_columns as u32,
        };
        let (name, buffer, flag) = match rows.entries {
            Entries::Values(values) => ("values", values, Some("VALUES")),
            Entries::Ranked(listed) => ("listed", listed, rows.lengths.map(|_| "COUNTED")),
        };
        let mut buffers = vec![(name, buffer), ("sorted", sorted)];
        buffers.extend(rows.lengths.map(|(lengths, _)| ("lengths", lengths)));
        recording.dispatch(sort(flag), &params, &buffers, rows.rows * blocks)?;
        while columns > run {
            let sorted_run = (2 * run).min(k);
            let next = joined(columns, 2 * run, sorted_run);
            let last = next <= sorted_run;
            let (sorted, sorted_place, sorted_columns) = if last { (found, found_place, k) } else { (to, 0, next) };
            let width = columns.max(sorted_columns);
            let params = MergeParams {
                rows: rows.rows as u32,
                width: width as u32,
                columns: columns as u32,
                run: run as u32,
                sorted_run: sorted_run as u32,
                sorted_place: sorted_place as u32,
                sorted_columns: sorted_columns as u32,
            };
            let buffers = [("runs", from), ("sorted", sorted)];
            recording.dispatch(merge(), &params, &buffers, (rows.rows * width).div_ceil(THREADS))?;
            (run, columns) = (sorted_run, next);
            (from, to) = (to, from);
        }
        Ok(())
    }
}

/// Entries that are left of so many when of every `joined` no more than the `kept` smallest are kept.
fn joined(columns: usize, joined: usize, kept: usize) -> usize {
    columns / joined * kept + kept.min(columns % joined)
}

/// Bytes of a row's runs.
fn run_bytes(columns: usize, k: usize) -> usize {
    columns.div_ceil(QUEUE) * QUEUE.min(k) * size_of::<Ranked>()
}

/// Bytes that sorting takes a row.
pub(super) fn bytes(columns: usize, k: usize) -> usize {
    2 * run_bytes(columns, k)
}
