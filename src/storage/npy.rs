//! numpy's `.npy` files, format versions 1 to 3.
//!
//! `\x93NUMPY`, a major and a minor version byte, the header's length (`u16`, from version 2 on `u32`), the header, and
//! then the numbers. The header is a Python dictionary with the keys `descr` (such as `<f4`), `fortran_order` and `shape`.

use std::io::{Read, Write};

use ndarray::{Array2, ShapeBuilder, iter::Lanes};

use super::{
    rows::Layout,
    source::{Element, Source, malformed, put, reserve},
    stream_error,
    vectors::{Number, contiguous},
};
use crate::Result;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// More than numpy writes for any array of plain numbers.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Vectors of any of the supported types.
pub(super) fn read_vectors(source: &mut Source<impl Read>) -> Result<Array2<f32>> {
    let header = Header::read(source)?;
    let (_, number) = header.vectors()?;
    header.array(source, number.bytes(), |source, values, count| number.append(source, values, count, "the numbers"))
}

/// Where vectors lie that can be read row by row.
pub(super) fn layout(source: &mut Source<impl Read>) -> Result<Layout> {
    let header = Header::read(source)?;
    let ([rows, columns], number) = header.vectors()?;
    if header.fortran_order {
        return Err(malformed(header.start, "an array in Fortran order cannot be read row by row"));
    }
    if columns == 0 {
        return Err(malformed(header.start, "the rows have no numbers"));
    }
    let count = rows.checked_mul(columns).ok_or_else(|| malformed(header.start, "the shape is too large"))?;
    let start = source.offset();
    source.fits(header.start, count as u64, number.bytes(), "the numbers")?;
    let end = start + count as u64 * number.bytes() as u64;
    match source.remaining() {
        Some(left) if start + left > end => Err(malformed(end, "bytes follow the end of the contents")),
        _ => Ok(Layout { start, rows, columns, number, counted: false }),
    }
}

/// Identifiers of either supported type.
pub(super) fn read_ids(source: &mut Source<impl Read>) -> Result<Array2<i64>> {
    let header = Header::read(source)?;
    if !(1..=2).contains(&header.shape.len()) {
        let dimensions = header.shape.len();
        return Err(malformed(header.start, format!("the array has {dimensions} dimensions, identifiers need 1 or 2")));
    }
    match header.descr.as_str() {
        "<i4" => header.array(source, 4, |source, ids, count| {
            source.append_converted(ids, count, "the numbers", |id: i32| Some(i64::from(id)))
        }),
        "<i8" => header.array(source, 8, |source, ids, count| source.append(ids, count, "the numbers")),
        _ => Err(header.unsupported("identifiers are read from <i4 and <i8")),
    }
}

/// What numpy calls a number that is written.
pub(super) trait Named: Element {
    /// Its `descr`.
    const DESCR: &'static str;
}

impl Named for f32 {
    const DESCR: &'static str = "<f4";
}

impl Named for i64 {
    const DESCR: &'static str = "<i8";
}

/// An array of one or two dimensions, row by row.
pub(super) fn write<T: Named>(
    writer: &mut impl Write,
    shape: &[usize],
    rows: Lanes<'_, T, ndarray::Ix1>,
) -> Result<()> {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = lengths.join(", ") + if shape.len() == 1 { "," } else { "" };
    let dictionary = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}", T::DESCR);
    let unpadded = MAGIC.len() + 4 + dictionary.len() + 1;
    let length = (unpadded.next_multiple_of(64) - MAGIC.len() - 4) as u16;
    let start = [MAGIC.as_slice(), &[1, 0], &length.to_le_bytes()].concat();
    writer
        .write_all(&start)
        .and_then(|()| writeln!(writer, "{dictionary:<width$}", width = usize::from(length) - 1))
        .and_then(|()| rows.into_iter().try_for_each(|row| put(writer, &contiguous(row))))
        .map_err(stream_error)
}

