//! From a recording to what a GPU is given.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytemuck::Pod;

use super::{
    DeviceArray, Gpu,
    groups::Bound,
    pace::{Load, Pace},
    part::Part,
    pipelines::Compiled,
    pool::Lease,
    profile::Timer,
    wait::{READ_BACK, Waiting},
    work::{Command, Dispatch, Groups, Recording},
};
use crate::Result;

impl Recording {
    /// Everything in a command buffer for somebody else to submit.
    pub(super) fn encode(&self) -> Result<wgpu::CommandBuffer> {
        let mut encoder = self.encoder()?;
        self.record(&mut encoder)?;
        self.device().catching(0, || encoder.finish())
    }

    /// Everything into somebody else's encoder. Its buffers are used for nothing else before that is done, or will never
    /// be.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.prepare()?;
        let uniforms = Uniforms::new(self)?;
        // Whether and when that is submitted is not known, so that it is not timed.
        self.count();
        self.device().next_turn();
        let used: Vec<Part> = (self.dispatches().flat_map(|dispatch| &dispatch.buffers).map(|(_, part)| part))
            .chain(self.dispatches().filter_map(|dispatch| dispatch.groups.list()))
            .chain(self.zeroed.iter().map(|(part, _)| part))
            .chain(&self.held)
            .cloned()
            .collect();
        // First, for what is refused half-way may be submitted all the same. wgpu drops this uncalled if the encoder, or
        // its command buffer, never is.
        let lease = Arc::clone(&uniforms.lease);
        encoder.on_submitted_work_done(move || drop((used, lease)));
        self.write(encoder, &uniforms, None)
    }

    fn encoder(&self) -> Result<wgpu::CommandEncoder> {
        let device = &self.device().inner().device;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("cellprobe") };
        self.device().catching(0, || device.create_command_encoder(&descriptor))
    }

    pub(super) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy { .. } => None,
        })
    }

    /// Whether there is something to submit: what must be zero is, whether or not anything follows.
    fn is_pending(&self) -> bool {
        !self.commands.is_empty() || !self.zeroed.is_empty()
    }

    pub(super) fn submit(mut self) -> Result<()> {
        self.device().check_alive()?;
        self.prepare()?;
        while self.is_pending() {
            self.submit_piece(false)?;
        }
        Ok(())
    }

    /// [`Recording::submit`], where what takes several submissions is waited for between them.
    async fn submit_waiting(&mut self) -> Result<()> {
        self.device().check_alive()?;
        self.prepare()?;
        while self.is_pending() {
            self.submit_piece(true)?;
            if self.is_pending() {
                Waiting::for_all(self.device()).await?;
            }
        }
        Ok(())
    }

    /// Submits as much from the first command on as should not take too long.
    fn submit_piece(&mut self, waited_for: bool) -> Result<()> {
        self.check_cancelled()?;
        let gpu = self.device().clone();
        let (commands, load) = next_piece(&mut self.commands, &gpu.inner().pace);
        let zeroed = std::mem::take(&mut self.zeroed);
        let mut piece = Recording::new(gpu.clone());
        (piece.commands, piece.zeroed) = (commands, zeroed);
        let uniforms = Uniforms::new(&piece)?;
        let mut encoder = piece.encoder()?;
        piece.count();
        let timer = match &gpu.inner().profiler {
            Some(profiler) => profiler.timer(&gpu, piece.dispatches().count())?,
            None => None,
        };
        piece.write(&mut encoder, &uniforms, timer)?;
        let commands = gpu.catching(0, || encoder.finish())?;
        gpu.submit(commands)?;
        gpu.learn(load, waited_for);
        Ok(())
    }

    /// Counts the dispatches, if the device is profiled.
    fn count(&self) {
        let Some(profiler) = &self.device().inner().profiler else { return };
        for Dispatch { pipeline, buffers, groups, .. } in self.dispatches() {
            let bytes = buffers.iter().map(|(_, part)| part.size()).sum();
            profiler.count(pipeline.operation(), pipeline.entry(), groups.known(), bytes);
        }
    }

    fn write(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        uniforms: &Uniforms,
        mut timer: Option<Timer<'_>>,
    ) -> Result<()> {
        let written = self.device().catching(0, || -> Result<()> {
            for (part, bytes) in &self.zeroed {
                encoder.clear_buffer(part.buffer(), part.offset(), Some(*bytes));
            }
            let mut next = 0;
            while let Some(command) = self.commands.get(next) {
                match command {
                    Command::Copy { from, from_offset, to, to_offset, bytes } => {
                        encoder.copy_buffer_to_buffer(from, *from_offset, to, *to_offset, *bytes);
                        next += 1;
                    }
                    Command::Dispatch(Dispatch { pipeline, .. }) => {
                        let writes = timer.as_mut().map(|timer| timer.next(pipeline.operation(), pipeline.entry()));
                        next = self.write_pass(encoder, uniforms, writes, next)?;
                        if let Some(timer) = &timer {
                            timer.passed(encoder);
                        }
                    }
                }
            }
            if let Some(timer) = timer {
                timer.finish(encoder);
            }
            Ok(())
        });
        written.flatten().inspect_err(|_| self.device().forget_groups())
    }

    /// Writes dispatches from `next` on, and gives the command after them.
    ///
    /// One pass has all of them up to the next copy: a pass costs tens of microseconds on some backends. Only passes can be
    /// timed, so that a dispatch that is has one of its own.
    fn write_pass(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        uniforms: &Uniforms,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
        mut next: usize,
    ) -> Result<usize> {
        let alone = timestamp_writes.is_some();
        let descriptor = wgpu::ComputePassDescriptor { label: Some("cellprobe"), timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        while let Some(Command::Dispatch(dispatch)) = self.commands.get(next) {
            let Dispatch { pipeline, buffers, groups, .. } = dispatch;
            let compiled = pipeline.compiled(self.device())?;
            let group = bind(self.device(), compiled, buffers, uniforms.binding(next));
            pass.push_debug_group(pipeline.operation());
            pass.set_pipeline(&compiled.pipeline);
            pass.set_bind_group(0, &group, &[]);
            match groups {
                Groups::Known([width, height]) => pass.dispatch_workgroups(*width, *height, 1),
                Groups::Counted(list, word, _) => pass.dispatch_workgroups_indirect(list.buffer(), 4 * word),
            }
            pass.pop_debug_group();
            next += 1;
            if alone {
                break;
            }
        }
        Ok(next)
    }

    pub(super) async fn read<T: Pod>(mut self, array: DeviceArray<T>) -> Result<Vec<T>> {
        let stagings = self.stage(&array)?;
        self.submit_waiting().await?;
        Readings::new(self.device(), stagings).read().await
    }

    /// [`Recording::read`] in two steps: everything is submitted here, and what is given waits for it.
    pub(super) fn begin_read<T: Pod>(
        mut self,
        array: DeviceArray<T>,
    ) -> Result<impl Future<Output = Result<Vec<T>>> + use<T>> {
        let (gpu, stagings) = (self.device().clone(), self.stage(&array)?);
        self.submit()?;
        Ok(Readings::new(&gpu, stagings).read())
    }

    /// Records copies of an array to buffers that can be read, each with its bytes.
    fn stage<T: Pod>(&mut self, array: &DeviceArray<T>) -> Result<Vec<(Arc<Lease>, usize)>> {
        array.check_on(self.device(), "the array to read")?;
        let gpu = self.device().clone();
        let part_bytes = ((array.rows_per_part() * array.columns() * size_of::<T>()) as u64).max(1);
        // As many parts together as a buffer may hold.
        let parts = (gpu.max_buffer() / part_bytes).max(1) as usize;
        let mut left = array.bytes();
        let mut stagings = vec![];
        for parts in array.parts().chunks(parts) {
            let bytes = left.min(parts.len() as u64 * part_bytes);
            left -= bytes;
            let staging = gpu.lease(bytes, READ_BACK)?;
            for (index, part) in parts.iter().enumerate() {
                let to_offset = index as u64 * part_bytes;
                let bytes = part_bytes.min(bytes - to_offset).next_multiple_of(4);
                if bytes > 0 {
                    part.check_source()?;
                    let (from, to) = (part.buffer().clone(), staging.buffer().clone());
                    self.commands.push(Command::Copy { from, from_offset: part.offset(), to, to_offset, bytes });
                }
            }
            stagings.push((staging, bytes as usize));
        }
        self.hold(array);
        Ok(stagings)
    }
}

