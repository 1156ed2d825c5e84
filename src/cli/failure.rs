//! Why a command failed: one line, and an exit status.

use std::{fmt, io::ErrorKind, path::Path, process::ExitCode};

use crate::Error;

/// The exit status of bad usage.
pub(super) const USAGE: u8 = 2;

/// Why a command failed.
pub(super) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    /// A failure that is not the caller's.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Failure { message: message.to_string(), status: 1 }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exists = matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists);
        let status = if matches!(error, Error::Parameter { .. }) { USAGE } else { 1 };
        let advice = if exists { "; give another name, or --force to overwrite it" } else { "" };
        Failure { message: format!("{error}{advice}"), status }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))
    }
}

/// Names the file that is to blame: that of `rows` which do not fit, or of an `index` which is not trained.
pub(super) fn blaming(rows: &Path, index: &Path) -> impl FnOnce(Error) -> Error {
    move |error| match error {
        Error::Dimension { .. } | Error::Length { .. } | Error::NotFinite { .. } => error.in_file(rows),
        Error::NotTrained { .. } => error.in_file(index),
        error => error,
    }
}

/// Names the file of identifiers, if there is one and it is to blame.
pub(super) fn blaming_ids(ids: Option<&Path>) -> impl FnOnce(Error) -> Error {
    move |error| match (ids, &error) {
        (Some(ids), Error::Length { .. } | Error::DuplicateId { .. } | Error::Parameter { name: "id", .. }) => {
            error.in_file(ids)
        }
        _ => error,
    }
}

/// A complaint about the arguments, without the usage that follows it.
pub(super) fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let complaint = text.split("\n\nUsage:").next().and_then(|text| text.split("\n\nFor more information").next());
    format!("{}; see --help", one_line(complaint.unwrap_or(&text)))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
