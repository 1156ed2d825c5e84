//! Options that all commands on spectra take.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::spectra::{Cleaning, Field, Tolerance};

/// How spectra are cleaned and compared.
#[derive(Args)]
pub(super) struct SpectraOptions {
    /// How spectra are cleaned, unless the options below say otherwise
    #[arg(long, default_value = "metabolomics")]
    preset: Preset,
    /// How far apart precursors may be: like 10ppm or 0.01Da, or open for any distance
    #[arg(long, default_value = "10ppm", value_name = "TOLERANCE")]
    pub(super) precursor_tolerance: PrecursorTolerance,
    /// How far apart matching peaks may be
    #[arg(long, default_value = "0.02Da", value_name = "TOLERANCE")]
    pub(super) fragment_tolerance: Tolerance,
    /// Drop peaks outside of this range of m/z, like 50-1500
    #[arg(long, value_name = "LOW-HIGH")]
    mz_range: Option<MzRange>,
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
    /// Compare by this field, or its first N characters, for what is right: like INCHIKEY:14
    #[arg(long, value_name = "FIELD[:N]")]
    pub(super) truth: Option<Field>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    Metabolomics,
    Proteomics,
}

impl SpectraOptions {
    /// The cleaning that was asked for.
    pub(super) fn cleaning(&self) -> Cleaning {
        let preset = match self.preset {
            Preset::Metabolomics => Cleaning::metabolomics(),
            Preset::Proteomics => Cleaning::proteomics(),
        };
        Cleaning {
            mz_range: self.mz_range.map(|range| range.0).or(preset.mz_range),
            min_relative_intensity: self.min_relative_intensity.unwrap_or(preset.min_relative_intensity),
            max_peaks: self.max_peaks.or(preset.max_peaks),
            min_peaks: self.min_peaks.unwrap_or(preset.min_peaks),
            min_span: self.min_span.unwrap_or(preset.min_span),
            ..preset
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

#[derive(Clone, Copy)]
struct MzRange((f64, f64));

impl FromStr for MzRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        ends.map(MzRange).ok_or_else(|| "give two numbers, like 50-1500".to_owned())
    }
}
