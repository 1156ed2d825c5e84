//! Search over the product-quantizer codes of the nearest lists.

use ndarray::{Array2, ArrayView2, Axis};

use super::{
    Accepted, Context, Found, Kind, Training, VectorIndex, Wanted,
    ivf::Ivf,
    kind,
    pq::{codes_moved, codes_selected, no_codes, plain_table, quantizer_training},
};
use crate::{
    Device, DeviceArray, Error, Metric, ProductQuantizer, Result, Work,
    kmeans::Warning,
    ops::{self, Lists, Places, PqCodes, Ranked, Table},
    quantize, rows,
};

/// Search over the product-quantizer codes of the lists nearest to a query (Jégou, Douze, Schmid 2011).
pub type IvfPqIndex = VectorIndex<IvfPq>;

/// What makes an [`IvfPqIndex`].
#[derive(Clone, Debug)]
pub struct IvfPq {
    pub(super) nlist: usize,
    pub(super) m: usize,
    pub(super) nbits: usize,
    pub(super) nprobe: usize,
    pub(super) by_residual: bool,
    pub(super) trained: Option<Trained>,
}

#[derive(Clone, Debug)]
pub(super) struct Trained {
    pub ivf: Ivf,
    pub quantizer: ProductQuantizer,
    /// In the order of the entries.
    pub codes: PqCodes,
    /// What Euclidean distances to codes of residuals need.
    pub residuals: Option<Residuals>,
}

/// What makes one lookup table a query do for residuals of every list: see [`ops::pq_terms`].
#[derive(Clone, Debug)]
pub(super) struct Residuals {
    /// The mean of the centroids.
    pub origin: DeviceArray<f32>,
    /// In the order of the entries.
    pub terms: DeviceArray<f32>,
    /// The entry of each candidate's name, where that is not looked for in the lists that a query visits.
    pub positions: Option<DeviceArray<u32>>,
}

/// Rows on their way into an [`IvfPqIndex`]: their lists, codes and what residuals need.
#[derive(Clone, Debug)]
pub struct Encoded {
    labels: DeviceArray<u32>,
    codes: DeviceArray<u32>,
    terms: Option<DeviceArray<f32>>,
}

impl IvfPqIndex {
    /// An untrained index of `nlist` lists of vectors of `dimension`, in codes of `m` sub-quantizers of `nbits` bits.
    /// Codes are of residuals, and one list a query is visited, unless set otherwise.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an nlist of 0 and unless `m` divides the dimension and 4 <= `nbits` <= 8.
    pub fn new(
        device: &Device,
        dimension: usize,
        nlist: usize,
        m: usize,
        nbits: usize,
        metric: Metric,
    ) -> Result<Self> {
        check_nlist(nlist)?;
        quantize::check(dimension, m, nbits)?;
        let kind = IvfPq { nlist, m, nbits, nprobe: 1, by_residual: true, trained: None };
        Self::with_kind(device, dimension, metric, kind)
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
        self.kind.nprobe = check_nprobe(nprobe)?;
        Ok(())
    }

    /// Whether codes are of the difference to the list's centroid rather than of the vector.
    #[must_use]
    pub fn by_residual(&self) -> bool {
        self.kind.by_residual
    }

    /// Sets whether codes are of residuals, before training.
    ///
    /// # Errors
    /// [`Error::Parameter`] once the index is trained.
    pub fn set_by_residual(&mut self, by_residual: bool) -> Result<()> {
        if self.is_trained() {
            return Err(Error::parameter("by_residual", by_residual, "set before training"));
        }
        self.kind.by_residual = by_residual;
        Ok(())
    }

    /// The product quantizer, once trained.
    #[must_use]
    pub fn quantizer(&self) -> Option<&ProductQuantizer> {
        self.kind.trained.as_ref().map(|trained| &trained.quantizer)
    }
}

/// Fails on an nlist of 0.
pub(super) fn check_nlist(nlist: usize) -> Result<()> {
    if nlist == 0 { Err(Error::parameter("nlist", nlist, "at least 1")) } else { Ok(()) }
}

/// The nprobe, unless it is 0.
pub(super) fn check_nprobe(nprobe: usize) -> Result<usize> {
    if nprobe == 0 { Err(Error::parameter("nprobe", nprobe, "at least 1")) } else { Ok(nprobe) }
}

impl IvfPq {
    fn trained(&self) -> Result<&Trained> {
        self.trained.as_ref().ok_or(Error::NotTrained { what: Self::NAME })
    }

    /// Whether distances are sums with a part a code that does not depend on the query.
    pub(super) fn has_terms(&self, metric: Metric) -> bool {
        self.by_residual && metric == Metric::L2
    }

