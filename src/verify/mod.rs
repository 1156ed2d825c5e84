//! Whether a device computes what it should: every operation and every index against the same in f64 or on the CPU.

mod brief;
mod codes;
mod compare;
mod data;
mod grouping;
mod rows;
mod whole;

use std::fmt;

use futures::future::BoxFuture;

use crate::{Device, Error, Result, device::block_on};

pub(crate) use brief::wrong;

/// What must be equal to the last bit.
const EXACT: f64 = 0.0;

/// What may differ by rounding: see [`Check::worst_error`].
const ROUNDING: f64 = 4.0;

/// What [`run`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The device's name.
    pub device: String,
    /// Every check, in the order in which they ran.
    pub checks: Vec<Check>,
    /// Whether all of them passed.
    pub ok: bool,
}

/// A comparison of one operation, on one shape of data, with its reference.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Check {
    /// The operation, or `kmeans` or an index where all of it was compared.
    pub operation: &'static str,
    /// The kernels that the device ran: see [`Device::variant`].
    pub variant: String,
    /// The shape and kind of the data, in words.
    pub shape: String,
    /// The worst error found; infinite where a result was wrong whatever the rounding.
    ///
    /// Where results must be equal, it is the number of those that are not. Otherwise it is in units of what summing
    /// in f32 may cost, n 2^-24 Σ|term| for a sum of n terms; neighbours are judged by the distances in f64 of the
    /// rows that were found. For `kmeans` it is the relative difference of the objectives, for an index that was built
    /// on the device the share of neighbours that differ from those of the same index built on the CPU.
    pub worst_error: f64,
    /// The largest error that passes; 0 where results must be equal.
    pub tolerance: f64,
    /// Whether the check passed.
    pub ok: bool,
    /// Why the operation did not run, if it did not.
    pub failure: Option<String>,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok { "ok" } else { "FAILED" };
        write!(f, "{verdict}: {} of {} ({})", self.operation, self.shape, self.variant)?;
        match &self.failure {
            Some(failure) => write!(f, ": {failure}"),
            None => write!(f, ": worst error {:.3}, tolerance {}", self.worst_error, self.tolerance),
        }
    }
}

/// Runs every operation on `device` over awkward shapes, and k-means and every index from end to end, and compares the
/// results with [`reference`](crate::ops::reference) and with the CPU's. The data is the same every time. `progress` is
/// called after each check.
///
/// ```
/// let report = cellprobe::verify::run(&cellprobe::Device::cpu(), |_| {})?;
/// assert!(report.ok);
/// # Ok::<(), cellprobe::Error>(())
/// ```
///
/// # Errors
/// [`Error::DeviceLost`]. An operation that fails otherwise is a check that failed.
pub fn run(device: &Device, progress: impl FnMut(&Check)) -> Result<Report> {
    block_on(run_async(device, progress))
}

/// [`run`] without blocking.
///
/// # Errors
/// As [`run`].
pub async fn run_async(device: &Device, mut progress: impl FnMut(&Check)) -> Result<Report> {
    let mut verifier = Verifier { device, checks: vec![], progress: &mut progress };
    rows::check(&mut verifier).await?;
    grouping::check(&mut verifier).await?;
    codes::check(&mut verifier).await?;
    Box::pin(whole::check(&mut verifier)).await?;
    let checks = verifier.checks;
    Ok(Report { device: device.name().into(), ok: checks.iter().all(|check| check.ok), checks })
}

/// A check that is still to run.
struct Planned<'a> {
    operation: &'static str,
    shape: String,
    tolerance: f64,
    worst_error: BoxFuture<'a, Result<f64>>,
}

/// The checks so far.
struct Verifier<'a> {
    device: &'a Device,
    checks: Vec<Check>,
    progress: &'a mut dyn FnMut(&Check),
}

impl Verifier<'_> {
    /// Runs checks one after the other.
    async fn run(&mut self, planned: Vec<Planned<'_>>) -> Result<()> {
        for Planned { operation, shape, tolerance, worst_error } in planned {
            self.check(operation, shape, tolerance, worst_error).await?;
        }
        Ok(())
    }

    /// Runs a check that gives its worst error.
    async fn check(
        &mut self,
        operation: &'static str,
        shape: String,
        tolerance: f64,
        worst_error: impl Future<Output = Result<f64>>,
    ) -> Result<()> {
        let (worst_error, failure) = match worst_error.await {
            Ok(error) => (error, None),
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(error) => (f64::INFINITY, Some(error.to_string())),
        };
        let ok = worst_error <= tolerance;
        let check = Check { operation, variant: self.device.variant(), shape, worst_error, tolerance, ok, failure };
        (self.progress)(&check);
        self.checks.push(check);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, EXACT, ROUNDING, Verifier};
    use crate::{Device, Error, Result, device::block_on};

    /// The checks of results that have these worst errors.
    fn checks(results: Vec<Result<f64>>, tolerance: f64) -> Result<Vec<Check>> {
        let mut seen = 0;
        let mut count = |_: &Check| seen += 1;
        let mut verifier = Verifier { device: &Device::cpu(), checks: vec![], progress: &mut count };
        for result in results {
            block_on(verifier.check("knn", "rows".into(), tolerance, async { result }))?;
        }
        let checks = verifier.checks;
        assert_eq!(seen, checks.len());
        Ok(checks)
    }

    #[test]
    fn errors_above_the_tolerance_fail() -> Result<()> {
        let verdicts = |tolerance| -> Result<Vec<bool>> {
            let results = vec![Ok(0.0), Ok(1.0), Ok(5.0), Ok(f64::INFINITY), Ok(f64::NAN)];
            Ok(checks(results, tolerance)?.iter().map(|check| check.ok).collect())
        };
        assert_eq!(verdicts(EXACT)?, [true, false, false, false, false]);
        assert_eq!(verdicts(ROUNDING)?, [true, true, false, false, false]);
        Ok(())
    }

    #[test]
    fn operations_that_do_not_run_fail() -> Result<()> {
        let checks = checks(vec![Err(Error::Empty { what: "rows" }), Ok(0.0)], ROUNDING)?;
        assert_eq!((checks[0].ok, checks[0].failure.as_deref(), checks[1].ok), (false, Some("rows is empty"), true));
        assert!(checks[0].to_string().contains("FAILED") && !checks[1].to_string().contains("FAILED"));
        Ok(())
    }

    #[test]
    fn a_lost_device_ends_it() {
        let lost = Error::DeviceLost { device: "gpu".into(), reason: "unplugged".into() };
        assert!(matches!(checks(vec![Err(lost), Ok(0.0)], ROUNDING), Err(Error::DeviceLost { .. })));
    }
}
