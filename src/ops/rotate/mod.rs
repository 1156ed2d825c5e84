//! Rows times a matrix.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use std::sync::Arc;

use ndarray::ArrayView2;

use crate::{Device, DeviceArray, Error, Result, Work, device::Backend};

/// A linear map of rows, as a device takes it: `y = A x + b`.
#[derive(Clone, Debug)]
pub struct Rotation {
    columns: usize,
    rotated_columns: usize,
    packed: Packed,
}

#[derive(Clone, Debug)]
enum Packed {
    Cpu(Arc<cpu::Packed>),
    Gpu(gpu::Packed),
}

impl Rotation {
    /// The map by `matrix`, a row of it for each number that comes out, and `bias`, a number for each.
    ///
    /// # Errors
    /// [`Error::Empty`] for a matrix without rows or columns, [`Error::Length`] for a bias of another length,
    /// [`Error::NotFinite`], [`Error::Limit`] for columns 128 of which do not fit a binding, [`Error::OutOfMemory`].
    pub fn new(device: &Device, matrix: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Result<Self> {
        let (rotated_columns, columns) = matrix.dim();
        if rotated_columns == 0 || columns == 0 {
            return Err(Error::Empty { what: "a matrix" });
        }
        crate::rows::check("a matrix", matrix)?;
        if let Some(bias) = bias.filter(|bias| bias.len() != rotated_columns) {
            return Err(Error::Length { what: "numbers of a bias", expected: rotated_columns, found: bias.len() });
        }
        let packed = if device.is_gpu() {
            Packed::Gpu(gpu::Packed::new(device, matrix, bias)?)
        } else {
            Packed::Cpu(Arc::new(cpu::Packed::new(matrix, bias)))
        };
        Ok(Rotation { columns, rotated_columns, packed })
    }

    /// Numbers of a row that comes in.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers of a row that comes out.
    #[must_use]
    pub fn rotated_columns(&self) -> usize {
        self.rotated_columns
    }
}

/// Every row times the matrix, plus the bias.
///
/// A row's numbers are each one chain of sums over its columns in order: the rows beside it do not change them.
///
/// # Errors
/// [`Error::Dimension`] for rows of another length, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn rotate(work: &mut Work, rows: &DeviceArray<f32>, rotation: &Rotation) -> Result<DeviceArray<f32>> {
    if rows.columns() != rotation.columns {
        return Err(Error::Dimension { what: "rows", expected: rotation.columns, found: rows.columns() });
    }
    match (&mut work.0, &rotation.packed) {
        (Backend::Cpu, Packed::Cpu(packed)) => {
            let rotated = cpu::rotate(rows.host("rows")?, rotation.columns, packed, rotation.rotated_columns);
            Ok(DeviceArray::on_host(rotated, rotation.rotated_columns))
        }
        (Backend::Gpu(recording), Packed::Gpu(packed)) => {
            gpu::rotate(recording, rows, packed, rotation.rotated_columns)
        }
        _ => Err(Error::OtherDevice { what: "a matrix" }),
    }
}
