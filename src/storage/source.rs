//! Reading little-endian fields from untrusted bytes, knowing at every moment where one is and what can still follow.

use std::io::{self, Read, Write};

use bytemuck::Pod;

use super::stream_error;
use crate::{Error, Result};

/// Arrays grow by at most this many bytes before that many more have been read.
const CHUNK_BYTES: usize = 1 << 20;

/// A number that files hold in little-endian order.
pub(super) trait Element: Pod {
    /// Between the file's order and the machine's, either way.
    fn little_endian(self) -> Self;
}

macro_rules! elements {
    ($($integer:ty),*; $($float:ty),*) => {
        $(impl Element for $integer {
            fn little_endian(self) -> Self {
                self.to_le()
            }
        })*
        $(impl Element for $float {
            fn little_endian(self) -> Self {
                Self::from_bits(self.to_bits().to_le())
            }
        })*
    };
}

elements!(u8, i8, u16, u32, i32, u64, i64; f32, f64);

/// What is wrong at a place in a file.
pub(super) fn malformed(offset: u64, message: impl Into<String>) -> Error {
    Error::Format { offset, message: message.into() }
}

/// A reader that counts bytes and refuses to allocate more than can follow.
pub(super) struct Source<R> {
    reader: R,
    offset: u64,
    length: Option<u64>,
}

impl<R: Read> Source<R> {
    /// Reads from the start; `length` is that of the whole file if it is known.
    pub(super) fn new(reader: R, length: Option<u64>) -> Self {
        Source { reader, offset: 0, length }
    }

    /// Reads on from `offset`.
    pub(super) fn at(reader: R, offset: u64, length: Option<u64>) -> Self {
        Source { reader, offset, length }
    }

