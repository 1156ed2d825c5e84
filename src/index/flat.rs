//! Exact search over all vectors.

use ndarray::ArrayView2;

use super::{
    Accepted, Context, Found, Kind, Training, VectorIndex, Wanted,
    ivf::{Entries, every_entry},
    kind,
};
use crate::{
    Device, DeviceArray, Error, Metric, Result, Work,
    kmeans::Warning,
    ops::{self, Bits, Mask, Subset},
};

/// Exact search over all vectors.
pub type FlatIndex = VectorIndex<Flat>;

/// What makes a [`FlatIndex`].
#[derive(Clone, Debug)]
pub struct Flat {
    pub(super) rows: DeviceArray<f32>,
    /// All rows in one list, where candidates are named by rank.
    ranked: Option<Entries>,
}

impl FlatIndex {
    /// An empty index of vectors of `dimension`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a dimension of 0,
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn new(device: &Device, dimension: usize, metric: Metric) -> Result<Self> {
        Self::with_kind(device, dimension, metric, Flat::of(device.upload(vec![], dimension)?))
    }
}

impl Flat {
    pub(super) fn of(rows: DeviceArray<f32>) -> Self {
        Flat { rows, ranked: None }
    }
}

impl Kind for Flat {
    const NAME: &'static str = "flat index";

    fn is_trained(&self) -> bool {
        true
    }

    async fn train(&self, _: &Context, _: ArrayView2<'_, f32>, _: &Training) -> Result<(Self, Vec<Warning>)> {
        Ok((self.clone(), vec![]))
    }

    type Encoded = DeviceArray<f32>;

    fn encode(&self, _: &Context, _: &mut Work, rows: &DeviceArray<f32>) -> Result<Self::Encoded> {
        Ok(rows.clone())
    }

    async fn append(&self, context: &Context, rows: Vec<Self::Encoded>, _: usize) -> Result<Self> {
        let mut work = context.device.work();
        let rows = ops::concat_all(&mut work, std::iter::once(&self.rows).chain(&rows))?;
        work.submit()?;
        Ok(Flat::of(rows))
    }

    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self> {
        let entries = Entries::single(&context.device, self.rows.rows())?.with_ranks(context, ranks)?;
        Ok(Flat { ranked: Some(entries), ..self.clone() })
    }

    async fn selected(&self, context: &Context, rows: &[u32]) -> Result<Self> {
        let chosen = context.device.upload(rows.to_vec(), 1)?;
        let mut work = context.device.work();
        let rows = ops::gather(&mut work, &self.rows, &chosen)?;
        work.submit()?;
        Ok(Flat::of(rows))
    }

    fn accepted(&self, context: &Context, words: Vec<u32>, rows: usize) -> Result<Accepted> {
        match &self.ranked {
            None => Subset::new(&context.device, rows, |row| Bits(&words).is_set(row)).map(Accepted::Rows),
            Some(_) => Mask::of_words(&context.device, rows, words).map(Accepted::Entries),
        }
    }

    fn search(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted<'_>,
    ) -> Result<Found> {
        let hits = match &self.ranked {
            None => match wanted.accepted {
                None => ops::knn(work, queries, &self.rows, wanted.k, context.metric)?,
                Some(Accepted::Rows(among)) => {
                    ops::knn_among(work, queries, &self.rows, among, wanted.k, context.metric)?
                }
                Some(Accepted::Entries(_)) => return Err(Error::OtherDevice { what: "a filter" }),
            },
            Some(entries) => {
                let probes = every_entry(&context.device, queries.rows())?;
                let lists = wanted.of_lists(&entries.lists)?;
                ops::flat_scan(work, queries, &self.rows, None, &lists, &probes, wanted.k, context.metric)?
            }
        };
        Ok(Found { hits, probes: None })
    }

    fn query_bytes(&self, _: Option<usize>) -> usize {
        0
    }

    async fn moved(&self, context: &Context, device: &Device) -> Result<Self> {
        let ranked = match &self.ranked {
            Some(entries) => Some(entries.moved(&context.device, device).await?),
            None => None,
        };
        Ok(Flat { rows: kind::moved(&self.rows, &context.device, device).await?, ranked })
    }
}
