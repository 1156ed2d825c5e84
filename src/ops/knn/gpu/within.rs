//! Bindings and dispatch of `shaders/knn_within.wgsl`, for more neighbours than a queue has room for.
//!
//! The base is scanned once, in stretches: what is within a query's bound goes on its list, which is cut to the k
//! smallest after each stretch, and that gives the next bound. After a first stretch of 8 k rows, of which all are listed,
//! an eighth and less of those to come is, in whatever order the base has no use for: what is listed is written and
//! read four times, 40 bytes, where a queue of 256 would have repeated the scan k / 256 times.

use std::ops::Range;

use super::way::Way;
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Segment, Variant, bounded_segments, params},
    ops::{
        Ranked,
        select::gpu::{Lists, Open, largest},
        selection,
    },
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        columns: u32,
        rows: u32,
        first_row: u32,
        base_number: u32,
        slabs: u32,
        room: u32,
        // Which of the lengths of lists holds.
        turn: u32,
        // Rows of the base that were scanned before.
        seen: u32,
    }
}

/// Entries of all lists together: what a binding has everywhere.
pub(super) const ENTRIES: usize = (128 << 20) / size_of::<Ranked>();

/// Rows of the first stretch for each neighbour wanted.
const FIRST: usize = 8;

pub(super) fn kernels(variant: Variant) -> Vec<Kernel> {
    let metrics = [Metric::L2, Metric::InnerProduct];
    metrics.into_iter().flat_map(|metric| Way::ALL.map(|way| kernel(variant, metric, way))).collect()
}

