//! Options that all commands on spectra take.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};

use super::super::arguments;
use crate::spectra::{Cleaning, Field, Losses, Scaling, Tolerance, Vectorizer};

/// How spectra are cleaned and compared.
#[derive(Args)]
pub(super) struct SpectraOptions {
    #[command(flatten)]
    cleaning: CleaningOptions,
    /// How far apart precursors may be: like 10ppm or 0.01Da, or open for any distance
    #[arg(long, default_value = "10ppm", value_name = "TOLERANCE")]
    pub(super) precursor_tolerance: PrecursorTolerance,
    /// How far apart matching peaks may be
    #[arg(long, default_value = "0.02Da", value_name = "TOLERANCE")]
    pub(super) fragment_tolerance: Tolerance,
    #[command(flatten)]
    pub(super) vectors: VectorOptions,
    /// Compare by this field, or its first N characters, for what is right: like INCHIKEY:14
    #[arg(long, value_name = "FIELD[:N]")]
    pub(super) truth: Option<Field>,
}

#[derive(Args)]
#[command(next_help_heading = "Cleaning")]
struct CleaningOptions {
    /// How spectra are cleaned, unless the options below say otherwise [default: metabolomics]
    #[arg(long)]
    preset: Option<Preset>,
    /// Drop peaks outside of this range of m/z, like 50-1500
    #[arg(long, value_name = "LOW-HIGH")]
    mz_range: Option<MzRange>,
    /// Drop peaks this near (m/z) to the precursor, also at its lower charges, or none
    #[arg(long, value_name = "MZ|none")]
    remove_precursor: Option<OrNone<f64>>,
    /// Drop peaks below this share of the strongest
    #[arg(long, value_name = "SHARE")]
    min_relative_intensity: Option<f32>,
    /// Keep so many of the strongest peaks
    #[arg(long, value_name = "N")]
    max_peaks: Option<usize>,
    /// Use no spectrum of fewer peaks
    #[arg(long, value_name = "N")]
    min_peaks: Option<usize>,
    /// Use no spectrum whose peaks cover less of m/z
    #[arg(long, value_name = "MZ")]
    min_span: Option<f64>,
    /// How intensities are scaled: off, root, log or rank [default: root for vectors and cosines, off for entropy]
    #[arg(long, value_name = "SCALING")]
    scaling: Option<Scaling>,
}

/// How vectors are made of spectra.
#[derive(Args)]
#[command(next_help_heading = "Vectors")]
pub(super) struct VectorOptions {
    /// Width of the bins that vectors are made from, in m/z [default: 0.05]
    #[arg(long, value_name = "MZ")]
    bin_width: Option<f64>,
    /// Dimensions that bins are hashed to [default: 800]
    #[arg(long, value_name = "D")]
    dimension: Option<usize>,
    /// Seed of the hash [default: 0]
    #[arg(long, value_name = "N")]
    hash_seed: Option<u32>,
    /// Neutral losses in vectors: off, shared (in the dimensions of the peaks), or a number of their own dimensions [default: off]
    #[arg(long, value_name = "off|shared|D")]
    losses: Option<Losses>,
    /// Vectors made by another program, one row for each spectrum that is kept, in the order of reading (of identify: each query)
    #[arg(long, value_name = "FILE", value_parser = arguments::vectors,
        conflicts_with_all = ["bin_width", "dimension", "hash_seed", "losses"])]
    pub(super) vectors: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    Metabolomics,
    Proteomics,
}

impl SpectraOptions {
    /// The cleaning that was asked for.
    pub(super) fn cleaning(&self) -> Cleaning {
        let options = &self.cleaning;
        let preset = match options.preset {
            Some(Preset::Proteomics) => Cleaning::proteomics(),
            Some(Preset::Metabolomics) | None => Cleaning::metabolomics(),
        };
        Cleaning {
            mz_range: options.mz_range.map(|range| range.0).or(preset.mz_range),
            precursor_window: options.remove_precursor.map_or(preset.precursor_window, |window| window.0),
            min_relative_intensity: options.min_relative_intensity.unwrap_or(preset.min_relative_intensity),
            max_peaks: options.max_peaks.or(preset.max_peaks),
            min_peaks: options.min_peaks.unwrap_or(preset.min_peaks),
            min_span: options.min_span.unwrap_or(preset.min_span),
            scaling: options.scaling.unwrap_or(preset.scaling),
        }
    }

    /// The scaling for scores, if one was asked for.
    pub(super) fn scaling(&self) -> Option<Scaling> {
        self.cleaning.scaling
    }

    /// Whether anything was asked for of what a library fixes when it is indexed.
    pub(super) fn asks_for_preparation(&self) -> bool {
        let CleaningOptions { preset, mz_range, remove_precursor, min_relative_intensity, .. } = &self.cleaning;
        let CleaningOptions { max_peaks, min_peaks, min_span, .. } = &self.cleaning;
        let VectorOptions { bin_width, dimension, hash_seed, losses, .. } = &self.vectors;
        preset.is_some()
            || mz_range.is_some()
            || remove_precursor.is_some()
            || min_relative_intensity.is_some()
            || max_peaks.is_some()
            || min_peaks.is_some()
            || min_span.is_some()
            || bin_width.is_some()
            || dimension.is_some()
            || hash_seed.is_some()
            || losses.is_some()
    }
}

impl VectorOptions {
    /// How vectors are to be made.
    pub(super) fn vectorizer(&self) -> Vectorizer {
        let default = Vectorizer::default();
        Vectorizer {
            bin_width: self.bin_width.unwrap_or(default.bin_width),
            dimension: self.dimension.unwrap_or(default.dimension),
            seed: self.hash_seed.unwrap_or(default.seed),
            losses: self.losses.unwrap_or(default.losses),
        }
    }
}

/// A tolerance, or none.
#[derive(Clone, Copy)]
pub(super) struct PrecursorTolerance(pub(super) Option<Tolerance>);

impl FromStr for PrecursorTolerance {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "open" { Ok(PrecursorTolerance(None)) } else { text.parse().map(|it| PrecursorTolerance(Some(it))) }
    }
}

/// A value, or none.
#[derive(Clone, Copy)]
pub(super) struct OrNone<T>(pub(super) Option<T>);

impl<T: fmt::Display> fmt::Display for OrNone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "none" => Ok(OrNone(None)),
            Ok(value) => Ok(OrNone(Some(value))),
            Err(_) => Err("give a number, or none"),
        }
    }
}

#[derive(Clone, Copy)]
struct MzRange((f64, f64));

impl FromStr for MzRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        ends.map(MzRange).ok_or_else(|| "give two numbers, like 50-1500".to_owned())
    }
}