    /// Where the next byte comes from.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are still to come, if the length is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.offset))
    }

    /// Fills `bytes`; `field` is blamed if there are too few.
    fn fill(&mut self, bytes: &mut [u8], field: &str, start: u64) -> Result<()> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => malformed(start, format!("the file ends inside {field}")),
            _ => stream_error(error),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// One number.
    pub(super) fn number<T: Element>(&mut self, field: &str) -> Result<T> {
        let start = self.offset;
        let mut value = [T::zeroed()];
        self.fill(bytemuck::cast_slice_mut(&mut value), field, start)?;
        Ok(value[0].little_endian())
    }

    /// A truth value: the byte 0 or 1.
    pub(super) fn bool(&mut self, field: &str) -> Result<bool> {
        let start = self.offset;
        match self.number::<u8>(field)? {
            0 => Ok(false),
            1 => Ok(true),
            byte => Err(malformed(start, format!("{field} is {byte}, neither 0 nor 1"))),
        }
    }

    /// A size as the machine counts, stored in 64 bits.
    pub(super) fn size(&mut self, field: &str) -> Result<usize> {
        let start = self.offset;
        let value: u64 = self.number(field)?;
        usize::try_from(value).map_err(|_| malformed(start, format!("{field} is {value}, too large")))
    }

    /// Four characters that say what follows.
    pub(super) fn fourcc(&mut self, field: &str) -> Result<[u8; 4]> {
        let start = self.offset;
        let mut code = [0; 4];
        self.fill(&mut code, field, start)?;
        Ok(code)
    }

    /// Fails, blaming the field at `start`, unless `count` items of `bytes_each` can still follow.
    pub(super) fn fits(&self, start: u64, count: u64, bytes_each: usize, field: &str) -> Result<()> {
        let bytes = count.checked_mul(bytes_each as u64).filter(|&bytes| isize::try_from(bytes).is_ok());
        match (bytes, self.remaining()) {
            (None, _) => Err(malformed(start, format!("{field}: {count} items are too many"))),
            (Some(bytes), Some(left)) if bytes > left => {
                Err(malformed(start, format!("{field}: {bytes} bytes announced, {left} left in the file")))
            }
            _ => Ok(()),
        }
    }

    /// The next `count` numbers. A field at `start` announced them.
    pub(super) fn numbers<T: Element>(&mut self, start: u64, count: usize, field: &str) -> Result<Vec<T>> {
        let mut numbers = Vec::new();
        self.fits(start, count as u64, size_of::<T>(), field)?;
        if self.length.is_some() {
            reserve(&mut numbers, count)?;
        }
        self.append(&mut numbers, count, field)?;
        Ok(numbers)
    }

    /// Appends the next `count` numbers, growing the vector only as they arrive.
    pub(super) fn append<T: Element>(&mut self, numbers: &mut Vec<T>, count: usize, field: &str) -> Result<()> {
        let start = self.offset;
        self.fits(start, count as u64, size_of::<T>(), field)?;
        let mut left = count;
        while left > 0 {
            let step = left.min(CHUNK_BYTES / size_of::<T>());
            let old = numbers.len();
            if numbers.capacity() - old < step {
                reserve(numbers, step.max(old.min(left)))?;
            }
            numbers.resize(old + step, T::zeroed());
            let added = numbers.get_mut(old..).unwrap_or_default();
            self.fill(bytemuck::cast_slice_mut(added), field, start)?;
            for number in added {
                *number = number.little_endian();
            }
            left -= step;
        }
        Ok(())
    }

    /// A count that must be `expected`, then that many numbers.
    pub(super) fn counted<T: Element>(&mut self, expected: usize, field: &str) -> Result<Vec<T>> {
        let start = self.offset;
        let count: u64 = self.number(field)?;
        if count != expected as u64 {
            return Err(malformed(start, format!("{field}: {count} items, expected {expected}")));
        }
        self.numbers(start, expected, field)
    }

    /// Like [`Source::counted`], of finite floats.
    pub(super) fn counted_floats(&mut self, expected: usize, field: &str) -> Result<Vec<f32>> {
        let floats = self.counted(expected, field)?;
        check_finite(&floats, self.offset - 4 * floats.len() as u64, field)?;
        Ok(floats)
    }

    /// Appends the next `count` numbers as `convert` makes them, which has none for what is not a finite `f32`.
    pub(super) fn append_converted<T: Element, U>(
        &mut self,
        converted: &mut Vec<U>,
        count: usize,
        field: &str,
        convert: impl Fn(T) -> Option<U>,
    ) -> Result<()> {
        let start = self.offset;
        self.fits(start, count as u64, size_of::<T>(), field)?;
        let mut numbers = Vec::new();
        let mut left = count;
        while left > 0 {
            let step = left.min(CHUNK_BYTES / size_of::<T>());
            numbers.clear();
            let start = self.offset;
            self.append(&mut numbers, step, field)?;
            for (i, &number) in numbers.iter().enumerate() {
                let place = start + (i * size_of::<T>()) as u64;
                converted.push(convert(number).ok_or_else(|| malformed(place, format!("{field}: not a finite f32")))?);
            }
            left -= step;
        }
        Ok(())
    }

    /// The number that comes next, unless the file ends before it.
    pub(super) fn number_or_end<T: Element>(&mut self, field: &str) -> Result<Option<T>> {
        let start = self.offset;
        let mut value = [T::zeroed()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut value);
        let (first, rest) = bytes.split_at_mut(1);
        if !self.byte_or_end(first)? {
            return Ok(None);
        }
        self.fill(rest, field, start)?;
        Ok(Some(value[0].little_endian()))
    }

    /// Fails unless the file ends here.
    pub(super) fn end(&mut self) -> Result<()> {
        let start = self.offset;
        let more = self.byte_or_end(&mut [0])?;
        if more { Err(malformed(start, "bytes follow the end of the contents")) } else { Ok(()) }
    }

    /// Reads into a buffer of one byte; false if there is none left.
    fn byte_or_end(&mut self, byte: &mut [u8]) -> Result<bool> {
        loop {
            match self.reader.read(byte) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(stream_error(error)),
            }
        }
    }
}

/// Fails unless every one of the floats that began at `start` is finite.
pub(super) fn check_finite(floats: &[f32], start: u64, field: &str) -> Result<()> {
    match floats.iter().enumerate().find(|(_, float)| !float.is_finite()) {
        None => Ok(()),
        Some((i, float)) => Err(malformed(start + 4 * i as u64, format!("{field}: number {i} is {float}, not finite"))),
    }
}

/// Makes room for exactly `count` more, as an error rather than an abort where memory is short.
pub(super) fn reserve<T>(numbers: &mut Vec<T>, count: usize) -> Result<()> {
    numbers.try_reserve_exact(count).map_err(|_| Error::OutOfMemory {
        device: "host".into(),
        bytes: (count as u64).saturating_mul(size_of::<T>() as u64),
    })
}

/// Writes numbers in the file's order.
pub(super) fn put<T: Element>(writer: &mut impl Write, numbers: &[T]) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return writer.write_all(bytemuck::cast_slice(numbers));
    }
    for chunk in numbers.chunks(4096) {
        let chunk: Vec<T> = chunk.iter().map(|number| number.little_endian()).collect();
        writer.write_all(bytemuck::cast_slice(&chunk))?;
    }
    Ok(())
}
