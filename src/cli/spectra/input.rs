//! Spectra that commands read.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::super::console::Bar;
use crate::{
    Result,
    spectra::{Format, Rejected, Spectrum, SpectrumReader, find_files},
};

/// Spectra that are read between two looks at the progress.
const READ_AT_ONCE: usize = 1 << 12;

/// What files hold.
#[derive(Default)]
pub(super) struct Input {
    /// The files and their formats.
    pub(super) files: Vec<(PathBuf, Format)>,
    pub(super) spectra: Vec<Spectrum>,
    pub(super) rejected: Rejected,
    /// Spectra in the files, used or not.
    pub(super) count: usize,
}

impl Input {
    /// Reads the files that `paths` stand for.
    pub(super) fn read(paths: &[PathBuf], bar: Option<&Bar>) -> Result<Self> {
        Self::read_and_clean(paths, bar, |spectra| Ok((spectra, Rejected::default())))
    }

    /// Reads the files that `paths` stand for, and cleans the spectra at once: as they are measured they can need many
    /// times the memory.
    pub(super) fn read_and_clean(
        paths: &[PathBuf],
        bar: Option<&Bar>,
        clean: impl Fn(Vec<Spectrum>) -> Result<(Vec<Spectrum>, Rejected)>,
    ) -> Result<Self> {
        let mut input = Input::default();
        let files = find_files(paths)?;
        for (number, file) in files.iter().enumerate() {
            let mut reader = SpectrumReader::open(file)?;
            loop {
                let spectra = reader.by_ref().take(READ_AT_ONCE).collect::<Result<Vec<_>>>()?;
                if spectra.is_empty() {
                    break;
                }
                let (kept, unclean) = clean(spectra)?;
                input.spectra.extend(kept);
                input.rejected.merge(unclean);
                if let Some(bar) = bar {
                    let share = (number as f64 + reader.progress()) / files.len() as f64;
                    bar.show("reading", (100.0 * share) as usize, 100);
                }
            }
            input.files.push((file.clone(), reader.format()));
            input.count += reader.blocks();
            input.rejected.merge(reader.into_rejected());
        }
        Ok(input)
    }

    /// The names of the files.
    pub(super) fn names(&self) -> String {
        self.files.iter().map(|(file, _)| file.to_string_lossy()).collect::<Vec<_>>().join(", ")
    }
}

/// How many spectra were not used, by reason.
pub(super) fn reasons(rejected: &Rejected) -> Map<String, Value> {
    rejected.reasons.iter().map(|(reason, count)| (reason.to_string(), (*count).into())).collect()
}
