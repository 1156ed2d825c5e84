//! A folder to run `cellprobe` in.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The file of one of ten runs of plant extracts, counted from 1.
pub fn run(number: usize) -> String {
    format!("{}/examples/data/dbgi/20220513_PMA_DBGI_01_04_{number:03}.mgf", env!("CARGO_MANIFEST_DIR"))
}

/// A temporary folder, and the words that its commands begin with.
pub struct Folder {
    folder: tempfile::TempDir,
    command: &'static [&'static str],
}

impl Folder {
    pub fn new(command: &'static [&'static str]) -> Result<Self> {
        Ok(Folder { folder: tempfile::tempdir()?, command })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command in the folder, on the CPU.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
        command.current_dir(self.folder.path()).env("CELLPROBE_DEVICE", "cpu").env_remove("RUST_LOG");
        command.args(self.command).args(arguments.split_whitespace());
        command
    }

    pub fn run(&self, arguments: &str) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// The summary of a command that must succeed.
    pub fn json(&self, arguments: &str) -> Result<Value> {
        let output = self.run(&format!("{arguments} --json"))?;
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The error line of a command that must fail with `status`.
    pub fn error(&self, arguments: &str, status: i32) -> Result<String> {
        let output = self.run(arguments)?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(status), "{arguments}: {stderr}");
        let lines = stderr.lines().filter(|line| !line.starts_with("warning: "));
        let [error] = lines.collect::<Vec<_>>()[..] else { return Err(stderr.into()) };
        assert!(error.starts_with("error: "), "{stderr}");
        Ok(error.to_owned())
    }

    /// The rows of matches.tsv in a folder, by the names of its columns.
    pub fn matches(&self, folder: &str) -> Result<Vec<BTreeMap<String, String>>> {
        let text = fs::read_to_string(self.path(folder).join("matches.tsv"))?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<_> = lines.next().ok_or("no header")?.split('\t').map(str::to_owned).collect();
        let row = |line: &str| {
            let values: Vec<_> = line.split('\t').map(str::to_owned).collect();
            assert_eq!(values.len(), names.len(), "{line}");
            names.iter().cloned().zip(values).collect()
        };
        Ok(lines.map(row).collect())
    }

    /// A column of matches.tsv in a folder.
    pub fn column(&self, folder: &str, name: &str) -> Result<Vec<String>> {
        Ok(self.matches(folder)?.into_iter().map(|mut row| row.remove(name).unwrap_or_default()).collect())
    }
}
