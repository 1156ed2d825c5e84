//! Exact search over the vectors of the nearest lists.

use ndarray::ArrayView2;

use super::{Accepted, Context, Found, Kind, Training, VectorIndex, Wanted, ivf::Ivf, kind};
use crate::{
    Device, DeviceArray, Error, Metric, Result, Work,
    kmeans::Warning,
    ops::{self, Ranked, RoundedRows},
};

/// Exact search over the vectors of the lists nearest to a query.
///
/// On a GPU that multiplies packed integers, vectors of 32 numbers on have a copy of a byte a number, a quarter to a third
/// of their own bytes, which is looked through first: see [`ops::round`]. Without room for it, searches take longer.
pub type IvfFlatIndex = VectorIndex<IvfFlat>;

/// What makes an [`IvfFlatIndex`].
#[derive(Clone, Debug)]
pub struct IvfFlat {
    pub(super) nlist: usize,
    pub(super) nprobe: usize,
    pub(super) trained: Option<Trained>,
}

#[derive(Clone, Debug)]
pub(super) struct Trained {
    pub ivf: Ivf,
    /// The vectors, in the order of the entries.
    pub rows: DeviceArray<f32>,
    /// What a GPU looks through first, where that is worth its memory.
    rounded: Option<RoundedRows>,
}

impl Trained {
    /// These vectors, in the order of the entries, in lists.
    pub fn new(context: &Context, ivf: Ivf, rows: DeviceArray<f32>) -> Result<Self> {
        let rounded = match ops::rounded_bytes(context.dimension) {
            Some(_) => Self::rounded(context, &rows)?,
            None => None,
        };
        Ok(Trained { ivf, rows, rounded })
    }

