//! k-means in several subspaces of the same rows: the sub-quantizers of a product quantizer.

use ndarray::{Array3, ArrayView2, Axis, CowArray, s};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{Callback, KMeans, Warning, draws, start};
use crate::{
    Device, Error, Result,
    device::Backend,
    ops::{self, Codebook},
};

/// Subvectors that a GPU clusters together, some 30 bytes each beside the rows: a large GPU is busy with fewer.
const SUBVECTORS: usize = 1 << 20;

/// Numbers that they have at most.
const NUMBERS: usize = 1 << 26;

impl KMeans {
    /// Clusters the rows in each of `m` subspaces of as many columns: the centroids of each, from a random start that is
    /// the same for all, and warnings. Tells `told`, if anybody, of each subspace and its objective.
    ///
    /// On a GPU as many subspaces as keep it busy go together: each iteration is some twenty dispatches and one submission
    /// for all of them, and the centroids are read back once.
    pub(crate) async fn train_subspaces(
        &self,
        device: &Device,
        rows: ArrayView2<'_, f32>,
        m: usize,
        told: Option<&Callback>,
    ) -> Result<(Array3<f32>, Vec<Warning>)> {
        if device.is_gpu() {
            return self.train_subspaces_together(device, rows, m, told).await;
        }
        let columns = rows.ncols() / m;
        let mut centroids = Array3::zeros((m, self.clusters, columns));
        let mut warnings = vec![];
        for (subspace, mut target) in centroids.axis_iter_mut(Axis(0)).enumerate() {
            let subvectors = rows.slice(s![.., subspace * columns..(subspace + 1) * columns]);
            let clustering = self.train_async(device, subvectors).await?;
            target.assign(&clustering.centroids());
            // Every subspace has as many points, and so the same to say.
            warnings = clustering.warnings().to_vec();
            if let Some(told) = told {
                told.call(subspace + 1, m, clustering.objective());
            }
        }
        Ok((centroids, warnings))
    }

    async fn train_subspaces_together(
        &self,
        device: &Device,
        rows: ArrayView2<'_, f32>,
        m: usize,
        told: Option<&Callback>,
    ) -> Result<(Array3<f32>, Vec<Warning>)> {
        let columns = rows.ncols() / m;
        self.check(rows.nrows(), columns)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let points = match self.sample(rows.nrows(), &mut random) {
            Some(sample) => CowArray::from(rows.select(Axis(0), &sample)),
            None => CowArray::from(rows),
        };
        let count = points.nrows();
        let copied = count == self.clusters;
        let picks = if copied { (0..count).collect() } else { start::picks(count, self.clusters, &mut random) };
        let iterations = if copied { 0 } else { self.iterations };
        let draws = device.upload(draws(self.clusters), 1)?;
        let most = (SUBVECTORS.min(NUMBERS / columns).min(most_labels(device)) / count).clamp(1, m);
        let together = m.div_ceil(m.div_ceil(most));
        let mut centroids = Vec::with_capacity(m * self.clusters * columns);
        for first in (0..m).step_by(together) {
            self.cancel.check()?;
            let subspaces = together.min(m - first);
            let columns_here = first * columns..(first + subspaces) * columns;
            let rows = device.begin_rows(points.slice(s![.., columns_here]))?;
            // Neighbouring subvectors are of one row.
            let subvectors = rows.cut(columns);
            let places = (0..subspaces).flat_map(|subspace| picks.iter().map(move |pick| pick * subspaces + subspace));
            let places = device.upload(places.map(|place| place as u32).collect(), 1)?;
            let mut work = device.work();
            let starts = ops::gather(&mut work, &subvectors, &places)?;
            let codebook = |centroids| Codebook::new(centroids, subspaces, self.clusters.ilog2() as usize);
            let clusters = subspaces * self.clusters;
            let mut trained = codebook(starts)?;
            for _ in 0..iterations {
                self.cancel.check()?;
                work.cancelled_by(&self.cancel);
                let labels = ops::pq_nearest(&mut work, &rows, &trained)?.labels;
                let grouping = ops::group(&mut work, &labels, clusters)?;
                let sums = ops::segment_sums(&mut work, &subvectors, &grouping)?;
                trained = codebook(ops::update_codewords(&mut work, &sums, &grouping.offsets, &draws, subspaces)?)?;
                std::mem::replace(&mut work, device.work()).submit()?;
            }
            let mut objectives = vec![];
            if told.is_some() {
                let nearest = ops::pq_nearest(&mut work, &rows, &trained)?;
                let grouping = ops::group(&mut work, &nearest.labels, clusters)?;
                let inertia = ops::segment_sums(&mut work, &nearest.distances, &grouping)?;
                objectives = std::mem::replace(&mut work, device.work()).read(inertia).await?;
            }
            centroids.extend(work.read(trained.centroids().clone()).await?);
            if let Some(told) = told {
                for (number, inertia) in objectives.chunks(self.clusters).enumerate() {
                    let objective = inertia.iter().copied().map(f64::from).sum();
                    told.call(first + number + 1, m, objective);
                }
            }
        }
        let (expected, found) = (m * self.clusters * columns, centroids.len());
        let centroids = Array3::from_shape_vec((m, self.clusters, columns), centroids).map_err(|_| Error::Length {
            what: "numbers in centroids",
            expected,
            found,
        })?;
        Ok((centroids, self.warnings(count)))
    }
}

/// Labels that a device can group together.
fn most_labels(device: &Device) -> usize {
    match &device.work().0 {
        Backend::Cpu => usize::MAX,
        Backend::Gpu(recording) => recording.device().max_part() as usize / size_of::<u32>(),
    }
}
