//! `cellprobe spectra index`.

use std::{fmt::Write as _, path::PathBuf, time::Instant};

use clap::Args;
use serde_json::json;

use super::{
    super::{Common, Outcome, arguments::Overwrite, console::Console},
    SpectraOptions,
    input::{Input, reasons},
};
use crate::{
    index::Training,
    spectra::{
        Vectorizer,
        identify::{Library, sidecar, write_library},
    },
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
  cellprobe spectra index libraries/ -o library.index --index IVF1024,PQ8 --preset proteomics")]
pub(super) struct IndexLibrary {
    /// Files of spectra, folders or patterns
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The library to write
    #[arg(short, long, value_name = "LIBRARY")]
    output: PathBuf,
    /// The kind of index, as a FAISS factory string [default: Flat for fewer than 10,000 spectra, otherwise IVF and PQ8]
    #[arg(long, value_name = "FACTORY")]
    index: Option<String>,
    /// Width of the bins that vectors are made from, in m/z
    #[arg(long, default_value_t = Vectorizer::default().bin_width, value_name = "MZ")]
    bin_width: f64,
    /// Dimension of the vectors
    #[arg(long, default_value_t = Vectorizer::default().dimension, value_name = "D")]
    dimension: usize,
    #[command(flatten)]
    options: SpectraOptions,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl IndexLibrary {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let start = Instant::now();
        self.overwrite.check([&self.output, &sidecar(&self.output)])?;
        let device = common.device()?;
        let bar = console.bar();
        let input = Input::read(&self.files, bar.as_ref())?;
        let vectorizer = Vectorizer { bin_width: self.bin_width, dimension: self.dimension, ..Vectorizer::default() };
        let (mut library, unclean) = Library::new(input.spectra, self.options.cleaning(), vectorizer)?;
        let mut rejected = input.rejected;
        rejected.merge(unclean);
        let factory = self.index.clone().unwrap_or_else(|| default_factory(library.spectra().len()));
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
fn default_factory(spectra: usize) -> String {
    if spectra < FEW {
        return "Flat".to_owned();
    }
    format!("IVF{},PQ8", spectra.isqrt().next_power_of_two())
}
