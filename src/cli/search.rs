//! `cellprobe search`.

use std::{
    collections::HashSet,
    fmt::Write as _,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Instant,
};

use clap::Args;
use ndarray::{Array2, ArrayView2};
use serde_json::{Map, Value, json};

use super::{
    Common, Outcome,
    arguments::{self, Accept, Overwrite},
    console::Console,
    failure::blaming,
    rows::Rows,
    searched::{Room, Searched},
};
use crate::{
    Device, Error, Neighbors, Result, Search,
    index::Placement,
    storage::{read_ids, read_vectors, write_ids, write_vectors},
};

/// The k of the recalls that are reported.
const RECALLS: [usize; 3] = [1, 10, 100];

/// The most bytes of identifiers that may be written of neighbours that there are not.
const MOST_PADDING: u64 = 1 << 30;

/// Finds the nearest neighbours of queries.
///
/// The time is that of the search alone, after one that is not counted.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe search vectors.index queries.fvecs -k 10 -o ids.ivecs --distances distances.fvecs
  cellprobe search vectors.index queries.npy -k 10 --nprobe 16 --rerank vectors.npy
  cellprobe search vectors.index queries.npy -k 10 --rerank vectors.npy --rerank-ids ids.npy
  cellprobe search vectors.index queries.npy -k 10 --allow ids.npy -o found.npy
  cellprobe search vectors.index queries.fvecs -k 100 --truth truth.ivecs --repeat 5 --json
  cellprobe search vectors.index queries.fvecs -k 10 --memory 4096 --rerank vectors.fvecs
  cellprobe search vectors.index queries.fvecs -k 10 --device gpu:0,gpu:1 --placement replicated")]
pub(super) struct SearchIndex {
    /// The index
    index: PathBuf,
    /// The queries
    #[arg(value_parser = arguments::vectors)]
    queries: PathBuf,
    /// Neighbours to find
    #[arg(short)]
    k: usize,
    /// Lists to visit [default: as the index says]
    #[arg(long, value_name = "N")]
    nprobe: Option<usize>,
    /// Re-rank by exact distances to these vectors: all that are in the index, in the order in which they were added
    #[arg(long, value_parser = arguments::vectors, value_name = "DATA")]
    rerank: Option<PathBuf>,
    /// The identifiers of the vectors to re-rank by, in any order, .ivecs or .npy with one a row: an IVF index in a file does
    /// not tell the order in which vectors were added with identifiers
    #[arg(long, requires = "rerank", value_parser = arguments::ids, value_name = "IDS")]
    rerank_ids: Option<PathBuf>,
    /// Candidates to re-rank, as a multiple of k
    #[arg(long, default_value_t = 10, requires = "rerank", value_name = "F")]
    rerank_factor: usize,
    /// How the index lies on several devices: `sharded`, each with some of the vectors, or `replicated`, each with all of
    /// them and some of the queries
    #[arg(long, default_value = "sharded", value_parser = placement, value_name = "PLACEMENT")]
    placement: Placement,
    /// MiB of the device to take: the index goes there in pieces of a third of that, for each search anew, and the vectors of
    /// --rerank are read from their file as candidates need them [default: the index
    /// goes there whole, if it fits]
    #[arg(long, value_name = "MIB")]
    memory: Option<NonZeroU32>,
    #[command(flatten)]
    accept: Accept,
    /// The true nearest neighbours, to report recall by
    #[arg(long, value_parser = arguments::ids, value_name = "IVECS")]
    truth: Option<PathBuf>,
    /// Searches of which to report the median time
    #[arg(long, default_value = "1", value_name = "R")]
    repeat: NonZeroUsize,
    /// Write the neighbours' identifiers, .ivecs or .npy, with -1 where there are fewer than k
    #[arg(short, long, value_parser = arguments::ids, value_name = "IDS")]
    output: Option<PathBuf>,
    /// Write the neighbours' distances, .fvecs or .npy
    #[arg(long, value_parser = arguments::vectors_out, value_name = "FILE")]
    distances: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl SearchIndex {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let inputs = [&self.index, &self.queries].into_iter().chain(&self.rerank).chain(&self.rerank_ids);
        let inputs = inputs.chain(&self.truth);
        self.overwrite.check(self.output.iter().chain(&self.distances), inputs.chain(self.accept.files()))?;
        let devices = common.devices()?;
        let queries = read_vectors(&self.queries)?;
        let truth = self.truth.as_ref().map(|path| truth(path, queries.nrows())).transpose()?;
        let memory = self.memory.map(|mebibytes| u64::from(mebibytes.get()) << 20);
        let room = memory.map_or(Room::Whole, |memory| Room::Pieces(Some(memory)));
        let timed = match (self.timed(&devices, room, queries.view(), console), &devices[..]) {
            (Err(error), [device]) if room == Room::Whole && device.is_gpu() && error.exceeds(device.name()) => {
                console.warn(format!("{error}: the index is searched in pieces, as large as the device takes them"));
                self.timed(&devices, Room::Pieces(None), queries.view(), console)
            }
            (timed, _) => timed,
        };
        let Timed { device, found, warmup_seconds, seconds: search_seconds } = timed?;
        self.write(&found)?;
        let qps = queries.nrows() as f64 / search_seconds;
        let mut json = json!({
            "device": device,
            "search_seconds": search_seconds,
            "warmup_seconds": warmup_seconds,
            "qps": qps,
        });
        let mut text = format!(
            "{} queries, k = {}, in {search_seconds:.6} s on {}: {qps:.0} a second",
            queries.nrows(),
            self.k,
            device
        );
        if let Some(truth) = truth {
            let recalls = recalls(&found, &truth);
            for (k, recall) in &recalls {
                let _ = write!(text, "\nrecall@{k} {recall:.4}");
            }
            let recalls: Map<String, Value> =
                recalls.into_iter().map(|(k, recall)| (k.to_string(), recall.into())).collect();
            json["recall"] = recalls.into();
        }
        console.summary(&json, &text)?;
        Ok(true)
    }

