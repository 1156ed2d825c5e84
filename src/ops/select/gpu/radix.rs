//! Bindings and dispatch of `shaders/select_radix.wgsl`: the k smallest entries of rows, for any k.
//!
//! The last of them is found by counting the digits of (value, id) from the highest, 11 bits at a time, 3 digits of the
//! value and as many as there are of the id, which are looked through only in rows where some of equal values are wanted
//! and some are not. What is not after it is collected in no particular order and sorted. A long row is shared out over
//! workgroups, which read it once for each digit of the value and once to collect: where all entries of a workgroup have
//! one digit, an addition in workgroup memory a clock and compute unit is as fast as NAVI21's memory still.

use super::{
    BOUND_WORDS, Entries, OFFERED, Rows, kept_word,
    sort::{self, Sort, Unsorted},
};
use crate::{
    Result,
    device::{Kernel, Part, Recording, params},
    ops::{
        Ranked,
        selection::{self, QUEUE},
        tile::THREADS,
    },
};

/// Bits of a digit: 8 KiB of counts in workgroup memory.
const BITS: u32 = 11;
const DIGITS: usize = 1 << BITS;

const _: () = assert!(DIGITS.is_multiple_of(THREADS));

const BOUND_BYTES: usize = BOUND_WORDS * size_of::<u32>();

/// Fewest entries worth a workgroup of their own, which adds up to a count for each digit to its row's.
const LEAST_ENTRIES: usize = 4 * DIGITS;

/// Rows of up to so many entries are sorted whole, in fewer dispatches.
const SHORT: usize = 8 * QUEUE;

params! {
    struct Params {
        rows: u32,
        place: u32,
        columns: u32,
        k: u32,
        slabs: u32,
        // Which of two lengths of lists hold.
        turn: u32,
        // Whether it is the first digit.
        first: u32,
        // Whether the digit is one of the id, its lowest bit, and how many there are.
        of_id: u32,
        shift: u32,
        digits: u32,
        // The bits before it.
        known_id: u32,
        known_key: u32,
    }
}

pub(super) fn kernels() -> Vec<Kernel> {
    let looking = ["COUNT", "KEEP"].into_iter().flat_map(|entry| {
        let sources = [Some("VALUES"), Some("LISTS"), None];
        sources.map(|source| kernel(entry, source))
    });
    looking.chain([kernel("NARROW", None)]).collect()
}

fn kernel(flag: &'static str, source: Option<&'static str>) -> Kernel {
    let entry = match flag {
        "COUNT" => "count",
        "NARROW" => "narrow",
        _ => "keep",
    };
    Kernel {
        name: "select_radix",
        source: include_str!("../../../../shaders/select_radix.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32), ("BITS", BITS)],
        flags: std::iter::once(flag).chain(source).collect(),
    }
}

/// A digit of an entry.
struct Digit {
    of_id: bool,
    shift: u32,
    bits: u32,
}

impl Digit {
    /// The digits of entries whose ids are below `ids`, from the highest.
    fn all(ids: usize) -> Vec<Digit> {
        let id_bits = usize::BITS - ids.saturating_sub(1).leading_zeros();
        let mut digits = vec![];
        for (of_id, mut left) in [(false, u32::BITS), (true, id_bits.min(u32::BITS))] {
            while left > 0 {
                let bits = left.min(BITS);
                left -= bits;
                digits.push(Digit { of_id, shift: left, bits });
            }
        }
        digits
    }

    /// The bits of the id and of the value before it.
    fn known(&self) -> (u32, u32) {
        let before = u32::MAX.checked_shl(self.shift + self.bits).unwrap_or(0);
        if self.of_id { (before, u32::MAX) } else { (0, before) }
    }
}

/// Whether the `k` smallest of so many entries are found by sorting all of them.
fn is_short(columns: usize, k: usize) -> bool {
    columns <= SHORT.max(k)
}

/// Bytes that the search for the `k` smallest of so many entries takes a row.
pub(super) fn bytes(columns: usize, k: usize) -> usize {
    if is_short(columns, k) {
        return sort::bytes(columns, k);
    }
    DIGITS * size_of::<u32>() + BOUND_BYTES + k * size_of::<Ranked>() + sort::bytes(k, k)
}

/// Where entries are looked for.
struct Looked<'a> {
    buffers: Vec<(&'static str, &'a Part)>,
    source: Option<&'static str>,
    place: usize,
    rows: usize,
    /// Entries of a row of the buffer, and of one that is looked through at most.
    columns: usize,
    most: usize,
    ids: usize,
    turn: usize,
}

