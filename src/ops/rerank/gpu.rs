//! Bindings and dispatch of `shaders/rerank.wgsl`.

use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{Ranked, is_l2, lanes, select::gpu::choose, tile::THREADS},
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        candidate_place: u32,
        candidates: u32,
        columns: u32,
        rows: u32,
        first_row: u32,
        all_rows: u32,
        places: u32,
    }
}

/// What candidates are called.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Naming<'a> {
    /// By the number of their row.
    Rows,
    /// The same; each is compared by one invocation, term after term, so that distances have the bits of those that tiles
    /// of differences find, and it does not matter which of the two came to a row.
    Alone,
    /// So that this has where their row is.
    Places(&'a DeviceArray<u32>),
    /// By the number of their row, and afterwards as this says.
    After(&'a DeviceArray<u32>),
}

impl Naming<'_> {
    fn flag(self) -> Option<&'static str> {
        match self {
            Naming::Rows | Naming::Alone => None,
            Naming::Places(_) => Some("PLACES"),
            Naming::After(_) => Some("NAMES"),
        }
    }

    /// Invocations that share a candidate.
    fn lanes(self, variant: Variant) -> usize {
        if matches!(self, Naming::Alone) { 1 } else { lanes::count(variant) }
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let names = variant.packed_integers.then_some(Some("NAMES"));
    let namings = || [None, Some("PLACES")].into_iter().chain(names);
    let metrics = [Metric::L2, Metric::InnerProduct].into_iter();
    let shared = lanes::count(variant);
    let alone = [Metric::L2, Metric::InnerProduct].map(|metric| kernel(variant, metric, None, 1));
    let kernels = metrics.flat_map(|metric| namings().map(move |naming| kernel(variant, metric, naming, shared)));
    kernels.chain(alone).collect()
}

fn kernel(variant: Variant, metric: Metric, naming: Option<&'static str>, lanes: usize) -> Kernel {
    let mut flags = if lanes > 1 { lanes::flags(variant) } else { vec![] };
    if is_l2(metric) {
        flags.push("L2");
    }
    flags.extend(naming);
    Kernel {
        name: "rerank",
        source: include_str!("../../../shaders/rerank.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32), ("LANES", lanes as u32)],
        flags,
    }
}

pub(in crate::ops) fn rerank(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    rows: &DeviceArray<f32>,
    naming: Naming<'_>,
    candidates: &DeviceArray<Ranked>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    queries.check_on(recording.device(), "queries")?;
    rows.check_on(recording.device(), "rows")?;
    candidates.check_on(recording.device(), "candidates")?;
    let names = match naming {
        Naming::Rows | Naming::Alone => None,
        Naming::Places(places) => Some(("places", places)),
        Naming::After(names) => Some(("names", names)),
    };
    if let Some((what, names)) = names {
        names.check_on(recording.device(), what)?;
    }
    let variant = recording.device().variant();
    let columns = candidates.columns();
    let per_part = [queries.rows_per_part(), candidates.rows_per_part()];
    choose(recording, queries.rows(), &per_part, columns, k, |recording, batch, exact| {
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let (candidates_part, candidate_place) = candidates.part(batch.first_row)?;
        // Of no rows there is still to say that nothing is found.
        for stretch in segments(rows.rows().max(1), &[rows.rows_per_part()]) {
            let params = Params {
                queries: batch.rows as u32,
                query_place: query_place as u32,
                candidate_place: candidate_place as u32,
                candidates: columns as u32,
                columns: queries.columns() as u32,
                rows: stretch.rows as u32,
                first_row: stretch.first_row as u32,
                all_rows: rows.rows() as u32,
                places: names.map_or(0, |(_, names)| names.rows()) as u32,
            };
            let mut buffers = vec![
                ("queries", queries_part),
                ("rows", rows.part(stretch.first_row)?.0),
                ("candidates", candidates_part),
                ("exact", exact),
            ];
            if let Some((what, names)) = names {
                buffers.push((what, names.whole("bytes of places")?));
            }
            let lanes = naming.lanes(variant);
            let groups = (batch.rows * columns).div_ceil(THREADS / lanes);
            recording.expect(batch.rows * columns * queries.columns());
            recording.dispatch(kernel(variant, metric, naming.flag(), lanes), &params, &buffers, groups)?;
        }
        Ok(())
    })
}
