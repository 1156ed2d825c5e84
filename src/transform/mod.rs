//! Transforms: linear maps that vectors go through before an index keeps them.
//!
//! | transform | for |
//! | --- | --- |
//! | [`Transform::opq`] | codes that lose less: dimensions are mixed so that sub-quantizers share the work (Ge, He, Ke, Sun 2013) |
//! | [`Transform::pca`] | fewer dimensions: those that vary most |
//! | [`Transform::random_rotation`] | dimensions mixed, or fewer, without training rows |
//! | [`Transform::linear`] | a matrix of one's own |
//!
//! An index behind a transform is built from a factory string (`OPQ16_64,IVF1024,PQ16`, `PCA64,Flat`, `RR64,PQ8`) or by
//! [`VectorIndex::behind`](crate::index::VectorIndex::behind), and trains it with the rest. Alone:
//!
//! ```
//! use cellprobe::{Device, index::Training, transform::{Pca, Transform}};
//! # fn main() -> cellprobe::Result<()> {
//! let rows = ndarray::Array2::from_shape_fn((100, 8), |(row, column)| ((row * 7 + column * 3) % 11) as f32);
//! let mut pca = Transform::pca(8, 2, Pca::default())?;
//! pca.train(&Device::cpu(), rows.view(), &Training::default())?;
//! assert_eq!(pca.apply(&Device::cpu(), rows.view())?.dim(), (100, 2));
//! # Ok(())
//! # }
//! ```

mod opq;
mod orthonormal;
mod pca;

use ndarray::{Array2, ArrayView2, Axis};

pub(crate) use pca::Principal;

use crate::{
    Device, Error, Result,
    device::block_on,
    index::Training,
    ops::{self, Rotation},
    quantize, rows,
};

/// Bytes of rows that go to the device at a time. On the CPU fewer: memory is used again.
fn chunk_bytes(device: &Device) -> usize {
    if device.is_gpu() { 64 << 20 } else { 2 << 20 }
}

/// A linear map `y = A x + b`, or what it will be made by.
#[derive(Clone, Debug)]
pub struct Transform {
    dimension: usize,
    output_dimension: usize,
    method: Method,
    map: Option<Map>,
}

/// How a transform comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// It is given, or was made by somebody else.
    Given,
    RandomRotation,
    Pca(PcaForm),
    Opq {
        m: usize,
    },
}

/// How a [`Transform::pca`] weighs and mixes dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pca {
    /// Scale each dimension to the same variance, one in the number of training rows.
    pub whiten: bool,
    /// Mix them by a random rotation, so that none varies much more than others: for codes.
    pub rotate: bool,
}

/// The parameters of a PCA, as FAISS has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PcaForm {
    /// Each dimension is scaled by its eigenvalue to this power.
    pub eigen_power: f32,
    /// What is added to eigenvalues first.
    pub epsilon: f32,
    pub rotate: bool,
    /// How many bins components are shared out to, of a file: not learnt anew.
    pub balanced_bins: i32,
}

/// A transform's numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Map {
    /// A row for each number that comes out.
    pub matrix: Array2<f32>,
    pub bias: Option<Vec<f32>>,
    /// What a PCA was made of.
    pub principal: Option<Principal>,
}

impl Transform {
    /// The map by `matrix`, a row of it for each number that comes out, and `bias`, a number for each.
    ///
    /// # Errors
    /// [`Error::Empty`] for a matrix without rows or columns, [`Error::Length`] for a bias of another length,
    /// [`Error::NotFinite`].
    pub fn linear(matrix: Array2<f32>, bias: Option<Vec<f32>>) -> Result<Self> {
        let (output_dimension, dimension) = matrix.dim();
        if output_dimension == 0 {
            return Err(Error::Empty { what: "a matrix" });
        }
        rows::check("a matrix", matrix.view())?;
        if let Some(bias) = &bias {
            let found = bias.len();
            if found != output_dimension {
                return Err(Error::Length { what: "numbers of a bias", expected: output_dimension, found });
            }
            rows::check("a bias", ndarray::aview1(bias).insert_axis(Axis(0)))?;
        }
        let map = Some(Map { matrix, bias, principal: None });
        Ok(Transform { dimension, output_dimension, method: Method::Given, map })
    }

    /// A random map that keeps lengths, if it does not make vectors shorter than they are; if it does, the projection on
    /// a random subspace.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a dimension of 0.
    pub fn random_rotation(dimension: usize, output_dimension: usize) -> Result<Self> {
        Self::untrained(dimension, output_dimension, Method::RandomRotation)
    }

    /// The principal components of the training rows: the `output_dimension` directions in which they vary most, the
    /// greatest first, and the mean becomes zero. Vectors keep their distances as far as those go.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a dimension of 0 or an `output_dimension` of more.
    pub fn pca(dimension: usize, output_dimension: usize, pca: Pca) -> Result<Self> {
        let eigen_power = if pca.whiten { -0.5 } else { 0.0 };
        let form = PcaForm { eigen_power, epsilon: 0.0, rotate: pca.rotate, balanced_bins: 0 };
        if output_dimension > dimension {
            let expected = format!("at most the dimension, {dimension}");
            return Err(Error::parameter("dimension after a PCA", output_dimension, expected));
        }
        Self::untrained(dimension, output_dimension, Method::Pca(form))
    }

