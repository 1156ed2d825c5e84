//! What indexes with inverted lists share: coarse centroids, and which row stands where.

use ndarray::{Array2, ArrayView2};

use super::{Accepted, Context, Training, kind};
use crate::{
    Device, DeviceArray, Metric, Result, Work,
    kmeans::{KMeans, Warning},
    ops::{self, Lists, Mask, Ranked},
};

/// The rows in inverted lists.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Each entry's row number.
    pub rows: DeviceArray<u32>,
    /// The lists; candidates are named by its ids, which are row numbers or ranks.
    pub lists: Lists,
}

impl Entries {
    /// No rows in `nlist` lists.
    pub(super) fn empty(device: &Device, nlist: usize) -> Result<Self> {
        Self::new(device, vec![0; nlist + 1], vec![])
    }

    /// All of `count` rows in one list, in order.
    pub(super) fn single(device: &Device, count: usize) -> Result<Self> {
        Self::new(device, vec![0, count as u32], (0..count as u32).collect())
    }

    /// The rows `rows`, list after list as `offsets` says.
    pub(super) fn new(device: &Device, offsets: Vec<u32>, rows: Vec<u32>) -> Result<Self> {
        let rows = device.upload(rows, 1)?;
        Ok(Entries { lists: Lists::new(device.upload(offsets, 1)?, rows.clone()), rows })
    }

    pub(super) fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self> {
        let mut work = context.device.work();
        let ids = ops::gather(&mut work, ranks, &self.rows)?;
        work.submit()?;
        Ok(Entries { rows: self.rows.clone(), lists: Lists::new(self.lists.offsets.clone(), ids) })
    }

    pub(super) async fn moved(&self, from: &Device, to: &Device) -> Result<Self> {
        let rows = kind::moved(&self.rows, from, to).await?;
        let offsets = kind::moved(&self.lists.offsets, from, to).await?;
        let ids = kind::moved(&self.lists.ids, from, to).await?;
        Ok(Entries { rows, lists: Lists::new(offsets, ids) })
    }

    /// These rows alone, which ascend and are numbered anew, and the entries that they were.
    async fn selected(&self, device: &Device, chosen: &[u32]) -> Result<(Self, DeviceArray<u32>)> {
        let rows = device.work().read(self.rows.clone()).await?;
        let offsets = device.work().read(self.lists.offsets.clone()).await?;
        let mut numbers = vec![None; rows.len()];
        chosen.iter().enumerate().for_each(|(number, &row)| numbers[row as usize] = Some(number as u32));
        let (mut entries, mut kept, mut ends) = (vec![], vec![], vec![0]);
        for list in offsets.windows(2) {
            let stay = (list[0]..list[1]).filter_map(|entry| Some((entry, numbers[rows[entry as usize] as usize]?)));
            stay.for_each(|(entry, number)| {
                entries.push(entry);
                kept.push(number);
            });
            ends.push(kept.len() as u32);
        }
        Ok((Self::new(device, ends, kept)?, device.upload(entries, 1)?))
    }

    /// The list of each entry.
    async fn labels(&self, device: &Device) -> Result<DeviceArray<u32>> {
        let offsets = device.work().read(self.lists.offsets.clone()).await?;
        let lists = offsets.windows(2).enumerate();
        let labels = lists.flat_map(|(list, ends)| std::iter::repeat_n(list as u32, (ends[1] - ends[0]) as usize));
        device.upload(labels.collect(), 1)
    }
}

/// Rows on their way into lists.
pub(super) struct Regrouping {
    /// The order in which old entries followed by new rows stand in the lists.
    pub order: DeviceArray<u32>,
    pub entries: Entries,
}

/// The coarse centroids and the rows in their lists.
#[derive(Clone, Debug)]
pub(super) struct Ivf {
    pub centroids: DeviceArray<f32>,
    pub entries: Entries,
}

