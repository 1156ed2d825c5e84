//! The files that folders and patterns stand for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Format;
use crate::{Error, Result};

/// The files of spectra that paths stand for, sorted and each once: a file stands for itself, a folder for every file
/// of spectra in it and below (see [`Format::of_name`]; a `.txt` that holds no spectra is left out), and a pattern with
/// `*`, `?`, `[a-z]` or `**` for whatever it matches.
///
/// # Errors
/// [`Error::Io`] for a path that is not there or cannot be read, and for a folder or pattern that stands for nothing;
/// [`Error::Parameter`] for a pattern that is none.
pub fn find_files<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let before = files.len();
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => search(path, &mut files)?,
            Ok(_) => files.push(path.to_owned()),
            Err(error) => match pattern(path) {
                Some(pattern) => matches(pattern, &mut files)?,
                None => return Err(Error::Io { path: path.to_owned(), source: error }),
            },
        }
        if files.len() == before {
            let source = io::Error::new(io::ErrorKind::NotFound, "no file of spectra here");
            return Err(Error::Io { path: path.to_owned(), source });
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The path as a pattern, if it looks like one.
fn pattern(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains(['*', '?', '[']))
}

fn matches(pattern: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    let paths = glob::glob(pattern).map_err(|error| Error::parameter("pattern", pattern, error.to_string()))?;
    for path in paths {
        let path = path.map_err(|error| Error::Io { path: error.path().to_owned(), source: error.into() })?;
        if path.is_dir() {
            search(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The files of spectra in a folder and below.
fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failure = |source| Error::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failure)? {
        let entry = entry.map_err(failure)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failure)?;
        // Links to folders may lead in circles.
        if kind.is_dir() {
            search(&path, files)?;
        } else if path.is_file() && Format::of_name(&path).is_some() {
            let any_text = Format::of_name(&path) == Some(Format::MassBank);
            if !any_text || Format::of_file(&path)?.is_some() {
                files.push(path);
            }
        }
    }
    Ok(())
}
