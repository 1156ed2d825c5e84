//! Closest centroids again and again, while centroids move.

use super::{Nearest, nearest};
use crate::{
    DeviceArray, Metric, Result, Work,
    device::Backend,
    ops::{check_columns, closest::Bounds, is_l2},
};

/// Bounds begin when fewer than one of so many rows has another closest centroid than the time before: centroids go
/// far until then, and groups of where they began are poor ones. A simulation of iterations 6 to 12 with 16 groups of
/// 256 centroids left 2.4 other groups to a row when bounds began at once, and 0.9 when they began with the fifth
/// iteration (Fashion-MNIST, four of 16 parts).
const SETTLED: usize = 10;

/// [`nearest`] of the same rows again and again while centroids move, as k-means has it. The outcome is the same; the
/// CPU leaves out what bounds tell.
#[derive(Default)]
pub(crate) struct Moving {
    labels: Option<DeviceArray<u32>>,
    bounds: Option<Bounds>,
    given_up: bool,
}

impl Moving {
    /// [`nearest`] of the same rows as before.
    ///
    /// # Errors
    /// As [`nearest`].
    pub(crate) fn nearest(
        &mut self,
        work: &mut Work,
        rows: &DeviceArray<f32>,
        centroids: &DeviceArray<f32>,
        metric: Metric,
    ) -> Result<Nearest> {
        let may_pay = is_l2(metric) && Bounds::may_pay(centroids.rows(), centroids.columns());
        if self.given_up || !may_pay || !matches!(work.0, Backend::Cpu) {
            return nearest(work, rows, centroids, metric);
        }
        check_columns("rows", rows, centroids)?;
        let values = centroids.host("centroids")?;
        if !values.iter().all(|value| value.is_finite()) {
            *self = Moving::default();
            return nearest(work, rows, centroids, metric);
        }
        if let Some(bounds) = &mut self.bounds {
            let (labels, distances) = bounds.closest(rows.host("rows")?, values);
            if !bounds.pay() {
                *self = Moving { given_up: true, ..Moving::default() };
            }
            return Ok(Nearest {
                labels: DeviceArray::on_host(labels, 1),
                distances: DeviceArray::on_host(distances, 1),
            });
        }
        let nearest = nearest(work, rows, centroids, metric)?;
        let labels = nearest.labels.host("labels")?;
        if let Some(before) = self.labels.replace(nearest.labels.clone()) {
            let changed = before.host("labels")?.iter().zip(labels).filter(|(before, label)| before != label).count();
            if SETTLED * changed < labels.len() {
                self.bounds = Some(Bounds::new(labels, values, rows.columns()));
            }
        }
        Ok(nearest)
    }
}