    /// The rows that the product quantizer is trained on: as many as it uses, minus their centroids for residuals.
    async fn quantizer_rows(
        &self,
        context: &Context,
        rows: ArrayView2<'_, f32>,
        ivf: &Ivf,
        centroids: &Array2<f32>,
        training: &Training,
    ) -> Result<Array2<f32>> {
        let most = training.max_points_per_centroid.map_or(usize::MAX, |points| points.saturating_mul(1 << self.nbits));
        let mut sample = rows::sampled(rows, most, training.seed);
        if self.by_residual {
            training.cancel.check()?;
            let uploaded = context.device.begin_rows(sample.view())?;
            let mut work = context.device.work();
            work.cancelled_by(&training.cancel);
            let labels = ops::nearest(&mut work, &uploaded, &ivf.centroids, context.metric)?.labels;
            let labels = work.read(labels).await?;
            for (mut row, label) in sample.outer_iter_mut().zip(labels) {
                row -= &centroids.row(label as usize);
            }
        }
        Ok(sample)
    }
}

impl Trained {
    /// What a trained index without rows is made of.
    pub(super) fn empty(
        context: &Context,
        kind: &IvfPq,
        ivf: Ivf,
        quantizer: ProductQuantizer,
        centroids: ArrayView2<'_, f32>,
    ) -> Result<Self> {
        let device = &context.device;
        let codes = no_codes(device, quantizer.codebook())?;
        let residuals = if kind.has_terms(context.metric) {
            let mean = centroids.mapv(f64::from).mean_axis(Axis(0)).unwrap_or_default();
            let origin = device.upload(mean.iter().map(|&value| value as f32).collect(), context.dimension)?;
            Some(Residuals { origin, terms: device.upload(vec![], 1)?, positions: None })
        } else {
            None
        };
        Ok(Trained { ivf, quantizer, codes, residuals })
    }
}

/// The entry of each candidate's name: the inverse of the lists' ids. None where the lists that a query visits tell it as
/// well, 4 bytes a row less: on the CPU, while the ids of each list ascend.
pub(super) fn positions(work: &mut Work, lists: &Lists) -> Result<Option<DeviceArray<u32>>> {
    if lists.entries() == 0 || lists.ascend() {
        return Ok(None);
    }
    Ok(Some(ops::group(work, &lists.ids, lists.entries())?.order))
}

impl Kind for IvfPq {
    const NAME: &'static str = "IVF-PQ index";

    fn is_trained(&self) -> bool {
        self.trained.is_some()
    }

    async fn train(
        &self,
        context: &Context,
        rows: ArrayView2<'_, f32>,
        training: &Training,
    ) -> Result<(Self, Vec<Warning>)> {
        let (ivf, centroids, mut warnings) = Ivf::train(context, rows, self.nlist, training).await?;
        let sample = self.quantizer_rows(context, rows, &ivf, &centroids, training).await?;
        let options = quantizer_training(training);
        let quantizer =
            ProductQuantizer::train_async(&context.device, sample.view(), self.m, self.nbits, &options).await?;
        warnings.extend(quantizer.warnings().iter().cloned());
        let trained = Trained::empty(context, self, ivf, quantizer, centroids.view())?;
        Ok((IvfPq { trained: Some(trained), ..self.clone() }, warnings))
    }

    type Encoded = Encoded;

    fn encode(&self, context: &Context, work: &mut Work, rows: &DeviceArray<f32>) -> Result<Encoded> {
        let Trained { ivf, quantizer, residuals, .. } = self.trained()?;
        let codebook = quantizer.codebook();
        let labels = ops::nearest(work, rows, &ivf.centroids, context.metric)?.labels;
        let codes = ops::pq_encode(work, rows, codebook, self.by_residual.then_some((&ivf.centroids, &labels)))?;
        let terms = match residuals {
            Some(Residuals { origin, .. }) => {
                Some(ops::pq_terms(work, &codes, codebook, &ivf.centroids, &labels, origin)?)
            }
            None => None,
        };
        Ok(Encoded { labels, codes, terms })
    }

