//! The temporary files that the command is writing: a signal that ends it leaves none of them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::NamedTempFile;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Listed for as long as it lives.
pub(super) struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `make` makes, and what it is listed by.
pub(super) fn listed(make: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<(NamedTempFile, Unfinished)> {
    let mut all = unfinished();
    let temporary = make()?;
    all.insert(temporary.path().to_owned());
    let unfinished = Unfinished(temporary.path().to_owned());
    Ok((temporary, unfinished))
}

/// Removes the files that are being written, for a process that is about to end: whoever writes then waits for ever.
pub(crate) fn remove_unfinished() {
    let all = unfinished();
    for path in all.iter() {
        // One that just got its name is no longer there.
        let _ = fs::remove_file(path);
    }
    std::mem::forget(all);
}
