//! From a recording to what a GPU is given.

use std::{ops::Range, sync::Arc};

use bytemuck::Pod;

use super::{
    DeviceArray,
    part::Part,
    pool::Lease,
    profile::Timer,
    shader::Pipeline,
    wait::{READ_BACK, Waiting},
    work::{Command, Groups, Recording},
};
use crate::Result;

impl Recording {
    /// Everything in a command buffer for somebody else to submit: no buffer of it is used for anything else any more.
    pub(super) fn encode(&self) -> Result<wgpu::CommandBuffer> {
        let mut encoder = self.encoder()?;
        self.record(&mut encoder)?;
        self.device().catching(0, || encoder.finish())
    }

    /// Everything into somebody else's encoder: no buffer of it is used for anything else any more.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        let uniforms = Uniforms::new(self)?;
        let dispatched = self.commands.iter().filter_map(|command| match command {
            Command::Dispatch { buffers, .. } => Some(buffers),
            Command::Copy { .. } => None,
        });
        dispatched.flatten().for_each(|(_, part)| part.hand_out());
        self.held.iter().chain(self.zeroed.iter().map(|(part, _)| part)).for_each(Part::hand_out);
        uniforms.lease.keep(true);
        // Whether and when that is submitted is not known, so that it is not timed.
        self.count();
        self.write(encoder, &uniforms, None)
    }

    fn encoder(&self) -> Result<wgpu::CommandEncoder> {
        let device = &self.device().inner().device;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("cellprobe") };
        self.device().catching(0, || device.create_command_encoder(&descriptor))
    }

    pub(super) fn submit(self) -> Result<()> {
        if self.commands.is_empty() {
            return self.device().check_alive();
        }
        let uniforms = Uniforms::new(&self)?;
        let mut encoder = self.encoder()?;
        let dispatches = self.count();
        let timer = match &self.device().inner().profiler {
            Some(profiler) => profiler.timer(self.device(), dispatches)?,
            None => None,
        };
        self.write(&mut encoder, &uniforms, timer)?;
        let commands = self.device().catching(0, || encoder.finish())?;
        self.device().submit(commands)
    }

    /// Counts the dispatches, if the device is profiled.
    fn count(&self) -> usize {
        let Some(profiler) = &self.device().inner().profiler else { return 0 };
        let mut dispatches = 0;
        for command in &self.commands {
            if let Command::Dispatch { pipeline, buffers, groups, .. } = command {
                let bytes = buffers.iter().map(|(_, part)| part.size()).sum();
                profiler.count(pipeline.operation, pipeline.entry, groups.known(), bytes);
                dispatches += 1;
            }
        }
        dispatches
    }

    fn write(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        uniforms: &Uniforms,
        mut timer: Option<Timer<'_>>,
    ) -> Result<()> {
        self.device().catching(0, || {
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
                    Command::Dispatch { pipeline, .. } => {
                        let writes = timer.as_mut().map(|timer| timer.next(pipeline.operation, pipeline.entry));
                        next = self.write_pass(encoder, uniforms, writes, next);
                        if let Some(timer) = &timer {
                            timer.passed(encoder);
                        }
                    }
                }
            }
            if let Some(timer) = timer {
                timer.finish(encoder);
            }
        })
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
    ) -> usize {
        let alone = timestamp_writes.is_some();
        let descriptor = wgpu::ComputePassDescriptor { label: Some("cellprobe"), timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        while let Some(Command::Dispatch { pipeline, buffers, groups, .. }) = self.commands.get(next) {
            let group = bind(&self.device().inner().device, pipeline, buffers, uniforms.binding(next));
            pass.push_debug_group(pipeline.operation);
            pass.set_pipeline(&pipeline.compiled);
            pass.set_bind_group(0, &group, &[]);
            match groups {
                Groups::Known([width, height]) => pass.dispatch_workgroups(*width, *height, 1),
                Groups::Counted(list, word) => pass.dispatch_workgroups_indirect(list.buffer(), 4 * word),
            }
            pass.pop_debug_group();
            next += 1;
            if alone {
                break;
            }
        }
        next
    }

    pub(super) async fn read<T: Pod>(mut self, array: DeviceArray<T>) -> Result<Vec<T>> {
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
        self.hold(&array);
        self.submit()?;
        gpu.count_read_back();
        let waits: Vec<_> = stagings.into_iter().map(|(staging, bytes)| (Waiting::new(&gpu, staging), bytes)).collect();
        let mut data = vec![];
        for (mut waiting, bytes) in waits {
            (&mut waiting).await?;
            let part = waiting.read(bytes)?;
            data = if data.is_empty() { part } else { [data, part].concat() };
        }
        Ok(data)
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
            if let Command::Dispatch { params, .. } = command {
                blocks.extend_from_slice(params);
            }
            places.push(start as u64..blocks.len() as u64);
            blocks.resize(blocks.len().next_multiple_of(alignment), 0);
        }
        let lease = recording.device().filled(&blocks, wgpu::BufferUsages::UNIFORM)?;
        Ok(Uniforms { lease, places })
    }

    fn binding(&self, command: usize) -> wgpu::BufferBinding<'_> {
        let Range { start, end } = self.places[command].clone();
        wgpu::BufferBinding { buffer: self.lease.buffer(), offset: start, size: wgpu::BufferSize::new(end - start) }
    }
}

fn bind(
    device: &wgpu::Device,
    pipeline: &Pipeline,
    buffers: &[(u32, Part)],
    params: wgpu::BufferBinding<'_>,
) -> wgpu::BindGroup {
    let uniform = wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(params) };
    let storage =
        buffers.iter().map(|(binding, part)| wgpu::BindGroupEntry { binding: *binding, resource: part.binding() });
    let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
    let descriptor =
        wgpu::BindGroupDescriptor { label: Some(pipeline.operation), layout: &pipeline.layout, entries: &entries };
    device.create_bind_group(&descriptor)
}
