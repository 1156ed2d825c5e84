//! Decoys: spectra that look like the library's and show nothing that exists.

use std::{fmt, str::FromStr};

use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use rayon::prelude::*;

use super::peptide::Peptide;
use crate::{
    Error, Result,
    spectra::{Peak, Spectrum, Tolerance},
};

/// Peaks that are the same fragment when decoys are drawn.
const SAME_FRAGMENT: Tolerance = Tolerance::Ppm(10.0);

/// Draws for each peak of a decoy before it has to do with fewer.
const DRAWS: usize = 20;

/// How decoys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoys {
    /// For peptides, whose sequence the field `SEQ` gives: the sequence is shuffled but for its last residue and for K,
    /// R and P, and the peaks of its a, b and y ions are moved to where those of the shuffled sequence are
    /// ([Lam and others 2010](https://doi.org/10.1021/pr900947u)). Spectra of other sequences or modifications have none,
    /// nor have those in which no peak is that of an ion; where they are many, q-values are too low.
    Peptide,
    /// For small molecules, from the spectra alone, the "spectrum-based" method of
    /// [Scheubert and others 2017](https://doi.org/10.1038/s41467-017-01318-5): a decoy has the precursor and the number
    /// of peaks of its spectrum; it grows by peaks of other spectra that share a fragment with what is there already.
    ///
    /// The method knows nothing of chemistry: within a narrow window its q-values are about right for formulas, not for
    /// structures, since it cannot see a wrong isomer with the right fragments, and without a precursor they are far too
    /// low. See [the module](super) for what was measured.
    Spectrum,
}

impl fmt::Display for Decoys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decoys::Peptide => "peptide",
            Decoys::Spectrum => "spectrum",
        })
    }
}

impl FromStr for Decoys {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "peptide" => Ok(Decoys::Peptide),
            "spectrum" => Ok(Decoys::Spectrum),
            _ => Err(Error::parameter("decoys", name, "peptide or spectrum")),
        }
    }
}

impl Decoys {
    /// The decoy of each spectrum where there can be one; the same for the same seed.
    #[must_use]
    pub fn of(self, spectra: &[Spectrum], tolerance: Tolerance, seed: u64) -> Vec<Option<Spectrum>> {
        let pool = match self {
            Decoys::Peptide => Vec::new(),
            Decoys::Spectrum => fragments(spectra),
        };
        let decoy = |(number, spectrum): (usize, &Spectrum)| {
            let mut random =
                Xoshiro256PlusPlus::seed_from_u64(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            match self {
                Decoys::Peptide => Peptide::of(spectrum)?.decoy(spectrum, tolerance, &mut random),
                Decoys::Spectrum => grown(spectra, &pool, spectrum, &mut random),
            }
        };
        spectra.par_iter().enumerate().map(decoy).collect()
    }
}

/// Every peak of every spectrum in ascending order of m/z, with the number of its spectrum.
fn fragments(spectra: &[Spectrum]) -> Vec<(f64, u32)> {
    let of = |(number, spectrum): (usize, &Spectrum)| {
        spectrum.peaks.iter().map(|peak| (peak.mz, number as u32)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = spectra.par_iter().enumerate().flat_map_iter(of).collect();
    all.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all
}

/// Grows a decoy from the precursor, or from any fragment if the spectrum does not show its precursor; none where the
/// other spectra have nothing to grow it from.
fn grown(spectra: &[Spectrum], pool: &[(f64, u32)], spectrum: &Spectrum, random: &mut impl Rng) -> Option<Spectrum> {
    let highest = spectrum.peaks.last().map_or(f64::INFINITY, |peak| peak.mz);
    let limit = spectrum.precursor_mz.unwrap_or(highest);
    let own =
        spectrum.precursor_mz.and_then(|mz| spectrum.peaks.iter().find(|peak| SAME_FRAGMENT.accepts(peak.mz, mz)));
    let strongest = strongest(spectrum);
    let mut peaks: Vec<Peak> =
        own.map(|peak| Peak { intensity: peak.intensity / strongest, ..*peak }).into_iter().collect();
    for _ in 0..DRAWS * spectrum.peaks.len() {
        if peaks.len() >= spectrum.peaks.len() {
            break;
        }
        let near = match peaks.last() {
            Some(last) => sharing(pool, last.mz),
            None => pool,
        };
        let near = if near.is_empty() { pool } else { near };
        let other = &spectra[near[random.random_range(0..near.len())].1 as usize];
        // Spectra of the same molecule would give its own peaks back.
        let same = spectrum.precursor_mz.zip(other.precursor_mz).is_some_and(|(a, b)| SAME_FRAGMENT.accepts(a, b));
        let peak = other.peaks[random.random_range(0..other.peaks.len())];
        let known = peaks.iter().any(|known| SAME_FRAGMENT.accepts(known.mz, peak.mz));
        if known || peak.mz > limit || same {
            continue;
        }
        peaks.push(Peak { intensity: peak.intensity / self::strongest(other), ..peak });
    }
    if peaks.is_empty() {
        return None;
    }
    peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
    Some(Spectrum { peaks, fields: Vec::new(), ..spectrum.clone() })
}

/// The peaks of the pool that are the same fragment.
fn sharing(pool: &[(f64, u32)], mz: f64) -> &[(f64, u32)] {
    let (low, high) = SAME_FRAGMENT.range(mz);
    let first = pool.partition_point(|&(other, _)| other < low);
    let after = pool.partition_point(|&(other, _)| other <= high);
    &pool[first..after]
}

fn strongest(spectrum: &Spectrum) -> f32 {
    spectrum.peaks.iter().map(|peak| peak.intensity).fold(f32::MIN_POSITIVE, f32::max)
}
