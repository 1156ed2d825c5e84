//! Rows that are read in pieces.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ndarray::{ArrayView2, Axis, Slice};

use super::{
    VectorFormat, in_file, npy,
    source::{Source, malformed},
    stream_error,
    vectors::Number,
};
use crate::{Error, Result, rows};

/// Bytes of a file that are read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Rows of finite numbers that are read piece by piece, as often as they are needed: an array, a view of a memory-mapped
/// file, or a [`VectorFile`].
pub trait RowSource: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Numbers in a row, at least 1.
    fn columns(&self) -> usize;

    /// The numbers of these rows, row after row.
    ///
    /// # Errors
    /// [`Error::NotFinite`] or [`Error::Format`] for what is no finite number, [`Error::Io`], [`Error::OutOfMemory`].
    fn read(&self, rows: Range<usize>) -> Result<Vec<f32>>;
}

impl RowSource for ArrayView2<'_, f32> {
    fn rows(&self) -> usize {
        self.nrows()
    }

    fn columns(&self) -> usize {
        self.ncols()
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<f32>> {
        let first = range.start;
        let piece = self.slice_axis(Axis(0), Slice::from(range));
        match rows::check("rows", piece) {
            Err(Error::NotFinite { what, row, column, value }) => {
                Err(Error::NotFinite { what, row: first + row, column, value })
            }
            Err(error) => Err(error),
            Ok(()) => Ok(rows::contiguous(piece)),
        }
    }
}

/// A file of vectors that is read piece by piece: `.fvecs`, `.bvecs`, or a two-dimensional `.npy` of f16, f32, f64, u8 or
/// i8 in C order. What is read often stays in the system's cache of files, as that of a memory-mapped file does; a file
/// that is cut off or damaged meanwhile is an error where a mapped one would end the program.
///
/// ```
/// use cellprobe::storage::{RowSource, VectorFile, write_vectors};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vectors.npy");
/// write_vectors(&path, ndarray::array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]].view(), false)?;
/// let file = VectorFile::open(&path)?;
/// assert_eq!((file.rows(), file.columns()), (3, 2));
/// assert_eq!(file.read(1..3)?, [2.0, 3.0, 4.0, 5.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VectorFile {
    path: PathBuf,
    file: Mutex<File>,
    length: u64,
    layout: Layout,
}

/// Where rows lie in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub start: u64,
    pub rows: usize,
    pub columns: usize,
    pub number: Number,
    /// Whether each row begins with the count of its numbers.
    pub counted: bool,
}

impl Layout {
    fn row_bytes(&self) -> u64 {
        self.columns as u64 * self.number.bytes() as u64 + if self.counted { 4 } else { 0 }
    }

    fn of(source: &mut Source<impl std::io::Read>, length: u64, format: VectorFormat) -> Result<Self> {
        let number = match format {
            VectorFormat::Npy => return npy::layout(source),
            VectorFormat::Fvecs => Number::F32,
            VectorFormat::Bvecs => Number::U8,
            VectorFormat::Ivecs => return Err(format.cannot_hold("vectors", ".fvecs, .bvecs or .npy")),
        };
        let count: i32 = source.number("a row's length")?;
        let columns = usize::try_from(count).ok().filter(|&columns| columns > 0);
        let columns = columns.ok_or_else(|| malformed(0, "a row's length is not positive"))?;
        let layout = Layout { start: 0, rows: 0, columns, number, counted: true };
        if !length.is_multiple_of(layout.row_bytes()) {
            let rows = length / layout.row_bytes();
            return Err(malformed(rows * layout.row_bytes(), "the file ends inside a row, or rows differ in length"));
        }
        Ok(Layout { rows: (length / layout.row_bytes()) as usize, ..layout })
    }
}

impl VectorFile {
    /// Opens a file and finds out what its rows are; none of them is read yet.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the extension is none of these, [`Error::Io`]; [`Error::File`] for a file that does not hold
    /// what its beginning announces, or holds it in Fortran order.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = VectorFormat::of(path)?;
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) = opened.map_err(|source| Error::Io { path: path.into(), source })?;
        let mut source = Source::new(BufReader::new(&file), Some(length));
        let layout = Layout::of(&mut source, length, format).map_err(|error| in_file(error, path))?;
        Ok(VectorFile { path: path.into(), file: Mutex::new(file), length, layout })
    }
}

impl RowSource for VectorFile {
    fn rows(&self) -> usize {
        self.layout.rows
    }

    fn columns(&self) -> usize {
        self.layout.columns
    }

    fn read(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let Layout { start, columns, number, counted, .. } = self.layout;
        let first = start + rows.start as u64 * self.layout.row_bytes();
        // A reader fills its buffer, of which a few rows have no need.
        let bytes = (rows.len() as u64 * self.layout.row_bytes()).min(BUFFER_BYTES as u64) as usize;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            file.seek(SeekFrom::Start(first)).map_err(stream_error)?;
            let mut source = Source::at(BufReader::with_capacity(bytes, &*file), first, Some(self.length));
            let mut values = vec![];
            if !counted {
                number.append(&mut source, &mut values, rows.len() * columns, "the numbers")?;
                return Ok(values);
            }
            for _ in rows {
                let at = source.offset();
                if source.number::<i32>("a row's length")? as usize != columns {
                    return Err(malformed(at, "a row's length is not that of the first row"));
                }
                number.append(&mut source, &mut values, columns, "a row")?;
            }
            Ok(values)
        };
        read().map_err(|error| in_file(error, &self.path))
    }
}

/// Some of the rows of another source, in ascending order.
pub(crate) struct Sampled<'a> {
    pub source: &'a dyn RowSource,
    pub numbers: Vec<usize>,
}

/// Rows between two that are wanted which are read with them rather than passed over.
const GAP: usize = 16;

impl RowSource for Sampled<'_> {
    fn rows(&self) -> usize {
        self.numbers.len()
    }

    fn columns(&self) -> usize {
        self.source.columns()
    }

    fn read(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        picked(self.source, self.numbers.get(rows).unwrap_or_default())
    }
}

/// The rows of these numbers, row after row; ascending ones that are near each other are read together.
pub(crate) fn picked(source: &dyn RowSource, numbers: &[usize]) -> Result<Vec<f32>> {
    let columns = source.columns();
    let most = BUFFER_BYTES / (4 * columns.max(1));
    let mut values = Vec::with_capacity(numbers.len() * columns);
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let near = |pair: &&[usize]| pair[1] > pair[0] && pair[1] - pair[0] <= GAP && pair[1] - first < most;
        let count = 1 + rest.windows(2).take_while(near).count();
        let (run, others) = rest.split_at(count);
        let rows = first..run[count - 1] + 1;
        let (expected, stretch) = (rows.len() * columns, source.read(rows)?);
        if stretch.len() != expected {
            return Err(Error::Length { what: "numbers of rows", expected, found: stretch.len() });
        }
        for &number in run {
            values.extend_from_slice(&stretch[(number - first) * columns..][..columns]);
        }
        rest = others;
    }
    Ok(values)
}
