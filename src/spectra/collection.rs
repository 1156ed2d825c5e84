//! Where spectra are that need not all be in memory.

use ndarray::{Array2, Axis};

use super::{Source, Spectrum, cluster::Ion, vectors::made_elsewhere};
use crate::Result;

/// Spectra that are at hand by their numbers: a slice of them, or a [`Spool`](super::Spool).
pub trait Collection: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A spectrum's precursor.
    fn ion(&self, number: u32) -> Ion;

    /// Where a spectrum stands.
    fn source(&self, number: u32) -> &Source;

    /// The spectra of these numbers, in their order.
    ///
    /// # Errors
    /// What reading them fails with.
    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Spectrum>>;

    /// The vectors of these spectra, one row each, if they were made elsewhere: see [`WithVectors`].
    fn vectors(&self, _numbers: &[u32]) -> Option<Array2<f32>> {
        None
    }
}

/// Spectra whose vectors were made elsewhere, by a learned model for example. k-means clusters these, and they find the
/// candidates of other clusterings where there are too many pairs to compare all, and of searches without a precursor.
#[derive(Debug)]
pub struct WithVectors<'a, C: ?Sized> {
    spectra: &'a C,
    vectors: Array2<f32>,
}

impl<'a, C: Collection + ?Sized> WithVectors<'a, C> {
    /// Spectra with their vectors, one row each, which are scaled to unit length.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) for more or fewer rows than spectra,
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::Parameter`](crate::Error::Parameter) for a row of zeros.
    pub fn new(spectra: &'a C, vectors: Array2<f32>) -> Result<Self> {
        Ok(WithVectors { vectors: made_elsewhere(vectors, spectra.len())?, spectra })
    }
}

impl<C: Collection + ?Sized> Collection for WithVectors<'_, C> {
    fn len(&self) -> usize {
        self.spectra.len()
    }

    fn ion(&self, number: u32) -> Ion {
        self.spectra.ion(number)
    }

    fn source(&self, number: u32) -> &Source {
        self.spectra.source(number)
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Spectrum>> {
        self.spectra.fetch(numbers)
    }

    fn vectors(&self, numbers: &[u32]) -> Option<Array2<f32>> {
        let rows: Vec<usize> = numbers.iter().map(|&number| number as usize).collect();
        Some(self.vectors.select(Axis(0), &rows))
    }
}

impl Collection for [Spectrum] {
    fn len(&self) -> usize {
        <[Spectrum]>::len(self)
    }

    fn ion(&self, number: u32) -> Ion {
        Ion::of(&self[number as usize])
    }

    fn source(&self, number: u32) -> &Source {
        &self[number as usize].source
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Spectrum>> {
        Ok(numbers.iter().map(|&number| self[number as usize].clone()).collect())
    }
}
