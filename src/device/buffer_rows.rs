//! Where rows lie in a buffer of the caller's.

use super::{
    Gpu,
    part::{Part, check_usage},
};
use crate::{Error, Result};

/// Rows of numbers in a [`wgpu::Buffer`]: where they lie, and as what.
///
/// ```no_run
/// # fn rows(vertices: &wgpu::Buffer, vectors: &wgpu::Buffer) {
/// use cellprobe::device::BufferRows;
/// // 1000 rows of 64 f32, one after the other, from byte 4096 on.
/// let rows = BufferRows::new(vectors, 1000, 64).offset(4096);
/// // The same as f16, each followed by 16 bytes of something else.
/// let spaced = BufferRows::new(vectors, 1000, 64).f16().bytes_per_row(144);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BufferRows {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// Byte at which the first row begins.
    pub offset: u64,
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// Bytes from the beginning of a row to that of the next; without it the rows follow each other.
    pub bytes_per_row: Option<u64>,
    /// Whether the numbers are f16; otherwise they are what the array is made of.
    pub f16: bool,
}

impl BufferRows {
    /// Rows that follow each other from the beginning of `buffer` on.
    #[must_use]
    pub fn new(buffer: &wgpu::Buffer, rows: usize, columns: usize) -> Self {
        BufferRows { buffer: buffer.clone(), offset: 0, rows, columns, bytes_per_row: None, f16: false }
    }

    /// Sets [`BufferRows::offset`].
    #[must_use]
    pub fn offset(mut self, bytes: u64) -> Self {
        self.offset = bytes;
        self
    }

    /// Sets [`BufferRows::bytes_per_row`].
    #[must_use]
    pub fn bytes_per_row(mut self, bytes: u64) -> Self {
        self.bytes_per_row = Some(bytes);
        self
    }

    /// Sets [`BufferRows::f16`].
    #[must_use]
    pub fn f16(mut self) -> Self {
        self.f16 = true;
        self
    }

    /// Bytes of a row of numbers of `element` bytes, without what may stand between rows.
    pub(super) fn row_bytes(&self, element: usize) -> u64 {
        (self.columns as u64).saturating_mul(element as u64)
    }

    /// Bytes from row to row.
    pub(crate) fn stride(&self, element: usize) -> u64 {
        self.bytes_per_row.unwrap_or_else(|| self.row_bytes(element))
    }

    /// Where the last row ends.
    fn end(&self, element: usize) -> u64 {
        let before_last = self.stride(element).saturating_mul((self.rows as u64).saturating_sub(1));
        let rows = if self.rows == 0 { 0 } else { before_last.saturating_add(self.row_bytes(element)) };
        self.offset.saturating_add(rows)
    }

    /// Fails unless numbers of `element` bytes lie so in the buffer, which may be used for `usage`.
    pub(super) fn check(&self, element: usize, usage: wgpu::BufferUsages) -> Result<()> {
        check_usage(&self.buffer, usage)?;
        if self.columns == 0 {
            return Err(Error::Empty { what: "rows in a buffer" });
        }
        if !self.offset.is_multiple_of(element as u64) {
            return Err(Error::parameter("offset", self.offset, format!("a multiple of {element} bytes, a number's")));
        }
        let row = self.row_bytes(element);
        if let Some(stride) =
            self.bytes_per_row.filter(|&stride| stride < row || !stride.is_multiple_of(element as u64))
        {
            let expected = format!("{row}, the bytes of a row, or more, and a multiple of {element}, a number's");
            return Err(Error::parameter("bytes_per_row", stride, expected));
        }
        // A binding ends at a whole word.
        let end = self.end(element).checked_next_multiple_of(4).unwrap_or(u64::MAX);
        if end > self.buffer.size() {
            return Err(Error::Limit { limit: "bytes of the buffer", allowed: self.buffer.size(), asked: end });
        }
        Ok(())
    }

    /// Whether f32 can be read where they lie.
    pub(crate) fn in_place(&self, gpu: &Gpu) -> bool {
        self.check_contiguous(size_of::<f32>()).is_ok() && self.offset.is_multiple_of(gpu.offset_alignment())
    }

    /// Bytes of a number that is to become f32.
    pub(crate) fn element(&self) -> usize {
        if self.f16 { 2 } else { 4 }
    }

    /// Fails unless the rows can be read, in place or not; gives how many of them a binding takes.
    pub(crate) fn rows_per_binding(&self, gpu: &Gpu) -> Result<usize> {
        let element = self.element();
        self.check(element, wgpu::BufferUsages::STORAGE)?;
        // A binding may have to begin earlier and end later than the rows in it.
        let asked = self.row_bytes(element).saturating_add(gpu.offset_alignment() + 4);
        match gpu.max_part().checked_sub(asked) {
            Some(rest) => Ok((rest / self.stride(element)) as usize + 1),
            None => Err(Error::Limit { limit: "bytes of a binding", allowed: gpu.max_part(), asked }),
        }
    }

    /// What to bind for `rows` rows from `first` on, and which number of it is the first of theirs.
    pub(crate) fn part(&self, gpu: &Gpu, first: usize, rows: usize) -> (Part, u32) {
        let element = self.element();
        let start = self.offset + first as u64 * self.stride(element);
        let end = start + rows.saturating_sub(1) as u64 * self.stride(element) + self.row_bytes(element);
        let aligned = start - start % gpu.offset_alignment();
        let size = end.next_multiple_of(4) - aligned;
        (Part::new(self.buffer.clone(), aligned, size), ((start - aligned) / element as u64) as u32)
    }

    /// Fails unless numbers of `element` bytes can be read or written as they are.
    pub(super) fn check_contiguous(&self, element: usize) -> Result<()> {
        let row = self.row_bytes(element);
        if self.f16 {
            return Err(Error::parameter("numbers", "f16", "of 4 bytes each; ops::cast makes a copy of others"));
        }
        if self.stride(element) != row && self.rows > 1 {
            let expected = format!("{row}, so that rows follow each other; ops::cast makes a copy of others");
            return Err(Error::parameter("bytes_per_row", self.stride(element), expected));
        }
        Ok(())
    }
}
