//! Spectra outside of memory.

use rayon::prelude::*;

use super::{
    Collection, Peak, Source, Spectrum,
    cluster::Ion,
    records::{Bytes, Place, Records, count, damaged},
};
use crate::Result;

/// Spectra in a temporary file, or in memory as long as they need no more than a bound; a hundred bytes a spectrum stay in
/// memory in any case.
#[derive(Debug)]
pub struct Spool {
    records: Records,
    known: Vec<Known>,
}

/// What is known of a spectrum without reading it.
#[derive(Debug)]
struct Known {
    source: Source,
    ion: Ion,
    place: Place,
}

impl Spool {
    /// An empty one that goes to a file once its spectra need more than `memory` bytes.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        Spool { records: Records::new(memory), known: Vec::new() }
    }

    /// Adds a spectrum at the end.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the temporary file cannot be written, [`Error::Limit`](crate::Error::Limit) for
    /// a spectrum of 4 GiB.
    pub fn push(&mut self, spectrum: Spectrum) -> Result<()> {
        let mut bytes = Vec::new();
        write(&spectrum, &mut bytes);
        let place = self.records.push(&bytes)?;
        self.known.push(Known { ion: Ion::of(&spectrum), source: spectrum.source, place });
        Ok(())
    }
}

impl Collection for Spool {
    fn len(&self) -> usize {
        self.known.len()
    }

    fn ion(&self, number: u32) -> Ion {
        self.known[number as usize].ion
    }

    fn source(&self, number: u32) -> &Source {
        &self.known[number as usize].source
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Spectrum>> {
        let read = self.records.read(numbers.iter().map(|&number| self.known[number as usize].place))?;
        let spectra = read.into_par_iter().zip(numbers).map(|(bytes, &number)| {
            let known = &self.known[number as usize];
            let mut spectrum = Spectrum::new(known.source.clone());
            spectrum.polarity = known.ion.polarity;
            fill(&mut spectrum, &mut Bytes(&bytes)).ok_or_else(|| damaged(known.place))?;
            Ok(spectrum)
        });
        spectra.collect()
    }
}

/// All but the source and the polarity, which stay in memory; what is not known is NaN or 0.
fn write(spectrum: &Spectrum, bytes: &mut Vec<u8>) {
    bytes.extend(spectrum.precursor_mz.unwrap_or(f64::NAN).to_le_bytes());
    bytes.extend(spectrum.retention_time.unwrap_or(f64::NAN).to_le_bytes());
    bytes.push(spectrum.ms_level.unwrap_or(0));
    count(spectrum.charges.len(), bytes);
    bytes.extend(spectrum.charges.iter().flat_map(|charge| charge.to_le_bytes()));
    count(spectrum.peaks.len(), bytes);
    for peak in &spectrum.peaks {
        bytes.extend(peak.mz.to_le_bytes());
        bytes.extend(peak.intensity.to_le_bytes());
    }
    count(spectrum.fields.len(), bytes);
    for text in spectrum.fields.iter().flat_map(|(key, value)| [key, value]) {
        count(text.len(), bytes);
        bytes.extend(text.as_bytes());
    }
}

/// Reads what [`write`] wrote; `None` if it is something else.
fn fill(spectrum: &mut Spectrum, bytes: &mut Bytes) -> Option<()> {
    spectrum.precursor_mz = Some(bytes.number()?).filter(|mz| !mz.is_nan());
    spectrum.retention_time = Some(bytes.number()?).filter(|time| !time.is_nan());
    spectrum.ms_level = Some(u8::from_le_bytes(bytes.take()?)).filter(|&level| level > 0);
    spectrum.charges = (0..bytes.count()?).map(|_| bytes.take().map(i32::from_le_bytes)).collect::<Option<_>>()?;
    let peak = |bytes: &mut Bytes| Some(Peak { mz: bytes.number()?, intensity: f32::from_le_bytes(bytes.take()?) });
    spectrum.peaks = (0..bytes.count()?).map(|_| peak(bytes)).collect::<Option<_>>()?;
    spectrum.fields = (0..bytes.count()?).map(|_| Some((bytes.text()?, bytes.text()?))).collect::<Option<_>>()?;
    Some(())
}
