//! Rows of numbers on a device.

use std::{marker::PhantomData, sync::Arc};

use bytemuck::Pod;

use super::{BufferRows, Device, Gpu, gpu::STORAGE, part::Part, pool::Lease};
use crate::{Error, Result};

/// Rows of numbers on a device. Cheap to clone; clones share the data, which never changes, unless it is the caller's:
/// see [`DeviceArray::from_wgpu`].
///
/// On a GPU the rows are split over as many buffers as the device's limit on a binding asks for.
#[derive(Clone)]
pub struct DeviceArray<T> {
    rows: usize,
    columns: usize,
    storage: Storage<T>,
}

#[derive(Clone)]
enum Storage<T> {
    Host(Arc<Vec<T>>),
    Gpu(Parts<T>),
}

#[derive(Clone)]
struct Parts<T> {
    gpu: Gpu,
    /// All but the last hold `rows_per_part` rows.
    all: Arc<[Part]>,
    rows_per_part: usize,
    element: PhantomData<T>,
}

/// A stretch of rows that lies in one buffer of every array it was asked of.
pub(crate) struct Segment {
    pub first_row: usize,
    pub rows: usize,
}

impl<T: Pod> DeviceArray<T> {
    pub(crate) fn on_host(data: Vec<T>, columns: usize) -> Self {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        DeviceArray { rows, columns, storage: Storage::Host(Arc::new(data)) }
    }

    /// An array to be written by kernels. What it holds is left over.
    pub(crate) fn on_gpu(gpu: &Gpu, rows: usize, columns: usize) -> Result<Self> {
        Self::allocate(gpu, rows, columns, |bytes, _, _| gpu.lease(bytes, STORAGE))
    }

    pub(super) fn upload(gpu: &Gpu, data: &[T], rows: usize, columns: usize) -> Result<Self> {
        Self::uploaded(gpu, data, rows, columns, |bytes| gpu.filled(bytes, STORAGE))
    }

    /// [`DeviceArray::upload`], except that what is much is submitted, piece by piece.
    pub(super) fn upload_by_pieces(gpu: &Gpu, data: &[T], rows: usize, columns: usize) -> Result<Self> {
        Self::uploaded(gpu, data, rows, columns, |bytes| gpu.filled_by_pieces(bytes, STORAGE))
    }

    fn uploaded(
        gpu: &Gpu,
        data: &[T],
        rows: usize,
        columns: usize,
        filled: impl Fn(&[u8]) -> Result<Arc<Lease>>,
    ) -> Result<Self> {
        Self::allocate(gpu, rows, columns, |_, first, count| {
            filled(bytemuck::cast_slice(&data[first * columns..(first + count) * columns]))
        })
    }

    fn allocate(
        gpu: &Gpu,
        rows: usize,
        columns: usize,
        mut make: impl FnMut(u64, usize, usize) -> Result<Arc<Lease>>,
    ) -> Result<Self> {
        let row_bytes = columns.saturating_mul(size_of::<T>()).max(1) as u64;
        let rows_per_part = (gpu.max_part() / row_bytes) as usize;
        if rows_per_part == 0 {
            return Err(Error::Limit { limit: "bytes a row", allowed: gpu.max_part(), asked: row_bytes });
        }
        if rows > u32::MAX as usize - 1 {
            return Err(Error::Limit { limit: "rows", allowed: u64::from(u32::MAX) - 1, asked: rows as u64 });
        }
        let mut parts = Vec::with_capacity(rows / rows_per_part + 1);
        let mut first = 0;
        while first < rows || parts.is_empty() {
            let count = rows_per_part.min(rows - first);
            parts.push(Part::whole(make(count as u64 * row_bytes, first, count)?));
            first += count.max(1);
        }
        Ok(Self::of_parts(gpu, rows, columns, parts, rows_per_part))
    }

    fn of_parts(gpu: &Gpu, rows: usize, columns: usize, parts: Vec<Part>, rows_per_part: usize) -> Self {
        let parts = Parts { gpu: gpu.clone(), all: parts.into(), rows_per_part, element: PhantomData };
        DeviceArray { rows, columns, storage: Storage::Gpu(parts) }
    }

