//! The rows to cluster, on the device or not.

use std::future::ready;

use crate::{
    Device, DeviceArray, Metric, Result, Work,
    device::{Cancel, double_buffered},
    ops::{self, Grouping, Nearest, SegmentSums},
    storage::{RowSource, picked},
};

/// The rows to cluster.
pub(super) enum Points<'a> {
    /// On the device.
    Here(DeviceArray<f32>),
    /// Put on the device piece by piece, each time that they are needed.
    Elsewhere(Elsewhere<'a>),
}

pub(super) struct Elsewhere<'a> {
    pub device: &'a Device,
    pub source: &'a dyn RowSource,
    /// Rows of a piece, the last of which may have fewer.
    pub per_piece: usize,
    pub cancel: &'a Cancel,
}

impl Points<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Points::Here(rows) => rows.rows(),
            Points::Elsewhere(pieces) => pieces.source.rows(),
        }
    }

    /// Each row's closest centroid.
    pub(super) async fn nearest(
        &self,
        work: &mut Work,
        centroids: &DeviceArray<f32>,
        metric: Metric,
    ) -> Result<Nearest> {
        match self {
            Points::Here(rows) => ops::nearest(work, rows, centroids, metric),
            Points::Elsewhere(pieces) => pieces.nearest(work, centroids, metric).await,
        }
    }

    /// The rows of these numbers.
    pub(super) fn pick(&self, work: &mut Work, device: &Device, numbers: &[usize]) -> Result<DeviceArray<f32>> {
        match self {
            Points::Here(rows) => {
                let numbers = numbers.iter().map(|&row| row as u32).collect();
                ops::gather(work, rows, &device.upload(numbers, 1)?)
            }
            Points::Elsewhere(Elsewhere { source, .. }) => device.upload(picked(*source, numbers)?, source.columns()),
        }
    }

    /// The sum of each group of rows.
    pub(super) async fn sums(&self, work: &mut Work, grouping: &Grouping) -> Result<DeviceArray<f32>> {
        match self {
            Points::Here(rows) => ops::segment_sums(work, rows, grouping),
            Points::Elsewhere(pieces) => pieces.sums(work, grouping).await,
        }
    }
}

impl Elsewhere<'_> {
    fn pieces(&self) -> usize {
        self.source.rows().div_ceil(self.per_piece)
    }

    fn load(&self, piece: usize) -> Result<DeviceArray<f32>> {
        self.cancel.check()?;
        let first = piece * self.per_piece;
        let end = (first + self.per_piece).min(self.source.rows());
        self.device.upload(self.source.read(first..end)?, self.source.columns())
    }

    fn work(&self) -> Work {
        let mut work = self.device.work();
        work.cancelled_by(self.cancel);
        work
    }

    async fn nearest(&self, work: &mut Work, centroids: &DeviceArray<f32>, metric: Metric) -> Result<Nearest> {
        let (mut labels, mut distances) = (vec![], vec![]);
        double_buffered(
            self.pieces(),
            |piece| ready(self.load(piece)),
            |_, rows: &DeviceArray<f32>| {
                let mut work = self.work();
                let nearest = ops::nearest_among(&mut work, rows, self.source.rows(), centroids, metric)?;
                labels.push(nearest.labels);
                distances.push(nearest.distances);
                work.begin()
            },
            |()| (),
        )
        .await?;
        Ok(Nearest { labels: joined(work, self.device, labels)?, distances: joined(work, self.device, distances)? })
    }

    async fn sums(&self, work: &mut Work, grouping: &Grouping) -> Result<DeviceArray<f32>> {
        // The grouping must be there first.
        std::mem::replace(work, self.work()).submit()?;
        let mut sums = SegmentSums::new(grouping, self.source.columns());
        double_buffered(
            self.pieces(),
            |piece| ready(self.load(piece)),
            |_, rows: &DeviceArray<f32>| {
                let mut work = self.work();
                sums.add(&mut work, rows)?;
                work.begin()
            },
            |()| (),
        )
        .await?;
        sums.finish(work)
    }
}

/// Arrays of one column one after the other, joined in pairs, so that each number is copied a few times only.
fn joined<T: bytemuck::Pod + Send + Sync>(
    work: &mut Work,
    device: &Device,
    mut arrays: Vec<DeviceArray<T>>,
) -> Result<DeviceArray<T>> {
    while arrays.len() > 1 {
        let pairs = arrays.chunks(2).map(|pair| match pair {
            [first, second] => ops::concat(work, first, second),
            _ => Ok(pair[0].clone()),
        });
        arrays = pairs.collect::<Result<_>>()?;
    }
    arrays.pop().map_or_else(|| device.upload(vec![], 1), Ok)
}
