//! Vectors of spectra: peaks in bins of m/z, bins hashed to few dimensions, as in falcon.

use std::{fmt, str::FromStr};

use ndarray::Array2;
use rayon::prelude::*;

use super::{Peak, Spectrum};
use crate::{Error, Result};

/// Whether and where neutral losses are in a vector: what the precursor's m/z is above that of a peak. Spectra of related
/// molecules share losses where their fragments are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Losses {
    /// Not at all.
    #[default]
    Off,
    /// Hashed with another seed to the same dimensions as the peaks, and added to them.
    Shared,
    /// In so many dimensions of their own, after those of the peaks. Peaks and losses are of the same length each, so
    /// that the inner product is the mean of that of the peaks and that of the losses.
    Appended(usize),
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Losses::Off => f.write_str("off"),
            Losses::Shared => f.write_str("shared"),
            Losses::Appended(own) => own.fmt(f),
        }
    }
}

impl FromStr for Losses {
    type Err = Error;

    /// `off`, `shared`, or the number of dimensions of their own.
    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("off", _) => Ok(Losses::Off),
            ("shared", _) => Ok(Losses::Shared),
            (_, Ok(own)) if own > 0 => Ok(Losses::Appended(own)),
            _ => Err(Error::parameter("losses", text, "off, shared or a number of dimensions")),
        }
    }
}

/// Turns cleaned spectra into vectors whose inner product is close to the cosine of the spectra.
///
/// The m/z axis is cut into bins; the number of a bin is hashed to a dimension, and intensities that fall together are
/// added (feature hashing, as [falcon](https://doi.org/10.1002/rcm.9153) has it). Only vectors made with the same values
/// can be compared, so they belong with an index. Bins are never laid out themselves: a peak goes to its dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vectorizer {
    /// Width of a bin in m/z. Bin 0 begins at m/z 0.
    pub bin_width: f64,
    /// Dimensions for the peaks, which is the length of the vectors without losses in dimensions of their own.
    pub dimension: usize,
    /// Seed of the hash.
    pub seed: u32,
    /// Whether and where neutral losses are in a vector. A spectrum without a precursor, or without a loss above zero,
    /// has its peaks alone.
    pub losses: Losses,
}

impl Default for Vectorizer {
    /// Bins of 0.05 in 800 dimensions, seed 0, without losses.
    fn default() -> Self {
        Vectorizer { bin_width: 0.05, dimension: 800, seed: 0, losses: Losses::Off }
    }
}

impl Vectorizer {
    /// Length of the vectors.
    #[must_use]
    pub fn length(&self) -> usize {
        match self.losses {
            Losses::Appended(own) => self.dimension.saturating_add(own),
            Losses::Off | Losses::Shared => self.dimension,
        }
    }