    /// An orthonormal map after which `m` sub-quantizers of 8 bits lose as little as possible of the training rows:
    /// optimized product quantization, non-parametric (Ge, He, Ke, Sun 2013). 50 times quantizers are trained, from a start
    /// of their own, and the rows turned closest to what these make of them: on a sample of at most 65,536, as in FAISS.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a dimension of 0 and unless `m` divides `output_dimension`.
    pub fn opq(dimension: usize, output_dimension: usize, m: usize) -> Result<Self> {
        let opq = Self::untrained(dimension, output_dimension, Method::Opq { m })?;
        quantize::check(output_dimension, m, 8)?;
        Ok(opq)
    }

    fn untrained(dimension: usize, output_dimension: usize, method: Method) -> Result<Self> {
        for (what, size) in [("dimension", dimension), ("dimension after a transform", output_dimension)] {
            if size == 0 {
                return Err(Error::parameter(what, size, "at least 1"));
            }
        }
        Ok(Transform { dimension, output_dimension, method, map: None })
    }

    /// A transform as a file has it.
    pub(crate) fn of(dimension: usize, output_dimension: usize, method: Method, map: Option<Map>) -> Self {
        Transform { dimension, output_dimension, method, map }
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    pub(crate) fn map(&self) -> Option<&Map> {
        self.map.as_ref()
    }

    /// Dimension of the vectors that come in.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Dimension of what comes out.
    #[must_use]
    pub fn output_dimension(&self) -> usize {
        self.output_dimension
    }

    /// Whether vectors can go through it.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.map.is_some()
    }

    /// The matrix, a row for each number that comes out, once trained.
    #[must_use]
    pub fn matrix(&self) -> Option<ArrayView2<'_, f32>> {
        self.map.as_ref().map(|map| map.matrix.view())
    }

    /// What is added then, if anything.
    #[must_use]
    pub fn bias(&self) -> Option<&[f32]> {
        self.map.as_ref().and_then(|map| map.bias.as_deref())
    }

    /// Trains it on `rows`. A map that was given stays as it is. Of `training`, the seed, progress and cancelling count.
    ///
    /// # Errors
    /// [`Error::TooFewPoints`] for fewer rows than [`Transform::opq`] has centroids, 256; [`Error::Empty`] for none;
    /// [`Error::Parameter`] for a PCA that whitens what does not vary, and for numbers whose products exceed f32;
    /// [`Error::NotTrained`] for a map of a file that has none and does not say what made it; [`Error::Dimension`],
    /// [`Error::NotFinite`], [`Error::Cancelled`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn train(&mut self, device: &Device, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        block_on(self.train_async(device, rows, training))
    }

    /// [`Transform::train`] without blocking.
    ///
    /// # Errors
    /// As [`Transform::train`].
    pub async fn train_async(&mut self, device: &Device, rows: ArrayView2<'_, f32>, training: &Training) -> Result<()> {
        rows::check_dimension("training rows", rows, self.dimension)?;
        self.map = Some(match self.method {
            // It cannot be learnt anew.
            Method::Given if self.map.is_none() => return Err(Error::NotTrained { what: "linear transform" }),
            Method::Given => return Ok(()),
            Method::RandomRotation => {
                let matrix = orthonormal::random(self.output_dimension, self.dimension, training.seed);
                Map { matrix, bias: None, principal: None }
            }
            Method::Pca(form) => pca::train(rows, self.output_dimension, form, training)?,
            Method::Opq { m } => {
                let matrix = opq::train(device, rows, self.output_dimension, m, training).await?;
                Map { matrix, bias: None, principal: None }
            }
        });
        Ok(())
    }

    /// What the rows become, worked out on `device`.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::Dimension`], [`Error::NotFinite`], [`Error::Limit`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub fn apply(&self, device: &Device, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        block_on(self.apply_async(device, rows))
    }

    /// [`Transform::apply`] without blocking.
    ///
    /// # Errors
    /// As [`Transform::apply`].
    pub async fn apply_async(&self, device: &Device, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        rows::check_dimension("rows", rows, self.dimension)?;
        rotated(device, rows, &self.rotation(device)?).await
    }

    /// The map as operations on `device` take it.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn rotation(&self, device: &Device) -> Result<Rotation> {
        let map = self.map.as_ref().ok_or(Error::NotTrained { what: "transform" })?;
        Rotation::new(device, map.matrix.view(), map.bias.as_deref())
    }
}

/// What the rows, which are finite, become on `device`.
pub(crate) async fn rotated(device: &Device, rows: ArrayView2<'_, f32>, rotation: &Rotation) -> Result<Array2<f32>> {
    let columns = rotation.rotated_columns();
    let mut all = Vec::with_capacity(rows.nrows() * columns);
    let at_once = (chunk_bytes(device) / (4 * rows.ncols().max(columns))).max(1);
    for rows in rows.axis_chunks_iter(Axis(0), at_once) {
        let mut work = device.work();
        let found = ops::rotate(&mut work, &device.rows(rows)?, rotation)?;
        all.extend_from_slice(&work.read(found).await?);
    }
    let (expected, found) = (rows.nrows() * columns, all.len());
    let length = |_| Error::Length { what: "rotated numbers", expected, found };
    Array2::from_shape_vec((rows.nrows(), columns), all).map_err(length)
}

/// The mean of the rows, of which there is at least one.
fn mean(rows: ArrayView2<'_, f32>) -> Vec<f64> {
    let mut sums = vec![0.0; rows.ncols()];
    for row in rows.outer_iter() {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.into_iter().map(|sum| sum / rows.nrows() as f64).collect()
}
