//! Search over all product-quantizer codes.

use ndarray::ArrayView2;

use super::{
    Accepted, Context, Found, Kind, Training, VectorIndex, Wanted,
    ivf::{Entries, every_entry},
};
use crate::{
    Device, DeviceArray, Error, Metric, ProductQuantizer, Result, Work,
    kmeans::Warning,
    ops::{self, Codebook, Mask, PqCodes, Table},
    quantize,
    storage::faiss::PqLayout,
};

/// Search over all product-quantizer codes.
pub type PqIndex = VectorIndex<Pq>;

/// What makes a [`PqIndex`].
#[derive(Clone, Debug)]
pub struct Pq {
    pub(super) m: usize,
    pub(super) nbits: usize,
    pub(super) trained: Option<Trained>,
    /// How the file that it was read from held its codes.
    pub(super) layout: Option<PqLayout>,
}

#[derive(Clone, Debug)]
pub(super) struct Trained {
    pub quantizer: ProductQuantizer,
    pub codes: PqCodes,
    /// All codes in one list.
    pub entries: Entries,
}

impl PqIndex {
    /// An untrained index of vectors of `dimension` in codes of `m` sub-quantizers of `nbits` bits.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `m` divides the dimension and 4 <= `nbits` <= 8.
    pub fn new(device: &Device, dimension: usize, m: usize, nbits: usize, metric: Metric) -> Result<Self> {
        quantize::check(dimension, m, nbits)?;
        Self::with_kind(device, dimension, metric, Pq { m, nbits, trained: None, layout: None })
    }

    /// The product quantizer, once trained.
    #[must_use]
    pub fn quantizer(&self) -> Option<&ProductQuantizer> {
        self.kind.trained.as_ref().map(|trained| &trained.quantizer)
    }
}

impl Pq {
    fn trained(&self) -> Result<&Trained> {
        self.trained.as_ref().ok_or(Error::NotTrained { what: Self::NAME })
    }
}

/// The options of a product quantizer that is trained with an index.
pub(super) fn quantizer_training(training: &Training) -> quantize::Training {
    let options = quantize::Training::default()
        .max_points_per_centroid(training.max_points_per_centroid)
        .seed(training.seed)
        .cancelled_by(&training.cancel);
    match training.progress.clone() {
        Some(progress) => options.progress(move |step| progress("training the product quantizer", step)),
        None => options,
    }
}

/// The table for codes of vectors, not residuals.
pub(super) fn plain_table(metric: Metric) -> Table<'static> {
    match metric {
        Metric::L2 => Table::L2,
        Metric::InnerProduct | Metric::Cosine => Table::InnerProduct,
    }
}

/// No codes yet.
pub(super) fn no_codes(device: &Device, codebook: &Codebook) -> Result<PqCodes> {
    codes_of(device, &device.upload(vec![], codebook.words())?, codebook)
}

/// Codes as scans read them.
pub(super) fn codes_of(device: &Device, rows: &DeviceArray<u32>, codebook: &Codebook) -> Result<PqCodes> {
    let mut work = device.work();
    let codes = ops::pq_interleave(&mut work, rows, codebook)?;
    work.submit()?;
    Ok(codes)
}

/// Codes on another device, whose scans may read them in another order.
pub(super) async fn codes_moved(codes: &PqCodes, codebook: &Codebook, from: &Device, to: &Device) -> Result<PqCodes> {
    let mut work = from.work();
    let rows = codes.rows(&mut work)?;
    let rows = to.upload(work.read(rows).await?, codebook.words())?;
    codes_of(to, &rows, codebook)
}

/// These of the codes alone.
pub(super) fn codes_selected(
    device: &Device,
    codes: &PqCodes,
    codebook: &Codebook,
    chosen: &DeviceArray<u32>,
) -> Result<PqCodes> {
    let mut work = device.work();
    let rows = codes.rows(&mut work)?;
    let rows = ops::gather(&mut work, &rows, chosen)?;
    let codes = ops::pq_interleave(&mut work, &rows, codebook)?;
    work.submit()?;
    Ok(codes)
}

