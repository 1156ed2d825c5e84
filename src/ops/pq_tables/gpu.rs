//! Bindings and dispatch of `shaders/pq_tables.wgsl`.

use super::Table;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{Codebook, tile::THREADS},
};

params! {
    struct Params {
        queries: u32,
        query_place: u32,
        table_place: u32,
        columns: u32,
        entries: u32,
        ksub: u32,
        dsub: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(vec!["L2"]), kernel(vec![]), kernel(vec!["RESIDUAL"])]
}

fn kernel(flags: Vec<&'static str>) -> Kernel {
    Kernel {
        name: "pq_tables",
        source: include_str!("../../../shaders/pq_tables.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags,
    }
}

pub(super) fn pq_tables(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    codebook: &Codebook,
    table: Table<'_>,
) -> Result<DeviceArray<f32>> {
    queries.check_on(recording.device(), "queries")?;
    codebook.centroids().check_on(recording.device(), "codebook")?;
    let entries = codebook.m() * codebook.ksub();
    let tables: DeviceArray<f32> = recording.array(queries.rows(), entries)?;
    let mut inputs = vec![("codebook", codebook.centroids().whole("bytes of a codebook")?)];
    let flags = match table {
        Table::L2 => vec!["L2"],
        Table::InnerProduct => vec![],
        Table::Residual(origin) => {
            origin.check_on(recording.device(), "origin")?;
            inputs.push(("origin", origin.whole("bytes of an origin")?));
            vec!["RESIDUAL"]
        }
    };
    for batch in segments(queries.rows(), &[queries.rows_per_part(), tables.rows_per_part()]) {
        let (queries_part, query_place) = queries.part(batch.first_row)?;
        let (tables_part, table_place) = tables.part(batch.first_row)?;
        let params = Params {
            queries: batch.rows as u32,
            query_place: query_place as u32,
            table_place: table_place as u32,
            columns: queries.columns() as u32,
            entries: entries as u32,
            ksub: codebook.ksub() as u32,
            dsub: codebook.dsub() as u32,
        };
        let mut buffers = vec![("queries", queries_part), ("tables", tables_part)];
        buffers.extend(&inputs);
        recording.dispatch(kernel(flags.clone()), &params, &buffers, (batch.rows * entries).div_ceil(THREADS))?;
    }
    Ok(tables)
}