fn kernel(variant: Variant, metric: Metric, way: Way) -> Kernel {
    Kernel {
        name: "knn_within",
        source: include_str!("../../../../shaders/knn_within.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: way.numbers(),
        flags: way.flags(variant, metric),
    }
}

/// How a search is shared out.
#[derive(Debug, PartialEq)]
struct Plan {
    /// Queries at a time.
    queries: usize,
    /// Rows of the base between two cuts.
    room: usize,
}

impl Plan {
    /// As many queries at a time as have room for all rows; where that is little, as many as a tile has, unless k is too
    /// large for that.
    fn new(queries: usize, rows: usize, k: usize, entries: usize) -> Self {
        let least = rows.min(FIRST.saturating_mul(k)).max(1);
        let whole = (entries / rows.max(1)).max(Way::Square.left());
        let queries = queries.min(whole).min(entries / least).max(1);
        Plan { queries, room: rows.min((entries / queries).max(1)) }
    }

    /// The stretches of the base.
    fn stretches(&self, rows: usize, k: usize) -> Vec<Range<usize>> {
        let first = FIRST.saturating_mul(k);
        let mut end = if rows / 4 > first { first.min(self.room) } else { self.room };
        let mut stretches = vec![];
        let mut start = 0;
        while start < rows {
            stretches.push(start..end.min(rows));
            (start, end) = (end, end + self.room);
        }
        stretches
    }
}

/// The `k` closest rows, k any number, with lists of so many entries in all.
pub(super) fn knn(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    (metric, way): (Metric, Way),
    entries: usize,
) -> Result<DeviceArray<Ranked>> {
    let found = recording.array(queries.rows(), k)?;
    let rows = base.rows();
    let plan = Plan::new(queries.rows(), rows, k, entries);
    let stretches = plan.stretches(rows, k);
    let batches = bounded_segments(queries.rows(), &[queries.rows_per_part(), found.rows_per_part()], plan.queries);
    let lists = Lists::new(recording, largest(&batches), (rows, plan.room), rows, k)?;
    for batch in &batches {
        let mut open = lists.open(recording, batch.rows)?;
        for stretch in &stretches {
            offer(recording, (queries, batch), (base, stretch), &open, (metric, way))?;
            open.cut(recording)?;
        }
        open.select(recording, found.part(batch.first_row)?)?;
    }
    Ok(found)
}
/// Offers the rows of a stretch to a batch's lists, buffer after buffer of the base.
fn offer(
    recording: &mut Recording,
    (queries, batch): (&DeviceArray<f32>, &Segment),
    (base, stretch): (&DeviceArray<f32>, &Range<usize>),
    lists: &Open<'_>,
    (metric, way): (Metric, Way),
) -> Result<()> {
    let (queries_part, query_place) = queries.part(batch.first_row)?;
    let tiles = batch.rows.div_ceil(way.left());
    let mut row = stretch.start;
    while row < stretch.end {
        let (base_part, first_row) = base.part(row)?;
        let rows = (base.rows_per_part() - first_row).min(stretch.end - row);
        let slabs = selection::slabs(tiles, rows, way.least_rows());
        let params = Params {
            queries: batch.rows as u32,
            query_place: query_place as u32,
            columns: (queries.columns() / way.width()) as u32,
            rows: rows as u32,
            first_row: first_row as u32,
            base_number: (row - first_row) as u32,
            slabs: slabs as u32,
            room: lists.room() as u32,
            turn: lists.turn() as u32,
            seen: stretch.start as u32,
        };
        let mut buffers = vec![("queries", queries_part), ("base", base_part)];
        buffers.extend(lists.buffers());
        recording.expect(batch.rows * rows * queries.columns());
        recording.dispatch(kernel(recording.device().variant(), metric, way), &params, &buffers, tiles * slabs)?;
        row += rows;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Plan, Way, knn};
    use crate::{
        Device, Metric, Result,
        device::{Backend, adapters, block_on},
        ops::{self, Ranked},
    };

    #[test]
    fn stretches_cover_the_base_and_fit() {
        for (queries, rows, k) in
            [(1, 0, 300), (1, 1, 300), (70, 5000, 300), (1000, 1_000_000, 5000), (3, 9_999, 9_000)]
        {
            for entries in [1, 1000, 100_000, super::ENTRIES] {
                let plan = Plan::new(queries, rows, k, entries);
                assert!(plan.queries * plan.room <= entries.max(plan.queries), "{plan:?} for {entries}");
                let stretches = plan.stretches(rows, k);
                let mut end = 0;
                for stretch in &stretches {
                    assert!(stretch.start == end && stretch.len() <= plan.room && !stretch.is_empty(), "{stretches:?}");
                    end = stretch.end;
                }
                assert_eq!(end, rows);
            }
        }
        // A million rows: a small stretch, then four with room for a tile's queries.
        let plan = Plan::new(1000, 1_000_000, 5000, super::ENTRIES);
        assert_eq!((plan.queries, plan.room, plan.stretches(1_000_000, 5000).len()), (64, 262_144, 5));
    }

    /// Rows whose distances to the queries are exact in f32 and often equal; later ones are nearer.
    fn rows(count: usize, seed: u32) -> Vec<f32> {
        let number = |place: u32| (place.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 28) as f32;
        (0..2 * count as u32).map(|place| number(place) + ((2 * count as u32 - place) / 500) as f32).collect()
    }

    #[test]
    fn lists_are_cut_as_often_as_there_is_room() -> Result<()> {
        if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
            return Ok(());
        }
        let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
        for adapter in usable {
            let device = Device::open(&format!("gpu:{}", adapter.index), &crate::device::Options::default())?;
            for (queries, count, k, entries) in
                [(3, 3000, 257, 1500), (70, 3000, 257, 131_584), (5, 9000, 257, 12_500), (1, 5000, 4500, 1000)]
            {
                let (queries, base) = (rows(queries, 7), rows(count, 1));
                let search = |device: &Device| -> Result<Vec<Ranked>> {
                    let (queries, base) = (device.upload(queries.clone(), 2)?, device.upload(base.clone(), 2)?);
                    let mut work = device.work();
                    let found = match &mut work.0 {
                        Backend::Gpu(recording) => {
                            let way = Way::of(&queries, false);
                            knn(recording, &queries, &base, k, (Metric::L2, way), entries)?
                        }
                        Backend::Cpu => ops::knn(&mut work, &queries, &base, k, Metric::L2)?,
                    };
                    block_on(work.read(found))
                };
                assert!(search(&device)? == search(&Device::cpu())?, "{k} of {count} in {entries} on {device:?}");
            }
        }
        Ok(())
    }
}
