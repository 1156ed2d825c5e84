//! Work that a device is asked for: at once on the CPU, recorded and submitted together on a GPU.

use std::{
    cell::Cell,
    future::Future,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytemuck::Pod;
use futures::channel::oneshot;

use super::{Device, DeviceArray, Gpu, Kernel, gpu::STORAGE, part::Part, profile::Timer, shader::Pipeline};
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
    /// The uniform blocks of all dispatches, each at its own aligned offset.
    params: Vec<u8>,
}

pub(super) enum Command {
    Dispatch { pipeline: Arc<Pipeline>, buffers: Vec<(u32, Part)>, params: Range<u64>, groups: Groups },
    Copy { from: wgpu::Buffer, from_offset: u64, to: wgpu::Buffer, to_offset: u64, bytes: u64 },
}

/// How many workgroups a dispatch has.
pub(super) enum Groups {
    Known([u32; 2]),
    /// What three words of a buffer, from this one on, say when its turn comes.
    Counted(wgpu::Buffer, u64),
}

impl Groups {
    /// Workgroups, none where the GPU decides.
    fn known(&self) -> u64 {
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
        Work(Backend::Gpu(Recording { gpu, commands: vec![], params: vec![] }))
    }

    /// Fails unless the work is for `device`.
    pub(crate) fn check_at(&self, device: &Device, what: &'static str) -> Result<()> {
        match (&self.0, device.as_gpu(what)) {
            (Backend::Cpu, Err(_)) => Ok(()),
            (Backend::Gpu(recording), Ok(gpu)) if recording.gpu.same_as(gpu) => Ok(()),
            _ => Err(Error::OtherDevice { what }),
        }
    }

    /// Begins what was recorded, without waiting for it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`].
    pub fn submit(self) -> Result<()> {
        match self.0 {
            Backend::Cpu => Ok(()),
            Backend::Gpu(recording) => recording.submit(),
        }
    }

    /// Does what was recorded and gives the elements of `array`, row after row: one submission, one read-back.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`] or [`Error::Gpu`]; [`Error::OtherDevice`] if `array` is elsewhere.
    pub async fn read<T: Pod>(self, array: DeviceArray<T>) -> Result<Vec<T>> {
        match self.0 {
            Backend::Cpu => array.into_host("the array to read"),
            Backend::Gpu(recording) => recording.read(&array).await,
        }
    }
}

impl Recording {
    pub(crate) fn device(&self) -> &Gpu {
        &self.gpu
    }

    /// An array for kernels to write.
    pub(crate) fn array<T: Pod>(&self, rows: usize, columns: usize) -> Result<DeviceArray<T>> {
        DeviceArray::on_gpu(&self.gpu, rows, columns)
    }

    /// A buffer of `bytes` for what passes between kernels.
    pub(crate) fn scratch(&self, bytes: usize) -> Result<Part> {
        self.gpu.storage(bytes as u64).map(Part::whole)
    }

    /// A list of at most `rows` rows that kernels find, empty at first: see `shaders/shared/listed.wgsl`.
    pub(crate) fn list(&self, rows: usize) -> Result<Part> {
        self.gpu.buffer(4 * (8 + rows as u64), STORAGE | wgpu::BufferUsages::INDIRECT, false).map(Part::whole)
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
        self.push(kernel, params, buffers, Groups::Counted(list.buffer().clone(), word))
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
        let buffers = buffers.iter().filter_map(|(name, buffer)| Some((place(*name)?, (*buffer).clone()))).collect();
        let start = self.params.len().next_multiple_of(self.gpu.inner().uniform_alignment as usize);
        self.params.resize(start, 0);
        self.params.extend_from_slice(bytemuck::bytes_of(params));
        let params = start as u64..self.params.len() as u64;
        self.commands.push(Command::Dispatch { pipeline, buffers, params, groups });
        Ok(())
    }