    /// Rows in a buffer of the caller's, used where they lie: nothing is copied, and the buffer is kept alive.
    ///
    /// The buffer must be of the [`wgpu::Device`] that `device` was made from, which wgpu does not tell; a search of
    /// rows elsewhere fails or, for another instance's, may panic in wgpu. What it holds is read when work is done, not
    /// when it is recorded: finite numbers, which stay as they are as long as an index keeps them.
    ///
    /// Rows that do not follow each other, begin at another offset or are f16 cannot be read in place:
    /// [`ops::cast`](crate::ops::cast) takes those as well.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless the buffer's usage includes `STORAGE`, elements are of whole words, rows follow each
    /// other and the offset is a multiple of the device's `min_storage_buffer_offset_alignment`; [`Error::Limit`] if the
    /// buffer ends before the rows; [`Error::Empty`] for rows of no columns; [`Error::OtherDevice`] on the CPU.
    pub fn from_wgpu(device: &Device, rows: &BufferRows) -> Result<Self> {
        Self::in_place(device.as_gpu("rows in a buffer")?, rows)
    }

    /// [`DeviceArray::from_wgpu`].
    pub(crate) fn in_place(gpu: &Gpu, rows: &BufferRows) -> Result<Self> {
        if !size_of::<T>().is_multiple_of(4) {
            return Err(Error::parameter("bytes an element", size_of::<T>(), "a multiple of 4"));
        }
        rows.check_contiguous(size_of::<T>())?;
        rows.check(size_of::<T>(), wgpu::BufferUsages::STORAGE)?;
        let alignment = gpu.offset_alignment();
        if !rows.offset.is_multiple_of(alignment) {
            let expected = format!("a multiple of {alignment} bytes; ops::cast makes a copy of others");
            return Err(Error::parameter("offset", rows.offset, expected));
        }
        if rows.rows == 0 {
            return Self::on_gpu(gpu, 0, rows.columns);
        }
        if rows.rows > u32::MAX as usize - 1 {
            return Err(Error::Limit { limit: "rows", allowed: u64::from(u32::MAX) - 1, asked: rows.rows as u64 });
        }
        let row_bytes = rows.row_bytes(size_of::<T>());
        let rows_per_part = rows_per_part(gpu.max_part(), row_bytes, rows.rows, alignment)?;
        let parts = (0..rows.rows).step_by(rows_per_part).map(|first| {
            let count = rows_per_part.min(rows.rows - first) as u64;
            Part::new(rows.buffer.clone(), rows.offset + first as u64 * row_bytes, count * row_bytes)
        });
        Ok(Self::of_parts(gpu, rows.rows, rows.columns, parts.collect(), rows_per_part))
    }

