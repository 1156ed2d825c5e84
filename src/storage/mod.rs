//! Files: FAISS indexes, vectors and identifiers; read with every size checked, written whole or not at all.

pub mod faiss;
mod npy;
mod rows;
mod source;
mod vectors;
mod whole;

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

pub use rows::{RowSource, VectorFile};
pub(crate) use rows::{Sampled, picked};
#[cfg(feature = "cli")]
pub(crate) use vectors::check_ids;
pub use vectors::{
    VectorFormat, read_ids, read_ids_from, read_vectors, read_vectors_from, write_ids, write_labels, write_vectors,
};
#[cfg(any(feature = "cli", feature = "spectra"))]
pub(crate) use whole::check_new;
#[cfg(all(feature = "cli", unix))]
pub(crate) use whole::remove_unfinished;
pub use whole::write_whole;
#[cfg(feature = "cli")]
pub(crate) use whole::{check_folder, file_behind, folder_of};

use crate::{Error, Result};

/// Opens a file and hands it on with its length, which is unknown for a pipe; errors name the file.
fn read_file<T>(path: &Path, read: impl FnOnce(BufReader<File>, Option<u64>) -> Result<T>) -> Result<T> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|source| Error::Io { path: path.into(), source })?;
    let length = metadata.is_file().then_some(metadata.len());
    read(BufReader::new(file), length).map_err(|error| in_file(error, path))
}

/// An input or output error of a stream whose file, if it has one, the caller knows.
pub(crate) fn stream_error(source: io::Error) -> Error {
    Error::Io { path: "(stream)".into(), source }
}

/// Names the file that an error is about; an error of the system gets the file in place of the stream.
fn in_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Io { source, .. } => Error::Io { path: path.into(), source },
        error => error.in_file(path),
    }
}
