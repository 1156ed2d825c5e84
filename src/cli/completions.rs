//! `cellprobe completions`.

use clap::{Args, CommandFactory};

use super::{Cli, Outcome, console::Console};

/// Prints a script that completes commands in a shell.
#[derive(Args)]
#[command(after_help = "\
Example:
  cellprobe completions bash > ~/.local/share/bash-completion/completions/cellprobe")]
pub(super) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self, console: &Console) -> Outcome {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut Cli::command(), "cellprobe", &mut script);
        let script = String::from_utf8_lossy(&script);
        console.result(&serde_json::json!({ "script": script }), &script)?;
        Ok(true)
    }
}