/// What the header says of the numbers.
struct Header {
    /// Where its dictionary begins.
    start: u64,
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn read(source: &mut Source<impl Read>) -> Result<Self> {
        for byte in MAGIC {
            let at = source.offset();
            if source.number::<u8>("the header")? != *byte {
                return Err(malformed(at, "this is no .npy file"));
            }
        }
        let at = source.offset();
        let major: u8 = source.number("the version")?;
        source.number::<u8>("the version")?;
        let length_at = source.offset();
        let length = match major {
            1 => u32::from(source.number::<u16>("the header's length")?),
            2 | 3 => source.number("the header's length")?,
            _ => return Err(malformed(at, format!("version {major} of the .npy format is not supported"))),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_HEADER_BYTES {
            return Err(malformed(length_at, format!("a header of {length} bytes is too long")));
        }
        let start = source.offset();
        let text: Vec<u8> = source.numbers(length_at, length, "the header")?;
        Dictionary { text: &text, at: 0, start }.header()
    }

    fn unsupported(&self, supported: &str) -> crate::Error {
        malformed(self.start, format!("numbers of type \"{}\": {supported}", self.descr))
    }

    /// The shape of vectors and their numbers.
    fn vectors(&self) -> Result<([usize; 2], Number)> {
        let [rows, columns] = self.shape[..] else {
            let dimensions = self.shape.len();
            let message = format!("the array has {dimensions} dimensions, vectors need 2: (rows, columns)");
            return Err(malformed(self.start, message));
        };
        let number = match self.descr.as_str() {
            "<f4" => Number::F32,
            "<f2" => Number::F16,
            "<f8" => Number::F64,
            "|u1" => Number::U8,
            "|i1" => Number::I8,
            _ => return Err(self.unsupported("vectors are read from <f2, <f4, <f8, |u1 and |i1")),
        };
        Ok(([rows, columns], number))
    }

    /// The numbers, of `bytes` each, as `append` reads them; one dimension is a single column.
    fn array<R: Read, U: Clone>(
        &self,
        source: &mut Source<R>,
        bytes: usize,
        append: impl FnOnce(&mut Source<R>, &mut Vec<U>, usize) -> Result<()>,
    ) -> Result<Array2<U>> {
        let (rows, columns) = match self.shape[..] {
            [rows, columns] => (rows, columns),
            [rows] => (rows, 1),
            _ => return Err(malformed(self.start, "the array has neither 1 nor 2 dimensions")),
        };
        let count = rows.checked_mul(columns).ok_or_else(|| malformed(self.start, "the shape is too large"))?;
        source.fits(self.start, count as u64, bytes, "the numbers")?;
        let mut values = Vec::new();
        if source.remaining().is_some() {
            reserve(&mut values, count)?;
        }
        append(source, &mut values, count)?;
        let array = Array2::from_shape_vec((rows, columns).set_f(self.fortran_order), values)
            .map_err(|error| malformed(self.start, error.to_string()))?;
        Ok(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
    }
}

/// A reader of the few Python literals that a header is made of.
struct Dictionary<'a> {
    text: &'a [u8],
    at: usize,
    start: u64,
}

impl Dictionary<'_> {
    fn header(mut self) -> Result<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key.as_str() {
                "descr" if descr.is_none() => descr = Some(self.string()?),
                "fortran_order" if fortran_order.is_none() => fortran_order = Some(self.bool()?),
                "shape" if shape.is_none() => shape = Some(self.shape()?),
                _ => return Err(self.wrong("the header has a key that does not belong, or one twice")),
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        if self.peek().is_some() {
            return Err(self.wrong("something follows the header's dictionary"));
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                Ok(Header { start: self.start, descr, fortran_order, shape })
            }
            _ => Err(self.wrong("the header lacks one of descr, fortran_order and shape")),
        }
    }

    fn wrong(&self, message: &str) -> crate::Error {
        malformed(self.start + self.at as u64, message)
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space, not consumed.
    fn peek(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.rest().first().copied()
    }

    /// Consumes that byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.wrong(&format!("'{}' is missing in the header", char::from(byte))))
        }
    }

    /// A quoted string without escapes.
    fn string(&mut self) -> Result<String> {
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'));
        let quote =
            quote.ok_or_else(|| self.wrong("a plain string is missing (structured types are not supported)"))?;
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some(length) = inside.iter().position(|&byte| byte == quote) else {
            return Err(self.wrong("a string does not end"));
        };
        let string = inside.get(..length).unwrap_or_default().escape_ascii().to_string();
        self.at += length + 2;
        Ok(string)
    }

    fn bool(&mut self) -> Result<bool> {
        self.peek();
        for (name, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(name.as_bytes()) {
                self.at += name.len();
                return Ok(value);
            }
        }
        Err(self.wrong("neither True nor False"))
    }

    /// A tuple of lengths.
    fn shape(&mut self) -> Result<Vec<usize>> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.take(b')') {
            self.peek();
            let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digits = self.rest().get(..digits).unwrap_or_default();
            let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            let width = digits.len();
            shape.push(length.ok_or_else(|| self.wrong("a length in the shape is missing or too large"))?);
            self.at += width;
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}
