//! Arguments that several commands take.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;

use crate::{
    Error, Result,
    index::Filter,
    storage::{VectorFormat, check_folder, check_new, file_behind, folder_of},
};

/// Whether files that exist may be written.
#[derive(Args)]
pub(super) struct Overwrite {
    /// Overwrite files that exist
    #[arg(long)]
    pub(super) force: bool,
}

impl Overwrite {
    /// Fails at once, rather than after the work, if a file to write cannot be: if it exists, if its folder does not, or if it
    /// is one of those to read or the same as another. The files are looked for again when they are written.
    pub(super) fn check<'a>(
        &self,
        outputs: impl IntoIterator<Item = &'a PathBuf>,
        inputs: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<()> {
        let outputs: Vec<&PathBuf> = outputs.into_iter().collect();
        self.check_names(&outputs, inputs)?;
        let mut files = outputs.iter().filter_map(|path| Some((path, file_behind(path)?)));
        files.try_for_each(|(path, file)| check_folder_for(path, folder_of(&file)))
    }

    /// As [`Overwrite::check`], of files in a folder that is made if it is not there; gives their paths.
    pub(super) fn check_in<'a>(
        &self,
        folder: &Path,
        names: impl IntoIterator<Item = impl AsRef<Path>>,
        inputs: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Vec<PathBuf>> {
        let outputs: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
        self.check_names(&outputs.iter().collect::<Vec<_>>(), inputs)?;
        let there = folder.ancestors().find(|ancestor| ancestor.exists());
        check_folder_for(folder, there.unwrap_or(Path::new(".")))?;
        Ok(outputs)
    }

    fn check_names<'a>(&self, outputs: &[&PathBuf], inputs: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
        let mut taken: HashSet<PathBuf> = inputs.into_iter().filter_map(|path| identity(path)).collect();
        for path in outputs {
            if identity(path).is_some_and(|file| !taken.insert(file)) {
                let expected = "a file that is neither read nor written otherwise by the same command";
                return Err(Error::parameter("output", path.display(), expected));
            }
        }
        outputs.iter().try_for_each(|path| check_new(path, self.force))
    }
}

/// Fails, about `path`, unless `folder` can be written to.
fn check_folder_for(path: &Path, folder: &Path) -> Result<()> {
    check_folder(folder).map_err(|source| Error::Io { path: path.into(), source })
}

/// What two paths of one file have in common, there or not; none of a device or a pipe, which may have several uses.
fn identity(path: &Path) -> Option<PathBuf> {
    let file = file_behind(path)?;
    let folder = fs::canonicalize(folder_of(&file)).ok()?;
    Some(folder.join(file.file_name()?))
}

/// Which rows may be found.
#[derive(Args)]
pub(super) struct Accept {
    /// Find none but the vectors with these identifiers
    #[arg(long, value_parser = ids, value_name = "IDS", conflicts_with = "deny")]
    allow: Option<PathBuf>,
    /// Find none of the vectors with these identifiers
    #[arg(long, value_parser = ids, value_name = "IDS")]
    deny: Option<PathBuf>,
}

impl Accept {
    /// The files to read.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.allow.iter().chain(&self.deny)
    }

    /// What `filter` makes of that, if not all may be found.
    pub(super) fn filter(&self, filter: impl FnOnce(&dyn Fn(i64) -> bool) -> Result<Filter>) -> Result<Option<Filter>> {
        let (path, allowed) = match (&self.allow, &self.deny) {
            (Some(path), _) => (path, true),
            (None, Some(path)) => (path, false),
            (None, None) => return Ok(None),
        };
        let listed: HashSet<i64> = read_row_ids(path)?.into_iter().collect();
        filter(&|id| listed.contains(&id) == allowed).map(Some)
    }
}

/// A number, or all there are.
#[derive(Clone, Copy)]
pub(super) struct AtMost(pub(super) Option<usize>);

impl FromStr for AtMost {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(AtMost(None)),
            Ok(number) if number > 0 => Ok(AtMost(Some(number))),
            _ => Err("give a number of at least 1, or all".into()),
        }
    }
}

/// The name of a file of vectors to read.
pub(super) fn vectors(path: &str) -> Result<PathBuf, String> {
    named(path, &[VectorFormat::Fvecs, VectorFormat::Bvecs, VectorFormat::Npy], ".fvecs, .bvecs or .npy")
}

/// The name of a file of vectors to write.
pub(super) fn vectors_out(path: &str) -> Result<PathBuf, String> {
    named(path, &[VectorFormat::Fvecs, VectorFormat::Npy], ".fvecs or .npy")
}

/// The name of a file of identifiers, to read or write.
pub(super) fn ids(path: &str) -> Result<PathBuf, String> {
    named(path, &[VectorFormat::Ivecs, VectorFormat::Npy], ".ivecs or .npy")
}

fn named(path: &str, formats: &[VectorFormat], extensions: &str) -> Result<PathBuf, String> {
    match VectorFormat::of(Path::new(path)) {
        Ok(format) if formats.contains(&format) => Ok(path.into()),
        _ => Err(format!("the name must end in {extensions}")),
    }
}

/// Identifiers of rows: all numbers of a file, one a row.
pub(super) fn read_row_ids(path: &Path) -> Result<Vec<i64>> {
    Ok(crate::storage::read_ids(path)?.into_iter().collect())
}
