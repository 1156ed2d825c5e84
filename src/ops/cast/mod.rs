//! Rows in somebody's buffer, as f32 that the other operations can read.

pub(super) mod gpu;
pub(super) mod reference;

use crate::{
    DeviceArray, Error, Result, Work,
    device::{Backend, BufferRows},
};

/// Rows in a buffer of the caller's, as f32, wherever and however they lie in it.
///
/// f32 that follow each other from an aligned offset on are used in place: the array is the caller's buffer, as with
/// [`DeviceArray::from_wgpu`]. Others are copied on the GPU, as part of the work: f16, rows apart from each other, and
/// offsets that are no multiple of the device's `min_storage_buffer_offset_alignment`. The copy takes 4 bytes a number.
///
/// # Errors
/// [`Error::Parameter`] unless the buffer's usage includes `STORAGE`, and offset and bytes a row are multiples of a
/// number's bytes; [`Error::Limit`] if the buffer ends before the rows or a row exceeds a binding; [`Error::Empty`] for
/// rows of no columns; [`Error::OtherDevice`] on the CPU; [`Error::OutOfMemory`].
pub fn cast(work: &mut Work, rows: &BufferRows) -> Result<DeviceArray<f32>> {
    match &mut work.0 {
        Backend::Cpu => Err(Error::OtherDevice { what: "rows in a buffer" }),
        Backend::Gpu(recording) if rows.in_place(recording.device()) => DeviceArray::in_place(recording.device(), rows),
        Backend::Gpu(recording) => gpu::cast(recording, rows),
    }
}
