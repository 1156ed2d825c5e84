//! Product quantization.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis};

use crate::{
    Device, Error, KMeans, Metric, Result,
    device::{Cancel, block_on},
    kmeans::{Callback, Progress, Warning},
    ops::{self, Codebook, Table},
    rows::{check, check_dimension},
};

/// Most bytes of rows that are encoded at once, so that what a device holds is bounded. On the CPU fewer: memory is used
/// again.
fn encoded_bytes(device: &Device) -> usize {
    if device.is_gpu() { 128 << 20 } else { 4 << 20 }
}

/// Most bytes of tables that are made at once.
const TABLE_BYTES: usize = 64 << 20;

/// As many rows of so many numbers as have at most so many bytes, or one.
fn rows_of(bytes: usize, columns: usize) -> usize {
    (bytes / size_of::<f32>() / columns.max(1)).max(1)
}

/// How a [`ProductQuantizer`] is trained: one k-means a sub-quantizer, with the defaults of FAISS.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Training {
    /// Iterations of each k-means, at least 1.
    pub iterations: usize,
    /// Train on a random sample of at most this many rows a centroid.
    pub max_points_per_centroid: Option<usize>,
    /// Seed of the sample and of the starts.
    pub seed: u64,
    progress: Option<Callback>,
    cancel: Cancel,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            iterations: 25,
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

    /// Calls `progress` with each sub-quantizer that is done: a GPU trains several at the same time.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Callback::new(progress));
        self
    }

    /// Lets somebody else cancel the training: see [`KMeans::cancelled_by`](crate::KMeans::cancelled_by).
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    fn kmeans(&self, clusters: usize) -> KMeans {
        KMeans::new(clusters)
            .cancelled_by(&self.cancel)
            .iterations(self.iterations)
            .max_points_per_centroid(self.max_points_per_centroid)
            .seed(self.seed)
    }
}

/// A product quantizer (Jégou, Douze, Schmid 2011): a vector is cut into M subvectors of the same length, each of
/// which is replaced by the number of its closest among `2^nbits` centroids.
///
/// ```
/// use cellprobe::{Device, ProductQuantizer, quantize::Training};
/// # fn main() -> cellprobe::Result<()> {
/// let rows = ndarray::Array2::from_shape_fn((100, 8), |(row, column)| ((row * 7 + column * 3) % 11) as f32);
/// let quantizer = ProductQuantizer::train(&Device::cpu(), rows.view(), 4, 4, &Training::default())?;
/// let codes = quantizer.encode(rows.view())?;
/// assert_eq!(codes.dim(), (100, 2));
/// assert_eq!(quantizer.decode(codes.view())?.dim(), (100, 8));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProductQuantizer {
    device: Device,
    centroids: Array3<f32>,
    codebook: Codebook,
    warnings: Vec<Warning>,
}