/// Room to find the last of the `k` smallest of rows.
struct Radix {
    k: usize,
    counts: Part,
}

impl Radix {
    fn new(recording: &mut Recording, rows: usize, k: usize) -> Result<Self> {
        Ok(Radix { k, counts: recording.cleared(rows * DIGITS * size_of::<u32>())? })
    }

    /// Writes the `k` smallest entries to `next_kept`, and what is known of them to `bounds`.
    fn keep(&self, recording: &mut Recording, looked: &Looked<'_>, bounds: &Part, next_kept: &Part) -> Result<()> {
        let slabs = selection::slabs(looked.rows, looked.most, LEAST_ENTRIES);
        let mut params = Params {
            rows: looked.rows as u32,
            place: looked.place as u32,
            columns: looked.columns as u32,
            k: self.k as u32,
            slabs: slabs as u32,
            turn: looked.turn as u32,
            first: 1,
            of_id: 0,
            shift: 0,
            digits: 0,
            known_id: 0,
            known_key: 0,
        };
        let counts = ("counts", &self.counts);
        let mut looking = looked.buffers.clone();
        looking.push(("bounds", bounds));
        for digit in Digit::all(looked.ids) {
            params.of_id = digit.of_id.into();
            params.shift = digit.shift;
            params.digits = 1 << digit.bits;
            (params.known_id, params.known_key) = digit.known();
            let buffers = [&looking[..], &[counts]].concat();
            recording.dispatch(kernel("COUNT", looked.source), &params, &buffers, looked.rows * slabs)?;
            recording.dispatch(kernel("NARROW", None), &params, &[("bounds", bounds), counts], looked.rows)?;
            params.first = 0;
        }
        looking.push(("next_kept", next_kept));
        recording.dispatch(kernel("KEEP", looked.source), &params, &looking, looked.rows * slabs)
    }
}

/// Room to select the `k` smallest entries of rows.
pub(in crate::ops) struct Selection {
    k: usize,
    ids: usize,
    /// None where rows are sorted whole.
    radix: Option<(Radix, Part, Part)>,
    sort: Sort,
}

impl Selection {
    /// Room for as many rows at a time, with ids below `ids`.
    pub(super) fn new(recording: &mut Recording, rows: usize, columns: usize, ids: usize, k: usize) -> Result<Self> {
        let (radix, sorted) = if is_short(columns, k) {
            (None, columns)
        } else {
            let bounds = recording.scratch(rows * BOUND_BYTES)?;
            let kept = recording.scratch(rows * k * size_of::<Ranked>())?;
            (Some((Radix::new(recording, rows, k)?, bounds, kept)), k)
        };
        let sort = Sort::new(recording, rows, sorted, k)?;
        Ok(Selection { k, ids, radix, sort })
    }

    /// Writes the smallest entries of rows from a row of `found` on.
    pub(super) fn select(&self, recording: &mut Recording, rows: &Rows<'_>, found: (&Part, usize)) -> Result<()> {
        let Rows { entries, place, count: rows, columns } = *rows;
        let Some((radix, bounds, kept)) = &self.radix else {
            let unsorted = Unsorted { entries, place, rows, columns, lengths: None };
            return self.sort.sort(recording, &unsorted, self.k, found);
        };
        let (buffer, source) = match entries {
            Entries::Values(values) => (("values", values), Some("VALUES")),
            Entries::Ranked(listed) => (("listed", listed), None),
        };
        let buffers = vec![buffer];
        let looked = Looked { buffers, source, place, rows, columns, most: columns, ids: self.ids, turn: 0 };
        radix.keep(recording, &looked, bounds, kept)?;
        let lengths = Some((bounds, kept_word(1)));
        let kept = Unsorted { entries: Entries::Ranked(kept), place: 0, rows, columns: self.k, lengths };
        self.sort.sort(recording, &kept, self.k, found)
    }
}

