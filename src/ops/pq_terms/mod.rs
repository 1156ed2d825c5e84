//! The part of a residual code's distance that does not depend on the query.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Codebook;
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// For each code of a residual r to its centroid c: |r|² + 2 (c - o)·r, where o is `origin` (one row).
///
/// With it |q - c - r|² = |q - c|² + term - 2 (q - o)·r, so that the lookup table, the last part, is one a query
/// instead of one a (query, list) (Babenko and Lempitsky 2012; FAISS's precomputed tables). `origin` is the
/// centroids' mean: it keeps the parts small, and so the sum accurate, where data lies far from the origin.
///
/// # Errors
/// [`Error::Length`] if labels are not one a code, [`Error::Dimension`] if codes, codebook, centroids and origin do
/// not fit, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn pq_terms(
    work: &mut Work,
    codes: &DeviceArray<u32>,
    codebook: &Codebook,
    centroids: &DeviceArray<f32>,
    labels: &DeviceArray<u32>,
    origin: &DeviceArray<f32>,
) -> Result<DeviceArray<f32>> {
    super::check_rows("labels", labels, codes.rows())?;
    super::check_columns("origin", origin, centroids)?;
    super::check_rows("origin", origin, 1)?;
    if codes.columns() != codebook.words() {
        return Err(Error::Dimension { what: "codes", expected: codebook.words(), found: codes.columns() });
    }
    if centroids.columns() != codebook.dimension() {
        return Err(Error::Dimension { what: "centroids", expected: codebook.dimension(), found: centroids.columns() });
    }
    match &mut work.0 {
        Backend::Cpu => {
            let terms = cpu::pq_terms(
                codes.host("codes")?,
                codebook,
                codebook.centroids().host("codebook")?,
                centroids.host("centroids")?,
                labels.host("labels")?,
                origin.host("origin")?,
            );
            Ok(DeviceArray::on_host(terms, 1))
        }
        Backend::Gpu(recording) => gpu::pq_terms(recording, codes, codebook, centroids, labels, origin),
    }
}