impl Kind for Pq {
    const NAME: &'static str = "PQ index";

    fn is_trained(&self) -> bool {
        self.trained.is_some()
    }

    async fn train(
        &self,
        context: &Context,
        rows: ArrayView2<'_, f32>,
        training: &Training,
    ) -> Result<(Self, Vec<Warning>)> {
        let options = quantizer_training(training);
        let quantizer = ProductQuantizer::train_async(&context.device, rows, self.m, self.nbits, &options).await?;
        let warnings = quantizer.warnings().to_vec();
        let codes = no_codes(&context.device, quantizer.codebook())?;
        let trained = Trained { quantizer, codes, entries: Entries::single(&context.device, 0)? };
        Ok((Pq { trained: Some(trained), ..self.clone() }, warnings))
    }

    type Encoded = DeviceArray<u32>;

    fn encode(&self, _: &Context, work: &mut Work, rows: &DeviceArray<f32>) -> Result<Self::Encoded> {
        ops::pq_encode(work, rows, self.trained()?.quantizer.codebook(), None)
    }

    async fn append(&self, context: &Context, rows: Vec<Self::Encoded>, first: usize) -> Result<Self> {
        let Trained { quantizer, codes, .. } = self.trained()?;
        let mut work = context.device.work();
        let before = codes.rows(&mut work)?;
        let codes = ops::concat_all(&mut work, std::iter::once(&before).chain(&rows))?;
        let codes = ops::pq_interleave(&mut work, &codes, quantizer.codebook())?;
        work.submit()?;
        let entries = Entries::single(&context.device, first + rows.iter().map(DeviceArray::rows).sum::<usize>())?;
        Ok(Pq { trained: Some(Trained { quantizer: quantizer.clone(), codes, entries }), ..self.clone() })
    }

    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self> {
        let trained = self.trained()?;
        let entries = trained.entries.with_ranks(context, ranks)?;
        Ok(Pq { trained: Some(Trained { entries, ..trained.clone() }), ..self.clone() })
    }

    async fn selected(&self, context: &Context, rows: &[u32]) -> Result<Self> {
        let Some(Trained { quantizer, codes, .. }) = &self.trained else { return Ok(self.clone()) };
        let chosen = context.device.upload(rows.to_vec(), 1)?;
        let codes = codes_selected(&context.device, codes, quantizer.codebook(), &chosen)?;
        let entries = Entries::single(&context.device, rows.len())?;
        Ok(Pq { trained: Some(Trained { quantizer: quantizer.clone(), codes, entries }), ..self.clone() })
    }

    fn accepted(&self, context: &Context, words: Vec<u32>, rows: usize) -> Result<Accepted> {
        Mask::of_words(&context.device, rows, words).map(Accepted::Entries)
    }

    fn search(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted<'_>,
    ) -> Result<Found> {
        let Trained { quantizer, codes, entries } = self.trained()?;
        let probes = every_entry(&context.device, queries.rows())?;
        let tables = ops::pq_tables(work, queries, quantizer.codebook(), plain_table(context.metric))?;
        let (codebook, lists) = (quantizer.codebook(), wanted.of_lists(&entries.lists)?);
        let hits = ops::pq_scan(work, &tables, codebook, codes, &lists, None, &probes, false, wanted.k)?;
        Ok(Found { hits, probes: None })
    }

    fn query_bytes(&self, _: Option<usize>) -> usize {
        (self.m << self.nbits) * size_of::<f32>()
    }

    async fn moved(&self, context: &Context, device: &Device) -> Result<Self> {
        let trained = match &self.trained {
            Some(Trained { quantizer, codes, entries }) => Some(Trained {
                quantizer: quantizer.to_device(device)?,
                codes: codes_moved(codes, quantizer.codebook(), &context.device, device).await?,
                entries: entries.moved(&context.device, device).await?,
            }),
            None => None,
        };
        Ok(Pq { trained, ..self.clone() })
    }
}