    /// What is found, and how long that took.
    fn timed(&self, devices: &[Device], room: Room, queries: ArrayView2<'_, f32>, console: &Console) -> Result<Timed> {
        let index = Searched::read(&self.index, self.output.as_deref(), devices, self.placement, room)?;
        self.check_width(queries.nrows(), index.ntotal())?;
        // Vectors that do not lie one after the other are read at once: they stay in the host's memory.
        let open = |path| Rows::open(path, index.is_streamed()).or_else(|_| Rows::open(path, false));
        let rows = self.rerank.as_deref().map(open).transpose()?;
        let ids = self.rerank_ids.as_deref().map(arguments::read_row_ids).transpose()?;
        let exact = rows.as_ref().map(|rows| index.exact_rows(rows, ids.as_deref(), console)).transpose();
        let exact = exact.map_err(blaming(self.rerank.as_deref().unwrap_or(&self.index), &self.index))?;
        let mut search = Search::new(self.k);
        if let Some(nprobe) = self.nprobe {
            search = search.nprobe(nprobe);
        }
        if let Some(exact) = &exact {
            search = search.rerank(exact, self.rerank_factor);
        }
        let filter = self.accept.filter(|accepts| index.filter(accepts));
        let filter = filter.map_err(blaming(&self.queries, &self.index))?;
        if let Some(filter) = &filter {
            search = search.filter(filter);
        }
        let run = |search: &Search<'_>| -> Result<(Neighbors, f64)> {
            let start = Instant::now();
            let found = index.search_with(queries, search).map_err(blaming(&self.queries, &self.index))?;
            Ok((found, start.elapsed().as_secs_f64()))
        };
        let bar = console.bar();
        let show = |done: usize, of: usize| bar.iter().for_each(|bar| bar.show("searching", done, of));
        // Searches whose time counts are not told of.
        let (_, warmup_seconds) = run(&if bar.is_some() { search.progress(&show) } else { search })?;
        let (mut found, first) = run(&search)?;
        let mut times = vec![first];
        for done in 1..self.repeat.get() {
            let (again, seconds) = run(&search)?;
            found = again;
            times.push(seconds);
            if let Some(bar) = &bar {
                bar.show("searching again", done + 1, self.repeat.get());
            }
        }
        Ok(Timed { device: index.device(), found, warmup_seconds, seconds: median(times) })
    }

    /// Fails if rows of k were mostly padding, and more of it than there may be memory for.
    fn check_width(&self, queries: usize, ntotal: usize) -> Result<()> {
        let most = MOST_PADDING / (size_of::<i64>() * queries.max(1)) as u64;
        let written = self.output.is_some() || self.distances.is_some();
        if written && self.k.saturating_sub(ntotal) as u64 > most {
            let most = ntotal as u64 + most;
            let expected =
                format!("at most {most} to write: the index has {ntotal} vectors, and more were 1 GiB of padding");
            return Err(Error::parameter("k", self.k, expected));
        }
        Ok(())
    }

    fn write(&self, found: &Neighbors) -> Result<()> {
        if let Some(path) = &self.output {
            write_ids(path, found.ids().view(), self.overwrite.force)?;
        }
        if let Some(path) = &self.distances {
            write_vectors(path, found.scores().view(), self.overwrite.force)?;
        }
        Ok(())
    }
}

/// What was found, on which device.
struct Timed {
    device: String,
    found: Neighbors,
    warmup_seconds: f64,
    /// The median of the searches that count.
    seconds: f64,
}

fn placement(text: &str) -> Result<Placement, String> {
    match text {
        "sharded" => Ok(Placement::Sharded),
        "replicated" => Ok(Placement::Replicated),
        _ => Err("give sharded or replicated".into()),
    }
}

/// The true neighbours of each query.
fn truth(path: &PathBuf, queries: usize) -> Result<Array2<i64>> {
    let truth = read_ids(path)?;
    if truth.nrows() != queries {
        let (expected, found) = (queries, truth.nrows());
        return Err(Error::Length { what: "rows of the truth", expected, found }.in_file(path));
    }
    Ok(truth)
}

/// For each k up to that of search and truth, the share of the true k nearest that are among the k returned.
fn recalls(found: &Neighbors, truth: &Array2<i64>) -> Vec<(usize, f64)> {
    let most = found.k().min(truth.ncols());
    let recall = |k: usize| {
        let (mut hits, mut all) = (0_usize, 0_usize);
        for (found, truth) in found.rows().zip(truth.outer_iter()) {
            let returned: HashSet<i64> = found.iter().take(k).map(|neighbor| neighbor.id).collect();
            // Padding is no neighbour.
            let wanted = truth.iter().take(k).filter(|&&id| id >= 0);
            for id in wanted {
                all += 1;
                hits += usize::from(returned.contains(id));
            }
        }
        hits as f64 / all.max(1) as f64
    };
    RECALLS.into_iter().filter(|&k| k <= most).map(|k| (k, recall(k))).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len().is_multiple_of(2) { f64::midpoint(times[middle - 1], times[middle]) } else { times[middle] }
}

#[cfg(test)]
mod tests {
    #[test]
    fn medians() {
        for (times, median) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 9.0], 3.0)] {
            assert!((super::median(times) - median).abs() < f64::EPSILON);
        }
    }
}
