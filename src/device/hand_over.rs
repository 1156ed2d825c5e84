//! Work handed over: recorded into a caller's encoder, its results in a caller's buffer.

use bytemuck::Pod;

use super::{Backend, BufferRows, DeviceArray, Recording, Work, part::check_usage, work::Command};
use crate::{Error, Result};

impl Work {
    /// Records everything into the caller's encoder instead of submitting it: it is done when the caller submits that,
    /// and the results stay on the GPU. Nothing is submitted, read back or waited for here.
    ///
    /// What the commands use is kept alive, and used for nothing else, until they are done: arrays, what passes between
    /// kernels, and the numbers that kernels are told. Those numbers and uploaded rows are written with the next
    /// submission to the queue, which may be the caller's. Afterwards, once the caller polls the device or submits
    /// something else, the buffers go back to the [pool](super::Options::pooled_bytes), so that the next call of the kind
    /// makes none; those of an encoder that is dropped go back as well. Arrays that the caller holds stay, and buffers that
    /// were given out by [`DeviceArray::wgpu_rows`] never go back, for nobody knows who uses them: to read results again
    /// and again, [copy](Work::copy) them to a buffer of your own.
    ///
    /// What the work is refused for is an error here. An encoder of another device is refused where the caller
    /// finishes it, for wgpu keeps the errors of an encoder until then; [`Work::finish`] has none to give.
    ///
    /// # Errors
    /// [`Error::OtherDevice`] on the CPU, where the work is done already; [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub fn record(self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        match self.0 {
            Backend::Cpu => Err(Error::OtherDevice { what: "work to record" }),
            Backend::Gpu(recording) => recording.record(encoder),
        }
    }

    /// Everything recorded as a command buffer, for the caller to submit with others: as [`Work::record`] otherwise,
    /// and every refusal an error here.
    ///
    /// # Errors
    /// As [`Work::record`].
    pub fn finish(self) -> Result<wgpu::CommandBuffer> {
        match self.0 {
            Backend::Cpu => Err(Error::OtherDevice { what: "work to record" }),
            Backend::Gpu(recording) => recording.encode(),
        }
    }

    /// Copies the rows of `from` into a buffer of the caller's, whose usage includes `COPY_DST`.
    ///
    /// # Errors
    /// [`Error::Dimension`] or [`Error::Length`] unless there is room for just these rows; [`Error::Limit`] if the buffer
    /// ends before that; [`Error::Parameter`] for f16, rows apart from each other, a missing usage, or the buffer that
    /// the rows are in; [`Error::OtherDevice`].
    pub fn copy<T: Pod>(&mut self, from: &DeviceArray<T>, to: &BufferRows) -> Result<()> {
        match &mut self.0 {
            Backend::Cpu => Err(Error::OtherDevice { what: "the buffer to copy to" }),
            Backend::Gpu(recording) => recording.copy(from, to),
        }
    }
}

impl Recording {
    /// Records the rows of `from`, which `to` has room for, into a buffer of the caller's.
    fn copy<T: Pod>(&mut self, from: &DeviceArray<T>, to: &BufferRows) -> Result<()> {
        from.check_on(self.device(), "the rows to copy")?;
        if !size_of::<T>().is_multiple_of(4) {
            return Err(Error::parameter("bytes an element", size_of::<T>(), "a multiple of 4"));
        }
        to.check_contiguous(size_of::<T>())?;
        to.check(size_of::<T>(), wgpu::BufferUsages::COPY_DST)?;
        if to.columns != from.columns() {
            return Err(Error::Dimension { what: "rows to copy to", expected: from.columns(), found: to.columns });
        }
        if to.rows != from.rows() {
            return Err(Error::Length { what: "rows to copy to", expected: from.rows(), found: to.rows });
        }
        self.hold(from);
        let mut to_offset = to.offset;
        for rows in from.stretches().filter(|rows| rows.rows > 0) {
            check_usage(&rows.buffer, wgpu::BufferUsages::COPY_SRC)?;
            if rows.buffer == to.buffer {
                let expected = "another buffer than the one that the rows are in";
                return Err(Error::parameter("buffer to copy to", "the one that the rows are in", expected));
            }
            let bytes = (rows.rows * rows.columns * size_of::<T>()) as u64;
            let (from, to) = (rows.buffer, to.buffer.clone());
            self.commands.push(Command::Copy { from, from_offset: rows.offset, to, to_offset, bytes });
            to_offset += bytes;
        }
        Ok(())
    }
}
