//! Rows of numbers on a device.

use std::{marker::PhantomData, sync::Arc};

use bytemuck::Pod;

use super::{Gpu, gpu::STORAGE};
use crate::{Error, Result};

/// Rows of numbers on a device. Cheap to clone; clones share the data, which never changes.
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
    buffers: Arc<[wgpu::Buffer]>,
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

    /// An array of zeros, to be written by kernels.
    pub(crate) fn on_gpu(gpu: &Gpu, rows: usize, columns: usize) -> Result<Self> {
        Self::allocate(gpu, rows, columns, |bytes, _, _| gpu.storage(bytes))
    }

    pub(super) fn upload(gpu: &Gpu, data: &[T], rows: usize, columns: usize) -> Result<Self> {
        Self::allocate(gpu, rows, columns, |_, first, count| {
            let part = &data[first * columns..(first + count) * columns];
            gpu.filled_buffer(bytemuck::cast_slice(part), STORAGE)
        })
    }

    fn allocate(
        gpu: &Gpu,
        rows: usize,
        columns: usize,
        mut make: impl FnMut(u64, usize, usize) -> Result<wgpu::Buffer>,
    ) -> Result<Self> {
        let row_bytes = columns.saturating_mul(size_of::<T>()).max(1) as u64;
        let rows_per_part = (gpu.max_part() / row_bytes) as usize;
        if rows_per_part == 0 {
            return Err(Error::Limit { limit: "bytes a row", allowed: gpu.max_part(), asked: row_bytes });
        }
        if rows > u32::MAX as usize - 1 {
            return Err(Error::Limit { limit: "rows", allowed: u64::from(u32::MAX) - 1, asked: rows as u64 });
        }
        let mut buffers = Vec::with_capacity(rows / rows_per_part + 1);
        let mut first = 0;
        while first < rows || buffers.is_empty() {
            let count = rows_per_part.min(rows - first);
            buffers.push(make(count as u64 * row_bytes, first, count)?);
            first += count.max(1);
        }
        let parts = Parts { gpu: gpu.clone(), buffers: buffers.into(), rows_per_part, element: PhantomData };
        Ok(DeviceArray { rows, columns, storage: Storage::Gpu(parts) })
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

    /// The elements of an array on the CPU, without a copy where nobody else holds them.
    pub(super) fn into_host(self, what: &'static str) -> Result<Vec<T>> {
        match self.storage {
            Storage::Host(data) => Ok(Arc::unwrap_or_clone(data)),
            Storage::Gpu(_) => Err(Error::OtherDevice { what }),
        }
    }

    pub(super) fn buffers(&self) -> &[wgpu::Buffer] {
        match &self.storage {
            Storage::Host(_) => &[],
            Storage::Gpu(parts) => &parts.buffers,
        }
    }

    pub(crate) fn rows_per_part(&self) -> usize {
        match &self.storage {
            Storage::Host(_) => self.rows.max(1),
            Storage::Gpu(parts) => parts.rows_per_part,
        }
    }

    /// The buffer that holds `row`, and the row's place in it.
    pub(crate) fn part(&self, row: usize) -> Result<(&wgpu::Buffer, usize)> {
        let per_part = self.rows_per_part();
        let buffer = self.buffers().get(row / per_part);
        buffer.map(|buffer| (buffer, row % per_part)).ok_or(Error::OtherDevice { what: "an array" })
    }

    /// The buffer of an array that must fit one binding.
    pub(crate) fn whole(&self, limit: &'static str) -> Result<&wgpu::Buffer> {
        if let [buffer] = self.buffers() {
            return Ok(buffer);
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
