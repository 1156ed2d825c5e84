//! A library: spectra that are known, and perhaps an index of their vectors.

use ndarray::Array2;
use rayon::prelude::*;

use super::part::part;
use crate::{
    Device, Error, Index, Metric, Result,
    index::Training,
    spectra::{Cleaning, Rejected, Scaling, Spectrum, Vectorizer},
    storage::faiss::Stored,
};

/// A search visits one list in so many unless it is told otherwise.
const LISTS_A_PROBE: usize = 2;

/// Known spectra to find unknown ones among.
#[derive(Clone, Debug)]
pub struct Library {
    pub(super) spectra: Vec<Spectrum>,
    pub(super) cleaning: Cleaning,
    pub(super) vectorizer: Vectorizer,
    pub(super) index: Option<Stored>,
}

impl Library {
    /// A library of spectra as they were read. They are cleaned and kept with their intensities as measured, since each
    /// score scales them in its own way; [`Cleaning::scaling`] is that of the vectors.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a cleaning that no spectrum could meet, [`Error::Limit`] for more than 2^31 spectra.
    pub fn new(spectra: Vec<Spectrum>, cleaning: Cleaning, vectorizer: Vectorizer) -> Result<(Self, Rejected)> {
        let (spectra, rejected) = unscaled(&cleaning).clean_all(spectra)?;
        // Decoys are numbered on from the spectra.
        if spectra.len() > i32::MAX as usize {
            let (allowed, asked) = (i32::MAX as u64, spectra.len() as u64);
            return Err(Error::Limit { limit: "the number of spectra in a library", allowed, asked });
        }
        Ok((Library { spectra, cleaning, vectorizer, index: None }, rejected))
    }

    /// The spectra, cleaned, with their intensities as measured.
    #[must_use]
    pub fn spectra(&self) -> &[Spectrum] {
        &self.spectra
    }

    /// How the spectra were cleaned, and how intensities are scaled in vectors.
    #[must_use]
    pub fn cleaning(&self) -> &Cleaning {
        &self.cleaning
    }

    /// How vectors are made.
    #[must_use]
    pub fn vectorizer(&self) -> Vectorizer {
        self.vectorizer
    }

    /// Whether there is an index to find candidates by; without one, vectors are compared exactly.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// Cleans queries as the library's spectra were.
    ///
    /// # Errors
    /// As [`Library::new`].
    pub fn clean(&self, queries: Vec<Spectrum>) -> Result<(Vec<Spectrum>, Rejected)> {
        unscaled(&self.cleaning).clean_all(queries)
    }

    /// Makes the index that a FAISS factory string asks for, for searches without a precursor.
    ///
    /// Its rows are numbered as the spectra, its metric is the inner product of vectors of unit length.
    ///
    /// # Errors
    /// As [`Index::new`], [`Index::train_with`] and [`Index::add`].
    pub fn build_index(&mut self, device: &Device, factory: &str, training: &Training) -> Result<Index> {
        let vectors = self.vectors(&self.spectra)?;
        let mut index = Index::new(device, self.vectorizer.length(), factory, Metric::InnerProduct)?;
        index.train_with(vectors.view(), training)?;
        if let Some((nlist, _)) = index.lists() {
            index.set_nprobe(nlist.div_ceil(LISTS_A_PROBE))?;
        }
        index.add(vectors.view())?;
        self.index = Some(index.to_stored()?);
        Ok(index)
    }

    /// Vectors of cleaned spectra.
    pub(super) fn vectors(&self, spectra: &[Spectrum]) -> Result<Array2<f32>> {
        let scaled: Vec<_> = spectra.par_iter().map(|spectrum| self.scaled(spectrum, self.cleaning.scaling)).collect();
        self.vectorizer.vectors(&scaled)
    }

    /// What of a cleaned spectrum is compared, on another scale.
    pub(super) fn scaled(&self, spectrum: &Spectrum, scaling: Scaling) -> Spectrum {
        let mut scaled = Spectrum {
            precursor_mz: spectrum.precursor_mz,
            peaks: spectrum.peaks.clone(),
            ..Spectrum::new(spectrum.source.clone())
        };
        Cleaning { scaling, ..self.cleaning.clone() }.scale(&mut scaled.peaks);
        scaled
    }

    /// An index of some of the spectra, by their numbers in ascending order.
    pub(super) fn index_of(&self, device: &Device, numbers: &[u32]) -> Result<Index> {
        if let Some(stored) = &self.index {
            return Index::from_stored(part(stored, numbers)?, device);
        }
        let spectra: Vec<_> = numbers.iter().map(|&number| self.spectra[number as usize].clone()).collect();
        let ids: Vec<i64> = numbers.iter().map(|&number| number.into()).collect();
        let mut index = Index::new(device, self.vectorizer.length(), "Flat", Metric::InnerProduct)?;
        index.add_with_ids(self.vectors(&spectra)?.view(), &ids)?;
        Ok(index)
    }
}

fn unscaled(cleaning: &Cleaning) -> Cleaning {
    Cleaning { scaling: Scaling::Off, ..cleaning.clone() }
}
