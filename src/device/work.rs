//! Work that a device is asked for: at once on the CPU, recorded and submitted together on a GPU.

use std::sync::Arc;

use bytemuck::Pod;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};

use super::{
    Cancel, Device, DeviceArray, Gpu, Kernel,
    gpu::STORAGE,
    part::Part,
    pipelines::{self, Pipeline},
    wait::Waiting,
};
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
    /// The kernel that does as many of them a second, if it is another one.
    paced_as: Option<&'static str>,
    cancel: Option<Cancel>,
}

pub(super) enum Command {
    Dispatch(Dispatch),
    Copy { from: wgpu::Buffer, from_offset: u64, to: wgpu::Buffer, to_offset: u64, bytes: u64 },
}

/// A kernel and what it is given.
pub(super) struct Dispatch {
    pub(super) pipeline: Arc<Pipeline>,
    /// By their names in WGSL.
    pub(super) buffers: Vec<(&'static str, Part)>,
    /// The uniform block, whose last word is the number of the first workgroup.
    pub(super) params: Vec<u8>,
    pub(super) groups: Groups,
    /// Multiply-adds, or words moved: what tells how long it takes, or where the GPU decides how many, may take.
    pub(super) operations: f64,
    /// The kernel that does as many of them a second.
    pub(super) paced_as: &'static str,
    /// Whether the GPU decides how many there are.
    pub(super) uncertain: bool,
}

/// How many workgroups a dispatch has.
pub(super) enum Groups {
    Known([u32; 2]),
    /// What three words of a buffer, from this one on, say when its turn comes: so many at most.
    Counted(Part, u64, [u32; 2]),
}

impl Groups {
    /// The buffer that says how many.
    pub(super) fn list(&self) -> Option<&Part> {
        match self {
            Groups::Known(_) => None,
            Groups::Counted(list, ..) => Some(list),
        }
    }

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

