//! `cellprobe remove`.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    Common, Outcome,
    arguments::{self, Overwrite},
    console::Console,
};
use crate::Index;

/// Removes vectors from an index.
///
/// The others keep their identifiers. Identifiers that the index has not are passed over. Vectors added to the written
/// index are numbered on from the largest identifier left.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe remove vectors.index --ids ids.npy -o fewer.index
  cellprobe remove vectors.index --ids ids.ivecs -o vectors.index --force")]
pub(super) struct Remove {
    /// The index to begin with
    index: PathBuf,
    /// Identifiers of the vectors to remove, .ivecs or .npy
    #[arg(long, value_parser = arguments::ids, value_name = "FILE")]
    ids: PathBuf,
    /// Write the index, a FAISS file
    #[arg(short, long, value_name = "INDEX")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Remove {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        self.overwrite.check([&self.output], [&self.ids])?;
        let device = common.device()?;
        let mut index = Index::read_file(&self.index, &device)?;
        let ids: HashSet<i64> = arguments::read_row_ids(&self.ids)?.into_iter().collect();
        let removed = index.remove(|id| ids.contains(&id))?;
        index.write_file(&self.output, self.overwrite.force)?;
        let ntotal = index.ntotal();
        let json = json!({ "device": device.name(), "removed": removed, "ntotal": ntotal });
        console.summary(&json, &format!("{removed} vectors removed, {ntotal} left"))?;
        Ok(true)
    }
}
