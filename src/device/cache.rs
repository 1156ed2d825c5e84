//! What is kept on disk from one run of a program to the next.

use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Bytes of what goes before the content of a file: the hash of it.
const HEAD: usize = size_of::<u64>();

/// The folder of this crate in the user's cache folder, if there is one.
pub(super) fn user_folder() -> Option<PathBuf> {
    let named = |variable| env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let at_home = |folder| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(folder));
    let folder = if cfg!(target_os = "windows") {
        named("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        at_home("Library/Caches")
    } else {
        named("XDG_CACHE_HOME").or_else(|| at_home(".cache"))
    };
    folder.map(|folder| folder.join("cellprobe"))
}

/// What a file of this name was written with; nothing if there is none, or if it is damaged.
pub(super) fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let mut file = fs::read(folder.join(name)).ok()?;
    let content = file.get(HEAD..)?;
    if file[..HEAD] != hash(content).to_le_bytes() {
        log::debug!("{name} in {} is damaged and not used", folder.display());
        return None;
    }
    file.drain(..HEAD);
    Some(file)
}

/// Writes a file, whole or not at all. That it cannot be written is no failure: it only saves time.
pub(super) fn write(folder: &Path, name: &str, content: &[u8]) {
    let written = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&hash(content).to_le_bytes())?;
        file.write_all(content)?;
        file.persist(folder.join(name)).map(drop).map_err(|error| error.error)
    };
    if let Err(error) = written() {
        log::debug!("{name} cannot be kept in {}: {error}", folder.display());
    }
}

/// A hash that a later run of the same program finds again.
pub(super) fn hash(content: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_they_were_or_not_at_all() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = &folder.path().join("not there yet");
        assert_eq!(read(folder, "a"), None);
        for content in [&b"something"[..], b"", b"something else"] {
            write(folder, "a", content);
            assert_eq!(read(folder, "a").as_deref(), Some(content));
        }
        assert_eq!(fs::read_dir(folder)?.count(), 1, "nothing else is left");
        let whole = fs::read(folder.join("a"))?;
        for length in 0..whole.len() {
            fs::write(folder.join("a"), &whole[..length])?;
            assert_eq!(read(folder, "a"), None, "{length} bytes of it");
        }
        for byte in 0..whole.len() {
            let mut other = whole.clone();
            other[byte] ^= 1;
            fs::write(folder.join("a"), other)?;
            assert_eq!(read(folder, "a"), None, "another byte {byte}");
        }
        // A folder that cannot be.
        write(&folder.join("a"), "b", b"something");
        assert_eq!(read(&folder.join("a"), "b"), None);
        Ok(())
    }
}
