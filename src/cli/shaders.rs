//! `cellprobe shaders`.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{Outcome, arguments::Overwrite, console::Console};
use crate::{Error, device::rendered_shaders, storage::write_whole};

/// Writes the WGSL of every kernel in the variants of typical devices.
#[derive(Args)]
#[command(after_help = "\
Example:
  cellprobe shaders --dump wgsl && naga wgsl/nearest.*.wgsl")]
pub(super) struct Shaders {
    /// Write a file NAME.VARIANT.wgsl for each into this folder
    #[arg(long, value_name = "DIR")]
    dump: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Shaders {
    pub(super) fn run(&self, console: &Console) -> Outcome {
        let shaders = rendered_shaders();
        let names = shaders.iter().map(|shader| format!("{}.{}.wgsl", shader.name, shader.variant));
        let paths = self.overwrite.check_in(&self.dump, names, [])?;
        std::fs::create_dir_all(&self.dump).map_err(|source| Error::Io { path: self.dump.clone(), source })?;
        for (shader, path) in shaders.iter().zip(&paths) {
            write_whole(path, self.overwrite.force, |file| {
                file.write_all(shader.wgsl.as_bytes()).map_err(|source| Error::Io { path: path.clone(), source })
            })?;
        }
        let json = serde_json::json!({ "shaders": paths });
        console.summary(&json, &format!("{} shaders written to {}", paths.len(), self.dump.display()))?;
        Ok(true)
    }
}
