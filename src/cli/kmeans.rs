//! `cellprobe kmeans`.

use std::{convert::Infallible, num::NonZeroU32, path::PathBuf, str::FromStr, time::Instant};

use clap::Args;
use serde_json::json;

use super::{
    Common, Outcome,
    arguments::{self, AtMost, Overwrite},
    console::Console,
    failure::blaming,
    rows::Rows,
};
use crate::{
    Device, KMeans, Result,
    kmeans::{Clustering, Init},
    storage::{read_vectors, write_labels, write_vectors},
};

/// Clusters vectors around k centroids.
///
/// The objective is the sum over the training vectors of the squared distances to their nearest centroids.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe kmeans vectors.npy -k 1024 -o centroids.npy --labels labels.npy
  cellprobe kmeans vectors.npy -k 65536 --max-points-per-centroid all --memory 4096 -o centroids.npy
  cellprobe kmeans vectors.fvecs -k 100 --iterations 50 --restarts 5 --init kmeans++ --json")]
pub(super) struct Kmeans {
    /// The vectors
    #[arg(value_parser = arguments::vectors)]
    data: PathBuf,
    /// Number of centroids
    #[arg(short)]
    k: usize,
    /// Iterations of a run
    #[arg(long, default_value_t = 25, value_name = "N")]
    iterations: usize,
    /// Runs from different starts, of which the best is kept
    #[arg(long, default_value_t = 1, value_name = "N")]
    restarts: usize,
    /// Assign by inner product and scale centroids to unit length; for cosines, give vectors of unit length
    #[arg(long)]
    spherical: bool,
    /// Where centroids start: random, kmeans++, or a file of them
    #[arg(long, default_value = "random", value_name = "random|kmeans++|FILE")]
    init: Start,
    /// Train on a random sample of at most so many vectors a centroid
    #[arg(long, default_value = "256", value_name = "N|all")]
    max_points_per_centroid: AtMost,
    /// MiB of vectors to hold at a time: more of them are read in pieces, again and again [default: all]
    #[arg(long, value_name = "MIB")]
    memory: Option<NonZeroU32>,
    /// Write the centroids, .fvecs or .npy
    #[arg(short, long, value_parser = arguments::vectors_out, value_name = "CENTROIDS")]
    output: Option<PathBuf>,
    /// Write the number of each vector's centroid, .ivecs or .npy
    #[arg(long, value_parser = arguments::ids, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

#[derive(Clone)]
enum Start {
    Random,
    PlusPlus,
    File(PathBuf),
}

impl FromStr for Start {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "random" => Start::Random,
            "kmeans++" => Start::PlusPlus,
            path => Start::File(path.into()),
        })
    }
}

impl Start {
    fn init(&self) -> Result<Init> {
        Ok(match self {
            Start::Random => Init::Random,
            Start::PlusPlus => Init::PlusPlus,
            Start::File(path) => Init::Given(read_vectors(path)?),
        })
    }
}

impl Rows {
    fn train(&self, device: &Device, kmeans: &KMeans) -> Result<Clustering> {
        match self {
            Rows::Read(rows) => kmeans.train(device, rows.view()),
            Rows::File(file) => kmeans.train_rows(device, file),
        }
    }

    /// The sum of squared distances where inner products assigned: what k-means on the same sample begins with at the
    /// centroids that there are.
    fn objective(&self, device: &Device, kmeans: KMeans, clustering: &Clustering) -> Result<f64> {
        let centroids = Init::Given(clustering.centroids().to_owned());
        let again = self.train(device, &kmeans.spherical(false).init(centroids).iterations(1))?;
        Ok(again.objectives().first().copied().unwrap_or(again.objective()))
    }
}

impl Kmeans {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let given = if let Start::File(path) = &self.init { Some(path) } else { None };
        self.overwrite.check(self.output.iter().chain(&self.labels), given.into_iter().chain([&self.data]))?;
        let device = common.device()?;
        let rows = Rows::open(&self.data, self.memory.is_some())?;
        let mut kmeans = KMeans::new(self.k)
            .iterations(self.iterations)
            .restarts(self.restarts)
            .spherical(self.spherical)
            .init(self.init.init()?)
            .max_points_per_centroid(self.max_points_per_centroid.0)
            .memory(self.memory.map(|mebibytes| u64::from(mebibytes.get()) << 20))
            .seed(common.seed);
        let again = kmeans.clone();
        if let Some(bar) = console.bar() {
            kmeans = kmeans.progress(move |step| bar.show("training", step.done, step.of));
        }
        let start = Instant::now();
        let clustering = rows.train(&device, &kmeans);
        let clustering = clustering.map_err(blaming(given.unwrap_or(&self.data), &self.data))?;
        let seconds = start.elapsed().as_secs_f64();
        drop(kmeans);
        let objective =
            if self.spherical { rows.objective(&device, again, &clustering)? } else { clustering.objective() };
        clustering.warnings().iter().for_each(|warning| console.warn(warning));
        if let Some(path) = &self.output {
            write_vectors(path, clustering.centroids(), self.overwrite.force)?;
        }
        if let Some(path) = &self.labels {
            let assignment = match &rows {
                Rows::Read(rows) => clustering.assign(rows.view())?,
                Rows::File(file) => clustering.assign_rows(file)?,
            };
            write_labels(path, assignment.labels.mapv(i64::from).view(), self.overwrite.force)?;
        }
        let iterations = clustering.iterations();
        let json = json!({
            "device": device.name(),
            "seconds": seconds,
            "iterations": iterations,
            "objective": objective,
            "empty_clusters": clustering.empty_clusters().last().copied().unwrap_or(0),
        });
        let (points, k) = (clustering.points(), self.k);
        let text = format!(
            "{k} centroids of {points} vectors in {seconds:.3} s on {}\n{iterations} iterations, objective {objective}",
            device.name()
        );
        console.summary(&json, &text)?;
        Ok(true)
    }
}
