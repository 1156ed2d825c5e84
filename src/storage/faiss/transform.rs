//! Linear transforms in index files.

use std::io::{self, Read, Write};

use ndarray::Array2;

use super::{MAX_DIMENSION, OTHER_TRANSFORMS, read::name_of, write::counted};
use crate::{
    Error, Result, rows,
    storage::source::{Source, malformed, put},
    transform::{Map, Method, PcaForm, Principal},
};

/// A linear map `y = A x + b` in front of an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// What made it.
    pub kind: TransformKind,
    /// Whether vectors can go through it; if not, there are no numbers.
    pub is_trained: bool,
    /// Columns of a vector that comes in.
    pub dimension: usize,
    /// Columns of what comes out.
    pub output_dimension: usize,
    /// Shape (output dimension, dimension).
    pub matrix: Vec<f32>,
    /// Shape (output dimension), if there is one.
    pub bias: Option<Vec<f32>>,
}

/// What made a [`Transform`].
#[derive(Clone, Debug, PartialEq)]
pub enum TransformKind {
    /// OPQ, or anything else (`LTra`).
    Linear,
    /// faiss's `RandomRotationMatrix` (`rrot`).
    RandomRotation,
    /// faiss's `PCAMatrix` (`Pcam`).
    Pca(Pca),
}

/// What a PCA was made of, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pca {
    /// Each component is scaled by its eigenvalue to this power.
    pub eigen_power: f32,
    /// What is added to eigenvalues first.
    pub epsilon: f32,
    /// Whether components are mixed by a random rotation.
    pub random_rotation: bool,
    /// Bins that components are shared out to, if any.
    pub balanced_bins: i32,
    /// Shape (dimension).
    pub mean: Vec<f32>,
    /// Shape (components).
    pub eigenvalues: Vec<f32>,
    /// Shape (components, dimension).
    pub components: Vec<f32>,
}

impl Transform {
    pub(crate) fn of(transform: &crate::Transform) -> Self {
        let map = transform.map();
        let kind = match transform.method() {
            Method::Given | Method::Opq { .. } => TransformKind::Linear,
            Method::RandomRotation => TransformKind::RandomRotation,
            Method::Pca(PcaForm { eigen_power, epsilon, rotate, balanced_bins }) => {
                let principal = map.and_then(|map| map.principal.clone()).unwrap_or_default();
                let Principal { mean, eigenvalues, components } = principal;
                let random_rotation = rotate;
                let pca = Pca { eigen_power, epsilon, random_rotation, balanced_bins, mean, eigenvalues, components };
                TransformKind::Pca(pca)
            }
        };
        Transform {
            is_trained: map.is_some(),
            dimension: transform.dimension(),
            output_dimension: transform.output_dimension(),
            matrix: map.map_or_else(Vec::new, |map| map.matrix.iter().copied().collect()),
            bias: match map {
                Some(map) => map.bias.clone(),
                // It will have one.
                None => matches!(kind, TransformKind::Pca(_)).then(Vec::new),
            },
            kind,
        }
    }

    /// The transform to be used.
    pub(crate) fn restored(self) -> Result<crate::Transform> {
        self.check()?;
        let (dimension, output_dimension) = (self.dimension, self.output_dimension);
        let (method, principal) = match self.kind {
            TransformKind::Linear => (Method::Given, None),
            TransformKind::RandomRotation => (Method::RandomRotation, None),
            TransformKind::Pca(pca) => {
                let Pca { eigen_power, epsilon, random_rotation, balanced_bins, mean, eigenvalues, components } = pca;
                let form = PcaForm { eigen_power, epsilon, rotate: random_rotation, balanced_bins };
                (Method::Pca(form), Some(Principal { mean, eigenvalues, components }))
            }
        };
        let map = if self.is_trained {
            let found = self.matrix.len();
            let expected = output_dimension * dimension;
            let matrix = Array2::from_shape_vec((output_dimension, dimension), self.matrix);
            let matrix = matrix.map_err(|_| Error::Length { what: "numbers of a matrix", expected, found })?;
            Some(Map { matrix, bias: self.bias, principal })
        } else {
            None
        };
        Ok(crate::Transform::of(dimension, output_dimension, method, map))
    }

