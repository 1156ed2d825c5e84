//! `cellprobe add`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use serde_json::json;

use super::{
    Common, Outcome,
    arguments::{self, Overwrite},
    console::Console,
};
use crate::{Index, storage::read_vectors};

/// Adds vectors to an index.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe add vectors.index more.fvecs -o all.index
  cellprobe add vectors.index more.npy --ids ids.npy -o vectors.index --force")]
pub(super) struct Add {
    /// The index to begin with
    index: PathBuf,
    /// The vectors to add
    #[arg(value_parser = arguments::vectors)]
    data: PathBuf,
    /// Identifiers of the vectors, .ivecs or .npy [default: numbered on]
    #[arg(long, value_parser = arguments::ids, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Write the index, a FAISS file
    #[arg(short, long, value_name = "INDEX")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Add {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        self.overwrite.check([&self.output])?;
        let device = common.device()?;
        let mut index = Index::read_file(&self.index, &device)?;
        let rows = read_vectors(&self.data)?;
        let ids = self.ids.as_deref().map(arguments::read_row_ids).transpose()?;
        let start = Instant::now();
        match ids {
            Some(ids) => index.add_with_ids(rows.view(), &ids)?,
            None => index.add(rows.view())?,
        }
        let add_seconds = start.elapsed().as_secs_f64();
        index.write_file(&self.output, self.overwrite.force)?;
        let (added, ntotal) = (rows.nrows(), index.ntotal());
        let json = json!({ "device": device.name(), "add_seconds": add_seconds, "ntotal": ntotal });
        console.summary(&json, &format!("{added} vectors added in {add_seconds:.3} s, {ntotal} in all"))?;
        Ok(true)
    }
}
