//! Scores: how alike two cleaned spectra are, peak by peak.
//!
//! | score | compares | intensities |
//! | --- | --- | --- |
//! | [`Score::Cosine`] | peaks of the same m/z | as cleaned: scale them, see [`Cleaning::scaling`](super::Cleaning::scaling) |
//! | [`Score::ModifiedCosine`] | also those that are as far apart as the precursors | as for the cosine |
//! | [`Score::Entropy`] | peaks of the same m/z | as measured: [`Scaling::Off`](super::Scaling::Off), weighted by the score itself |
//!
//! A peak meets at most one of the other spectrum. Both cosines take the assignment of peaks that gives the highest sum,
//! not the greedy one.

mod assignment;
mod entropy;
mod peaks;

use std::{cell::RefCell, fmt, str::FromStr};

use super::{Scaling, Spectrum, Tolerance};
use crate::{Error, Result};
pub use assignment::Scratch;
pub use peaks::Prepared;

/// How two spectra are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Score {
    /// Sum of the products of the intensities of matching peaks, over the lengths of both spectra.
    #[default]
    Cosine,
    /// The cosine, where peaks also match if they are as far apart as the precursors: the part of the molecule that
    /// differs is on the fragment ([Watrous and others 2012](https://doi.org/10.1073/pnas.1203689109)). Parts
    /// per million are those of the larger m/z as measured. It is the cosine where a precursor is unknown.
    ModifiedCosine,
    /// Weighted spectral entropy similarity ([Li and others 2021](https://doi.org/10.1038/s41592-021-01331-z)). Peaks of
    /// one spectrum that are no further apart than twice the tolerance are merged first, as in the authors' package.
    Entropy,
}

/// What a comparison gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scored {
    /// From 0, nothing in common, to 1, the same.
    pub score: f64,
    /// How many peaks of one spectrum meet one of the other.
    pub matched: usize,
}

impl Score {
    /// Compares two cleaned spectra.
    ///
    /// To compare a spectrum with many, prepare each once: see [`Scorer`].
    #[must_use]
    pub fn of(self, a: &Spectrum, b: &Spectrum, tolerance: Tolerance) -> Scored {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let scorer = Scorer { score: self, tolerance };
        let (a, b) = (scorer.prepare(a), scorer.prepare(b));
        SCRATCH.with_borrow_mut(|scratch| scorer.score(&a, &b, scratch))
    }

    /// The scaling of intensities that suits the score, if a laboratory has no reason for another.
    #[must_use]
    pub fn scaling(self) -> Scaling {
        match self {
            Score::Cosine | Score::ModifiedCosine => Scaling::Root,
            Score::Entropy => Scaling::Off,
        }
    }
}

/// A score and its tolerance, to compare many spectra.
///
/// ```
/// use cellprobe::spectra::{Cleaning, Score, Scorer, Scratch, Tolerance, read_files};
///
/// # fn main() -> cellprobe::Result<()> {
/// let (spectra, _) = read_files(&["examples/data/dbgi/20220513_PMA_DBGI_01_04_001.mgf"])?;
/// let (spectra, _) = Cleaning::metabolomics().clean_all(spectra)?;
/// let scorer = Scorer { score: Score::Cosine, tolerance: Tolerance::Dalton(0.02) };
/// let prepared: Vec<_> = spectra.iter().map(|spectrum| scorer.prepare(spectrum)).collect();
/// let mut scratch = Scratch::default();
/// let scored = scorer.score(&prepared[0], &prepared[1], &mut scratch);
/// assert_eq!(scored, Score::Cosine.of(&spectra[0], &spectra[1], Tolerance::Dalton(0.02)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scorer {
    /// The score.
    pub score: Score,
    /// How far apart matching peaks may be.
    pub tolerance: Tolerance,
}

impl Scorer {
    /// What of a cleaned spectrum is compared, for [`Scorer::score`] of the same score and tolerance.
    #[must_use]
    pub fn prepare(&self, spectrum: &Spectrum) -> Prepared {
        match self.score {
            Score::Cosine | Score::ModifiedCosine => Prepared::of_unit_length(spectrum),
            Score::Entropy => entropy::prepare(spectrum, self.tolerance),
        }
    }

    /// Compares two prepared spectra; allocates nothing once `scratch` has been used on spectra as large.
    pub fn score(&self, a: &Prepared, b: &Prepared, scratch: &mut Scratch) -> Scored {
        if self.score == Score::Entropy {
            return entropy::similarity(a, b, self.tolerance);
        }
        scratch.clear(a.len(), b.len());
        scratch.add_pairs(a, b, self.tolerance, 0.0);
        if let (Score::ModifiedCosine, Some(first), Some(second)) = (self.score, a.precursor_mz, b.precursor_mz)
            && !self.tolerance.accepts(first, second)
        {
            scratch.add_pairs(a, b, self.tolerance, first - second);
        }
        scratch.best()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Score::Cosine => "cosine",
            Score::ModifiedCosine => "modified-cosine",
            Score::Entropy => "entropy",
        })
    }
}

impl FromStr for Score {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cosine" => Ok(Score::Cosine),
            "modified-cosine" => Ok(Score::ModifiedCosine),
            "entropy" => Ok(Score::Entropy),
            _ => Err(Error::parameter("score", name, "one of cosine, modified-cosine, entropy")),
        }
    }
}