/// A read-back that was submitted.
struct Readings(Vec<(Waiting, usize)>);

impl Readings {
    fn new(gpu: &Gpu, stagings: Vec<(Arc<Lease>, usize)>) -> Self {
        gpu.count_read_back();
        Readings(stagings.into_iter().map(|(staging, bytes)| (Waiting::new(gpu, staging), bytes)).collect())
    }

    async fn read<T: Pod>(self) -> Result<Vec<T>> {
        let mut data = vec![];
        for (mut waiting, bytes) in self.0 {
            (&mut waiting).await?;
            let part = waiting.read(bytes)?;
            data = if data.is_empty() { part } else { [data, part].concat() };
        }
        Ok(data)
    }
}

/// Takes commands from the first on that should not take too long together; a dispatch that would on its own is divided.
fn next_piece(commands: &mut Vec<Command>, pace: &Pace) -> (Vec<Command>, Load) {
    let (mut piece, mut load) = (vec![], Load::default());
    let mut rest: VecDeque<Command> = std::mem::take(commands).into();
    while let Some(command) = rest.pop_front() {
        let Command::Dispatch(mut dispatch) = command else {
            piece.push(command);
            continue;
        };
        let mut seconds = pace.seconds(dispatch.paced_as, dispatch.operations);
        while seconds > pace.longest()
            && let Some(others) = dispatch.divide(pace.longest() / seconds)
        {
            rest.push_front(Command::Dispatch(others));
            seconds = pace.seconds(dispatch.paced_as, dispatch.operations);
        }
        if load.most() > 0.0 && load.most() + seconds > pace.longest() {
            rest.push_front(Command::Dispatch(dispatch));
            break;
        }
        if dispatch.uncertain {
            load.uncertain += seconds;
        } else {
            load.add(dispatch.paced_as, dispatch.operations, seconds);
        }
        piece.push(Command::Dispatch(dispatch));
    }
    *commands = rest.into();
    (piece, load)
}

