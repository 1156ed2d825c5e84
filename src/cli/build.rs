//! `cellprobe build`.

use std::{borrow::Cow, path::PathBuf, time::Instant};

use clap::Args;
use ndarray::{Array2, Axis};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::json;

use super::{
    Common, Outcome,
    add::add,
    arguments::{self, AtMost, Overwrite},
    console::Console,
    failure::blaming_ids,
};
use crate::{Error, Index, Metric, Result, index::Training, storage::read_vectors};

/// Trains an index and fills it with vectors.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe build vectors.fvecs --index IVF1024,PQ16 -o vectors.index
  cellprobe build vectors.npy --index Flat --metric cosine --ids ids.npy -o vectors.index")]
pub(super) struct Build {
    /// The vectors
    #[arg(value_parser = arguments::vectors)]
    data: PathBuf,
    /// The kind of index, as a FAISS factory string: `Flat`, `PQ16`, `PQ8x4`, `IVF1024,Flat`, `IVF1024,PQ16`, `IVF1024,PQ8x4`, each with `OPQ16,`, `OPQ16_64,`, `PCA64,` or `RR64,` before it or without
    #[arg(long, value_name = "FACTORY")]
    index: String,
    /// What near means: l2, ip or cosine
    #[arg(long, default_value_t = Metric::L2)]
    metric: Metric,
    /// Train on a random sample of so many vectors, or on all [default: up to 256 a centroid]
    #[arg(long, value_name = "N|all")]
    train: Option<AtMost>,
    /// Identifiers of the vectors, .ivecs or .npy [default: 0, 1, 2, ...]
    #[arg(long, value_parser = arguments::ids, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Write the index, a FAISS file
    #[arg(short, long, value_name = "INDEX")]
    output: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Build {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        self.overwrite.check([&self.output], self.ids.iter().chain([&self.data]))?;
        let device = common.device()?;
        let rows = read_vectors(&self.data)?;
        let ids = self.ids.as_deref().map(arguments::read_row_ids).transpose()?;
        let mut index = Index::new(&device, rows.ncols(), &self.index, self.metric)?;
        let mut training = Training::default().seed(common.seed);
        if self.train.is_some() {
            training = training.max_points_per_centroid(None);
        }
        if let Some(bar) = console.bar() {
            training = training.progress(move |stage, step| bar.show(stage, step.done, step.of));
        }
        let sample = self.sample(&rows, common.seed)?;
        let start = Instant::now();
        index.train_with(sample.view(), &training)?;
        let train_seconds = start.elapsed().as_secs_f64();
        drop((training, sample));
        index.warnings().iter().for_each(|warning| console.warn(warning));
        let added = add(&mut index, rows.view(), ids.as_deref(), console);
        let add_seconds = added.map_err(blaming_ids(self.ids.as_deref()))?;
        index.write_file(&self.output, self.overwrite.force)?;
        let (ntotal, bytes) = (index.ntotal(), index.bytes_per_vector());
        let json = json!({
            "device": device.name(),
            "train_seconds": train_seconds,
            "add_seconds": add_seconds,
            "ntotal": ntotal,
            "bytes_per_vector": bytes,
        });
        let text = format!(
            "{} of {ntotal} vectors, {bytes} bytes each\ntrained in {train_seconds:.3} s, filled in {add_seconds:.3} s on {}",
            index.factory(),
            device.name()
        );
        console.summary(&json, &text)?;
        Ok(true)
    }

    /// The rows to train on.
    fn sample<'a>(&self, rows: &'a Array2<f32>, seed: u64) -> Result<Cow<'a, Array2<f32>>> {
        let Some(AtMost(Some(count))) = self.train else { return Ok(Cow::Borrowed(rows)) };
        if count > rows.nrows() {
            return Err(Error::parameter("train", count, format!("all, or at most the {} there are", rows.nrows())));
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut chosen = rand::seq::index::sample(&mut random, rows.nrows(), count).into_vec();
        chosen.sort_unstable();
        Ok(Cow::Owned(rows.select(Axis(0), &chosen)))
    }
}
