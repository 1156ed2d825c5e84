//! `cellprobe spectra index`.

use std::{fmt::Write as _, path::PathBuf, time::Instant};

use clap::Args;
use serde_json::json;

use super::{
    super::{Common, Failure, Outcome, arguments::Overwrite, console::Console, failure::blaming},
    SpectraOptions,
    input::{Input, reasons},
};
use crate::{
    index::Training,
    spectra::{
        find_files,
        identify::{Library, sidecar, write_library},
    },
    storage::read_vectors,
};

/// Fewer spectra than this are not worth codes, and too few to train them.
const FEW: usize = 10_000;

/// Cleans and indexes a library, to search it without a precursor.
///
/// LIBRARY is a FAISS file; beside it LIBRARY.mgf.gz holds the spectra, how they were cleaned and how vectors are made.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe spectra index library.msp -o library.index
  cellprobe spectra index libraries/ -o library.index --index IVF1024,PQ8 --preset proteomics
  cellprobe spectra index library.mgf -o library.index --vectors embeddings.npy")]
pub(super) struct IndexLibrary {
    /// Files of spectra, folders or patterns
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The library to write: an index, and beside it LIBRARY.mgf.gz, which it is of no use without
    #[arg(short, long, value_name = "LIBRARY")]
    output: PathBuf,
    /// The kind of index, as a FAISS factory string [default: Flat for fewer than 10,000 spectra, otherwise IVF and PQ8]
    #[arg(long, value_name = "FACTORY")]
    index: Option<String>,
    #[command(flatten)]
    options: SpectraOptions,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl IndexLibrary {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let start = Instant::now();
        let files = find_files(&self.files)?;
        let inputs = files.iter().chain(&self.options.vectors.vectors);
        self.overwrite.check([&self.output, &sidecar(&self.output)], inputs)?;
        let device = common.device()?;
        let bar = console.bar();
        let (spectra, input) = Input::read_all(&files, bar.as_ref())?;
        input.warn(console);
        if input.count == 0 {
            return Err(Failure::new("nothing to index: no spectrum found"));
        }
        let (cleaning, vectors) = (self.options.cleaning(), &self.options.vectors);
        let (mut library, unclean) = match &vectors.vectors {
            Some(file) => Library::with_vectors(spectra, cleaning, read_vectors(file)?).map_err(blaming(file, file))?,
            None => Library::new(spectra, cleaning, vectors.vectorizer())?,
        };
        let mut rejected = input.rejected;
        rejected.merge(unclean);
        let factory = self.index.clone().unwrap_or_else(|| default_factory(&library));
        let mut training = Training::default().seed(common.seed);
        if let Some(bar) = bar {
            training = training.progress(move |stage, step| bar.show(stage, step.done, step.of));
        }
        let index = library.build_index(&device, &factory, &training)?;
        drop(training);
        index.warnings().iter().for_each(|warning| console.warn(warning));
        write_library(&library, &self.output, self.overwrite.force)?;
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "device": device.name(),
            "spectra": input.count,
            "kept": library.spectra().len(),
            "rejected": reasons(&rejected),
            "index": index.factory(),
            "bytes_per_vector": index.bytes_per_vector(),
            "seconds": seconds,
        });
        let mut text = format!(
            "{} spectra, {} kept, in {} of {} bytes each\nin {seconds:.1} s on {}",
            input.count,
            library.spectra().len(),
            index.factory(),
            index.bytes_per_vector(),
            device.name(),
        );
        for (reason, count) in &rejected.reasons {
            let _ = write!(text, "\n{count} rejected: {reason}");
        }
        console.summary(&json, &text)?;
        Ok(true)
    }
}

/// About as many lists as the square root of the number of spectra, a power of two.
fn default_factory(library: &Library) -> String {
    let spectra = library.spectra().len();
    if spectra < FEW {
        return "Flat".to_owned();
    }
    let codes = if library.vector_length().is_multiple_of(8) { "PQ8" } else { "Flat" };
    format!("IVF{},{codes}", spectra.isqrt().next_power_of_two())
}
