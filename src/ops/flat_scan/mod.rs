//! Exact distances over the probed lists of rows, the k smallest kept.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::{Lists, Ranked, RoundedRows};
use crate::{DeviceArray, Metric, Result, Work, device::Backend};

/// The `k` closest of the rows in each query's probed lists, of those that the lists' mask has if there is one, with the
/// entries' row numbers, ordered by (distance, row number) and padded with [`Ranked::NONE`].
///
/// `rounded` is a copy of the rows that a GPU looks through first, to read fewer bytes: see [`round`](super::round). What
/// is found is the same. It is of no use to a k past 160.
///
/// `rows` has one row an entry of `lists`; `probes` are the lists to scan, one row a query ([`Ranked::NONE`] is
/// skipped; each list at most once).
///
/// # On a GPU
/// What it cannot do without: reading the rows of the probed lists once a query, which bounds it. Up to k = 256, what is
/// kept waits in workgroup memory; more waits in storage and is cut by its digits when there is no room, some 80
/// instructions for each that waits. Everything is scanned once.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for a k of 0 or rows rounded for another metric,
/// [`Error::Length`](crate::Error::Length) or
/// [`Error::Dimension`](crate::Error::Dimension) if the arguments do not fit each other,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
#[expect(clippy::too_many_arguments, reason = "what a scan reads is many arrays, each its own")]
pub fn flat_scan(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    rows: &DeviceArray<f32>,
    rounded: Option<&RoundedRows>,
    lists: &Lists,
    probes: &DeviceArray<Ranked>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    super::check_k(k)?;
    super::check_columns("queries", queries, rows)?;
    super::check_rows("rows", rows, lists.entries())?;
    lists.check_mask()?;
    super::check_rows("probes", probes, queries.rows())?;
    rounded.map_or(Ok(()), |rounded| rounded.check(rows, metric))?;
    match &mut work.0 {
        Backend::Cpu => {
            let scan = cpu::Scan {
                queries: queries.host("queries")?,
                rows: rows.host("rows")?,
                dimension: rows.columns(),
                offsets: lists.offsets.host("offsets")?,
                ids: lists.ids.host("ids")?,
                probes: probes.host("probes")?,
                nprobe: probes.columns(),
                mask: lists.host_mask()?,
                metric,
            };
            Ok(DeviceArray::on_host(cpu::flat_scan(&scan, k), k))
        }
        Backend::Gpu(recording) => {
            let scan = gpu::Scan { queries, rows, lists, probes, metric };
            gpu::flat_scan(recording, &scan, rounded, k)
        }
    }
}
