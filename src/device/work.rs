//! Work that a device is asked for: at once on the CPU, recorded and submitted together on a GPU.

use std::sync::Arc;

use bytemuck::Pod;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};

use super::{Cancel, Device, DeviceArray, Gpu, Kernel, gpu::STORAGE, part::Part, shader::Pipeline, wait::Waiting};
use crate::{Error, Result};

/// What a device has been asked for. Operations take it first. On the CPU they run at once; on a GPU they are
/// recorded, and everything recorded goes in one submission when the work is read or submitted.
pub struct Work(pub(crate) Backend);

pub(crate) enum Backend {
    Cpu,
    Gpu(Recording),
}

/// Commands for a GPU, in order.
pub(crate) struct Recording {
    gpu: Gpu,
    pub(super) commands: Vec<Command>,
    /// What must be zero before the first command, from its first byte on.
    pub(super) zeroed: Vec<(Part, u64)>,
    /// What copies are from and to: not to be used again before they are submitted.
    pub(super) held: Vec<Part>,
    /// Operations of the next dispatch, where they are more than the words that it is given.
    operations: f64,
    cancel: Option<Cancel>,
}

pub(super) enum Command {
    Dispatch(Dispatch),
    Copy { from: wgpu::Buffer, from_offset: u64, to: wgpu::Buffer, to_offset: u64, bytes: u64 },
}

/// A kernel and what it is given.
pub(super) struct Dispatch {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) buffers: Vec<(u32, Part)>,
    /// The uniform block, whose last word is the number of the first workgroup.
    pub(super) params: Vec<u8>,
    pub(super) groups: Groups,
    /// Multiply-adds, or words moved: what tells how long it takes.
    pub(super) operations: f64,
}

/// How many workgroups a dispatch has.
pub(super) enum Groups {
    Known([u32; 2]),
    /// What three words of a buffer, from this one on, say when its turn comes.
    Counted(Part, u64),
}

impl Groups {
    /// Workgroups, none where the GPU decides.
    pub(super) fn known(&self) -> u64 {
        match self {
            Groups::Known([width, height]) => u64::from(*width) * u64::from(*height),
            Groups::Counted(..) => 0,
        }
    }
}

impl Work {
    pub(super) fn cpu() -> Self {
        Work(Backend::Cpu)
    }

    pub(super) fn gpu(gpu: Gpu) -> Self {
        Work(Backend::Gpu(Recording::new(gpu)))
    }

    /// Fails unless the work is for `device`.
    pub(crate) fn check_at(&self, device: &Device, what: &'static str) -> Result<()> {
        match (&self.0, device.as_gpu(what)) {
            (Backend::Cpu, Err(_)) => Ok(()),
            (Backend::Gpu(recording), Ok(gpu)) if recording.gpu.same_as(gpu) => Ok(()),
            _ => Err(Error::OtherDevice { what }),
        }
    }

    /// Lets somebody else cancel the work: nothing more of it is then submitted. On the CPU it is done at once.
    pub fn cancelled_by(&mut self, cancel: &Cancel) {
        if let Backend::Gpu(recording) = &mut self.0 {
            recording.cancel = Some(cancel.clone());
        }
    }

    /// Begins what was recorded, without waiting for it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`] or [`Error::Cancelled`].
    pub fn submit(self) -> Result<()> {
        match self.0 {
            Backend::Cpu => Ok(()),
            Backend::Gpu(recording) => recording.submit(),
        }
    }

    /// Does what was recorded and gives the elements of `array`, row after row: one read-back and one submission, or
    /// as many as [`Options::longest_submission`](super::Options::longest_submission) asks for.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`] or [`Error::Cancelled`]; [`Error::OtherDevice`] if `array` is elsewhere.
    pub async fn read<T: Pod>(self, array: DeviceArray<T>) -> Result<Vec<T>> {
        match self.0 {
            Backend::Cpu => array.into_host("the array to read"),
            Backend::Gpu(recording) => recording.read(array).await,
        }
    }
}

impl Work {
    /// Begins what was recorded: what is given waits for all that was submitted up to then.
    ///
    /// # Errors
    /// As [`Work::submit`].
    pub(crate) fn begin(self) -> Result<BoxFuture<'static, Result<()>>> {
        match self.0 {
            Backend::Cpu => Ok(ready(Ok(())).boxed()),
            Backend::Gpu(recording) => {
                let gpu = recording.gpu.clone();
                recording.submit()?;
                Ok(Waiting::for_all(&gpu).boxed())
            }
        }
    }

    /// Begins what was recorded, without waiting for it, and to read `array` back: what is given waits for that.
    ///
    /// # Errors
    /// As [`Work::read`].
    pub(crate) fn begin_read<T: Pod + Send>(self, array: DeviceArray<T>) -> Result<BoxFuture<'static, Result<Vec<T>>>> {
        match self.0 {
            Backend::Cpu => Ok(ready(array.into_host("the array to read")).boxed()),
            Backend::Gpu(recording) => Ok(recording.begin_read(array)?.boxed()),
        }
    }
}

impl Recording {
    pub(super) fn new(gpu: Gpu) -> Self {
        Recording { gpu, commands: vec![], zeroed: vec![], held: vec![], operations: 0.0, cancel: None }
    }

    /// Says how many multiply-adds or the like the next dispatch has.
    pub(crate) fn expect(&mut self, operations: usize) {
        self.operations = operations as f64;
    }