impl Ivf {
    /// Trains `nlist` centroids; for the inner product they are spherical, as in FAISS.
    pub(super) async fn train(
        context: &Context,
        rows: ArrayView2<'_, f32>,
        nlist: usize,
        training: &Training,
    ) -> Result<(Self, Array2<f32>, Vec<Warning>)> {
        let mut kmeans = KMeans::new(nlist)
            .iterations(training.iterations)
            .max_points_per_centroid(training.max_points_per_centroid)
            .seed(training.seed)
            .cancelled_by(&training.cancel);
        if context.metric != Metric::L2 {
            kmeans = kmeans.metric(Metric::InnerProduct).spherical(true);
        }
        if let Some(progress) = training.progress.clone() {
            kmeans = kmeans.progress(move |step| progress("training the coarse centroids", step));
        }
        let clustering = kmeans.train_async(&context.device, rows).await?;
        let centroids = clustering.centroids().to_owned();
        let ivf = Ivf {
            centroids: context.device.matrix(centroids.view())?,
            entries: Entries::empty(&context.device, nlist)?,
        };
        Ok((ivf, centroids, clustering.warnings().to_vec()))
    }

    /// The lists that each query visits.
    pub(super) fn probes(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        nprobe: usize,
    ) -> Result<DeviceArray<Ranked>> {
        ops::knn_alike(work, queries, &self.centroids, nprobe.min(self.centroids.rows()), context.metric)
    }

    /// Where everything stands when rows of the lists `labels`, numbered from `first` on, have come in.
    pub(super) fn regroup<'a>(
        &self,
        context: &Context,
        work: &mut Work,
        old: &'a DeviceArray<u32>,
        labels: impl Iterator<Item = &'a DeviceArray<u32>>,
        first: usize,
    ) -> Result<Regrouping> {
        let labels = ops::concat_all(work, std::iter::once(old).chain(labels))?;
        let grouping = ops::group(work, &labels, self.centroids.rows())?;
        let numbers =
            context.device.upload((first as u32..(first + labels.rows() - old.rows()) as u32).collect(), 1)?;
        let rows = ops::concat(work, &self.entries.rows, &numbers)?;
        let rows = ops::gather(work, &rows, &grouping.order)?;
        let lists = Lists::new(grouping.offsets, rows.clone());
        Ok(Regrouping { order: grouping.order, entries: Entries { rows, lists } })
    }

    /// The list of each entry.
    pub(super) async fn labels(&self, context: &Context) -> Result<DeviceArray<u32>> {
        self.entries.labels(&context.device).await
    }

    /// These rows alone, which ascend and are numbered anew, and the entries that they were.
    pub(super) async fn selected(&self, context: &Context, rows: &[u32]) -> Result<(Self, DeviceArray<u32>)> {
        let (entries, chosen) = self.entries.selected(&context.device, rows).await?;
        Ok((Ivf { centroids: self.centroids.clone(), entries }, chosen))
    }

    /// What of `rows` rows, a bit each, a search may find.
    pub(super) fn accepted(&self, context: &Context, words: Vec<u32>, rows: usize) -> Result<Accepted> {
        let mask = Mask::of_words(&context.device, rows, words)?;
        let mut work = context.device.work();
        let mask = ops::mask(&mut work, &mask, &self.entries.rows)?;
        work.submit()?;
        Ok(Accepted::Entries(mask))
    }

    pub(super) async fn moved(&self, context: &Context, device: &Device) -> Result<Self> {
        Ok(Ivf {
            centroids: kind::moved(&self.centroids, &context.device, device).await?,
            entries: self.entries.moved(&context.device, device).await?,
        })
    }
}

/// Probes of `queries` queries that visit the only list there is.
pub(super) fn every_entry(device: &Device, queries: usize) -> Result<DeviceArray<Ranked>> {
    device.upload(vec![Ranked::new(0.0, 0); queries], 1)
}
