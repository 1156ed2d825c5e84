//! Exact distances to decoded residual codes.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::{Codebook, Lists, PqCodes, Ranked, group};
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// Where [`pq_rerank`] finds the entry of a candidate.
#[derive(Clone, Copy, Debug)]
pub enum Places<'a> {
    /// In an array of one column, the inverse of the lists' ids: the entry of each row number.
    Known(&'a DeviceArray<u32>),
    /// In the lists that its query visited, a row of [`Ranked`] list numbers a query as for
    /// [`pq_scan`](super::pq_scan), of which all candidates are: the ids of each list ascend, and are searched by bisection. Takes no memory on the
    /// CPU; a GPU, on which that would be a chain of loads for each list, makes the inverse first.
    Visited(&'a DeviceArray<Ranked>),
}

/// Each of `candidates` with its squared distance to what its code stands for, |q - c - r|², by direct difference,
/// and each row in order again. [`pq_scan`](super::pq_scan) sums the same in parts that may cancel; this makes
/// the distances of the k that it found accurate.
///
/// `codes` are one an entry of `lists`, of residuals to `centroids`, one row a list.
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
    places: Places<'_>,
    centroids: &DeviceArray<f32>,
    candidates: &DeviceArray<Ranked>,
) -> Result<DeviceArray<Ranked>> {
    super::check_columns("queries", queries, centroids)?;
    super::check_rows("candidates", candidates, queries.rows())?;
    codes.check(codebook, lists.entries())?;
    match places {
        Places::Known(positions) => super::check_rows("positions", positions, lists.entries())?,
        Places::Visited(probes) => super::check_rows("probes", probes, queries.rows())?,
    }
    super::check_rows("centroids", centroids, lists.nlist())?;
    if queries.columns() != codebook.dimension() {
        return Err(Error::Dimension { what: "queries", expected: codebook.dimension(), found: queries.columns() });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let rerank = cpu::Rerank {
                codebook,
                codewords: codebook.centroids().host("codebook")?,
                codes: codes.host()?,
                offsets: lists.offsets.host("offsets")?,
                places: match places {
                    Places::Known(positions) => cpu::Places::Known(positions.host("positions")?),
                    Places::Visited(probes) => cpu::Places::Visited {
                        ids: lists.ids.host("ids")?,
                        probes: probes.host("probes")?,
                        nprobe: probes.columns(),
                    },
                },
                centroids: centroids.host("centroids")?,
            };
            let ranked =
                cpu::pq_rerank(queries.host("queries")?, &rerank, candidates.host("candidates")?, candidates.columns());
            Ok(DeviceArray::on_host(ranked, candidates.columns()))
        }
        Backend::Gpu(recording) => {
            let positions = match places {
                Places::Known(positions) => positions.clone(),
                Places::Visited(_) if lists.entries() == 0 => lists.ids.clone(),
                Places::Visited(_) => group::gpu::group(recording, &lists.ids, lists.entries())?.order,
            };
            gpu::pq_rerank(recording, queries, codebook, codes, lists, &positions, centroids, candidates)
        }
    }
}
