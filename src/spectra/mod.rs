//! Mass spectra: reading, cleaning, and vectors whose inner product is nearly the cosine of two spectra.
//!
//! ```
//! use cellprobe::spectra::{Cleaning, Vectorizer, read_files};
//!
//! # fn main() -> cellprobe::Result<()> {
//! let (spectra, mut rejected) = read_files(&["examples/data/dbgi/20220513_PMA_DBGI_01_04_001.mgf"])?;
//! let (spectra, unclean) = Cleaning::metabolomics().clean_all(spectra)?;
//! rejected.merge(unclean);
//! let vectors = Vectorizer::default().vectors(&spectra)?;
//! assert_eq!(vectors.dim(), (139, 800));
//! assert_eq!(rejected.total(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! MGF, MSP, mzML, mzXML, `MassBank` records and mzSpecLib text are read, plain or gzipped ([`Format`]): all files at once by
//! [`read_files`], one spectrum at a time by [`SpectrumReader`], and [`find_files`] names the files of folders and
//! patterns. What cannot be used is counted with its reason in [`Rejected`] and never ends the reading.

mod binary;
mod clean;
pub mod cluster;
mod draft;
mod elements;
mod field;
mod files;
mod format;
pub mod identify;
mod keys;
mod massbank;
mod mgf;
mod msp;
mod mzml;
mod mzspeclib;
mod mzxml;
mod peaks;
mod reader;
mod rejected;
pub mod report;
mod score;
mod spectrum;
mod text;
mod tolerance;
mod values;
mod vectors;
mod write_mgf;

use std::path::Path;

use rayon::prelude::*;

pub use clean::{Cleaning, Scaling};
pub use field::Field;
pub use files::find_files;
pub use format::{Format, SpectrumReader};
pub use massbank::MassBankReader;
pub use mgf::MgfReader;
pub use msp::MspReader;
pub use mzml::MzmlReader;
pub use mzspeclib::MzSpecLibReader;
pub use mzxml::MzxmlReader;
pub use reader::Reader;
pub use rejected::{Flaw, Reason, Rejected, Rejection};
pub use score::{Prepared, Score, Scored, Scorer, Scratch};
pub use spectrum::{Peak, Polarity, Source, Spectrum};
pub use text::BoxedReader;
pub use tolerance::Tolerance;
pub use vectors::{Losses, Vectorizer};
pub use write_mgf::write_mgf;

use crate::Result;

/// Reads every spectrum of files in any [`Format`], plain or gzipped, in the order of the files, several at a time.
/// [`SpectrumReader`] gives them one by one.
///
/// What cannot be used is counted and passed over, see [`Rejected`].
///
/// # Errors
/// A file that cannot be opened or read to its end, is corrupt gzip, or is not empty and holds no spectrum.
pub fn read_files<P: AsRef<Path> + Sync>(paths: &[P]) -> Result<(Vec<Spectrum>, Rejected)> {
    let files: Vec<_> = paths.par_iter().map(|path| read_file(path.as_ref())).collect();
    let mut all = (Vec::new(), Rejected::default());
    for file in files {
        let (spectra, rejected) = file?;
        all.0.extend(spectra);
        all.1.merge(rejected);
    }
    Ok(all)
}

fn read_file(path: &Path) -> Result<(Vec<Spectrum>, Rejected)> {
    let mut reader = SpectrumReader::open(path)?;
    let spectra = reader.by_ref().collect::<Result<Vec<_>>>()?;
    Ok((spectra, reader.into_rejected()))
}
