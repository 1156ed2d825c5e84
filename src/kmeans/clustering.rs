//! What k-means gives.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView2};

use super::score;
use crate::{
    Device, DeviceArray, Error, Metric, Result, device::block_on, ops, rows::check_dimension, storage::RowSource,
};

/// Most bytes of rows that are assigned at once, so that what a device holds is bounded.
const ASSIGNED_BYTES: u64 = 256 << 20;

/// Centroids, and how they came about.
#[derive(Clone, Debug)]
pub struct Clustering {
    pub(super) device: Device,
    pub(super) metric: Metric,
    pub(super) centroids: Array2<f32>,
    pub(super) device_centroids: DeviceArray<f32>,
    pub(super) objectives: Vec<f64>,
    pub(super) empty_clusters: Vec<usize>,
    pub(super) objective: f64,
    pub(super) points: usize,
    /// [`KMeans::memory`](crate::KMeans::memory), for rows to assign as for those to train on.
    pub(super) memory: Option<u64>,
    pub(super) warnings: Vec<Warning>,
}

impl Clustering {
    /// The centroids, one a row.
    #[must_use]
    pub fn centroids(&self) -> ArrayView2<'_, f32> {
        self.centroids.view()
    }

    /// The centroids on the device that they were trained on.
    #[must_use]
    pub fn device_centroids(&self) -> &DeviceArray<f32> {
        &self.device_centroids
    }

    /// The objective at the beginning of each iteration: the sum over the training points of the squared distance
    /// to their centroid, or of the inner product with it. Empty where the points were copied.
    #[must_use]
    pub fn objectives(&self) -> &[f64] {
        &self.objectives
    }

    /// The objective with the final centroids.
    #[must_use]
    pub fn objective(&self) -> f64 {
        self.objective
    }

    /// How many clusters had lost all their points in each iteration, before they took half of others.
    #[must_use]
    pub fn empty_clusters(&self) -> &[usize] {
        &self.empty_clusters
    }

    /// Iterations done: none where the points were copied.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.objectives.len()
    }

    /// Points trained on: the rows, or the sample of them.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// What the data did not really allow.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Each row's closest centroid, the lower number among equals.
    ///
    /// # Errors
    /// [`Error::Dimension`] if the rows are not of the centroids' dimension, [`Error::NotFinite`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn assign(&self, rows: ArrayView2<'_, f32>) -> Result<Assignment> {
        block_on(self.assign_async(rows))
    }

    /// [`Clustering::assign`] without blocking.
    ///
    /// # Errors
    /// As [`Clustering::assign`].
    pub async fn assign_async(&self, rows: ArrayView2<'_, f32>) -> Result<Assignment> {
        check_dimension("rows", rows, self.centroids.ncols())?;
        self.assign_rows_async(&rows).await
    }

    /// [`Clustering::assign`] of rows that are read in pieces, two of which fit [`KMeans::memory`](crate::KMeans::memory).
    ///
    /// # Errors
    /// As [`Clustering::assign`], and what reading fails with.
    pub fn assign_rows(&self, rows: &dyn RowSource) -> Result<Assignment> {
        block_on(self.assign_rows_async(rows))
    }

    /// [`Clustering::assign_rows`], which reads as it goes, without blocking for the device.
    ///
    /// # Errors
    /// As [`Clustering::assign_rows`].
    pub async fn assign_rows_async(&self, rows: &dyn RowSource) -> Result<Assignment> {
        if rows.columns() != self.centroids.ncols() {
            let (expected, found) = (self.centroids.ncols(), rows.columns());
            return Err(Error::Dimension { what: "rows", expected, found });
        }
        let (mut labels, mut distances) = (Vec::with_capacity(rows.rows()), Vec::with_capacity(rows.rows()));
        let bytes = self.memory.map_or(ASSIGNED_BYTES, |memory| ASSIGNED_BYTES.min(memory / 2));
        let at_once = (bytes as usize / (size_of::<f32>() * rows.columns().max(1))).max(1);
        for first in (0..rows.rows()).step_by(at_once) {
            let end = (first + at_once).min(rows.rows());
            let points = self.device.upload(rows.read(first..end)?, rows.columns())?;
            let mut work = self.device.work();
            let nearest = ops::nearest_among(&mut work, &points, rows.rows(), &self.device_centroids, self.metric)?;
            labels.extend(work.read(nearest.labels).await?);
            let read = self.device.work().read(nearest.distances).await?;
            distances.extend(read.into_iter().map(|distance| score(distance.into(), self.metric) as f32));
        }
        Ok(Assignment { labels: labels.into(), distances: distances.into() })
    }
}

/// Each row's closest centroid.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Number of the centroid.
    pub labels: Array1<u32>,
    /// Squared distance to it, or inner product with it.
    pub distances: Array1<f32>,
}

/// What training data did not really allow. Nothing is printed: it is for the caller to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Fewer than 39 training points a centroid: the centroids will fit them too well.
    FewPoints {
        /// Points trained on.
        points: usize,
        /// Centroids trained.
        centroids: usize,
        /// Points to have at least.
        advised: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::FewPoints { points, centroids, advised } => {
                write!(f, "{centroids} centroids were trained on {points} points; give at least {advised}")
            }
        }
    }
}
