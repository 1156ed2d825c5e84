//! `cellprobe add`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use ndarray::ArrayView2;
use serde_json::json;

use super::{
    Common, Outcome,
    arguments::{self, Overwrite},
    console::Console,
    failure::{blaming, blaming_ids},
};
use crate::{Index, Result, index::Adding, storage::read_vectors};

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
    /// Identifiers of the vectors, .ivecs or .npy [default: numbered on from the largest]
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
        self.overwrite.check([&self.output], self.ids.iter().chain([&self.data]))?;
        let device = common.device()?;
        let mut index = Index::read_file(&self.index, &device)?;
        let rows = read_vectors(&self.data)?;
        let ids = self.ids.as_deref().map(arguments::read_row_ids).transpose()?;
        let added = add(&mut index, rows.view(), ids.as_deref(), console);
        let added = added.map_err(blaming_ids(self.ids.as_deref()));
        let add_seconds = added.map_err(blaming(&self.data, &self.index))?;
        index.write_file(&self.output, self.overwrite.force)?;
        let (added, ntotal) = (rows.nrows(), index.ntotal());
        let json = json!({ "device": device.name(), "add_seconds": add_seconds, "ntotal": ntotal });
        console.summary(&json, &format!("{added} vectors added in {add_seconds:.3} s, {ntotal} in all"))?;
        Ok(true)
    }
}

/// Adds rows to an index and shows how far that is; gives the seconds that it took.
pub(super) fn add(index: &mut Index, rows: ArrayView2<'_, f32>, ids: Option<&[i64]>, console: &Console) -> Result<f64> {
    let bar = console.bar();
    let show = |done: usize, of: usize| bar.iter().for_each(|bar| bar.show("adding", done, of));
    let mut adding = Adding::default();
    if bar.is_some() {
        adding = adding.progress(&show);
    }
    if let Some(ids) = ids {
        adding = adding.ids(ids);
    }
    let start = Instant::now();
    index.add_with(rows, &adding)?;
    Ok(start.elapsed().as_secs_f64())
}
