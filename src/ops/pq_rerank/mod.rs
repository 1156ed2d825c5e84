//! Exact distances to decoded residual codes.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::{Codebook, Lists, PqCodes, Ranked};
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// Each of `candidates` with its squared distance to what its code stands for, |q - c - r|², by direct difference,
/// and each row in order again. [`pq_scan`](super::pq_scan) sums the same in parts that may cancel; this makes
/// the distances of the k that it found accurate.
///
/// `codes` are one an entry of `lists`, of residuals to `centroids`, one row a list; `positions` (one column)
/// is the inverse of `lists.ids`: the entry of each row number.
///
/// # Errors
/// [`Error::Length`] or [`Error::Dimension`] if the arguments do not fit each other, [`Error::OtherDevice`],
/// [`Error::OutOfMemory`].
#[expect(clippy::too_many_arguments, reason = "what decoding reads is many arrays, each its own")]
pub fn pq_rerank(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    codebook: &Codebook,
    codes: &PqCodes,
    lists: &Lists,
    positions: &DeviceArray<u32>,
    centroids: &DeviceArray<f32>,
    candidates: &DeviceArray<Ranked>,
) -> Result<DeviceArray<Ranked>> {
    super::check_columns("queries", queries, centroids)?;
    super::check_rows("candidates", candidates, queries.rows())?;
    codes.check(codebook, lists.entries())?;
    super::check_rows("positions", positions, lists.entries())?;
    super::check_rows("centroids", centroids, lists.nlist())?;
    if queries.columns() != codebook.dimension() {
        return Err(Error::Dimension { what: "queries", expected: codebook.dimension(), found: queries.columns() });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let decoder = cpu::Decoder {
                codebook,
                codewords: codebook.centroids().host("codebook")?,
                codes: codes.host()?,
                offsets: lists.offsets.host("offsets")?,
                positions: positions.host("positions")?,
                centroids: centroids.host("centroids")?,
            };
            let ranked = cpu::pq_rerank(
                queries.host("queries")?,
                &decoder,
                candidates.host("candidates")?,
                candidates.columns(),
            );
            Ok(DeviceArray::on_host(ranked, candidates.columns()))
        }
        Backend::Gpu(recording) => {
            gpu::pq_rerank(recording, queries, codebook, codes, lists, positions, centroids, candidates)
        }
    }
}
