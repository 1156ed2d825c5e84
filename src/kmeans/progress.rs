//! Telling how far a training is.

use std::{fmt, sync::Arc};

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Steps done: iterations of k-means, restarts included, or sub-quantizers.
    pub done: usize,
    /// Steps there are.
    pub of: usize,
    /// The objective that the iteration began with, or that the sub-quantizer has.
    pub objective: f64,
}

/// Somebody to tell of [`Progress`].
#[derive(Clone)]
pub(crate) struct Callback(Arc<dyn Fn(Progress) + Send + Sync>);

impl Callback {
    pub(crate) fn new(callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Callback(Arc::new(callback))
    }

    pub(crate) fn call(&self, done: usize, of: usize, objective: f64) {
        (self.0)(Progress { done, of, objective });
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}
