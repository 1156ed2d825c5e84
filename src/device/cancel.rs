//! Giving up work that is no longer wanted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Error, Result};

/// Cancels work from another thread: calls that were given it end with [`Error::Cancelled`] before their next step, and
/// what they were called on is as it was. Clones cancel the same work; cancelled is cancelled for good.
///
/// ```
/// use cellprobe::{Device, Error, KMeans, device::Cancel};
/// let cancel = Cancel::default();
/// let kmeans = KMeans::new(2).cancelled_by(&cancel);
/// cancel.cancel();
/// let rows = ndarray::array![[0.0], [1.0], [9.0]];
/// assert!(matches!(kmeans.train(&Device::cpu(), rows.view()), Err(Error::Cancelled)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Cancels the work.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once the work was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