/// Room for lists of candidates, one a row, that scans offer to and that are cut to the `k` smallest in between.
pub(in crate::ops) struct Lists {
    k: usize,
    ids: usize,
    room: usize,
    /// What is offered, by scans that read `bounds`.
    listed: Part,
    /// What is kept, in turn. None where all that is ever offered is sorted.
    radix: Option<(Radix, [Part; 2])>,
    sort: Sort,
}

impl Lists {
    /// Room for as many rows at a time, to each of which are offered `offered` entries in all, their ids below `ids`, and
    /// `room` between two cuts.
    pub(in crate::ops) fn new(
        recording: &mut Recording,
        rows: usize,
        (offered, room): (usize, usize),
        ids: usize,
        k: usize,
    ) -> Result<Self> {
        let listed = recording.scratch(rows * room * size_of::<Ranked>())?;
        let whole = offered <= room && is_short(offered, k);
        let radix = if whole {
            None
        } else {
            let kept = || recording.scratch(rows * k * size_of::<Ranked>());
            let kept = [kept()?, kept()?];
            Some((Radix::new(recording, rows, k)?, kept))
        };
        let sort = Sort::new(recording, rows, if whole { room } else { k }, k)?;
        Ok(Lists { k, ids, room, listed, radix, sort })
    }

    /// Lists of as many rows, empty.
    pub(in crate::ops) fn open(&self, recording: &mut Recording, rows: usize) -> Result<Open<'_>> {
        let bounds = recording.cleared(rows * BOUND_BYTES)?;
        Ok(Open { lists: self, rows, bounds, turn: 0 })
    }
}

/// The lists of some rows.
pub(in crate::ops) struct Open<'a> {
    lists: &'a Lists,
    rows: usize,
    bounds: Part,
    turn: usize,
}

impl Open<'_> {
    /// What scans offer to: see `shaders/shared/bound.wgsl`.
    pub(in crate::ops) fn buffers(&self) -> [(&'static str, &Part); 2] {
        [("bounds", &self.bounds), ("listed", &self.lists.listed)]
    }

    /// Entries that a row has room for between two cuts.
    pub(in crate::ops) fn room(&self) -> usize {
        self.lists.room
    }

    /// Which of the lengths of what is offered holds.
    pub(in crate::ops) fn turn(&self) -> usize {
        self.turn
    }

    /// Cuts the lists to the smallest entries, if there can be more.
    pub(in crate::ops) fn cut(&mut self, recording: &mut Recording) -> Result<()> {
        let Lists { k, ids, room, listed, radix, .. } = self.lists;
        let Some((radix, kept)) = radix else { return Ok(()) };
        let looked = Looked {
            buffers: vec![("listed", listed), ("kept", &kept[self.turn])],
            source: Some("LISTS"),
            place: 0,
            rows: self.rows,
            columns: *room,
            most: room + k,
            ids: *ids,
            turn: self.turn,
        };
        self.turn = 1 - self.turn;
        radix.keep(recording, &looked, &self.bounds, &kept[self.turn])
    }

    /// Writes the smallest entries from a row of `found` on. What was offered has been cut.
    pub(in crate::ops) fn select(self, recording: &mut Recording, found: (&Part, usize)) -> Result<()> {
        let Lists { k, room, listed, radix, sort, .. } = self.lists;
        let (entries, columns, word) = match radix {
            Some((_, kept)) => (&kept[self.turn], *k, kept_word(self.turn)),
            None => (listed, *room, OFFERED),
        };
        let lengths = Some((&self.bounds, word));
        let unsorted = Unsorted { entries: Entries::Ranked(entries), place: 0, rows: self.rows, columns, lengths };
        sort.sort(recording, &unsorted, *k, found)
    }
}
