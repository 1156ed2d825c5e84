//! Files: FAISS indexes, vectors and identifiers; read with every size checked, written whole or not at all.

pub mod faiss;
mod npy;
mod rows;
mod source;
mod vectors;

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::Path,
};

pub use rows::{RowSource, VectorFile};
pub(crate) use rows::{Sampled, picked};
#[cfg(feature = "cli")]
pub(crate) use vectors::check_ids;
pub use vectors::{
    VectorFormat, read_ids, read_ids_from, read_vectors, read_vectors_from, write_ids, write_labels, write_vectors,
};

use crate::{Error, Result};

/// Writes a file that appears whole or not at all: what `content` writes goes to a temporary file in the same folder,
/// which takes the name `path` once everything is on disk.
///
/// # Errors
/// [`Error::Io`] if `path` exists and `overwrite` is false, or if the file cannot be written; and whatever `content`
/// returns. In every such case `path` is as it was.
pub fn write_whole(
    path: impl AsRef<Path>,
    overwrite: bool,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let failed = |source: io::Error| Error::Io { path: path.into(), source };
    check_new(path, overwrite)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = temporary_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(temporary.as_file_mut());
    content(&mut writer).map_err(|error| in_file(error, path))?;
    writer.flush().map_err(failed)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(failed)?;
    let kept = if overwrite { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    kept.map(drop).map_err(|error| failed(error.error))
}

/// Fails if there is a file and it may not be overwritten.
pub(crate) fn check_new(path: &Path, overwrite: bool) -> Result<()> {
    let failed = |source: io::Error| Error::Io { path: path.into(), source };
    if !overwrite && path.try_exists().map_err(failed)? {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists already")));
    }
    Ok(())
}

/// A temporary file with the permissions that a newly created file has, not the private ones of a temporary file.
fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o666);
        tempfile::Builder::new().permissions(permissions).tempfile_in(folder)
    }
    #[cfg(not(unix))]
    tempfile::NamedTempFile::new_in(folder)
}

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
