//! A program with a wgpu device of its own, and rows in its buffers.

use bytemuck::Pod;
use cellprobe::{
    Device, DeviceArray, Index, Metric, Work,
    device::BufferRows,
    ops::reference,
    wgpu::{self, BufferUsages as Usage},
};
use half::f16;
use ndarray::{Array2, ArrayView2};

use super::{Kind, Numbers, gpus, own_devices};

pub const FACTORIES: [&str; 4] = ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"];
pub const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// A program that has a wgpu device of its own, which cellprobe is to run on.
pub struct Program {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub cellprobe: Device,
    /// Whether nobody else has work for it, so that its counters can be relied on.
    pub alone: bool,
}

/// One on every GPU, and one where everything is split small.
pub fn programs() -> Vec<Program> {
    let program = |cellprobe: Device| {
        let (device, queue) = cellprobe.wgpu().expect("a GPU");
        Program { device: device.clone(), queue: queue.clone(), cellprobe, alone: false }
    };
    gpus().into_iter().map(program).collect()
}

/// One on every adapter, alone.
pub fn alone() -> Vec<Program> {
    let own = own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP);
    own.into_iter().map(|(device, queue)| Program::new(device, queue)).collect()
}

impl Program {
    pub fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let cellprobe = Device::from_wgpu(device.clone(), queue.clone()).unwrap();
        Program { device, queue, cellprobe, alone: true }
    }

    pub fn buffer(&self, bytes: u64, usage: Usage) -> wgpu::Buffer {
        let descriptor =
            wgpu::BufferDescriptor { label: Some("the program's"), size: bytes, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    /// A buffer of `bytes` from `offset` on, and of something else before and behind.
    pub fn filled(&self, offset: u64, bytes: &[u8], usage: Usage) -> wgpu::Buffer {
        let size = (offset + bytes.len() as u64).next_multiple_of(4) + 64;
        let buffer = self.buffer(size, usage | Usage::COPY_DST);
        let mut all = vec![0x7f; size as usize];
        all[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.queue.write_buffer(&buffer, 0, &all);
        buffer
    }

    /// What the program reads back on its own.
    pub fn read<T: Pod>(&self, encoder: wgpu::CommandEncoder, rows: impl IntoIterator<Item = BufferRows>) -> Vec<T> {
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

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// What `ask` asks for, recorded into the program's encoder, submitted and read back by the program.
    pub fn recorded<T: Pod>(&self, ask: impl FnOnce(&mut Work) -> DeviceArray<T>) -> Vec<T> {
        let before = self.cellprobe.counters();
        let mut work = self.cellprobe.work();
        let array = ask(&mut work);
        let mut encoder = self.encoder();
        work.record(&mut encoder).unwrap();
        let found = self.read(encoder, array.wgpu_rows());
        let after = self.cellprobe.counters();
        let same = (after.submissions, after.read_backs) == (before.submissions, before.read_backs);
        assert!(same || !self.alone, "nothing is submitted or read back for the program");
        found
    }
}

/// Whole numbers, which f16 has as well.
pub fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Whole, count * columns)).unwrap()
}

pub fn bytes(rows: ArrayView2<'_, f32>) -> Vec<u8> {
    rows.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An index trained on the CPU and filled on a device.
pub fn built(device: &Device, factory: &str, metric: Metric, rows: &Array2<f32>, ids: Option<&[i64]>) -> Index {
    let mut trained = Index::new(&Device::cpu(), rows.ncols(), factory, metric).unwrap();
    trained.train(rows.view()).unwrap();
    let mut index = trained.to_device(device).unwrap();
    match ids {
        Some(ids) => index.add_with_ids(rows.view(), ids).unwrap(),
        None => index.add(rows.view()).unwrap(),
    }
    index
}

/// How rows may lie in a buffer: offset, bytes from row to row, f16.
pub const LAYOUTS: [(u64, Option<u64>, bool); 6] = [
    (0, None, false),
    (4, None, false),
    (256, Some(52), false),
    (512, None, true),
    (2, Some(34), true),
    (1030, Some(1024), true),
];

/// Rows in a buffer of the program's, where `layout` says.
pub fn laid_out(program: &Program, rows: ArrayView2<'_, f32>, layout: (u64, Option<u64>, bool)) -> BufferRows {
    let (offset, stride, halves) = layout;
    let number =
        |value: f32| if halves { f16::from_f32(value).to_le_bytes().to_vec() } else { value.to_le_bytes().to_vec() };
    let row_bytes = rows.ncols() * if halves { 2 } else { 4 };
    let padding = stride.map_or(0, |stride| stride as usize - row_bytes);
    let mut all: Vec<u8> = vec![];
    for row in rows.outer_iter() {
        all.extend(row.iter().flat_map(|&value| number(value)));
        all.extend(std::iter::repeat_n(0xff, padding));
    }
    all.truncate(all.len().saturating_sub(padding));
    let found = reference::cast(&all, rows.nrows(), rows.ncols(), padding + row_bytes, halves);
    assert!(found.iter().eq(rows.iter()), "what is laid out is the rows");
    let buffer = program.filled(offset, &all, Usage::STORAGE);
    let rows = BufferRows::new(&buffer, rows.nrows(), rows.ncols()).offset(offset);
    let rows = stride.map_or(rows.clone(), |stride| rows.bytes_per_row(stride));
    if halves { rows.f16() } else { rows }
}

/// f32 from the beginning of a buffer of the program's on.
pub fn laid_out_as_is(program: &Program, rows: ArrayView2<'_, f32>) -> BufferRows {
    BufferRows::new(&program.filled(0, &bytes(rows), Usage::STORAGE), rows.nrows(), rows.ncols())
}
