//! In somebody else's GPU pipeline: rows in a caller's buffers, work in a caller's encoder, results that stay on the GPU.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytemuck::Pod;
use cellprobe::{
    Device, DeviceArray, Error, Index, Metric, Search, Work,
    device::{BufferRows, Counters, Options},
    ops::{self, Codebook, Grouping, Lists, Ranked, Table, reference},
    wgpu,
};
use common::*;
use half::f16;
use ndarray::{Array2, ArrayView2};
use wgpu::BufferUsages as Usage;

const FACTORIES: [&str; 4] = ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"];
const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// A program that has a wgpu device of its own, which cellprobe is to run on.
struct Program {
    device: wgpu::Device,
    queue: wgpu::Queue,
    cellprobe: Device,
}

/// One on every GPU, and one where everything is split small.
fn programs() -> Vec<Program> {
    let program = |cellprobe: Device| {
        let (device, queue) = cellprobe.wgpu().expect("a GPU");
        Program { device: device.clone(), queue: queue.clone(), cellprobe }
    };
    gpus().into_iter().map(program).collect()
}

/// One on every adapter, whose device nobody else counts on.
fn uncounted() -> Vec<Program> {
    let own = own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP);
    own.into_iter().map(|(device, queue)| Program::new(device, queue)).collect()
}

impl Program {
    fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let cellprobe = Device::from_wgpu(device.clone(), queue.clone()).unwrap();
        Program { device, queue, cellprobe }
    }

    fn buffer(&self, bytes: u64, usage: Usage) -> wgpu::Buffer {
        let descriptor =
            wgpu::BufferDescriptor { label: Some("the program's"), size: bytes, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    /// A buffer of `bytes` from `offset` on, and of something else before and behind.
    fn filled(&self, offset: u64, bytes: &[u8], usage: Usage) -> wgpu::Buffer {
        let size = (offset + bytes.len() as u64).next_multiple_of(4) + 64;
        let buffer = self.buffer(size, usage | Usage::COPY_DST);
        let mut all = vec![0x7f; size as usize];
        all[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.queue.write_buffer(&buffer, 0, &all);
        buffer
    }

    /// What the program reads back on its own.
    fn read<T: Pod>(&self, encoder: wgpu::CommandEncoder, rows: impl IntoIterator<Item = BufferRows>) -> Vec<T> {
        let rows: Vec<_> = rows.into_iter().filter(|rows| rows.rows > 0).collect();
        let mut encoder = encoder;
        let bytes = |rows: &BufferRows| (rows.rows * rows.columns * size_of::<T>()) as u64;
        let staging = self.buffer(rows.iter().map(bytes).sum::<u64>().max(4), Usage::MAP_READ | Usage::COPY_DST);
        let mut place = 0;
        for rows in &rows {
            encoder.copy_buffer_to_buffer(&rows.buffer, rows.offset, &staging, place, bytes(rows));
            place += bytes(rows);
        }
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).unwrap()[..place as usize])
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// What `ask` asks for, recorded into the program's encoder, submitted and read back by the program.
    fn recorded<T: Pod>(&self, ask: impl FnOnce(&mut Work) -> DeviceArray<T>) -> Vec<T> {
        let before = self.cellprobe.counters();
        let mut work = self.cellprobe.work();
        let array = ask(&mut work);
        let mut encoder = self.encoder();
        work.record(&mut encoder).unwrap();
        let found = self.read(encoder, array.wgpu_rows());
        let after = Counters { buffers: before.buffers, ..self.cellprobe.counters() };
        assert_eq!(after, before, "nothing submitted or read back for the program");
        found
    }
}

/// Whole numbers, which f16 has as well.
fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Whole, count * columns)).unwrap()
}

fn bytes(rows: ArrayView2<'_, f32>) -> Vec<u8> {
    rows.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An index trained on the CPU and filled on a device.
fn built(device: &Device, factory: &str, metric: Metric, rows: &Array2<f32>, ids: Option<&[i64]>) -> Index {
    let mut trained = Index::new(&Device::cpu(), rows.ncols(), factory, metric).unwrap();
    trained.train(rows.view()).unwrap();
    let mut index = trained.to_device(device).unwrap();
    match ids {
        Some(ids) => index.add_with_ids(rows.view(), ids).unwrap(),
        None => index.add(rows.view()).unwrap(),
    }
    index
}

#[test]
fn a_search_recorded_into_the_callers_encoder_finds_what_plain_search_finds() {
    let rows = rows(1, 300, 8);
    let queries = rows.slice(ndarray::s![..37, ..]).to_owned();
    let descending: Vec<i64> = (0..300).rev().collect();
    for program in &uncounted() {
        for (factory, metric) in FACTORIES.iter().flat_map(|factory| METRICS.map(|metric| (factory, metric))) {
            for ids in [None, Some(&descending[..])] {
                let index = built(&program.cellprobe, factory, metric, &rows, ids);
                let exact = index.exact_rows(rows.view()).unwrap();
                let on_gpu = program.cellprobe.matrix(queries.view()).unwrap();
                let searches =
                    [Search::new(5).nprobe(3), Search::new(290).nprobe(4), Search::new(5).nprobe(3).rerank(&exact, 4)];
                for (search, k) in searches.into_iter().zip([5, 290, 5]) {
                    let plain = index.search_with(queries.view(), &search).unwrap();
                    let found = program.recorded(|work| index.search_on(work, &on_gpu, &search).unwrap());
                    let found = index.neighbors(&found, k).unwrap();
                    let what = format!("{factory}, {metric}, {search:?} on {:?}", program.cellprobe);
                    if metric == Metric::Cosine {
                        let apart = (found.scores() - plain.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                        assert!(apart < 1e-5, "{what}: {apart}");
                    } else {
                        assert_eq!(found, plain, "{what}");
                    }
                }
            }
        }
    }
}
