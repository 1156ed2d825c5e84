//! Files of vectors and of identifiers: `.fvecs`, `.bvecs`, `.ivecs` and `.npy`.
//!
//! In the first three a row is an `i32` count and then that many `f32`, `u8` or `i32`, little-endian; all rows are of the
//! same length. A `.npy` file is described with its reader.

#![expect(clippy::needless_pass_by_value, reason = "an array view is passed like a slice")]

use std::{
    borrow::Cow,
    io::{Read, Write},
    path::Path,
};

use half::f16;
use ndarray::{Array2, ArrayView1, ArrayView2};

use super::{
    npy, read_file,
    source::{Element, Source, malformed, put, reserve},
    stream_error, write_whole,
};
use crate::{Error, Result};

/// How a file holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorFormat {
    /// Rows of `f32`.
    Fvecs,
    /// Rows of `u8`.
    Bvecs,
    /// Rows of `i32`.
    Ivecs,
    /// A numpy array.
    Npy,
}

impl VectorFormat {
    /// The format that a file's extension names.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it names none.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("fvecs") => Ok(VectorFormat::Fvecs),
            Some("bvecs") => Ok(VectorFormat::Bvecs),
            Some("ivecs") => Ok(VectorFormat::Ivecs),
            Some("npy") => Ok(VectorFormat::Npy),
            _ => Err(Error::parameter("file name", path.display(), "one that ends in .fvecs, .bvecs, .ivecs or .npy")),
        }
    }

    /// Refuses to hold `what`.
    pub(super) fn cannot_hold(self, what: &str, suitable: &str) -> Error {
        Error::parameter("format", format!("{self:?}"), format!("{suitable} for {what}"))
    }
}

/// Reads the vectors in a file, one a row: `.fvecs`, `.bvecs`, or a two-dimensional `.npy` of f16, f32, f64, u8 or i8 in
/// C or Fortran order.
///
/// # Errors
/// [`Error::Parameter`] if the extension is none of these, [`Error::Io`] if the file cannot be read, otherwise as
/// [`read_vectors_from`], inside an [`Error::File`] that names the file.
pub fn read_vectors(path: impl AsRef<Path>) -> Result<Array2<f32>> {
    let format = VectorFormat::of(&path)?;
    read_file(path.as_ref(), |reader, length| read_vectors_from(reader, length, format))
}

/// Reads the vectors that a stream holds from here to its end, in C order whatever the file's. No size is believed that
/// exceeds `length`, the number of bytes to come; without it memory grows only as bytes arrive. Small reads are many: hand
/// in something buffered.
///
/// # Errors
/// [`Error::Format`] with the offset of what cannot be right, is not supported or is not a finite `f32`; [`Error::Io`] if
/// the stream fails; [`Error::Parameter`] if the format holds no vectors.
pub fn read_vectors_from(reader: impl Read, length: Option<u64>, format: VectorFormat) -> Result<Array2<f32>> {
    let mut source = Source::new(reader, length);
    let vectors = match format {
        VectorFormat::Fvecs => rows(&mut source, finite)?,
        VectorFormat::Bvecs => rows(&mut source, |byte: u8| Some(f32::from(byte)))?,
        VectorFormat::Npy => npy::read_vectors(&mut source)?,
        VectorFormat::Ivecs => return Err(format.cannot_hold("vectors", ".fvecs, .bvecs or .npy")),
    };
    source.end()?;
    Ok(vectors)
}

/// Reads the identifiers in a file: `.ivecs`, or an `.npy` of i32 or i64. One-dimensional ones are a single column.
///
/// # Errors
/// As [`read_vectors`].
pub fn read_ids(path: impl AsRef<Path>) -> Result<Array2<i64>> {
    let format = VectorFormat::of(&path)?;
    read_file(path.as_ref(), |reader, length| read_ids_from(reader, length, format))
}

/// Reads the identifiers that a stream holds from here to its end, as [`read_vectors_from`] reads vectors.
///
/// # Errors
/// As [`read_vectors_from`].
pub fn read_ids_from(reader: impl Read, length: Option<u64>, format: VectorFormat) -> Result<Array2<i64>> {
    let mut source = Source::new(reader, length);
    let ids = match format {
        VectorFormat::Ivecs => rows(&mut source, |id: i32| Some(i64::from(id)))?,
        VectorFormat::Npy => npy::read_ids(&mut source)?,
        VectorFormat::Fvecs | VectorFormat::Bvecs => return Err(format.cannot_hold("identifiers", ".ivecs or .npy")),
    };
    source.end()?;
    Ok(ids)
}

/// What numbers of vectors are in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    F16,
    F32,
    F64,
    U8,
    I8,
}

impl Number {
    /// Bytes of one.
    pub(super) fn bytes(self) -> usize {
        match self {
            Number::U8 | Number::I8 => 1,
            Number::F16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
        }
    }

    /// Appends the next `count` of them.
    pub(super) fn append(
        self,
        source: &mut Source<impl Read>,
        values: &mut Vec<f32>,
        count: usize,
        field: &str,
    ) -> Result<()> {
        match self {
            Number::F16 => source.append_converted(values, count, field, |bits| finite(f16::from_bits(bits).to_f32())),
            Number::F32 => source.append_converted(values, count, field, finite),
            Number::F64 => source.append_converted(values, count, field, |number: f64| finite(number as f32)),
            Number::U8 => source.append_converted(values, count, field, |number: u8| Some(f32::from(number))),
            Number::I8 => source.append_converted(values, count, field, |number: i8| Some(f32::from(number))),
        }
    }
}

