//! The operations as cases.

use std::rc::Rc;

use ndarray::s;

use super::{Case, NBITS, NEIGHBORS, Needed, Size, random};
use crate::{
    Device, DeviceArray, Metric, Result, Work,
    device::block_on,
    ops::{self, Codebook, Grouping, Lists, Nearest, Places, PqCodes, Ranked, Rotation, RoundedRows, Table},
};

/// Number of operations.
pub(super) const COUNT: usize = OPERATIONS.len();

/// Long rows to select from.
const SELECTED_ROWS: usize = 16;

/// Candidates of each query to re-rank.
const CANDIDATES: usize = 100;

/// An operation: its name, what a run of it needs, and the run.
type Operation = (&'static str, fn(&Inputs) -> Needed, fn(&Inputs, &mut Work) -> Result<()>);

const OPERATIONS: [Operation; 17] = [
    (
        "nearest",
        |i| {
            let Size { rows, dimension, nlist, .. } = i.size;
            Needed::new(rows * nlist, dimension, (rows + nlist) * dimension + 2 * rows)
        },
        |i, w| ops::nearest(w, &i.rows, &i.centroids, Metric::L2).map(drop),
    ),
    (
        "knn",
        |i| {
            let Size { rows, dimension, queries, .. } = i.size;
            Needed::new(queries * rows, dimension, (rows + queries) * dimension + 2 * queries * NEIGHBORS)
        },
        |i, w| ops::knn(w, &i.queries, &i.rows, NEIGHBORS, Metric::L2).map(drop),
    ),
    (
        "select",
        |i| Needed::new(0, 0, SELECTED_ROWS * i.size.rows),
        |i, w| ops::select(w, &i.values, NEIGHBORS).map(drop),
    ),
    ("group", |i| Needed::new(0, 0, 2 * i.size.rows), |i, w| ops::group(w, &i.nearest.labels, i.size.nlist).map(drop)),
    (
        "segment_sums",
        |i| Needed::new(0, 0, i.size.rows * i.size.dimension),
        |i, w| ops::segment_sums(w, &i.rows, &i.grouping).map(drop),
    ),
    (
        "update_centroids",
        |i| Needed::new(0, 0, 2 * i.size.nlist * i.size.dimension),
        |i, w| {
            let offsets = &i.grouping.offsets;
            ops::update_centroids(w, &i.sums, offsets, &i.inertia, &i.history, &i.draws, false).map(drop)
        },
    ),
    (
        "gather",
        |i| Needed::new(0, 0, 2 * i.size.rows * i.size.dimension),
        |i, w| ops::gather(w, &i.rows, &i.grouping.order).map(drop),
    ),
    (
        "pq_encode",
        |i| {
            let Size { rows, dimension, .. } = i.size;
            Needed::new(rows << NBITS, dimension, rows * (dimension + i.codebook.words()))
        },
        |i, w| ops::pq_encode(w, &i.rows, &i.codebook, Some((&i.centroids, &i.nearest.labels))).map(drop),
    ),
    (
        "pq_interleave",
        |i| Needed::new(0, 0, 2 * i.size.rows * i.codebook.words()),
        |i, w| ops::pq_interleave(w, &i.codes, &i.codebook).map(drop),
    ),
    (
        "pq_tables",
        |i| {
            let Size { dimension, queries, m, .. } = i.size;
            Needed::new(queries << NBITS, dimension, (queries * m) << NBITS)
        },
        |i, w| ops::pq_tables(w, &i.queries, &i.codebook, Table::L2).map(drop),
    ),
    (
        "pq_terms",
        |i| Needed::new(i.size.rows, i.size.dimension, i.size.rows * (i.codebook.words() + 2)),
        |i, w| ops::pq_terms(w, &i.codes, &i.codebook, &i.centroids, &i.entry_labels, &i.origin).map(drop),
    ),
    (
        "pq_scan",
        |i| Needed::new(0, 0, i.scanned * i.codebook.words()),
        |i, w| {
            let terms = Some(&i.terms);
            ops::pq_scan(w, &i.tables, &i.codebook, &i.interleaved, &i.lists, terms, &i.probes, true, NEIGHBORS)
                .map(drop)
        },
    ),
    (
        "rotate",
        |i| Needed::new(i.size.rows * i.size.dimension, i.size.dimension, 2 * i.size.rows * i.size.dimension),
        |i, w| ops::rotate(w, &i.rows, &i.rotation).map(drop),
    ),
    (
        "round",
        |i| Needed::new(0, 0, i.size.rows * (i.size.dimension + i.size.dimension.div_ceil(4))),
        |i, w| ops::round(w, &i.rows, Metric::L2).map(drop),
    ),
    (
        "flat_scan",
        |i| Needed::new(i.scanned, i.size.dimension, i.size.rows * i.size.dimension),
        |i, w| {
            let rounded = Some(&i.rounded);
            ops::flat_scan(w, &i.queries, &i.rows, rounded, &i.lists, &i.probes, NEIGHBORS, Metric::L2).map(drop)
        },
    ),
    ("rerank", Inputs::candidate_distances, |i, w| {
        ops::rerank(w, &i.queries, &i.rows, None, &i.candidates, NEIGHBORS, Metric::L2).map(drop)
    }),
    ("pq_rerank", Inputs::candidate_distances, |i, w| {
        let (codebook, candidates) = (&i.codebook, &i.candidates);
        ops::pq_rerank(
            w,
            &i.queries,
            codebook,
            &i.interleaved,
            &i.lists,
            Places::Known(&i.positions),
            &i.centroids,
            candidates,
        )
        .map(drop)
    }),
];

/// Every operation on `device`, named as it is.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for a size that does not fit itself,
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
pub fn operations(device: &Device, size: Size) -> Result<Vec<Case>> {
    let inputs = Rc::new(block_on(Inputs::new(device, size))?);
    let case = |&(name, needed, run): &Operation| {
        let (inputs, needed) = (Rc::clone(&inputs), needed(&inputs));
        Case::new(name, needed.amount(), needed, move || {
            let mut work = inputs.device.work();
            run(&inputs, &mut work)?;
            // One number comes back once everything before it is done.
            block_on(work.read(inputs.mark.clone())).map(drop)
        })
    };
    Ok(OPERATIONS.iter().map(case).collect())
}

/// What the operations work on.
struct Inputs {
    device: Device,
    size: Size,
    mark: DeviceArray<u32>,
    rows: DeviceArray<f32>,
    rounded: RoundedRows,
    rotation: Rotation,
    queries: DeviceArray<f32>,
    centroids: DeviceArray<f32>,
    values: DeviceArray<f32>,
    nearest: Nearest,
    grouping: Grouping,
    sums: DeviceArray<f32>,
    inertia: DeviceArray<f32>,
    history: DeviceArray<f32>,
    draws: DeviceArray<f32>,
    codebook: Codebook,
    /// Codes, terms, labels, lists, positions: in the order of the lists' entries.
    codes: DeviceArray<u32>,
    interleaved: PqCodes,
    terms: DeviceArray<f32>,
    entry_labels: DeviceArray<u32>,
    lists: Lists,
    positions: DeviceArray<u32>,
    origin: DeviceArray<f32>,
    tables: DeviceArray<f32>,
    probes: DeviceArray<Ranked>,
    candidates: DeviceArray<Ranked>,
    /// Entries that all queries scan together.
    scanned: usize,
}

impl Inputs {
    async fn new(device: &Device, size: Size) -> Result<Self> {
        let Size { rows: n, dimension, nlist, queries, m, nprobe } = size;
        let data = random(n, dimension, 1);
        let rows = device.matrix(data.view())?;
        let queries = device.matrix(random(queries, dimension, 2).view())?;
        let centroids = device.matrix(data.slice(s![..nlist.min(n), ..]))?;
        let values = device.matrix(random(SELECTED_ROWS, n, 3).view())?;
        let words = random(m << NBITS, dimension / m.max(1), 4).mapv_into(|value| value - 0.5);
        let codebook = Codebook::new(device.matrix(words.view())?, m, NBITS)?;
        let origin = device.upload(vec![0.5; dimension], dimension)?;
        let rotation = Rotation::new(device, random(dimension, dimension, 5).view(), None)?;

        let mut work = device.work();
        let w = &mut work;
        let rounded = ops::round(w, &rows, Metric::L2)?;
        let nearest = ops::nearest(w, &rows, &centroids, Metric::L2)?;
        let grouping = ops::group(w, &nearest.labels, nlist)?;
        let sums = ops::segment_sums(w, &rows, &grouping)?;
        let inertia = ops::segment_sums(w, &nearest.distances, &grouping)?;
        let codes = ops::pq_encode(w, &rows, &codebook, Some((&centroids, &nearest.labels)))?;
        let codes = ops::gather(w, &codes, &grouping.order)?;
        let interleaved = ops::pq_interleave(w, &codes, &codebook)?;
        let entry_labels = ops::gather(w, &nearest.labels, &grouping.order)?;
        let lists = Lists::new(grouping.offsets.clone(), grouping.order.clone());
        let positions = ops::group(w, &lists.ids, n)?.order;
        let terms = ops::pq_terms(w, &codes, &codebook, &centroids, &entry_labels, &origin)?;
        let tables = ops::pq_tables(w, &queries, &codebook, Table::Residual(&origin))?;
        let probes = ops::knn(w, &queries, &centroids, nprobe, Metric::L2)?;
        let candidates = ops::knn(w, &queries, &rows, CANDIDATES.min(n), Metric::L2)?;
        let visited = work.read(probes.clone()).await?;
        let offsets = device.work().read(lists.offsets.clone()).await?;
        let entries = |probe: &Ranked| {
            let ends = offsets.get(probe.id() as usize..).unwrap_or_default();
            ends.get(1).zip(ends.first()).map_or(0, |(end, start)| (end - start) as usize)
        };
        Ok(Inputs {
            device: device.clone(),
            size,
            mark: device.upload(vec![0], 1)?,
            history: device.upload(vec![], 2)?,
            draws: device.upload(vec![0.5], 1)?,
            scanned: visited.iter().map(entries).sum(),
            rows,
            rounded,
            rotation,
            queries,
            centroids,
            values,
            nearest,
            grouping,
            sums,
            inertia,
            codebook,
            codes,
            interleaved,
            terms,
            entry_labels,
            lists,
            positions,
            origin,
            tables,
            probes,
            candidates,
        })
    }

    fn candidate_distances(&self) -> Needed {
        Needed::new(self.candidates.rows() * self.candidates.columns(), self.size.dimension, 0)
    }
}
