//! How indexes are trained.

use std::{fmt, sync::Arc};

use crate::{device::Cancel, kmeans::Progress};

/// How an index is trained. The defaults are FAISS's.
#[derive(Clone)]
pub struct Training {
    /// Iterations of k-means for the coarse centroids: 10. A product quantizer always has 25.
    pub iterations: usize,
    /// Most training rows that k-means uses a centroid: 256.
    pub max_points_per_centroid: Option<usize>,
    /// Seed of samples and random starts: 1234.
    pub seed: u64,
    pub(crate) progress: Option<Arc<dyn Fn(&'static str, Progress) + Send + Sync>>,
    pub(crate) cancel: Cancel,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            iterations: 10,
            max_points_per_centroid: Some(256),
            seed: 1234,
            progress: None,
            cancel: Cancel::default(),
        }
    }
}

impl Training {
    /// Sets [`Training::iterations`].
    #[must_use]
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// Sets [`Training::max_points_per_centroid`]; `None` trains on every row.
    #[must_use]
    pub fn max_points_per_centroid(mut self, points: impl Into<Option<usize>>) -> Self {
        self.max_points_per_centroid = points.into();
        self
    }

    /// Sets [`Training::seed`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Calls `progress` with the name of the stage after each of its steps.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&'static str, Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Lets somebody else cancel the training: see [`KMeans::cancelled_by`](crate::KMeans::cancelled_by).
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }
}

impl fmt::Debug for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Training")
            .field("iterations", &self.iterations)
            .field("max_points_per_centroid", &self.max_points_per_centroid)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
