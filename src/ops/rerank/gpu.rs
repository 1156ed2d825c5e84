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
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    [Metric::L2, Metric::InnerProduct]
        .into_iter()
        .flat_map(|metric| [false, true].map(|places| kernel(variant, metric, places)))
        .collect()
}

fn kernel(variant: Variant, metric: Metric, places: bool) -> Kernel {
    let mut flags = lanes::flags(variant);
    if is_l2(metric) {
        flags.push("L2");
    }
    if places {
        flags.push("PLACES");
    }
    Kernel {
        name: "rerank",
        source: include_str!("../../../shaders/rerank.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32), ("LANES", lanes::count(variant) as u32)],
        flags,
    }
}

pub(in crate::ops) fn rerank(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    rows: &DeviceArray<f32>,
    places: Option<&DeviceArray<u32>>,
    candidates: &DeviceArray<Ranked>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    queries.check_on(recording.device(), "queries")?;
    rows.check_on(recording.device(), "rows")?;
    candidates.check_on(recording.device(), "candidates")?;
    if let Some(places) = places {
        places.check_on(recording.device(), "places")?;
    }
    let variant = recording.device().variant();
    let columns = candidates.columns();
    let per_part = [queries.rows_per_part(), candidates.rows_per_part()];
    choose(recording, queries.rows(), &per_part, columns, k, |recording, batch, exact| {
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let (candidates_part, candidate_place) = candidates.part(batch.first_row)?;
        for stretch in segments(rows.rows(), &[rows.rows_per_part()]) {
            let params = Params {
                queries: batch.rows as u32,
                query_place: query_place as u32,
                candidate_place: candidate_place as u32,
                candidates: columns as u32,
                columns: queries.columns() as u32,
                rows: stretch.rows as u32,
                first_row: stretch.first_row as u32,
            };
            let mut buffers = vec![
                ("queries", queries_part),
                ("rows", rows.part(stretch.first_row)?.0),
                ("candidates", candidates_part),
                ("exact", exact),
            ];
            if let Some(places) = places {
                buffers.push(("places", places.whole("bytes of places")?));
            }
            let groups = (batch.rows * columns).div_ceil(THREADS / lanes::count(variant));
            recording.dispatch(kernel(variant, metric, places.is_some()), &params, &buffers, groups)?;
        }
        Ok(())
    })
}