    /// The stretches of buffers that hold the rows, in order: what is in a caller's buffer comes back as it was given, what
    /// this crate made can be bound to the caller's own kernels and copied. None on the CPU.
    ///
    /// Rows of the crate's own are there once the work that writes them is done. They must not be written.
    pub fn wgpu_rows(&self) -> impl Iterator<Item = BufferRows> + '_ {
        self.parts().iter().zip(self.stretches()).map(|(part, rows)| {
            part.hand_out();
            rows
        })
    }

    /// [`DeviceArray::wgpu_rows`] for the crate's own use, after which the buffers may be used again.
    pub(super) fn stretches(&self) -> impl Iterator<Item = BufferRows> + '_ {
        let per_part = self.rows_per_part();
        self.parts().iter().enumerate().map(move |(number, part)| {
            let rows = per_part.min(self.rows - number * per_part);
            BufferRows::new(part.buffer(), rows, self.columns).offset(part.offset())
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that the rows take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.rows * self.columns * size_of::<T>()) as u64
    }

    /// The same elements in rows of `columns`, several of which make one of these.
    pub(crate) fn cut(&self, columns: usize) -> Self {
        let times = self.columns / columns;
        let storage = match &self.storage {
            Storage::Host(data) => Storage::Host(Arc::clone(data)),
            Storage::Gpu(parts) => Storage::Gpu(Parts { rows_per_part: parts.rows_per_part * times, ..parts.clone() }),
        };
        DeviceArray { rows: self.rows * times, columns, storage }
    }

    /// The first of the rows, at most all, of an array on a GPU.
    pub(crate) fn first(&self, rows: usize) -> Self {
        DeviceArray { rows: rows.min(self.rows), ..self.clone() }
    }

    /// The elements, row after row, if they are on the CPU.
    pub(crate) fn host(&self, what: &'static str) -> Result<&[T]> {
        match &self.storage {
            Storage::Host(data) => Ok(data),
            Storage::Gpu(_) => Err(Error::OtherDevice { what }),
        }
    }

    /// Fails unless the array is on `gpu`.
    pub(crate) fn check_on(&self, gpu: &Gpu, what: &'static str) -> Result<()> {
        match &self.storage {
            Storage::Gpu(parts) if parts.gpu.same_as(gpu) => Ok(()),
            _ => Err(Error::OtherDevice { what }),
        }
    }

    /// Fails unless the array is on `device`.
    pub(crate) fn check_at(&self, device: &Device, what: &'static str) -> Result<()> {
        match device.as_gpu(what) {
            Ok(gpu) => self.check_on(gpu, what),
            Err(_) => self.host(what).map(drop),
        }
    }

    /// The elements of an array on the CPU, without a copy where nobody else holds them.
    pub(super) fn into_host(self, what: &'static str) -> Result<Vec<T>> {
        match self.storage {
            Storage::Host(data) => Ok(Arc::unwrap_or_clone(data)),
            Storage::Gpu(_) => Err(Error::OtherDevice { what }),
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        match &self.storage {
            Storage::Host(_) => &[],
            Storage::Gpu(parts) => &parts.all,
        }
    }

    pub(crate) fn rows_per_part(&self) -> usize {
        match &self.storage {
            Storage::Host(_) => self.rows.max(1),
            Storage::Gpu(parts) => parts.rows_per_part,
        }
    }

    /// The buffer that holds `row`, and the row's place in it.
    pub(crate) fn part(&self, row: usize) -> Result<(&Part, usize)> {
        let per_part = self.rows_per_part();
        let part = self.parts().get(row / per_part);
        part.map(|part| (part, row % per_part)).ok_or(Error::OtherDevice { what: "an array" })
    }

    /// The buffer of an array that must fit one binding.
    pub(crate) fn whole(&self, limit: &'static str) -> Result<&Part> {
        if let [part] = self.parts() {
            return Ok(part);
        }
        let allowed = (self.rows_per_part() * self.columns * size_of::<T>()) as u64;
        Err(Error::Limit { limit, allowed, asked: self.bytes() })
    }
}

impl<T: Pod> std::fmt::Debug for DeviceArray<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceArray({} x {} {})", self.rows, self.columns, std::any::type_name::<T>())
    }
}

/// Rows that a binding takes, so that the one after it begins where a binding may.
fn rows_per_part(max_part: u64, row_bytes: u64, rows: usize, alignment: u64) -> Result<usize> {
    let most = max_part / row_bytes;
    if rows as u64 <= most {
        return Ok(most as usize);
    }
    // The rows after which offsets are aligned again.
    let step = (1..=alignment).find(|rows| (rows * row_bytes).is_multiple_of(alignment)).unwrap_or(alignment);
    match most / step * step {
        0 => Err(Error::Limit { limit: "bytes of a binding", allowed: max_part, asked: step * row_bytes }),
        rows => Ok(rows as usize),
    }
}

/// Splits `rows` rows where any of the arrays begins another buffer. `per_part` is each array's rows a buffer.
pub(crate) fn segments(rows: usize, per_part: &[usize]) -> Vec<Segment> {
    bounded_segments(rows, per_part, usize::MAX)
}

/// [`segments`] of at most `most` rows, at least 1.
pub(crate) fn bounded_segments(rows: usize, per_part: &[usize], most: usize) -> Vec<Segment> {
    let mut all = vec![];
    let mut first_row = 0;
    while first_row < rows {
        let end = per_part.iter().map(|&count| (first_row / count + 1).saturating_mul(count)).fold(rows, usize::min);
        let end = end.min(first_row.saturating_add(most.max(1)));
        all.push(Segment { first_row, rows: end - first_row });
        first_row = end;
    }
    all
}