    /// Compiles the kernels that what was recorded needs, as many at a time as there are threads, so that nothing is left
    /// to compile when it, or the like of it, is done. Otherwise they are compiled then. Work that was recorded for this
    /// alone can be dropped.
    ///
    /// ```
    /// use cellprobe::{Device, FlatIndex, Metric, Search};
    /// # fn main() -> cellprobe::Result<()> {
    /// # let device = Device::auto();
    /// # let mut index = FlatIndex::new(&device, 2, Metric::L2)?;
    /// # index.add(ndarray::array![[0.0, 0.0], [3.0, 4.0]].view())?;
    /// // A search like those to come.
    /// let mut work = device.work();
    /// index.search_on(&mut work, &device.upload(vec![0.0; 2 * 100], 2)?, &Search::new(10))?;
    /// work.prepare()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`].
    pub fn prepare(&self) -> Result<()> {
        match &self.0 {
            Backend::Cpu => Ok(()),
            Backend::Gpu(recording) => recording.prepare(),
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
        Recording { gpu, commands: vec![], zeroed: vec![], held: vec![], operations: 0.0, paced_as: None, cancel: None }
    }

    /// Says how many multiply-adds or the like the next dispatch has.
    pub(crate) fn expect(&mut self, operations: usize) {
        self.operations = operations as f64;
    }

    /// Says how many multiply-adds or the like the next dispatch has at most, and which kernel does as many a second.
    pub(crate) fn expect_at_most(&mut self, operations: usize, paced_as: &'static str) {
        self.operations = operations as f64;
        self.paced_as = Some(paced_as);
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

    /// A buffer of `bytes` that are zero before the first command.
    pub(crate) fn cleared(&mut self, bytes: usize) -> Result<Part> {
        let part = self.scratch(bytes)?;
        self.zeroed.push((part.clone(), part.size()));
        Ok(part)
    }

    /// A number that kernels find the largest of, 0 at first.
    pub(crate) fn largest(&mut self) -> Result<Part> {
        self.cleared(size_of::<u32>())
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
        let groups = Groups::Known(self.rows_of_workgroups(groups)?);
        self.push(kernel, params, buffers, groups);
        Ok(())
    }

    /// Workgroups a row, and rows, of so many workgroups.
    fn rows_of_workgroups(&self, groups: usize) -> Result<[u32; 2]> {
        let widest = self.gpu.max_workgroups();
        let width = groups.clamp(1, widest);
        let height = groups.div_ceil(width);
        if height > self.gpu.inner().device.limits().max_compute_workgroups_per_dimension as usize {
            return Err(Error::Limit {
                limit: "workgroups a dispatch",
                allowed: (widest * widest) as u64,
                asked: groups as u64,
            });
        }
        Ok([width as u32, height as u32])
    }

    /// Records as many workgroups of `kernel` as a list will say, in three words from the given one on, at most `most`.
    /// [`Recording::expect_at_most`] says what so many do. If that may take too long together, all of them are
    /// dispatched, in parts: those past what the list says must find that they have nothing to do.
    pub(crate) fn dispatch_listed<P: Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        buffers: &[(&'static str, &Part)],
        (list, word): (&Part, u64),
        most: usize,
    ) -> Result<()> {
        let most = self.rows_of_workgroups(most)?;
        self.push(kernel, params, buffers, Groups::Counted(list.clone(), word, most));
        Ok(())
    }

    fn push<P: Pod>(&mut self, kernel: Kernel, params: &P, buffers: &[(&'static str, &Part)], groups: Groups) {
        let pipeline = self.gpu.inner().pipelines.get(kernel, buffers.iter().map(|(name, _)| *name));
        let buffers: Vec<_> = buffers.iter().map(|(name, buffer)| (*name, (*buffer).clone())).collect();
        let words = buffers.iter().map(|(_, part)| part.size() as f64 / 4.0).sum::<f64>();
        let operations = words.max(std::mem::take(&mut self.operations));
        let params = [bytemuck::bytes_of(params), &[0; 4]].concat();
        let paced_as = self.paced_as.take().unwrap_or(pipeline.operation());
        let uncertain = matches!(groups, Groups::Counted(..));
        let dispatch = Dispatch { pipeline, buffers, params, groups, operations, paced_as, uncertain };
        self.commands.push(Command::Dispatch(dispatch));
    }

    /// Compiles the kernels that are not compiled yet, all at the same time.
    pub(super) fn prepare(&self) -> Result<()> {
        pipelines::prepare(&self.gpu, self.dispatches().map(|dispatch| &dispatch.pipeline))
    }

    /// Records an array of the rows of all of `arrays`, at least one, whose elements are of whole words.
    pub(crate) fn concat<T: Pod>(&mut self, arrays: &[&DeviceArray<T>]) -> Result<DeviceArray<T>> {
        arrays.iter().try_for_each(|array| array.check_on(&self.gpu, "rows to join"))?;
        let some: Vec<_> = arrays.iter().copied().filter(|array| array.rows() > 0).collect();
        match (&some[..], arrays) {
            ([one], _) | ([], [one, ..]) => return Ok((*one).clone()),
            ([], []) => return Err(Error::Empty { what: "arrays to join" }),
            _ => {}
        }
        let columns = some[0].columns();
        let all: DeviceArray<T> = self.array(some.iter().map(|array| array.rows()).sum(), columns)?;
        self.hold(&all);
        let row_bytes = (columns * size_of::<T>()) as u64;
        let mut start = 0;
        for source in some {
            self.hold(source);
            let mut row = 0;
            while row < source.rows() {
                let (from, from_row) = source.part(row)?;
                let (to, to_row) = all.part(start + row)?;
                let count =
                    (source.rows() - row).min(source.rows_per_part() - from_row).min(all.rows_per_part() - to_row);
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
            start += source.rows();
        }
        Ok(all)
    }

    /// Keeps an array's buffers from being used for something else before this is submitted.
    pub(super) fn hold<T: Pod>(&mut self, array: &DeviceArray<T>) {
        self.held.extend_from_slice(array.parts());
    }
}