/// A number, if it is one.
fn finite(number: f32) -> Option<f32> {
    number.is_finite().then_some(number)
}

/// Rows of a count and then that many `T`.
fn rows<T: Element, U>(source: &mut Source<impl Read>, convert: impl Fn(T) -> Option<U>) -> Result<Array2<U>> {
    let (mut values, mut rows, mut columns) = (Vec::new(), 0, 0);
    loop {
        let start = source.offset();
        let Some(count) = source.number_or_end::<i32>("a row's length")? else { break };
        let count = usize::try_from(count).ok().filter(|&count| count > 0 && (rows == 0 || count == columns));
        columns =
            count.ok_or_else(|| malformed(start, "a row's length is not positive, or not that of the first row"))?;
        source.fits(start, columns as u64, size_of::<T>(), "a row")?;
        if let (0, Some(left)) = (rows, source.remaining()) {
            let count = (left + 4) / (columns as u64 * size_of::<T>() as u64 + 4);
            reserve(&mut values, usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(columns))?;
        }
        source.append_converted(&mut values, columns, "a row", &convert)?;
        rows += 1;
    }
    if rows == 0 {
        return Err(malformed(0, "there are no rows"));
    }
    Array2::from_shape_vec((rows, columns), values).map_err(|error| malformed(0, error.to_string()))
}

/// Writes vectors, one a row: `.fvecs`, `.npy` (f32), or `.bvecs` where every value is a whole number from 0 to 255.
///
/// # Errors
/// [`Error::Parameter`] if the extension is none of these or a value does not fit, and as [`write_whole`].
pub fn write_vectors(path: impl AsRef<Path>, vectors: ArrayView2<'_, f32>, overwrite: bool) -> Result<()> {
    let path = path.as_ref();
    let format = VectorFormat::of(path)?;
    write_whole(path, overwrite, |writer| match format {
        VectorFormat::Fvecs => put_rows(writer, vectors, Ok),
        VectorFormat::Bvecs => put_rows(writer, vectors, |value| {
            let byte = value as u8;
            let fits = f32::from(byte).to_bits() == value.to_bits();
            let expected = "a whole number from 0 to 255 in .bvecs: write .fvecs or .npy";
            fits.then_some(byte).ok_or_else(|| Error::parameter("value", value, expected))
        }),
        VectorFormat::Npy => npy::write(writer, &[vectors.nrows(), vectors.ncols()], vectors.rows()),
        VectorFormat::Ivecs => Err(format.cannot_hold("vectors", ".fvecs, .bvecs or .npy")),
    })
}

/// Writes identifiers, shape (queries, k): `.ivecs` where every one fits 32 bits, or `.npy` (i64) for any.
///
/// # Errors
/// As [`write_vectors`].
pub fn write_ids(path: impl AsRef<Path>, ids: ArrayView2<'_, i64>, overwrite: bool) -> Result<()> {
    write_integers(path.as_ref(), &[ids.nrows(), ids.ncols()], ids, overwrite)
}

/// Writes one identifier a row: `.npy` (i64) of one dimension, or `.ivecs` of one column.
///
/// # Errors
/// As [`write_ids`].
pub fn write_labels(path: impl AsRef<Path>, labels: ArrayView1<'_, i64>, overwrite: bool) -> Result<()> {
    write_integers(path.as_ref(), &[labels.len()], labels.insert_axis(ndarray::Axis(1)), overwrite)
}

fn write_integers(path: &Path, shape: &[usize], ids: ArrayView2<'_, i64>, overwrite: bool) -> Result<()> {
    let format = VectorFormat::of(path)?;
    write_whole(path, overwrite, |writer| match format {
        VectorFormat::Ivecs => put_rows(writer, ids, small_id),
        VectorFormat::Npy => npy::write(writer, shape, ids.rows()),
        VectorFormat::Fvecs | VectorFormat::Bvecs => Err(format.cannot_hold("identifiers", ".ivecs or .npy")),
    })
}

/// Fails unless a file of that name can hold these identifiers.
#[cfg(feature = "cli")]
pub(crate) fn check_ids(path: &Path, mut ids: impl Iterator<Item = i64>) -> Result<()> {
    match VectorFormat::of(path)? {
        VectorFormat::Ivecs => ids.try_for_each(|id| small_id(id).map(drop)),
        VectorFormat::Npy | VectorFormat::Fvecs | VectorFormat::Bvecs => Ok(()),
    }
    .map_err(|error| error.in_file(path))
}

/// An identifier in 32 bits.
fn small_id(id: i64) -> Result<i32> {
    i32::try_from(id).map_err(|_| Error::parameter("identifier", id, "at most 2147483647 in .ivecs: write .npy"))
}

/// Rows of a count and then that many `T`.
fn put_rows<S: Element, T: Element>(
    writer: &mut impl Write,
    array: ArrayView2<'_, S>,
    convert: impl Fn(S) -> Result<T>,
) -> Result<()> {
    let columns = i32::try_from(array.ncols()).ok().filter(|&columns| columns > 0);
    let columns =
        columns.ok_or_else(|| Error::parameter("columns", array.ncols(), "1 to 2147483647 in such a file"))?;
    for row in array.rows() {
        let values = row.iter().map(|&value| convert(value)).collect::<Result<Vec<T>>>()?;
        put(writer, &[columns]).and_then(|()| put(writer, &values)).map_err(stream_error)?;
    }
    Ok(())
}

/// A row's values side by side.
pub(super) fn contiguous<T: Clone>(row: ArrayView1<'_, T>) -> Cow<'_, [T]> {
    row.to_slice().map_or_else(|| Cow::Owned(row.to_vec()), Cow::Borrowed)
}
