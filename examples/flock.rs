//! cellprobe inside somebody else's GPU pipeline: a flock of birds. In every frame the program's own shader moves the
//! birds, cellprobe finds the nearest of each where they lie, and the shader turns each to where its neighbours head.
//! All frames go in one submission, the program's; nothing is copied or read back in between.
//!
//! `cargo run --release --example flock`. A software adapter will do, such as Mesa's lavapipe (`mesa-vulkan-drivers`).

#[path = "common/random.rs"]
mod random;

use std::error::Error;

use cellprobe::{
    Device, DeviceArray, Index, Metric, Search,
    device::BufferRows,
    wgpu::{self, util::DeviceExt},
};

const BIRDS: u32 = 600;
const NEIGHBORS: usize = 8;
const FRAMES: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The program's own device, opened with what cellprobe likes to have.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let Ok(adapter) = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await else {
        println!("There is no GPU adapter here, and a shader has nothing else to run on: nothing to show.");
        return Ok(());
    };
    let info = adapter.get_info();
    let speed = if info.device_type == wgpu::DeviceType::Cpu { ": software, so it works but is slow" } else { "" };
    println!("{} birds on {} ({}){speed}", BIRDS, info.name, info.backend);
    let descriptor = wgpu::DeviceDescriptor {
        required_features: Device::required_features(&adapter),
        required_limits: Device::required_limits(&adapter),
        ..Default::default()
    };
    let (device, queue) = adapter.request_device(&descriptor).await?;
    let flock = Flock::new(&device);

    // The birds' places are the rows and the queries of the search, in the program's buffer.
    let cellprobe = Device::from_wgpu(device.clone(), queue.clone())?;
    let places = BufferRows::new(&flock.places, BIRDS as usize, 4);
    let places = DeviceArray::<f32>::from_wgpu(&cellprobe, &places)?;
    let mut index = Index::new(&cellprobe, 4, "Flat", Metric::L2)?;
    index.add_array(&places, None)?;

    println!("order at the beginning: {:.2}", flock.order(&device, &queue)?);
    let before = cellprobe.counters();
    for _ in 0..4 {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for _ in 0..FRAMES {
            let mut work = cellprobe.work();
            let found = index.search_on(&mut work, &places, &Search::new(NEIGHBORS))?;
            work.record(&mut encoder)?;
            let Some(found) = found.wgpu_rows().next() else { return Err("nothing was found".into()) };
            flock.frame(&device, &mut encoder, &found);
        }
        queue.submit([encoder.finish()]);
        println!("order {FRAMES} frames later: {:.2}", flock.order(&device, &queue)?);
    }
    let after = cellprobe.counters();
    println!("submitted by cellprobe meanwhile: {}", after.submissions - before.submissions);
    Ok(())
}

/// The program: its buffers and shaders.
struct Flock {
    places: wgpu::Buffer,
    headings: wgpu::Buffer,
    turned: wgpu::Buffer,
    layout: wgpu::BindGroupLayout,
    stages: [wgpu::ComputePipeline; 2],
}

impl Flock {
    fn new(device: &wgpu::Device) -> Self {
        let mut random = random::Random::new(1);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let mut buffer = |offset: f32| {
            let rows = random.rows(BIRDS as usize, 4) - offset;
            let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents: &bytes, usage })
        };
        let (places, headings, turned) = (buffer(0.0), buffer(0.5), buffer(0.0));

        let module = device.create_shader_module(wgpu::include_wgsl!("flock.wgsl"));
        let entry = |binding: u32| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: binding == 3 },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries = [0, 1, 2, 3].map(entry);
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let stages = ["turn", "fly"].map(|entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        });
        Flock { places, headings, turned, layout, stages }
    }

    /// Turns the birds to their neighbours, wherever cellprobe put those, and lets them fly on.
    fn frame(&self, device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, found: &BufferRows) {
        let found = wgpu::BufferBinding { buffer: &found.buffer, offset: found.offset, size: None };
        let entries = [
            wgpu::BindGroupEntry { binding: 0, resource: self.places.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: self.headings.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 2, resource: self.turned.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 3, resource: wgpu::BindingResource::Buffer(found) },
        ];
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &self.layout, entries: &entries };
        let group = device.create_bind_group(&descriptor);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_bind_group(0, &group, &[]);
        for stage in &self.stages {
            pass.set_pipeline(stage);
            pass.dispatch_workgroups(BIRDS.div_ceil(64), 1, 1);
        }
    }

    /// How much the birds head one way: the length of their mean heading, read back by the program.
    fn order(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<f32, Box<dyn Error>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let size = self.headings.size();
        let staging =
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.headings, 0, &staging, 0, size);
        queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        device.poll(wgpu::PollType::wait_indefinitely())?;
        let mapped = staging.get_mapped_range(..)?;
        let headings: Vec<[f32; 4]> = bytemuck::pod_collect_to_vec(&mapped);
        let unit = |heading: &[f32; 4]| {
            let norm = heading.iter().map(|value| value * value).sum::<f32>().sqrt();
            heading.map(|value| value / norm)
        };
        let sum = headings.iter().map(unit).fold([0.0; 4], |sum, unit| [0, 1, 2, 3].map(|axis| sum[axis] + unit[axis]));
        Ok(sum.iter().map(|value| value * value).sum::<f32>().sqrt() / headings.len() as f32)
    }
}
