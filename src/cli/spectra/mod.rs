//! `cellprobe spectra`: commands on mass spectra.

mod cluster;
mod options;

use clap::{Args, Subcommand};

use super::{Common, Outcome, console::Console};
use options::SpectraOptions;

/// Clusters mass spectra.
#[derive(Args)]
pub(super) struct Spectra {
    #[command(subcommand)]
    command: SpectraCommand,
}

#[derive(Subcommand)]
enum SpectraCommand {
    /// Put spectra of one molecule together
    Cluster(cluster::Cluster),
}

impl Spectra {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        match &self.command {
            SpectraCommand::Cluster(command) => command.run(common, console),
        }
    }
}