impl Dispatch {
    /// Keeps about that share of the workgroups, one at least, and gives the others; nothing if it cannot be divided.
    ///
    /// Parts are whole rows of workgroups or of one row, so that no number is in two of them. Where the GPU was to decide
    /// how many workgroups there are, parts have as many as there can be.
    fn divide(&mut self, share: f64) -> Option<Dispatch> {
        let (Groups::Known([width, height]) | Groups::Counted(_, _, [width, height])) = self.groups;
        if !self.pipeline.parts || width * height <= 1 {
            return None;
        }
        let kept = |of: u32| ((f64::from(of) * share) as u32).clamp(1, of - 1);
        let (first, others) = if height > 1 {
            let rows = kept(height);
            ([width, rows], [width, height - rows])
        } else {
            let columns = kept(width);
            ([columns, 1], [width - columns, 1])
        };
        let number = first[0] * first[1];
        let operations = self.operations * f64::from(number) / (f64::from(width) * f64::from(height));
        let mut params = self.params.clone();
        let place = params.len() - size_of::<u32>();
        let before = bytemuck::pod_read_unaligned::<u32>(&params[place..]);
        params[place..].copy_from_slice(&(before + number).to_ne_bytes());
        let rest = Dispatch {
            pipeline: Arc::clone(&self.pipeline),
            buffers: self.buffers.clone(),
            params,
            groups: Groups::Known(others),
            operations: self.operations - operations,
            paced_as: self.paced_as,
            uncertain: self.uncertain,
        };
        (self.groups, self.operations) = (Groups::Known(first), operations);
        Some(rest)
    }
}

/// The uniform blocks of a recording's dispatches in one buffer.
struct Uniforms {
    lease: Arc<Lease>,
    /// Where each command's block is; empty for a copy's.
    places: Vec<Range<u64>>,
}

impl Uniforms {
    fn new(recording: &Recording) -> Result<Self> {
        let alignment = recording.device().inner().uniform_alignment as usize;
        let (mut blocks, mut places) = (vec![], vec![]);
        for command in &recording.commands {
            let start = blocks.len();
            if let Command::Dispatch(Dispatch { params, .. }) = command {
                blocks.extend_from_slice(params);
            }
            places.push(start as u64..blocks.len() as u64);
            blocks.resize(blocks.len().next_multiple_of(alignment), 0);
        }
        let lease = recording.device().filled(&blocks, wgpu::BufferUsages::UNIFORM)?;
        Ok(Uniforms { lease, places })
    }

    /// The buffer, first byte and bytes of a command's block.
    fn binding(&self, command: usize) -> (wgpu::Buffer, u64, u64) {
        let Range { start, end } = self.places[command].clone();
        (self.lease.buffer().clone(), start, end - start)
    }
}

/// What a kernel is bound to.
fn bind(
    gpu: &Gpu,
    compiled: &Compiled,
    buffers: &[(&'static str, Part)],
    (params, start, bytes): (wgpu::Buffer, u64, u64),
) -> wgpu::BindGroup {
    let storage = buffers
        .iter()
        .filter_map(|(name, part)| Some((compiled.place(name)?, part.buffer().clone(), part.offset(), part.size())));
    let bindings = std::iter::once((0, params, start, bytes)).chain(storage).collect();
    let pooled = buffers.iter().all(|(_, part)| part.is_pooled());
    gpu.bind(Bound { layout: compiled.layout.clone(), bindings }, pooled)
}
