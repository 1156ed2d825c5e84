//! Lookup tables of asymmetric distances.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Codebook;
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// What a lookup table holds for subvector q of a query and centroid y of its sub-quantizer.
#[derive(Clone, Copy, Debug)]
pub enum Table<'a> {
    /// |q - y|².
    L2,
    /// -q·y.
    InnerProduct,
    /// -2 (q - o)·y, where o is that subvector of the origin, a single row: see [`pq_terms`](super::pq_terms).
    Residual(&'a DeviceArray<f32>),
}

/// The lookup tables of each query: `m * ksub` numbers a row, sub-quantizer after sub-quantizer.
///
/// # Errors
/// [`Error::Dimension`] if queries or origin are not of the codebook's dimension, [`Error::OtherDevice`],
/// [`Error::OutOfMemory`].
pub fn pq_tables(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    codebook: &Codebook,
    table: Table<'_>,
) -> Result<DeviceArray<f32>> {
    if queries.columns() != codebook.dimension() {
        return Err(Error::Dimension { what: "queries", expected: codebook.dimension(), found: queries.columns() });
    }
    if let Table::Residual(origin) = table {
        super::check_columns("origin", origin, queries)?;
        super::check_rows("origin", origin, 1)?;
    }
    match &mut work.0 {
        Backend::Cpu => {
            let origin = match table {
                Table::Residual(origin) => Some(origin.host("origin")?),
                Table::L2 | Table::InnerProduct => None,
            };
            let squared = matches!(table, Table::L2);
            let tables = cpu::pq_tables(
                queries.host("queries")?,
                codebook,
                codebook.centroids().host("codebook")?,
                squared,
                origin,
            );
            Ok(DeviceArray::on_host(tables, codebook.m() * codebook.ksub()))
        }
        Backend::Gpu(recording) => gpu::pq_tables(recording, queries, codebook, table),
    }
}
