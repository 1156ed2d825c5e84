//! Writing files whole or not at all.

#[cfg(all(feature = "cli", unix))]
mod unfinished;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

#[cfg(all(feature = "cli", unix))]
pub(crate) use unfinished::remove_unfinished;

use super::in_file;
use crate::{Error, Result};

/// Symbolic links that are followed, as many as by Linux.
const MOST_LINKS: usize = 40;

/// Writes a file that appears whole or not at all: what `content` writes goes to a temporary file in the same folder,
/// which takes the name `path` once everything is on disk. Where `path` is a symbolic link, its target is written; a file
/// that takes the place of another has its permissions. A device or a pipe is written into as it is.
///
/// # Errors
/// [`Error::Io`] if `path` exists and `overwrite` is false, or if the file cannot be written; and whatever `content`
/// returns. In every such case `path` is as it was, unless it is a device or a pipe.
pub fn write_whole(
    path: impl AsRef<Path>,
    overwrite: bool,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    check_new(path, overwrite)?;
    let failed = |source: io::Error| Error::Io { path: path.into(), source };
    let fill = |file: &mut File| {
        let mut writer = BufWriter::new(file);
        content(&mut writer).map_err(|error| in_file(error, path))?;
        writer.flush().map_err(failed)
    };
    let Some(target) = file_behind(path) else {
        return fill(&mut OpenOptions::new().write(true).open(path).map_err(failed)?);
    };
    let replaced = fs::metadata(&target).ok();
    let (mut temporary, _unfinished) = unfinished_in(folder_of(&target)).map_err(failed)?;
    fill(temporary.as_file_mut())?;
    if let Some(replaced) = replaced {
        temporary.as_file().set_permissions(replaced.permissions()).map_err(failed)?;
    }
    temporary.as_file().sync_all().map_err(failed)?;
    let kept = if overwrite { temporary.persist(&target) } else { temporary.persist_noclobber(&target) };
    kept.map(drop).map_err(|error| failed(error.error))
}

/// Fails if there is a file and it may not be overwritten, or a folder.
pub(crate) fn check_new(path: &Path, overwrite: bool) -> Result<()> {
    let failed = |kind, message| Err(Error::Io { path: path.into(), source: io::Error::new(kind, message) });
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => failed(io::ErrorKind::IsADirectory, "this is a folder"),
        Ok(there) if there.is_file() && !overwrite => failed(io::ErrorKind::AlreadyExists, "the file exists already"),
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Io { path: path.into(), source }),
        _ => Ok(()),
    }
}

/// Fails unless files can be written into a folder.
#[cfg(feature = "cli")]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    // One without a name, of which nothing stays.
    tempfile::tempfile_in(folder).map(drop).map_err(|error| {
        let (kind, folder) = (error.kind(), folder.display());
        io::Error::new(kind, format!("the folder {folder} cannot be written to: {kind}"))
    })
}

/// The file that is behind a path and its symbolic links, there or not; none behind the path of a device or a pipe.
pub(crate) fn file_behind(path: &Path) -> Option<PathBuf> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return None;
    }
    let mut file = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&file) else { break };
        file = folder_of(&file).join(target);
    }
    Some(file)
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file that a command removes when a signal ends it, for as long as the second value lives.
#[cfg(all(feature = "cli", unix))]
fn unfinished_in(folder: &Path) -> io::Result<(NamedTempFile, unfinished::Unfinished)> {
    unfinished::listed(|| temporary_in(folder))
}

#[cfg(not(all(feature = "cli", unix)))]
fn unfinished_in(folder: &Path) -> io::Result<(NamedTempFile, ())> {
    Ok((temporary_in(folder)?, ()))
}

/// A temporary file with the permissions that a newly created file has, not the private ones of a temporary file.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)
    }
    #[cfg(not(unix))]
    NamedTempFile::new_in(folder)
}
