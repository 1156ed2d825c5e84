//! Spectra outside of memory.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;
use tempfile::SpooledTempFile;

use super::{Collection, Ion};
use crate::{
    Error, Result,
    spectra::{Peak, Source, Spectrum},
};

/// Spectra in a temporary file, or in memory as long as they need no more than a bound; a hundred bytes a spectrum stay in
/// memory in any case.
#[derive(Debug)]
pub struct Spool {
    file: Mutex<SpooledTempFile>,
    end: u64,
    records: Vec<Record>,
}

/// What is known of a spectrum without reading it.
#[derive(Debug)]
struct Record {
    source: Source,
    ion: Ion,
    offset: u64,
    length: u32,
}

impl Spool {
    /// An empty one that goes to a file once its spectra need more than `memory` bytes.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        Spool { file: Mutex::new(tempfile::spooled_tempfile(memory)), end: 0, records: Vec::new() }
    }

    /// Adds a spectrum at the end.
    ///
    /// # Errors
    /// [`Error::Io`] if the temporary file cannot be written, [`Error::Limit`] for a spectrum of 4 GiB.
    pub fn push(&mut self, spectrum: Spectrum) -> Result<()> {
        let mut bytes = Vec::new();
        write(&spectrum, &mut bytes);
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Limit {
            limit: "bytes of a spectrum",
            allowed: u32::MAX.into(),
            asked: bytes.len() as u64,
        })?;
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(&bytes)).map_err(failure)?;
        self.records.push(Record { ion: Ion::of(&spectrum), source: spectrum.source, offset: self.end, length });
        self.end += u64::from(length);
        Ok(())
    }

    fn read(&self, numbers: &[u32]) -> io::Result<Vec<Vec<u8>>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = numbers.iter().map(|&number| {
            let record = &self.records[number as usize];
            let mut bytes = vec![0; record.length as usize];
            file.seek(SeekFrom::Start(record.offset))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        });
        read.collect()
    }
}

impl Collection for Spool {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn ion(&self, number: u32) -> Ion {
        self.records[number as usize].ion
    }

    fn source(&self, number: u32) -> &Source {
        &self.records[number as usize].source
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Spectrum>> {
        let read = self.read(numbers).map_err(failure)?;
        let spectra = read.into_par_iter().zip(numbers).map(|(bytes, &number)| {
            let record = &self.records[number as usize];
            let mut spectrum = Spectrum::new(record.source.clone());
            spectrum.polarity = record.ion.polarity;
            let damaged = || Error::Format { offset: record.offset, message: "a spooled spectrum is damaged".into() };
            fill(&mut spectrum, &mut Bytes(&bytes)).ok_or_else(damaged)?;
            Ok(spectrum)
        });
        spectra.collect()
    }
}

fn failure(source: io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), source }
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

fn count(count: usize, bytes: &mut Vec<u8>) {
    bytes.extend((count as u32).to_le_bytes());
}

/// Reads what [`write`] wrote; `None` if it is something else.
fn fill(spectrum: &mut Spectrum, bytes: &mut Bytes) -> Option<()> {
    spectrum.precursor_mz = Some(f64::from_le_bytes(bytes.take()?)).filter(|mz| !mz.is_nan());
    spectrum.retention_time = Some(f64::from_le_bytes(bytes.take()?)).filter(|time| !time.is_nan());
    spectrum.ms_level = Some(u8::from_le_bytes(bytes.take()?)).filter(|&level| level > 0);
    spectrum.charges = (0..bytes.count()?).map(|_| bytes.take().map(i32::from_le_bytes)).collect::<Option<_>>()?;
    let peak = |bytes: &mut Bytes| {
        Some(Peak { mz: f64::from_le_bytes(bytes.take()?), intensity: f32::from_le_bytes(bytes.take()?) })
    };
    spectrum.peaks = (0..bytes.count()?).map(|_| peak(bytes)).collect::<Option<_>>()?;
    spectrum.fields = (0..bytes.count()?).map(|_| Some((bytes.text()?, bytes.text()?))).collect::<Option<_>>()?;
    Some(())
}

/// What is left to read of a record.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn count(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}
