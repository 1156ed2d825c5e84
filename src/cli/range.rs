//! `cellprobe range`.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use clap::Args;
use serde_json::json;

use super::{
    Common, Outcome,
    arguments::{self, Accept, Overwrite},
    console::Console,
    failure::blaming,
};
use crate::{
    Index, Neighbors, Search,
    storage::{read_vectors, stream_error, write_whole},
};

/// Finds all neighbours of queries within a radius.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe range vectors.index queries.fvecs --radius 0.5 -o found.tsv
  cellprobe range vectors.index queries.npy --radius 0.9 --nprobe 64 --json")]
pub(super) struct Range {
    /// The index
    index: PathBuf,
    /// The queries
    #[arg(value_parser = arguments::vectors)]
    queries: PathBuf,
    /// What squared distances are below, or inner products and cosines above
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    radius: f32,
    /// Lists to visit [default: as the index says]
    #[arg(long, value_name = "N")]
    nprobe: Option<usize>,
    #[command(flatten)]
    accept: Accept,
    /// Write what is found as text: query, identifier and score, with tabs between them, nearest first
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Range {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let inputs = [&self.index, &self.queries].into_iter().chain(self.accept.files());
        self.overwrite.check(&self.output, inputs)?;
        let index = Index::read_file(&self.index, &common.device()?)?;
        let queries = read_vectors(&self.queries)?;
        let filter = self.accept.filter(|accepts| index.filter(accepts));
        let filter = filter.map_err(blaming(&self.queries, &self.index))?;
        let mut search = Search::all_within(self.radius);
        if let Some(nprobe) = self.nprobe {
            search = search.nprobe(nprobe);
        }
        if let Some(filter) = &filter {
            search = search.filter(filter);
        }
        let bar = console.bar();
        let show = |done: usize, of: usize| bar.iter().for_each(|bar| bar.show("searching", done, of));
        let start = Instant::now();
        let found = index.search_with(queries.view(), &if bar.is_some() { search.progress(&show) } else { search });
        let found = found.map_err(blaming(&self.queries, &self.index))?;
        let seconds = start.elapsed().as_secs_f64();
        drop(bar);
        if let Some(path) = &self.output {
            write_whole(path, self.overwrite.force, |file| write(&found, file).map_err(stream_error))?;
        }
        let count: usize = found.rows().map(<[_]>::len).sum();
        let device = index.device().name();
        let json = json!({
            "device": device,
            "search_seconds": seconds,
            "queries": queries.nrows(),
            "found": count,
            "most": found.k(),
        });
        let text = format!(
            "{} queries, {count} within {}, at most {} of one, in {seconds:.6} s on {device}",
            queries.nrows(),
            self.radius,
            found.k()
        );
        console.summary(&json, &text)?;
        Ok(true)
    }
}

fn write(found: &Neighbors, file: &mut dyn Write) -> io::Result<()> {
    writeln!(file, "query\tid\tscore")?;
    for (query, row) in found.rows().enumerate() {
        row.iter().try_for_each(|one| writeln!(file, "{query}\t{}\t{}", one.id, one.score))?;
    }
    Ok(())
}
