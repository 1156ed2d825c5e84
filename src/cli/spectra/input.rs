//! Spectra that commands read.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::super::console::{Bar, Console};
use crate::{
    Result,
    spectra::{Format, Rejected, Spectrum, SpectrumReader},
};

/// Spectra that are read between two looks at the progress.
const READ_AT_ONCE: usize = 1 << 12;

/// What files hold, their spectra apart.
#[derive(Default)]
pub(super) struct Input {
    /// The files and their formats.
    pub(super) files: Vec<(PathBuf, Format)>,
    pub(super) rejected: Rejected,
    /// Spectra in the files, used or not.
    pub(super) count: usize,
    /// Files without any.
    empty: Vec<PathBuf>,
}

impl Input {
    /// Reads files and hands on their spectra, some at a time: as they are measured they can need many times the memory
    /// that they need once cleaned. `keep` says which of them it did not use.
    pub(super) fn read(
        files: &[PathBuf],
        bar: Option<&Bar>,
        mut keep: impl FnMut(Vec<Spectrum>) -> Result<Rejected>,
    ) -> Result<Self> {
        let mut input = Input::default();
        for (number, file) in files.iter().enumerate() {
            let mut reader = SpectrumReader::open(file)?;
            loop {
                let spectra = reader.by_ref().take(READ_AT_ONCE).collect::<Result<Vec<_>>>()?;
                if spectra.is_empty() {
                    break;
                }
                input.rejected.merge(keep(spectra)?);
                if let Some(bar) = bar {
                    let share = (number as f64 + reader.progress()) / files.len() as f64;
                    bar.show("reading", (100.0 * share) as usize, 100);
                }
            }
            input.files.push((file.clone(), reader.format()));
            input.count += reader.blocks();
            if reader.blocks() == 0 {
                input.empty.push(file.clone());
            }
            input.rejected.merge(reader.into_rejected());
        }
        Ok(input)
    }

    /// Tells of files in which nothing was found.
    pub(super) fn warn(&self, console: &Console) {
        self.empty.iter().for_each(|file| console.warn(format!("{}: no spectrum found", file.display())));
    }

    /// Reads files into memory.
    pub(super) fn read_all(files: &[PathBuf], bar: Option<&Bar>) -> Result<(Vec<Spectrum>, Self)> {
        let mut all = Vec::new();
        let input = Input::read(files, bar, |spectra| {
            all.extend(spectra);
            Ok(Rejected::default())
        })?;
        Ok((all, input))
    }
}

/// The names of files, for what is written to say where it comes from.
pub(super) fn names<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    files.into_iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

/// How many spectra were not used, by reason.
pub(super) fn reasons(rejected: &Rejected) -> Map<String, Value> {
    rejected.reasons.iter().map(|(reason, count)| (reason.to_string(), (*count).into())).collect()
}
