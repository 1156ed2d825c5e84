//! Arguments that several commands take.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;

use crate::{
    Result,
    index::Filter,
    storage::{VectorFormat, check_new},
};

/// Whether files that exist may be written.
#[derive(Args)]
pub(super) struct Overwrite {
    /// Overwrite files that exist
    #[arg(long)]
    pub(super) force: bool,
}

impl Overwrite {
    /// Fails at once if a file to write exists, rather than after the work; the file is looked for again when it is written.
    pub(super) fn check<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
        paths.into_iter().try_for_each(|path| check_new(path, self.force))
    }
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