    /// A rounded copy of the vectors, unless there is no room for it: searches do without, and find the same.
    fn rounded(context: &Context, rows: &DeviceArray<f32>) -> Result<Option<RoundedRows>> {
        let mut work = context.device.work();
        match ops::round(&mut work, rows, context.metric) {
            Ok(rounded) => work.submit().map(|()| Some(rounded)),
            Err(Error::OutOfMemory { device, bytes }) => {
                log::warn!(
                    "{device} has no {bytes} bytes left for a rounded copy of an index: its searches take longer"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The rounded copy, where it pays for so many queries that visit `nprobe` lists each.
    fn rounded_for(&self, queries: usize, nprobe: usize) -> Option<&RoundedRows> {
        let lists = &self.ivf.entries.lists;
        let probed = lists.entries() as f64 * (nprobe as f64 / lists.nlist().max(1) as f64).min(1.0);
        self.rounded.as_ref().filter(|rounded| rounded.pays((queries as f64 * probed) as usize))
    }
}

impl IvfFlatIndex {
    /// An untrained index of `nlist` lists of vectors of `dimension`, visiting one list a query.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a zero.
    pub fn new(device: &Device, dimension: usize, nlist: usize, metric: Metric) -> Result<Self> {
        super::ivf_pq::check_nlist(nlist)?;
        Self::with_kind(device, dimension, metric, IvfFlat { nlist, nprobe: 1, trained: None })
    }

    /// Number of lists.
    #[must_use]
    pub fn nlist(&self) -> usize {
        self.kind.nlist
    }

    /// Lists that a search visits unless told otherwise.
    #[must_use]
    pub fn nprobe(&self) -> usize {
        self.kind.nprobe
    }

    /// Sets the number of lists that a search visits unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Parameter`] for 0.
    pub fn set_nprobe(&mut self, nprobe: usize) -> Result<()> {
        self.kind.nprobe = super::ivf_pq::check_nprobe(nprobe)?;
        Ok(())
    }
}

impl IvfFlat {
    fn trained(&self) -> Result<&Trained> {
        self.trained.as_ref().ok_or(Error::NotTrained { what: Self::NAME })
    }
}

impl Kind for IvfFlat {
    const NAME: &'static str = "IVF-Flat index";

    fn is_trained(&self) -> bool {
        self.trained.is_some()
    }

    async fn train(
        &self,
        context: &Context,
        rows: ArrayView2<'_, f32>,
        training: &Training,
    ) -> Result<(Self, Vec<Warning>)> {
        let (ivf, _, warnings) = Ivf::train(context, rows, self.nlist, training).await?;
        let trained = Trained::new(context, ivf, context.device.upload(vec![], context.dimension)?)?;
        Ok((IvfFlat { trained: Some(trained), ..self.clone() }, warnings))
    }

    /// The list of each row, and the rows.
    type Encoded = (DeviceArray<u32>, DeviceArray<f32>);

    fn encode(&self, context: &Context, work: &mut Work, rows: &DeviceArray<f32>) -> Result<Self::Encoded> {
        let labels = ops::nearest(work, rows, &self.trained()?.ivf.centroids, context.metric)?.labels;
        Ok((labels, rows.clone()))
    }

    async fn append(&self, context: &Context, rows: Vec<Self::Encoded>, first: usize) -> Result<Self> {
        let Trained { ivf, rows: before, .. } = self.trained()?;
        let old = ivf.labels(context).await?;
        let mut work = context.device.work();
        let regrouping = ivf.regroup(context, &mut work, &old, rows.iter().map(|(labels, _)| labels), first)?;
        let rows = ops::concat_all(&mut work, std::iter::once(before).chain(rows.iter().map(|(_, rows)| rows)))?;
        let rows = ops::gather(&mut work, &rows, &regrouping.order)?;
        work.submit()?;
        let ivf = Ivf { centroids: ivf.centroids.clone(), entries: regrouping.entries };
        Ok(IvfFlat { trained: Some(Trained::new(context, ivf, rows)?), ..self.clone() })
    }

    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self> {
        let trained = self.trained()?.clone();
        let entries = trained.ivf.entries.with_ranks(context, ranks)?;
        Ok(IvfFlat { trained: Some(Trained { ivf: Ivf { entries, ..trained.ivf }, ..trained }), ..self.clone() })
    }

    async fn selected(&self, context: &Context, rows: &[u32]) -> Result<Self> {
        let Some(Trained { ivf, rows: vectors, .. }) = &self.trained else { return Ok(self.clone()) };
        let (ivf, chosen) = ivf.selected(context, rows).await?;
        let mut work = context.device.work();
        let rows = ops::gather(&mut work, vectors, &chosen)?;
        work.submit()?;
        Ok(IvfFlat { trained: Some(Trained::new(context, ivf, rows)?), ..self.clone() })
    }

    fn accepted(&self, context: &Context, words: Vec<u32>, rows: usize) -> Result<Accepted> {
        self.trained()?.ivf.accepted(context, words, rows)
    }

    fn probes(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        nprobe: Option<usize>,
    ) -> Result<Option<DeviceArray<Ranked>>> {
        let ivf = &self.trained()?.ivf;
        ivf.probes(context, work, queries, nprobe.unwrap_or(self.nprobe)).map(Some)
    }

    fn search(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted<'_>,
    ) -> Result<Found> {
        let trained @ Trained { ivf, rows, .. } = self.trained()?;
        let probes = ivf.probes(context, work, queries, wanted.nprobe.unwrap_or(self.nprobe))?;
        let rounded = trained.rounded_for(queries.rows(), probes.columns());
        let lists = wanted.of_lists(&ivf.entries.lists)?;
        let hits = ops::flat_scan(work, queries, rows, rounded, &lists, &probes, wanted.k, context.metric)?;
        Ok(Found { hits, probes: Some(probes) })
    }

    fn query_bytes(&self, nprobe: Option<usize>) -> usize {
        nprobe.unwrap_or(self.nprobe).min(self.nlist) * size_of::<Ranked>()
    }

    async fn moved(&self, context: &Context, device: &Device) -> Result<Self> {
        let trained = match &self.trained {
            Some(Trained { ivf, rows, .. }) => {
                let ivf = ivf.moved(context, device).await?;
                let rows = kind::moved(rows, &context.device, device).await?;
                Some(Trained::new(&Context { device: device.clone(), ..context.clone() }, ivf, rows)?)
            }
            None => None,
        };
        Ok(IvfFlat { trained, ..self.clone() })
    }
}