impl ProductQuantizer {
    /// Trains `m` sub-quantizers of `nbits` bits on `rows`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `m` divides the dimension, 4 <= `nbits` <= 8 and `options` has no zeros,
    /// [`Error::TooFewPoints`] for fewer rows than `2^nbits`, [`Error::Empty`], [`Error::NotFinite`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn train(
        device: &Device,
        rows: ArrayView2<'_, f32>,
        m: usize,
        nbits: usize,
        options: &Training,
    ) -> Result<Self> {
        block_on(Self::train_async(device, rows, m, nbits, options))
    }

    /// [`ProductQuantizer::train`] without blocking.
    ///
    /// # Errors
    /// As [`ProductQuantizer::train`].
    pub async fn train_async(
        device: &Device,
        rows: ArrayView2<'_, f32>,
        m: usize,
        nbits: usize,
        options: &Training,
    ) -> Result<Self> {
        check("training rows", rows)?;
        super::check(rows.ncols(), m, nbits)?;
        let kmeans = options.kmeans(1 << nbits);
        let (centroids, warnings) = kmeans.train_subspaces(device, rows, m, options.progress.as_ref()).await?;
        Ok(ProductQuantizer { warnings, ..Self::from_centroids(device, centroids)? })
    }

    /// A quantizer of trained centroids: M x `2^nbits` x (dimension / M).
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are `2^nbits` centroids a sub-quantizer with 4 <= `nbits` <= 8,
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn from_centroids(device: &Device, centroids: Array3<f32>) -> Result<Self> {
        let (m, ksub, dsub) = centroids.dim();
        if !ksub.is_power_of_two() || !(16..=256).contains(&ksub) {
            return Err(Error::parameter("centroids a sub-quantizer", ksub, "2^nbits with nbits from 4 to 8"));
        }
        let rows: Vec<f32> = centroids.iter().copied().collect();
        let found = rows.len();
        let rows = Array2::from_shape_vec((m * ksub, dsub), rows).map_err(|_| Error::Length {
            what: "numbers in centroids",
            expected: m * ksub * dsub,
            found,
        })?;
        check("centroids", rows.view())?;
        let codebook = Codebook::new(device.rows(rows.view())?, m, ksub.ilog2() as usize)?;
        Ok(ProductQuantizer { device: device.clone(), centroids, codebook, warnings: vec![] })
    }

    /// The same quantizer on another device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = Self::from_centroids(device, self.centroids.clone())?;
        Ok(ProductQuantizer { warnings: self.warnings.clone(), ..moved })
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.codebook.dimension()
    }

    /// Number of sub-quantizers.
    #[must_use]
    pub fn m(&self) -> usize {
        self.codebook.m()
    }

    /// Bits of a sub-quantizer's code.
    #[must_use]
    pub fn nbits(&self) -> usize {
        self.codebook.nbits()
    }

    /// Bytes of a code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        self.codebook.code_size()
    }

    /// The centroids: M x `2^nbits` x (dimension / M).
    #[must_use]
    pub fn centroids(&self) -> ArrayView3<'_, f32> {
        self.centroids.view()
    }

    /// The centroids on the device, as operations take them.
    #[must_use]
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }

    /// The device that the codebook is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the training data did not really allow.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The code of each row, as FAISS packs it: [`ProductQuantizer::code_size`] bytes, sub-quantizer 0 in the lowest
    /// bits of the first. Among equally close centroids the lower number is taken.
    ///
    /// # Errors
    /// [`Error::Dimension`] if the rows are not of the quantizer's dimension, [`Error::NotFinite`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn encode(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<u8>> {
        block_on(self.encode_async(rows))
    }

    /// [`ProductQuantizer::encode`] without blocking.
    ///
    /// # Errors
    /// As [`ProductQuantizer::encode`].
    pub async fn encode_async(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<u8>> {
        check_dimension("rows", rows, self.dimension())?;
        let mut codes = Array2::zeros((rows.nrows(), self.code_size()));
        let (at_once, size) = (rows_of(encoded_bytes(&self.device), self.dimension()), self.code_size());
        let targets = codes.as_slice_mut().unwrap_or_default().chunks_mut(at_once * size);
        for (rows, target) in rows.axis_chunks_iter(Axis(0), at_once).zip(targets) {
            let points = self.device.rows(rows)?;
            let mut work = self.device.work();
            let words = ops::pq_encode(&mut work, &points, &self.codebook, None)?;
            let words = work.read(words).await?;
            for (code, words) in target.chunks_exact_mut(size).zip(words.chunks_exact(self.codebook.words())) {
                for (bytes, word) in code.chunks_mut(4).zip(words) {
                    bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
                }
            }
        }
        Ok(codes)
    }

    /// The vectors that `codes`, from [`ProductQuantizer::encode`] or FAISS, stand for.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not of [`ProductQuantizer::code_size`] bytes.
    pub fn decode(&self, codes: ArrayView2<'_, u8>) -> Result<Array2<f32>> {
        if codes.ncols() != self.code_size() {
            return Err(Error::Length { what: "bytes of a code", expected: self.code_size(), found: codes.ncols() });
        }
        let (nbits, dsub) = (self.nbits(), self.codebook.dsub());
        let mut rows = Array2::zeros((codes.nrows(), self.dimension()));
        for (code, mut row) in codes.rows().into_iter().zip(rows.rows_mut()) {
            let subvectors = row.exact_chunks_mut(dsub).into_iter().zip(self.centroids.outer_iter());
            for (sub, (mut subvector, centroids)) in subvectors.enumerate() {
                subvector.assign(&centroids.row(code_at(code, sub, nbits)));
            }
        }
        Ok(rows)
    }

    /// The lookup tables of each query, n x M x `2^nbits`: the squared distance of a subvector to each centroid for
    /// [`Metric::L2`], otherwise the inner product with it.
    ///
    /// # Errors
    /// [`Error::Dimension`] if the queries are not of the quantizer's dimension, [`Error::NotFinite`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn tables(&self, queries: ArrayView2<'_, f32>, metric: Metric) -> Result<Array3<f32>> {
        block_on(self.tables_async(queries, metric))
    }

    /// [`ProductQuantizer::tables`] without blocking.
    ///
    /// # Errors
    /// As [`ProductQuantizer::tables`].
    pub async fn tables_async(&self, queries: ArrayView2<'_, f32>, metric: Metric) -> Result<Array3<f32>> {
        check_dimension("queries", queries, self.dimension())?;
        let (table, sign) = if metric == Metric::L2 { (Table::L2, 1.0) } else { (Table::InnerProduct, -1.0) };
        let mut tables = Array3::zeros((queries.nrows(), self.m(), self.codebook.ksub()));
        let at_once = rows_of(TABLE_BYTES, self.dimension() + self.m() * self.codebook.ksub());
        let tiles = queries.axis_chunks_iter(Axis(0), at_once);
        for (queries, mut target) in tiles.zip(tables.axis_chunks_iter_mut(Axis(0), at_once)) {
            let queries = self.device.rows(queries)?;
            let mut work = self.device.work();
            let values = ops::pq_tables(&mut work, &queries, &self.codebook, table)?;
            let values = work.read(values).await?;
            target.iter_mut().zip(values).for_each(|(target, value)| *target = sign * value);
        }
        Ok(tables)
    }
}

/// The code of sub-quantizer `sub` in the bytes of a code; of up to 8 bits, it lies in two bytes at most.
fn code_at(code: ArrayView1<'_, u8>, sub: usize, nbits: usize) -> usize {
    let (byte, shift) = (sub * nbits / 8, sub * nbits % 8);
    let byte_at = |index| code.get(index).copied().map_or(0, usize::from);
    (byte_at(byte) | byte_at(byte + 1) << 8) >> shift & ((1 << nbits) - 1)
}

#[cfg(test)]
mod tests {
    use super::rows_of;

    #[test]
    fn what_is_done_at_once_is_bounded_in_bytes() {
        assert_eq!((rows_of(4 << 20, 128), rows_of(4 << 20, 1 << 19), rows_of(4 << 20, 1 << 22)), (8192, 2, 1));
    }
}
