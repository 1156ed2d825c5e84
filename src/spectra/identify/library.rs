//! A library: spectra that are known, and perhaps an index of their vectors.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::part::part;
use crate::{
    Device, Error, Index, Metric, Result,
    index::Training,
    spectra::{Cleaning, Rejected, Scaling, Spectrum, Vectorizer, vectors::made_elsewhere},
    storage::faiss::Stored,
};

/// A search visits one list in so many unless it is told otherwise.
const LISTS_A_PROBE: usize = 2;

/// Known spectra to find unknown ones among.
#[derive(Clone, Debug)]
pub struct Library {
    pub(super) spectra: Vec<Spectrum>,
    pub(super) cleaning: Cleaning,
    pub(super) vectors: Vectors,
    pub(super) index: Option<Stored>,
    /// The device that the index was made on.
    pub(super) device: Option<String>,
}

/// Where the vectors of a library's spectra come from.
#[derive(Clone, Debug)]
pub(super) enum Vectors {
    /// They are made of the peaks.
    Hashed(Vectorizer),
    /// They were made elsewhere and have this length; the rows, unless the library was read with an index of them.
    Elsewhere { length: usize, rows: Option<Array2<f32>> },
}

impl Library {
    /// A library of spectra as they were read. They are cleaned and kept with their intensities as measured, since each
    /// score scales them in its own way; [`Cleaning::scaling`] is that of the vectors.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a cleaning that no spectrum could meet, [`Error::Limit`] for more than 2^31 spectra.
    pub fn new(spectra: Vec<Spectrum>, cleaning: Cleaning, vectorizer: Vectorizer) -> Result<(Self, Rejected)> {
        Self::with(spectra, cleaning, |_| Ok(Vectors::Hashed(vectorizer)))
    }

    /// A library whose vectors were made elsewhere, by a learned model for example: one row for each spectrum that is
    /// kept, in their order. They are scaled to unit length; searches without a precursor compare them with those of the
    /// queries, see [`identify_with_vectors`](super::identify_with_vectors).
    ///
    /// # Errors
    /// As [`Library::new`]; [`Error::Length`] for more or fewer rows, [`Error::NotFinite`], [`Error::Parameter`] for a row
    /// of zeros.
    pub fn with_vectors(spectra: Vec<Spectrum>, cleaning: Cleaning, vectors: Array2<f32>) -> Result<(Self, Rejected)> {
        Self::with(spectra, cleaning, |kept| {
            let rows = made_elsewhere(vectors, kept)?;
            Ok(Vectors::Elsewhere { length: rows.ncols(), rows: Some(rows) })
        })
    }

    /// A library with the vectors of so many spectra.
    fn with(
        spectra: Vec<Spectrum>,
        cleaning: Cleaning,
        vectors: impl FnOnce(usize) -> Result<Vectors>,
    ) -> Result<(Self, Rejected)> {
        let (spectra, rejected) = unscaled(&cleaning).clean_all(spectra)?;
        // Decoys are numbered on from the spectra.
        if spectra.len() > i32::MAX as usize {
            let (allowed, asked) = (i32::MAX as u64, spectra.len() as u64);
            return Err(Error::Limit { limit: "the number of spectra in a library", allowed, asked });
        }
        let vectors = vectors(spectra.len())?;
        Ok((Library { spectra, cleaning, vectors, index: None, device: None }, rejected))
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

    /// How vectors are made of spectra; `None` if they were made elsewhere.
    #[must_use]
    pub fn vectorizer(&self) -> Option<Vectorizer> {
        match self.vectors {
            Vectors::Hashed(vectorizer) => Some(vectorizer),
            Vectors::Elsewhere { .. } => None,
        }
    }

    /// The length of the vectors.
    #[must_use]
    pub fn vector_length(&self) -> usize {
        match self.vectors {
            Vectors::Hashed(vectorizer) => vectorizer.length(),
            Vectors::Elsewhere { length, .. } => length,
        }
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
        let vectors = match &self.vectors {
            Vectors::Hashed(_) => self.vectors_of(&self.spectra)?,
            Vectors::Elsewhere { rows, .. } => rows.clone().ok_or_else(not_here)?,
        };
        let mut index = Index::new(device, self.vector_length(), factory, Metric::InnerProduct)?;
        index.train_with(vectors.view(), training)?;
        if let Some((nlist, _)) = index.lists() {
            index.set_nprobe(nlist.div_ceil(LISTS_A_PROBE))?;
        }
        index.add(vectors.view())?;
        self.index = Some(index.to_stored()?);
        self.device = Some(device.name().to_owned());
        Ok(index)
    }

    /// Vectors of cleaned spectra, which only peaks can be made into.
    pub(super) fn vectors_of(&self, spectra: &[Spectrum]) -> Result<Array2<f32>> {
        let vectorizer = self.vectorizer().ok_or_else(not_here)?;
        let scaled: Vec<_> = spectra.par_iter().map(|spectrum| self.scaled(spectrum, self.cleaning.scaling)).collect();
        vectorizer.vectors(&scaled)
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
        let places: Vec<usize> = numbers.iter().map(|&number| number as usize).collect();
        let vectors = match &self.vectors {
            Vectors::Hashed(_) => {
                let spectra: Vec<_> = places.iter().map(|&place| self.spectra[place].clone()).collect();
                self.vectors_of(&spectra)?
            }
            Vectors::Elsewhere { rows, .. } => rows.as_ref().ok_or_else(not_here)?.select(Axis(0), &places),
        };
        let ids: Vec<i64> = numbers.iter().map(|&number| number.into()).collect();
        let mut index = Index::new(device, self.vector_length(), "Flat", Metric::InnerProduct)?;
        index.add_with_ids(vectors.view(), &ids)?;
        Ok(index)
    }
}

/// What cannot be done where vectors do not come from peaks.
fn not_here() -> Error {
    Error::parameter("vectors", "none", "vectors made elsewhere, as those of the library were")
}

fn unscaled(cleaning: &Cleaning) -> Cleaning {
    Cleaning { scaling: Scaling::Off, ..cleaning.clone() }
}