    /// Records an array of the rows of `first`, then those of `second`, whose elements are of whole words.
    pub(crate) fn concat<T: Pod>(&mut self, first: &DeviceArray<T>, second: &DeviceArray<T>) -> Result<DeviceArray<T>> {
        first.check_on(&self.gpu, "the first rows")?;
        second.check_on(&self.gpu, "the second rows")?;
        let both = self.array(first.rows() + second.rows(), first.columns())?;
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

    /// Commands in a buffer of their own.
    pub(super) fn encode(&self) -> Result<wgpu::CommandBuffer> {
        let device = &self.gpu.inner().device;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("cellprobe") };
        let mut encoder = self.gpu.catching(0, || device.create_command_encoder(&descriptor))?;
        self.record(&mut encoder)?;
        self.gpu.catching(0, || encoder.finish())
    }

    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        let device = &self.gpu.inner().device;
        // Mapped, because that fails on a device that is lost; the calls after it would be ignored there.
        let uniforms = self.gpu.filled_buffer(&self.params, wgpu::BufferUsages::UNIFORM)?;
        let commands = &self.commands;
        let mut timer = self.profiled()?;
        self.gpu.catching(0, || {
            let mut next = 0;
            while next < commands.len() {
                if let Command::Copy { from, from_offset, to, to_offset, bytes } = &commands[next] {
                    encoder.copy_buffer_to_buffer(from, *from_offset, to, *to_offset, *bytes);
                    next += 1;
                    continue;
                }
                // One pass for all dispatches up to the next copy: a pass costs tens of microseconds on some backends.
                // Only passes can be timed, so that a dispatch that is has one of its own.
                let timestamp_writes = match (&mut timer, &commands[next]) {
                    (Some(timer), Command::Dispatch { pipeline, .. }) => {
                        Some(timer.next(pipeline.operation, pipeline.entry))
                    }
                    _ => None,
                };
                let alone = timestamp_writes.is_some();
                let descriptor = wgpu::ComputePassDescriptor { label: Some("cellprobe"), timestamp_writes };
                let mut pass = encoder.begin_compute_pass(&descriptor);
                while let Some(Command::Dispatch { pipeline, buffers, params, groups }) = commands.get(next) {
                    let group = bind(device, pipeline, buffers, &uniforms, params);
                    pass.push_debug_group(pipeline.operation);
                    pass.set_pipeline(&pipeline.compiled);
                    pass.set_bind_group(0, &group, &[]);
                    match groups {
                        Groups::Known([width, height]) => pass.dispatch_workgroups(*width, *height, 1),
                        Groups::Counted(list, word) => pass.dispatch_workgroups_indirect(list, 4 * word),
                    }
                    pass.pop_debug_group();
                    next += 1;
                    if alone {
                        break;
                    }
                }
                drop(pass);
                if let Some(timer) = &timer {
                    timer.passed(encoder);
                }
            }
            if let Some(timer) = timer {
                timer.finish(encoder);
            }
        })
    }

    /// Counts the dispatches and makes ready to time them, if the device is profiled.
    fn profiled(&self) -> Result<Option<Timer<'_>>> {
        let Some(profiler) = &self.gpu.inner().profiler else { return Ok(None) };
        let mut dispatches = 0;
        for command in &self.commands {
            if let Command::Dispatch { pipeline, buffers, groups, .. } = command {
                let bytes = buffers.iter().map(|(_, part)| part.size()).sum();
                profiler.count(pipeline.operation, pipeline.entry, groups.known(), bytes);
                dispatches += 1;
            }
        }
        profiler.timer(&self.gpu, dispatches)
    }

    fn submit(self) -> Result<()> {
        if self.commands.is_empty() {
            return self.gpu.check_alive();
        }
        let commands = self.encode()?;
        self.gpu.submit(commands)
    }

    async fn read<T: Pod>(mut self, array: &DeviceArray<T>) -> Result<Vec<T>> {
        array.check_on(&self.gpu, "the array to read")?;
        let part_bytes = ((array.rows_per_part() * array.columns() * size_of::<T>()) as u64).max(1);
        // As many parts together as a buffer may hold.
        let parts = (self.gpu.max_buffer() / part_bytes).max(1) as usize;
        let mut left = array.bytes();
        let mut stagings = vec![];
        for parts in array.parts().chunks(parts) {
            let bytes = left.min(parts.len() as u64 * part_bytes);
            left -= bytes;
            let staging = self.gpu.buffer(bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST, false)?;
            for (index, part) in parts.iter().enumerate() {
                let to_offset = index as u64 * part_bytes;
                let bytes = part_bytes.min(bytes - to_offset).next_multiple_of(4);
                if bytes > 0 {
                    part.check_source()?;
                    let (from, to) = (part.buffer().clone(), staging.clone());
                    self.commands.push(Command::Copy { from, from_offset: part.offset(), to, to_offset, bytes });
                }
            }
            stagings.push((staging, bytes));
        }
        let commands = self.encode()?;
        self.gpu.submit(commands)?;
        self.gpu.count_read_back();
        let waits: Vec<_> = stagings.iter().map(|(staging, _)| Waiting::new(&self.gpu, staging)).collect();
        let mut data = Vec::with_capacity(array.rows() * array.columns());
        for ((staging, bytes), waiting) in stagings.iter().zip(waits) {
            waiting.await?;
            let view = staging.get_mapped_range(..).map_err(|error| self.gpu.lost(error))?;
            data.extend(bytemuck::pod_collect_to_vec::<u8, T>(&view[..*bytes as usize]));
            drop(view);
            staging.unmap();
        }
        Ok(data)
    }
}