    async fn append(&self, context: &Context, rows: Vec<Encoded>, first: usize) -> Result<Self> {
        let Trained { ivf, quantizer, codes: before, residuals } = self.trained()?;
        let codebook = quantizer.codebook();
        let old = ivf.labels(context).await?;
        let mut work = context.device.work();
        let regrouping = ivf.regroup(context, &mut work, &old, rows.iter().map(|rows| &rows.labels), first)?;
        let before = before.rows(&mut work)?;
        let codes = std::iter::once(&before).chain(rows.iter().map(|rows| &rows.codes));
        let codes = ops::concat_all(&mut work, codes)?;
        let codes = ops::gather(&mut work, &codes, &regrouping.order)?;
        let codes = ops::pq_interleave(&mut work, &codes, codebook)?;
        let residuals = match residuals {
            Some(Residuals { origin, terms, .. }) => {
                let terms = std::iter::once(terms).chain(rows.iter().filter_map(|rows| rows.terms.as_ref()));
                let terms = ops::concat_all(&mut work, terms)?;
                let terms = ops::gather(&mut work, &terms, &regrouping.order)?;
                let positions = positions(&mut work, &regrouping.entries.lists)?;
                Some(Residuals { origin: origin.clone(), terms, positions })
            }
            None => None,
        };
        work.submit()?;
        let ivf = Ivf { centroids: ivf.centroids.clone(), entries: regrouping.entries };
        let trained = Trained { ivf, quantizer: quantizer.clone(), codes, residuals };
        Ok(IvfPq { trained: Some(trained), ..self.clone() })
    }

    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self> {
        let trained = self.trained()?;
        let entries = trained.ivf.entries.with_ranks(context, ranks)?;
        let mut work = context.device.work();
        let residuals = match &trained.residuals {
            Some(residuals) => {
                Some(Residuals { positions: positions(&mut work, &entries.lists)?, ..residuals.clone() })
            }
            None => None,
        };
        work.submit()?;
        let ivf = Ivf { centroids: trained.ivf.centroids.clone(), entries };
        Ok(IvfPq { trained: Some(Trained { ivf, residuals, ..trained.clone() }), ..self.clone() })
    }

    async fn selected(&self, context: &Context, rows: &[u32]) -> Result<Self> {
        let Some(Trained { ivf, quantizer, codes, residuals }) = &self.trained else { return Ok(self.clone()) };
        let (ivf, chosen) = ivf.selected(context, rows).await?;
        let codes = codes_selected(&context.device, codes, quantizer.codebook(), &chosen)?;
        let residuals = match residuals {
            Some(Residuals { origin, terms, .. }) => {
                let mut work = context.device.work();
                let terms = ops::gather(&mut work, terms, &chosen)?;
                let positions = positions(&mut work, &ivf.entries.lists)?;
                work.submit()?;
                Some(Residuals { origin: origin.clone(), terms, positions })
            }
            None => None,
        };
        let trained = Trained { ivf, quantizer: quantizer.clone(), codes, residuals };
        Ok(IvfPq { trained: Some(trained), ..self.clone() })
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
        let Trained { ivf, quantizer, codes, residuals } = self.trained()?;
        let codebook = quantizer.codebook();
        let lists = &wanted.of_lists(&ivf.entries.lists)?;
        let probes = ivf.probes(context, work, queries, wanted.nprobe.unwrap_or(self.nprobe))?;
        let Some(Residuals { origin, terms, .. }) = residuals else {
            let tables = ops::pq_tables(work, queries, codebook, plain_table(context.metric))?;
            let by_residual = self.by_residual;
            let hits = ops::pq_scan(work, &tables, codebook, codes, lists, None, &probes, by_residual, wanted.k)?;
            return Ok(Found { hits, probes: Some(probes) });
        };
        let tables = ops::pq_tables(work, queries, codebook, Table::Residual(origin))?;
        let hits = ops::pq_scan(work, &tables, codebook, codes, lists, Some(terms), &probes, true, wanted.k)?;
        Ok(Found { hits, probes: Some(probes) })
    }

    fn settled(
        &self,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        found: &Found,
    ) -> Result<Option<DeviceArray<Ranked>>> {
        let Trained { ivf, quantizer, codes, residuals } = self.trained()?;
        let (Some(Residuals { positions, .. }), Found { hits, probes: Some(probes) }) = (residuals, found) else {
            return Ok(None);
        };
        let (codebook, lists) = (quantizer.codebook(), &ivf.entries.lists);
        let places = positions.as_ref().map_or(Places::Visited(probes), Places::Known);
        ops::pq_rerank(work, queries, codebook, codes, lists, places, &ivf.centroids, hits).map(Some)
    }

    fn query_bytes(&self, nprobe: Option<usize>) -> usize {
        (self.m << self.nbits) * size_of::<f32>() + nprobe.unwrap_or(self.nprobe).min(self.nlist) * size_of::<Ranked>()
    }

    async fn moved(&self, context: &Context, device: &Device) -> Result<Self> {
        let Some(Trained { ivf, quantizer, codes, residuals }) = &self.trained else {
            return Ok(self.clone());
        };
        let from = &context.device;
        let moved_ivf = ivf.moved(context, device).await?;
        let residuals = match residuals {
            Some(Residuals { origin, terms, .. }) => {
                let (origin, terms) =
                    (kind::moved(origin, from, device).await?, kind::moved(terms, from, device).await?);
                let mut work = device.work();
                let positions = positions(&mut work, &moved_ivf.entries.lists)?;
                work.submit()?;
                Some(Residuals { origin, terms, positions })
            }
            None => None,
        };
        let trained = Trained {
            ivf: moved_ivf,
            quantizer: quantizer.to_device(device)?,
            codes: codes_moved(codes, quantizer.codebook(), from, device).await?,
            residuals,
        };
        Ok(IvfPq { trained: Some(trained), ..self.clone() })
    }
}
