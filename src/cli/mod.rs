//! The `cellprobe` command: a thin shell over the library, one file a command.

mod add;
mod arguments;
mod bench;
mod build;
mod completions;
mod console;
mod devices;
mod failure;
mod info;
mod kmeans;
mod range;
mod remove;
mod rows;
mod search;
mod searched;
mod shaders;
#[cfg(unix)]
mod signals;
#[cfg(feature = "spectra")]
mod spectra;
mod verify;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{Device, device::Options};
use console::Console;
use failure::{Failure, usage_line};

/// What a command returns: `Ok(false)` if a check did not pass.
type Outcome = Result<bool, Failure>;

/// Nearest neighbours, k-means and product quantization on any GPU and on the CPU.
#[derive(Parser)]
#[command(name = "cellprobe", version, after_help = EXAMPLES, propagate_version = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Vector files are .fvecs, .bvecs and .npy, identifiers .ivecs and .npy; indexes are FAISS files.

Examples:
  cellprobe devices
  cellprobe kmeans vectors.npy -k 1024 -o centroids.npy
  cellprobe build vectors.fvecs --index IVF1024,PQ16 -o vectors.index
  cellprobe search vectors.index queries.fvecs -k 10 --nprobe 16 -o ids.ivecs

Exit status: 0 done, 1 failed or a check did not pass, 2 bad usage.";

#[derive(Subcommand)]
enum Command {
    /// List every adapter, and which one is taken
    Devices,
    /// Check every operation and index on the device against a reference in f64
    Verify,
    /// Time every operation and index, CPU against the device
    Bench(bench::Bench),
    /// Write the WGSL of every kernel
    Shaders(shaders::Shaders),
    /// Cluster vectors around k centroids
    Kmeans(kmeans::Kmeans),
    /// Train an index and fill it with vectors
    Build(build::Build),
    /// Add vectors to an index
    Add(add::Add),
    /// Remove vectors from an index
    Remove(remove::Remove),
    /// Find the nearest neighbours of queries
    Search(search::SearchIndex),
    /// Find all neighbours of queries within a radius
    Range(range::Range),
    /// Cluster mass spectra
    #[cfg(feature = "spectra")]
    Spectra(Box<spectra::Spectra>),
    /// Describe an index file
    Info(info::Info),
    /// Print a script that completes commands in a shell
    Completions(completions::Completions),
}

/// What every command takes.
#[derive(Args)]
struct Common {
    /// Where to work: auto, cpu, gpu, or gpu:INDEX or gpu:PART-OF-THE-NAME. `auto` is the best real GPU, otherwise the CPU.
    /// `search` takes a list with commas as well
    #[arg(long, global = true, env = "CELLPROBE_DEVICE", default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Threads of the CPU to use [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Seed of every random choice
    #[arg(long, global = true, default_value_t = 1234, value_name = "N")]
    seed: u64,
    /// Print one JSON object and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Print no summary, no progress and no warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Common {
    /// The device that was asked for.
    fn device(&self) -> crate::Result<Device> {
        Device::open(&self.device, &Options::default())
    }

    /// The devices of a list with commas, which names may have as well.
    fn devices(&self) -> crate::Result<Vec<Device>> {
        let mut wanted: Vec<String> = vec![];
        for part in self.device.split(',') {
            let kind = part.split_once(':').map_or(part, |(kind, _)| kind);
            match wanted.last_mut() {
                Some(name) if !["auto", "cpu", "gpu"].contains(&kind) => *name = format!("{name},{part}"),
                _ => wanted.push(part.into()),
            }
        }
        wanted.iter().map(|device| Device::open(device, &Options::default())).collect()
    }

    fn start(&self) -> Result<(), Failure> {
        let level = match (self.quiet, self.verbose) {
            (true, _) => log::LevelFilter::Error,
            (false, 0) => log::LevelFilter::Warn,
            (false, 1) => log::LevelFilter::Info,
            (false, 2) => log::LevelFilter::Debug,
            (false, _) => log::LevelFilter::Trace,
        };
        // Graphics libraries report much that means nothing to a user, even as errors.
        let others = if self.verbose > 1 { level } else { log::LevelFilter::Off };
        env_logger::Builder::new().filter_level(others).filter_module("cellprobe", level).parse_default_env().init();
        #[cfg(unix)]
        signals::watch().map_err(Failure::new)?;
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().map_err(Failure::new)?;
        }
        Ok(())
    }
}

/// Runs the command of this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            eprintln!("{}", usage_line(&error));
            return ExitCode::from(failure::USAGE);
        }
    };
    match execute(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn execute(cli: &Cli) -> Outcome {
    let common = &cli.common;
    common.start()?;
    let console = Console::new(common.json, common.quiet);
    match &cli.command {
        Command::Devices => devices::run(&console),
        Command::Verify => verify::run(common, &console),
        Command::Bench(command) => command.run(common, &console),
        Command::Shaders(command) => command.run(&console),
        Command::Kmeans(command) => command.run(common, &console),
        Command::Build(command) => command.run(common, &console),
        Command::Add(command) => command.run(common, &console),
        Command::Remove(command) => command.run(common, &console),
        Command::Search(command) => command.run(common, &console),
        Command::Range(command) => command.run(common, &console),
        #[cfg(feature = "spectra")]
        Command::Spectra(command) => command.run(common, &console),
        Command::Info(command) => command.run(&console),
        Command::Completions(command) => command.run(&console),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