    /// Fails once the work was cancelled.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        self.cancel.as_ref().map_or(Ok(()), Cancel::check)
    }

    pub(crate) fn device(&self) -> &Gpu {
        &self.gpu
    }

    /// An array for kernels to write, all of it: what it holds is left over from others.
    pub(crate) fn array<T: Pod>(&self, rows: usize, columns: usize) -> Result<DeviceArray<T>> {
        DeviceArray::on_gpu(&self.gpu, rows, columns)
    }

    /// An array of zeros, for kernels to add to.
    pub(crate) fn zeros<T: Pod>(&mut self, rows: usize, columns: usize) -> Result<DeviceArray<T>> {
        let array: DeviceArray<T> = self.array(rows, columns)?;
        self.zeroed.extend(array.parts().iter().map(|part| (part.clone(), part.size())));
        Ok(array)
    }

    /// A buffer of `bytes` for what passes between kernels. What it holds is left over from others.
    pub(crate) fn scratch(&self, bytes: usize) -> Result<Part> {
        self.gpu.lease(bytes as u64, STORAGE).map(Part::whole)
    }

    /// A number that kernels find the largest of, 0 at first.
    pub(crate) fn largest(&mut self) -> Result<Part> {
        let number = self.scratch(size_of::<u32>())?;
        self.zeroed.push((number.clone(), size_of::<u32>() as u64));
        Ok(number)
    }

    /// A list of at most `rows` rows that kernels find, empty at first: see `shaders/shared/listed.wgsl`.
    pub(crate) fn list(&mut self, rows: usize) -> Result<Part> {
        const HEAD: u64 = 4 * 8;
        let list = self.gpu.lease(HEAD + 4 * rows as u64, STORAGE | wgpu::BufferUsages::INDIRECT).map(Part::whole)?;
        self.zeroed.push((list.clone(), HEAD));
        Ok(list)
    }

    /// Records `groups` workgroups of `kernel`. The kernel's `buffers` are given by their names in WGSL.
    ///
    /// More workgroups than a dimension takes become rows of them: a kernel's number is `id.y * width + id.x`, and
    /// those past `groups`, which `params` should hold, have nothing to do.
    pub(crate) fn dispatch<P: Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        buffers: &[(&'static str, &Part)],
        groups: usize,
    ) -> Result<()> {
        if groups == 0 {
            self.operations = 0.0;
            return Ok(());
        }
        let widest = self.gpu.inner().max_workgroups as usize;
        let width = groups.min(widest);
        let height = groups.div_ceil(width);
        if height > self.gpu.inner().device.limits().max_compute_workgroups_per_dimension as usize {
            return Err(Error::Limit {
                limit: "workgroups a dispatch",
                allowed: (widest * widest) as u64,
                asked: groups as u64,
            });
        }
        self.push(kernel, params, buffers, Groups::Known([width as u32, height as u32]))
    }

    /// Records as many workgroups of `kernel` as a list will say, in three words from the given one on.
    pub(crate) fn dispatch_listed<P: Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        buffers: &[(&'static str, &Part)],
        (list, word): (&Part, u64),
    ) -> Result<()> {
        self.push(kernel, params, buffers, Groups::Counted(list.clone(), word))
    }

    fn push<P: Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        buffers: &[(&'static str, &Part)],
        groups: Groups,
    ) -> Result<()> {
        let names: Vec<_> = buffers.iter().map(|(name, _)| *name).collect();
        let pipeline = self.gpu.inner().pipelines.get(&self.gpu, kernel, &names)?;
        let place = |name| pipeline.places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
        let buffers: Vec<_> =
            buffers.iter().filter_map(|(name, buffer)| Some((place(*name)?, (*buffer).clone()))).collect();
        let words = buffers.iter().map(|(_, part)| part.size() as f64 / 4.0).sum::<f64>();
        let operations = words.max(std::mem::take(&mut self.operations));
        let params = [bytemuck::bytes_of(params), &[0; 4]].concat();
        self.commands.push(Command::Dispatch(Dispatch { pipeline, buffers, params, groups, operations }));
        Ok(())
    }

    /// Records an array of the rows of `first`, then those of `second`, whose elements are of whole words.
    pub(crate) fn concat<T: Pod>(&mut self, first: &DeviceArray<T>, second: &DeviceArray<T>) -> Result<DeviceArray<T>> {
        first.check_on(&self.gpu, "the first rows")?;
        second.check_on(&self.gpu, "the second rows")?;
        match (first.rows(), second.rows()) {
            (0, _) => return Ok(second.clone()),
            (_, 0) => return Ok(first.clone()),
            _ => {}
        }
        let both: DeviceArray<T> = self.array(first.rows() + second.rows(), first.columns())?;
        for array in [first, second, &both] {
            self.hold(array);
        }
        let row_bytes = (first.columns() * size_of::<T>()) as u64;
        for (source, start) in [(first, 0), (second, first.rows())] {
            let mut row = 0;
            while row < source.rows() {
                let (from, from_row) = source.part(row)?;
                let (to, to_row) = both.part(start + row)?;
                let count =
                    (source.rows() - row).min(source.rows_per_part() - from_row).min(both.rows_per_part() - to_row);
                from.check_source()?;
                self.commands.push(Command::Copy {
                    from: from.buffer().clone(),
                    from_offset: from.offset() + from_row as u64 * row_bytes,
                    to: to.buffer().clone(),
                    to_offset: to.offset() + to_row as u64 * row_bytes,
                    bytes: count as u64 * row_bytes,
                });
                row += count;
            }
        }
        Ok(both)
    }

    /// Keeps an array's buffers from being used for something else before this is submitted.
    pub(super) fn hold<T: Pod>(&mut self, array: &DeviceArray<T>) {
        self.held.extend_from_slice(array.parts());
    }
}
