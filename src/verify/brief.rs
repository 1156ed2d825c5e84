//! A few of the checks, quick enough for every device that is opened.

use super::{Planned, codes, grouping, rows};
use crate::{Device, Error, Result};

/// The operations that are wrong on a device, each once, as far as one or two small shapes tell.
///
/// On native targets checks run in parallel, and block: what takes long is compiling the kernels.
pub(crate) async fn wrong(device: &Device) -> Result<Vec<&'static str>> {
    let mut wrong = vec![];
    let planned = [rows::brief(device), grouping::brief(device), codes::brief(device)];
    for (operation, ok) in outcomes(planned.into_iter().flatten().collect()).await {
        if !ok? && !wrong.contains(&operation) {
            wrong.push(operation);
        }
    }
    Ok(wrong)
}

type Outcome = (&'static str, Result<bool>);

#[cfg(not(target_arch = "wasm32"))]
fn outcomes(planned: Vec<Planned<'_>>) -> impl Future<Output = Vec<Outcome>> {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    std::future::ready(planned.into_par_iter().map(|planned| crate::device::block_on(outcome(planned))).collect())
}

#[cfg(target_arch = "wasm32")]
async fn outcomes(planned: Vec<Planned<'_>>) -> Vec<Outcome> {
    let mut outcomes = vec![];
    for planned in planned {
        outcomes.push(outcome(planned).await);
    }
    outcomes
}

/// Whether an operation is right; an error if that says nothing about its kernels.
async fn outcome(planned: Planned<'_>) -> Outcome {
    let ok = match planned.worst_error.await {
        Ok(error) => Ok(error <= planned.tolerance),
        Err(error @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. })) => Err(error),
        Err(error) => {
            log::debug!("{} of {}: {error}", planned.operation, planned.shape);
            Ok(false)
        }
    };
    (planned.operation, ok)
}
