//! Vectors that are read at once, or in pieces.

use std::{ops::Range, path::Path};

use ndarray::Array2;

use crate::{
    Result,
    storage::{RowSource, VectorFile, read_vectors},
};

/// The vectors of a file.
pub(super) enum Rows {
    Read(Array2<f32>),
    File(VectorFile),
}

impl Rows {
    /// Opens a file, or reads all of it.
    pub(super) fn open(path: &Path, in_pieces: bool) -> Result<Self> {
        Ok(if in_pieces { Rows::File(VectorFile::open(path)?) } else { Rows::Read(read_vectors(path)?) })
    }
}

impl RowSource for Rows {
    fn rows(&self) -> usize {
        match self {
            Rows::Read(rows) => rows.nrows(),
            Rows::File(file) => file.rows(),
        }
    }

    fn columns(&self) -> usize {
        match self {
            Rows::Read(rows) => rows.ncols(),
            Rows::File(file) => file.columns(),
        }
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<f32>> {
        match self {
            Rows::Read(rows) => rows.view().read(range),
            Rows::File(file) => file.read(range),
        }
    }
}
