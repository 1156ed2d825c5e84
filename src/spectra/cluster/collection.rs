//! Where spectra to cluster are.

use super::Ion;
use crate::{
    Result,
    spectra::{Source, Spectrum},
};

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
