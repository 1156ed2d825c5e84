//! `cellprobe spectra`: commands on mass spectra.

mod cluster;
mod identify;
mod index;
mod input;
mod options;

use clap::{Args, Subcommand};

use super::{Common, Outcome, console::Console};
use options::SpectraOptions;

/// Clusters and identifies mass spectra.
#[derive(Args)]
pub(super) struct Spectra {
    #[command(subcommand)]
    command: SpectraCommand,
}

#[derive(Subcommand)]
enum SpectraCommand {
    /// Put spectra of one molecule together
    Cluster(cluster::Cluster),
    /// Clean and index a library
    Index(index::IndexLibrary),
    /// Name spectra by the most similar ones of a library
    Identify(identify::Identify),
}

impl Spectra {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        match &self.command {
            SpectraCommand::Cluster(command) => command.run(common, console),
            SpectraCommand::Index(command) => command.run(common, console),
            SpectraCommand::Identify(command) => command.run(common, console),
        }
    }
}