fn bind(
    device: &wgpu::Device,
    pipeline: &Pipeline,
    buffers: &[(u32, Part)],
    uniforms: &wgpu::Buffer,
    params: &Range<u64>,
) -> wgpu::BindGroup {
    let uniform = wgpu::BufferBinding {
        buffer: uniforms,
        offset: params.start,
        size: wgpu::BufferSize::new(params.end - params.start),
    };
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
    entries.extend(
        buffers.iter().map(|(binding, part)| wgpu::BindGroupEntry { binding: *binding, resource: part.binding() }),
    );
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries })
}

/// Waits for a buffer to be mapped.
///
/// Inside [`block_on`] the GPU is waited for in place. Elsewhere a short-lived thread waits, so that the caller's
/// executor is not held up; in a browser the event loop does.
pub(super) struct Waiting {
    gpu: Gpu,
    mapped: Mapped,
    receiver: oneshot::Receiver<Outcome>,
    thread: bool,
}

/// Why a buffer cannot be mapped, if so.
type Outcome = Result<(), String>;

/// Tells a [`Waiting`], once, that the buffer is mapped or why it will not be.
#[derive(Clone)]
struct Mapped(Arc<Mutex<Option<oneshot::Sender<Outcome>>>>);

impl Mapped {
    fn tell(&self, outcome: Outcome) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody listens any more if the read was dropped.
            drop(sender.send(outcome));
        }
    }
}

impl Waiting {
    pub(super) fn new(gpu: &Gpu, staging: &wgpu::Buffer) -> Self {
        let (sender, receiver) = oneshot::channel();
        let mapped = Mapped(Arc::new(Mutex::new(Some(sender))));
        let told = mapped.clone();
        staging
            .map_async(wgpu::MapMode::Read, .., move |outcome| told.tell(outcome.map_err(|error| error.to_string())));
        Waiting { gpu: gpu.clone(), mapped, receiver, thread: false }
    }
}

/// Lets the device go on. wgpu panics if it is lost meanwhile.
fn poll(device: &wgpu::Device, how: wgpu::PollType) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| device.poll(how))) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("waiting for it failed".into()),
    }
}

impl Future for Waiting {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let device = self.gpu.inner().device.clone();
        let how = if BLOCKING.get() { wgpu::PollType::wait_indefinitely() } else { wgpu::PollType::Poll };
        if let Err(reason) = poll(&device, how) {
            return Poll::Ready(Err(self.gpu.lost(reason)));
        }
        match Pin::new(&mut self.receiver).poll(context) {
            Poll::Ready(Ok(Ok(()))) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(Err(reason))) => Poll::Ready(Err(self.gpu.lost(reason))),
            Poll::Ready(Err(_)) => Poll::Ready(Err(self.gpu.lost("the read-back was cancelled"))),
            Poll::Pending => {
                if !self.thread && cfg!(not(target_arch = "wasm32")) {
                    self.thread = true;
                    let mapped = self.mapped.clone();
                    std::thread::spawn(move || {
                        if let Err(reason) = poll(&device, wgpu::PollType::wait_indefinitely()) {
                            mapped.tell(Err(reason));
                        }
                    });
                }
                Poll::Pending
            }
        }
    }
}

thread_local! {
    /// Whether this thread is inside [`block_on`] and may wait for the GPU in place.
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let before = BLOCKING.replace(true);
    let output = pollster::block_on(future);
    BLOCKING.set(before);
    output
}