    /// Fails where what would be written could not be read again.
    pub(super) fn check(&self) -> Result<()> {
        for (what, size) in [("dimension", self.dimension), ("dimension after a transform", self.output_dimension)] {
            if !(1..=MAX_DIMENSION).contains(&size) {
                return Err(Error::parameter(what, size, format!("1 to {MAX_DIMENSION}")));
            }
        }
        let length = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(Error::Length { what, expected, found }) }
        };
        let some = usize::from(self.is_trained);
        length("numbers of a matrix", some * self.output_dimension * self.dimension, self.matrix.len())?;
        let bias = self.bias.as_deref().unwrap_or_default();
        if self.bias.is_some() {
            length("numbers of a bias", some * self.output_dimension, bias.len())?;
        }
        let mut all = vec![&self.matrix[..], bias];
        if let TransformKind::Pca(pca) = &self.kind {
            let components = pca.eigenvalues.len().saturating_mul(self.dimension);
            length("numbers of components", components, pca.components.len())?;
            length("numbers of a mean", some * self.dimension, pca.mean.len())?;
            all.extend(pca.numbers());
        }
        for numbers in all {
            if !numbers.is_empty() {
                rows::check("a transform", ndarray::aview1(numbers).insert_axis(ndarray::Axis(0)))?;
            }
        }
        Ok(())
    }

    /// What follows the kind of a transform, which stood at `start`.
    pub(super) fn read<R: Read>(source: &mut Source<R>, kind: [u8; 4], start: u64) -> Result<Self> {
        let kind = match &kind {
            b"LTra" => TransformKind::Linear,
            b"rrot" => TransformKind::RandomRotation,
            b"Pcam" => TransformKind::Pca(Pca::read(source)?),
            _ => {
                let known = name_of(kind, &OTHER_TRANSFORMS).unwrap_or("unknown");
                let kind = kind.escape_ascii();
                return Err(malformed(start, format!("transform \"{kind}\" ({known}) is not supported")));
            }
        };
        let has_bias = source.bool("have_bias")?;
        let matrix = floats(source, "a transform's matrix")?;
        let bias = floats(source, "a transform's bias")?;
        let mut size = |field| -> Result<usize> {
            let start = source.offset();
            let size: i32 = source.number(field)?;
            let bounds = 1..=MAX_DIMENSION;
            let known = usize::try_from(size).ok().filter(|size| bounds.contains(size));
            known.ok_or_else(|| malformed(start, format!("{field} is {size}, not within 1..={MAX_DIMENSION}")))
        };
        let dimension = size("the transform's input dimension")?;
        let output_dimension = size("the transform's output dimension")?;
        let is_trained = source.bool("the transform's is_trained")?;
        if !has_bias && !bias.is_empty() {
            return Err(malformed(start, "a transform has a bias, yet is marked as having none"));
        }
        let bias = has_bias.then_some(bias);
        let transform = Transform { kind, is_trained, dimension, output_dimension, matrix, bias };
        transform.check().map_err(|error| malformed(start, format!("a transform does not fit itself: {error}")))?;
        Ok(transform)
    }

    pub(super) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        match &self.kind {
            TransformKind::Linear => writer.write_all(b"LTra")?,
            TransformKind::RandomRotation => writer.write_all(b"rrot")?,
            TransformKind::Pca(pca) => {
                writer.write_all(b"Pcam")?;
                put(writer, &[pca.eigen_power, pca.epsilon])?;
                put(writer, &[u8::from(pca.random_rotation)])?;
                put(writer, &[pca.balanced_bins])?;
                pca.numbers().into_iter().try_for_each(|numbers| counted(writer, numbers))?;
            }
        }
        put(writer, &[u8::from(self.bias.is_some())])?;
        counted(writer, &self.matrix)?;
        counted(writer, self.bias.as_deref().unwrap_or_default())?;
        put(writer, &[self.dimension as i32, self.output_dimension as i32])?;
        put(writer, &[u8::from(self.is_trained)])
    }
}

impl Pca {
    fn read<R: Read>(source: &mut Source<R>) -> Result<Self> {
        Ok(Pca {
            eigen_power: source.number("the power of eigenvalues")?,
            epsilon: source.number("epsilon")?,
            random_rotation: source.bool("random_rotation")?,
            balanced_bins: source.number("the balanced bins")?,
            mean: floats(source, "the mean")?,
            eigenvalues: floats(source, "the eigenvalues")?,
            components: floats(source, "the components")?,
        })
    }

    fn numbers(&self) -> [&[f32]; 3] {
        [&self.mean, &self.eigenvalues, &self.components]
    }
}

/// So many numbers as the file says.
fn floats<R: Read>(source: &mut Source<R>, what: &'static str) -> Result<Vec<f32>> {
    let start = source.offset();
    let count = source.size(what)?;
    source.numbers(start, count, what)
}
