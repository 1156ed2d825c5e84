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
//!
//! What the command line does is also there to call: [`cluster`] puts spectra of one molecule together, [`identify`] names
//! spectra by those of a library, which may be indexed and stored, and [`report`] shows either on a page.
//!
//! # Clustering
//! ```
//! use cellprobe::{
//!     Device,
//!     spectra::{Cleaning, Scaling, cluster::{ClusterFiles, ClusterOptions, Earlier, cluster}, find_files, read_files},
//! };
//!
//! # fn main() -> cellprobe::Result<()> {
//! let (spectra, _) = read_files(&find_files(&["examples/data/dbgi/*_00[12].mgf"])?)?;
//! // Scores scale intensities in their own way.
//! let (spectra, _) = Cleaning { scaling: Scaling::Off, ..Cleaning::metabolomics() }.clean_all(spectra)?;
//! let options = ClusterOptions::default();
//! let clusters = cluster(&Device::cpu(), &spectra[..], &options)?;
//! for (cluster, &medoid) in clusters.medoids().iter().enumerate() {
//!     println!("{} stands for {} spectra", spectra[medoid as usize].id(), clusters.members(cluster).len());
//! }
//! let heading = [("sample".to_owned(), "leaf".to_owned())];
//! let earlier = Earlier::default();
//! let files =
//!     ClusterFiles { spectra: &spectra[..], clusters: &clusters, earlier: &earlier, options: &options, heading: &heading };
//! let mut table = Vec::new();
//! files.write_table(&mut table)?;
//! assert!(table.starts_with(b"# sample: leaf\nfile\tid\tcluster\tsize\trepresentative\n"));
//! # Ok(())
//! # }
//! ```
//!
//! # A library that is indexed, stored and searched
//! ```
//! use cellprobe::{
//!     Device,
//!     index::Training,
//!     spectra::{
//!         Cleaning, Format, Vectorizer,
//!         identify::{IdentifyOptions, Library, MzTab, identify, read_library, write_library, write_matches},
//!         read_files,
//!     },
//! };
//!
//! # fn main() -> cellprobe::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("leaves.index");
//! let device = Device::cpu();
//! let (known, _) = read_files(&["examples/data/dbgi/20220513_PMA_DBGI_01_04_001.mgf"])?;
//! let (mut library, _) = Library::new(known, Cleaning::metabolomics(), Vectorizer::default())?;
//! library.build_index(&device, "IVF4,Flat", &Training::default())?;
//! write_library(&library, &path, false)?;
//!
//! let library = read_library(&path)?;
//! let run = "examples/data/dbgi/20220513_PMA_DBGI_01_04_004.mgf";
//! let (queries, _) = library.clean(read_files(&[run])?.0)?;
//! let any_precursor = IdentifyOptions { precursor_tolerance: None, ..IdentifyOptions::default() };
//! let found = identify(&device, &library, &queries, &any_precursor, &|_, _, _| ())?;
//! let accepted = found.iter().filter(|found| found.is_accepted()).count();
//!
//! let (mut table, mut mztab) = (Vec::new(), Vec::new());
//! let (queries, found) = (&queries[..], &found[..]);
//! write_matches(&mut table, &[], &library, queries, found, None)?;
//! let runs = [(run.into(), Format::Mgf)];
//! let (library, score) = (&library, any_precursor.score);
//! MzTab { database: "leaves", library, runs: &runs, queries, found, score, heading: &[] }.write(&mut mztab)?;
//! let rows = String::from_utf8_lossy(&mztab).lines().filter(|line| line.starts_with("SML")).count();
//! assert_eq!(rows, accepted);
//! # Ok(())
//! # }
//! ```
//!
//! Vectors need not be made of peaks: [`Library::with_vectors`](identify::Library::with_vectors),
//! [`identify_with_vectors`](identify::identify_with_vectors) and [`WithVectors`] take those of a
//! learned model.

mod binary;
mod clean;
pub mod cluster;
mod collection;
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
mod records;
mod rejected;
pub mod report;
mod score;
mod spectrum;
mod spool;
mod text;
mod tolerance;
mod values;
mod vectors;
mod write_mgf;

use std::path::Path;

use rayon::prelude::*;

pub use clean::{Cleaning, Scaling};
pub use collection::{Collection, WithVectors};
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
pub use spool::Spool;
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
