//! Asymmetric distances over the probed lists of codes, the k smallest kept.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::{Codebook, Lists, PqCodes, Ranked};
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// The `k` smallest asymmetric distances of each query to the codes of its probed lists, of those that the lists' mask has
/// if there is one, with the entries' row numbers, ordered by (distance, row number) and padded with [`Ranked::NONE`].
///
/// `tables` are from [`pq_tables`](super::pq_tables), `codes` one an entry of `lists`, `probes` the lists to
/// scan, one row a query ([`Ranked::NONE`] is skipped; each list at most once). The distance of an entry is the sum
/// of its table entries, plus its number in `terms` if given, plus the probe's own distance if `add_probe`.
///
/// # Errors
/// [`Error::Parameter`] for a k of 0, [`Error::Length`] or [`Error::Dimension`] if the arguments do not fit each
/// other, [`Error::OtherDevice`], [`Error::OutOfMemory`].
#[expect(clippy::too_many_arguments, reason = "what a scan reads is many arrays, each its own")]
pub fn pq_scan(
    work: &mut Work,
    tables: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    terms: Option<&DeviceArray<f32>>,
    probes: &DeviceArray<Ranked>,
    add_probe: bool,
    k: usize,
) -> Result<DeviceArray<Ranked>> {
    super::check_k(k)?;
    codes.check(codebook, lists.entries())?;
    lists.check_mask()?;
    super::check_rows("tables", tables, probes.rows())?;
    if let Some(terms) = terms {
        super::check_rows("terms", terms, lists.entries())?;
    }
    if tables.columns() != codebook.m() * codebook.ksub() {
        return Err(Error::Dimension {
            what: "tables",
            expected: codebook.m() * codebook.ksub(),
            found: tables.columns(),
        });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let terms = terms.map(|terms| terms.host("terms")).transpose()?;
            let scan = cpu::Scan {
                tables: tables.host("tables")?,
                codebook,
                codes: codes.host()?,
                offsets: lists.offsets.host("offsets")?,
                ids: lists.ids.host("ids")?,
                terms,
                probes: probes.host("probes")?,
                nprobe: probes.columns(),
                mask: lists.host_mask()?,
                add_probe,
            };
            Ok(DeviceArray::on_host(cpu::pq_scan(&scan, k), k))
        }
        Backend::Gpu(recording) => gpu::pq_scan(recording, tables, codebook, codes, lists, terms, probes, add_probe, k),
    }
}
