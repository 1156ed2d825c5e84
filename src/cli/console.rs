//! What a command says: results on stdout, progress and warnings on stderr.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::Failure;

/// Work that takes less has no progress bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a command says.
pub(super) struct Console {
    json: bool,
    quiet: bool,
}

impl Console {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Console { json, quiet }
    }

    /// Prints what was asked for: `json`, or `text` to read.
    pub(super) fn result(&self, json: &Value, text: &str) -> Result<(), Failure> {
        if self.json { print(&json.to_string()) } else { print(text) }
    }

    /// Prints what was done, unless quiet.
    pub(super) fn summary(&self, json: &Value, text: &str) -> Result<(), Failure> {
        if self.quiet && !self.json { Ok(()) } else { self.result(json, text) }
    }

    pub(super) fn warn(&self, warning: impl Display) {
        if !self.quiet {
            eprintln!("warning: {warning}");
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A progress bar, if somebody would see it.
    pub(super) fn bar(&self) -> Option<Bar> {
        (!self.quiet && io::stderr().is_terminal()).then(Bar::new)
    }
}

/// Prints a text and the end of its last line. A reader that has read enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!("stdout: {error}"))),
        _ => Ok(()),
    }
}

/// A progress bar that shows itself once work has taken a second, and goes when dropped.
pub(super) struct Bar {
    line: ProgressBar,
    start: Instant,
    stage: Mutex<String>,
}

impl Bar {
    fn new() -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}") {
            line.set_style(style);
        }
        Bar { line, start: Instant::now(), stage: Mutex::default() }
    }

    /// Shows that `done` of `of` steps of a stage are done.
    pub(super) fn show(&self, stage: &str, done: usize, of: usize) {
        if self.line.is_hidden() && self.start.elapsed() > PATIENCE {
            self.line.set_draw_target(ProgressDrawTarget::stderr());
        }
        let mut shown = self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *shown != stage {
            stage.clone_into(&mut shown);
            self.line.reset_eta();
            self.line.set_message(stage.to_owned());
        }
        self.line.set_length(of as u64);
        self.line.set_position(done as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}
