//! Bytes outside of memory.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Mutex, PoisonError},
};

use tempfile::SpooledTempFile;

use crate::{Error, Result};

/// Strings of bytes in a temporary file, or in memory as long as they need no more than a bound.
#[derive(Debug)]
pub(super) struct Records {
    file: Mutex<SpooledTempFile>,
    end: u64,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub offset: u64,
    length: u32,
}

impl Records {
    /// None yet; they go to a file once they need more than `memory` bytes.
    pub fn new(memory: usize) -> Self {
        Records { file: Mutex::new(tempfile::spooled_tempfile(memory)), end: 0 }
    }

    /// Adds a record at the end.
    ///
    /// # Errors
    /// [`Error::Io`] if the temporary file cannot be written, [`Error::Limit`] for a record of 4 GiB.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Place> {
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Limit {
            limit: "bytes of a record",
            allowed: u32::MAX.into(),
            asked: bytes.len() as u64,
        })?;
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(bytes)).map_err(failure)?;
        let place = Place { offset: self.end, length };
        self.end += u64::from(length);
        Ok(place)
    }

    /// Reads records.
    ///
    /// # Errors
    /// [`Error::Io`] if the temporary file cannot be read.
    pub fn read(&self, places: impl Iterator<Item = Place>) -> Result<Vec<Vec<u8>>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = |Place { offset, length }| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; length as usize];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        places.map(|place| read(place).map_err(failure)).collect()
    }
}

/// A record that is not what was written.
pub(super) fn damaged(place: Place) -> Error {
    Error::Format { offset: place.offset, message: "a record in a temporary file is damaged".into() }
}

fn failure(source: io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), source }
}

/// Appends a count of what follows.
pub(super) fn count(count: usize, bytes: &mut Vec<u8>) {
    bytes.extend((count as u32).to_le_bytes());
}

/// What is left to read of a record.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn number(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    pub fn count(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn text(&mut self) -> Option<String> {
        let length = self.count()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}
