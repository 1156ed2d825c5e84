//! `cellprobe info`.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, console::Console};
use crate::{
    Device, Error, Index, Result,
    storage::faiss::{self, Stored},
};

/// Describes an index file.
#[derive(Args)]
#[command(after_help = "\
Example:
  cellprobe info vectors.index --json")]
pub(super) struct Info {
    /// The index
    index: PathBuf,
}

impl Info {
    pub(super) fn run(&self, console: &Console) -> Outcome {
        let bytes = self.bytes()?;
        let stored = faiss::read_file(&self.index)?;
        let parts = Parts::of(&stored);
        let index = Index::from_stored(stored, &Device::cpu()).map_err(|error| error.in_file(&self.index))?;
        let entries = [
            ("index", json!(index.factory())),
            ("metric", json!(index.metric().to_string())),
            ("dimension", json!(index.dimension())),
            ("ntotal", json!(index.ntotal())),
            ("is_trained", json!(index.is_trained())),
            ("nlist", json!(index.lists().map(|(nlist, _)| nlist))),
            ("nprobe", json!(index.lists().map(|(_, nprobe)| nprobe))),
            ("imbalance", json!(parts.imbalance)),
            ("m", json!(parts.m)),
            ("nbits", json!(parts.nbits)),
            ("by_residual", json!(parts.by_residual)),
            ("bytes_per_vector", json!(index.bytes_per_vector())),
            ("bytes", json!(bytes)),
        ];
        let mut text = String::new();
        for (name, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = writeln!(text, "{name:<18}{value}");
        }
        let json: Value = entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        console.result(&json, &text)?;
        Ok(true)
    }

    fn bytes(&self) -> Result<u64> {
        let metadata = std::fs::metadata(&self.index);
        metadata.map(|metadata| metadata.len()).map_err(|source| Error::Io { path: self.index.clone(), source })
    }
}

/// What a file says of lists and codes; none of what an index has not.
#[derive(Default)]
struct Parts {
    m: Option<usize>,
    nbits: Option<usize>,
    by_residual: Option<bool>,
    /// nlist Σ size² / ntotal²: 1 where all lists are equally long, nlist where one has everything.
    imbalance: Option<f64>,
}

impl Parts {
    fn of(stored: &Stored) -> Self {
        match stored {
            Stored::Flat(_) => Parts::default(),
            Stored::Pq(pq) => Parts { m: Some(pq.codebook.m), nbits: Some(pq.codebook.nbits), ..Parts::default() },
            Stored::IvfFlat(index) => Parts { imbalance: imbalance(&index.lists.sizes), ..Parts::default() },
            Stored::IvfPq(index) => Parts {
                m: Some(index.codebook.m),
                nbits: Some(index.codebook.nbits),
                by_residual: Some(index.by_residual),
                imbalance: imbalance(&index.lists.sizes),
            },
            Stored::IdMap(map) => Parts::of(&map.index),
            Stored::Normalized(index) => Parts::of(index),
            Stored::Transformed(transformed) => Parts::of(&transformed.index),
        }
    }
}

fn imbalance(sizes: &[usize]) -> Option<f64> {
    let total: f64 = sizes.iter().map(|&size| size as f64).sum();
    let squares: f64 = sizes.iter().map(|&size| (size as f64).powi(2)).sum();
    (total > 0.0).then(|| sizes.len() as f64 * squares / (total * total))
}

#[cfg(test)]
mod tests {
    use super::imbalance;

    #[test]
    fn imbalances() {
        assert_eq!(imbalance(&[5, 5, 5]), Some(1.0));
        assert_eq!(imbalance(&[0, 12, 0]), Some(3.0));
        assert_eq!(imbalance(&[0, 0]), None);
    }
}