    /// How vectors are made by the names of the command line, for files to say how they came about.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        vec![
            ("bin-width", self.bin_width.to_string()),
            ("dimension", self.dimension.to_string()),
            ("hash-seed", self.seed.to_string()),
            ("losses", self.losses.to_string()),
        ]
    }

    /// One row of unit length per spectrum, in their order, made on all threads and the same on any number of them.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a bin width or dimension that is not positive, and for a spectrum without a peak of
    /// positive intensity; [`Error::NotFinite`] for a peak whose intensity or m/z is not finite;
    /// [`Error::OutOfMemory`] if the rows do not fit.
    pub fn vectors(&self, spectra: &[Spectrum]) -> Result<Array2<f32>> {
        if !(self.bin_width > 0.0 && self.bin_width.is_finite()) {
            return Err(Error::parameter("bin_width", self.bin_width, "more than 0"));
        }
        if self.dimension == 0 {
            return Err(Error::parameter("dimension", self.dimension, "at least 1"));
        }
        if self.losses == Losses::Appended(0) {
            return Err(Error::parameter("losses", "Appended(0)", "at least 1 dimension"));
        }
        let length = self.length();
        let mut values = zeros(spectra.len(), length)?;
        let failure = values
            .par_chunks_mut(length)
            .zip(spectra)
            .enumerate()
            .filter_map(|(index, (row, spectrum))| self.fill(row, index, spectrum).err().map(|error| (index, error)))
            .min_by_key(|(index, _)| *index);
        if let Some((_, error)) = failure {
            return Err(error);
        }
        let found = values.len() / length;
        Array2::from_shape_vec((spectra.len(), length), values).map_err(|_| Error::Length {
            what: "rows of vectors",
            expected: spectra.len(),
            found,
        })
    }

    fn fill(&self, row: &mut [f32], index: usize, spectrum: &Spectrum) -> Result<()> {
        for (column, peak) in spectrum.peaks.iter().enumerate() {
            for value in [peak.mz as f32, peak.intensity] {
                if !value.is_finite() {
                    return Err(Error::NotFinite { what: "peaks of spectra", row: index, column, value });
                }
            }
        }
        // Relative to the strongest peak, so that neither sums nor squares leave the range of f32.
        let strongest = spectrum.peaks.iter().map(|peak| peak.intensity).fold(0.0, f32::max);
        if strongest <= 0.0 {
            let place = spectrum.source.to_string();
            return Err(Error::parameter("spectrum", place, "every spectrum needs a peak of positive intensity"));
        }
        let (peaks, own) = row.split_at_mut(self.dimension);
        let intensity = |peak: &Peak| (peak.intensity / strongest).max(0.0);
        for peak in &spectrum.peaks {
            self.add(peaks, peak.mz, self.seed, intensity(peak));
        }
        let precursor = spectrum.precursor_mz.filter(|_| self.losses != Losses::Off);
        if let Some(precursor) = precursor {
            let losses = if own.is_empty() { &mut *peaks } else { &mut *own };
            for peak in spectrum.peaks.iter().filter(|peak| peak.mz < precursor) {
                self.add(losses, precursor - peak.mz, !self.seed, intensity(peak));
            }
        }
        if own.iter().any(|&value| value > 0.0) {
            normalize(peaks);
            normalize(own);
        }
        normalize(row);
        Ok(())
    }

    fn add(&self, row: &mut [f32], mz: f64, seed: u32, intensity: f32) {
        let bin = (mz / self.bin_width) as u32;
        let dimension = murmur3(bin, seed) as usize % row.len();
        row[dimension] += intensity;
    }
}

/// Vectors that were made elsewhere, one row for each of `spectra` spectra, scaled to unit length.
///
/// # Errors
/// [`Error::Length`] for more or fewer rows, [`Error::Empty`] for rows of no columns, [`Error::NotFinite`], and
/// [`Error::Parameter`] for a row of zeros, which has no direction.
pub(super) fn made_elsewhere(mut rows: Array2<f32>, spectra: usize) -> Result<Array2<f32>> {
    const WHAT: &str = "rows of vectors, one for each spectrum that is kept";
    if rows.nrows() != spectra {
        return Err(Error::Length { what: WHAT, expected: spectra, found: rows.nrows() });
    }
    if rows.ncols() == 0 {
        return Err(Error::Empty { what: WHAT });
    }
    for (number, mut row) in rows.outer_iter_mut().enumerate() {
        if let Some((column, &value)) = row.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { what: "vectors", row: number, column, value });
        }
        let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(Error::parameter("vectors", format!("zeros in row {number}"), "vectors with a direction"));
        }
        row.mapv_inplace(|value| (f64::from(value) / norm) as f32);
    }
    Ok(rows)
}

/// Scales a row that is not zero to unit length.
fn normalize(row: &mut [f32]) {
    let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    for value in row {
        *value = (f64::from(*value) / norm) as f32;
    }
}

fn zeros(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let too_much = |count: u64| Error::OutOfMemory { device: "host".into(), bytes: count.saturating_mul(4) };
    let count = rows.checked_mul(columns).ok_or_else(|| too_much(u64::MAX))?;
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| too_much(count as u64))?;
    values.resize(count, 0.0);
    Ok(values)
}

/// `MurmurHash3_x86_32` of the four bytes of a number, lowest first
/// ([reference](https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp)).
fn murmur3(key: u32, seed: u32) -> u32 {
    let block = key.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = (seed ^ block).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    hash ^= 4; // the length of the key in bytes
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::murmur3;

    #[test]
    fn hash_is_murmur3() {
        // Published test values of MurmurHash3_x86_32.
        for (bytes, seed, hash) in [
            (*b"\0\0\0\0", 0, 0x2362_f9de),
            (*b"\xff\xff\xff\xff", 0, 0x7629_3b50),
            (*b"\x21\x43\x65\x87", 0, 0xf55b_516b),
            (*b"\x21\x43\x65\x87", 0x5082_edee, 0x2362_f9de),
            (*b"test", 0, 0xba6b_d213),
            (*b"test", 0x9747_b28c, 0x704b_81dc),
        ] {
            assert_eq!(murmur3(u32::from_le_bytes(bytes), seed), hash, "{bytes:?} {seed}");
        }
    }
}
