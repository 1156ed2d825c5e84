//! In somebody else's GPU pipeline: rows in a caller's buffers, work in a caller's encoder, results that stay on the GPU.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytemuck::Pod;
use cellprobe::{
    Device, DeviceArray, Index, Metric, Search, Work,
    device::BufferRows,
    ops::{self, Codebook, Ranked, Table, reference},
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
    /// Whether nobody else has work for it, so that its counters can be relied on.
    alone: bool,
}

/// One on every GPU, and one where everything is split small.
fn programs() -> Vec<Program> {
    let program = |cellprobe: Device| {
        let (device, queue) = cellprobe.wgpu().expect("a GPU");
        Program { device: device.clone(), queue: queue.clone(), cellprobe, alone: false }
    };
    gpus().into_iter().map(program).collect()
}

/// One on every adapter, alone.
fn alone() -> Vec<Program> {
    let own = own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP);
    own.into_iter().map(|(device, queue)| Program::new(device, queue)).collect()
}

impl Program {
    fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let cellprobe = Device::from_wgpu(device.clone(), queue.clone()).unwrap();
        Program { device, queue, cellprobe, alone: true }
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
        let same = self.cellprobe.counters() == before;
        assert!(same || !self.alone, "nothing is submitted or read back for the program");
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
    for program in &alone() {
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

/// How rows may lie in a buffer: offset, bytes from row to row, f16.
const LAYOUTS: [(u64, Option<u64>, bool); 6] = [
    (0, None, false),
    (4, None, false),
    (256, Some(52), false),
    (512, None, true),
    (2, Some(34), true),
    (1030, Some(1024), true),
];

/// Rows in a buffer of the program's, where `layout` says.
fn laid_out(program: &Program, rows: ArrayView2<'_, f32>, layout: (u64, Option<u64>, bool)) -> BufferRows {
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

#[test]
fn rows_in_a_callers_buffer_are_used_where_they_lie() {
    let (rows, others) = (rows(2, 100, 8), rows(3, 100, 8));
    for program in &programs() {
        // Nothing can be copied from this buffer.
        let buffer = program.filled(512, &bytes(rows.view()), Usage::STORAGE);
        let lying = BufferRows::new(&buffer, 100, 8).offset(512);
        let array = DeviceArray::from_wgpu(&program.cellprobe, &lying).unwrap();
        let cast = ops::cast(&mut program.cellprobe.work(), &lying).unwrap();
        for array in [&array, &cast] {
            assert_eq!((array.rows(), array.columns()), (100, 8));
            let parts: Vec<_> = array.wgpu_rows().collect();
            assert_eq!((&parts[0].buffer, parts[0].offset), (&buffer, 512));
            assert!(parts.iter().all(|part| part.buffer == buffer));
            assert_eq!(parts.iter().map(|part| part.rows).sum::<usize>(), 100);
        }
        let mut index = Index::new(&program.cellprobe, 8, "Flat", Metric::L2).unwrap();
        index.add_array(&array, None).unwrap();
        let search = |queries: &Array2<f32>| index.search(queries.view(), 3).unwrap();
        let plain = |rows: &Array2<f32>| built(&program.cellprobe, "Flat", Metric::L2, rows, None);
        assert_eq!(search(&rows), plain(&rows).search(rows.view(), 3).unwrap(), "{:?}", program.cellprobe);
        // What the caller writes there is what is searched.
        program.queue.write_buffer(&buffer, 512, &bytes(others.view()));
        assert_eq!(search(&rows), plain(&others).search(rows.view(), 3).unwrap(), "{:?}", program.cellprobe);
        let exact = index.exact_array(&array).unwrap();
        let reranked = index.search_with(rows.view(), &Search::new(3).rerank(&exact, 2)).unwrap();
        assert_eq!(reranked, search(&rows), "{:?}", program.cellprobe);
    }
}

#[test]
fn however_rows_and_queries_lie_the_answer_is_the_same() {
    let (rows, queries) = (rows(4, 203, 8), rows(5, 11, 8));
    for program in &programs() {
        let device = &program.cellprobe;
        for layout in LAYOUTS {
            let (lying, asked) = (laid_out(program, rows.view(), layout), laid_out(program, queries.view(), layout));
            let found = program.recorded(|work| {
                let base = ops::cast(work, &lying).unwrap();
                let queries = ops::cast(work, &asked).unwrap();
                ops::knn(work, &queries, &base, 7, Metric::L2).unwrap()
            });
            let mut work = device.work();
            let (base, on_gpu) = (device.matrix(rows.view()).unwrap(), device.matrix(queries.view()).unwrap());
            let expected = ops::knn(&mut work, &on_gpu, &base, 7, Metric::L2).unwrap();
            assert_eq!(found, read(work, expected), "{layout:?} on {device:?}");

            for factory in FACTORIES {
                let plain = built(device, factory, Metric::L2, &rows, None);
                let mut index = Index::new(&Device::cpu(), 8, factory, Metric::L2).unwrap();
                index.train(rows.view()).unwrap();
                let mut index = index.to_device(device).unwrap();
                let mut work = device.work();
                let array = ops::cast(&mut work, &lying).unwrap();
                work.submit().unwrap();
                index.add_array(&array, None).unwrap();
                assert_eq!(index.ntotal(), 203);
                let search = Search::new(5).nprobe(2);
                let found = program.recorded(|work| {
                    let queries = ops::cast(work, &asked).unwrap();
                    index.search_on(work, &queries, &search).unwrap()
                });
                let found = index.neighbors(&found, 5).unwrap();
                assert_eq!(found, plain.search_with(queries.view(), &search).unwrap(), "{factory}, {layout:?}");
            }
        }
    }
}

#[test]
fn rows_of_a_caller_past_the_limit_of_a_binding_are_split_or_copied() {
    // 1.2 MiB, where the second device's bindings have half of one; rows of 52 bytes are aligned every 64.
    let rows = rows(6, 24_000, 13);
    let last = rows.slice(ndarray::s![23_990.., ..]).to_owned();
    for program in &programs() {
        for layout in [(0, None, false), (256, Some(56), false), (6, None, true)] {
            let lying = laid_out(program, rows.view(), layout);
            let found = program.recorded(|work| {
                let base = ops::cast(work, &lying).unwrap();
                let queries = program.cellprobe.matrix(last.view()).unwrap();
                ops::knn(work, &queries, &base, 2, Metric::L2).unwrap()
            });
            let mut work = program.cellprobe.work();
            let base = program.cellprobe.matrix(rows.view()).unwrap();
            let queries = program.cellprobe.matrix(last.view()).unwrap();
            let expected = ops::knn(&mut work, &queries, &base, 2, Metric::L2).unwrap();
            assert_eq!(found, read(work, expected), "{layout:?} on {:?}", program.cellprobe);
        }
    }
}

/// Fails unless `ask` gives the same in the program's encoder as in a submission of the crate's own.
fn check_recorded<T: Pod + PartialEq + std::fmt::Debug + Send + Sync>(
    program: &Program,
    ask: impl Fn(&mut Work) -> DeviceArray<T>,
) {
    let mut work = program.cellprobe.work();
    let expected = ask(&mut work);
    let expected = read(work, expected);
    assert!(!expected.is_empty());
    assert_eq!(program.recorded(&ask), expected, "on {:?}", program.cellprobe);
}

#[test]
fn every_operation_can_be_recorded_into_the_callers_encoder() {
    for program in &alone() {
        let device = &program.cellprobe;
        let mut numbers = Numbers::new(7);
        let rows = upload(device, &numbers.vector(Kind::Even, 90 * 8), 8);
        let queries = upload(device, &numbers.vector(Kind::Even, 6 * 8), 8);
        let labels = upload(device, &numbers.labels(4, 90), 1);
        let centroids = upload(device, &numbers.vector(Kind::Even, 4 * 8), 8);
        let origin = upload(device, &numbers.vector(Kind::Even, 8), 8);
        let codebook = Codebook::new(upload(device, &numbers.vector(Kind::Even, 2 * 16 * 4), 4), 2, 4).unwrap();
        let (offsets, ids) = numbers.lists(4, 90);
        let positions = upload(device, &inverse(&ids), 1);
        let lists = upload_lists(device, &offsets, &ids);
        let probes = upload(device, &numbers.probes(Kind::Even, 4, 6, 2), 2);
        let candidates = upload(device, &numbers.probes(Kind::Even, 90, 6, 9), 9);
        let grouping = {
            let mut work = device.work();
            let grouping = ops::group(&mut work, &labels, 4).unwrap();
            work.submit().unwrap();
            grouping
        };
        let (l2, residuals) = (Metric::L2, Some((&centroids, &labels)));
        check_recorded(program, |work| ops::nearest(work, &rows, &centroids, l2).unwrap().distances);
        check_recorded(program, |work| ops::knn(work, &queries, &rows, 5, l2).unwrap());
        check_recorded(program, |work| ops::select(work, &rows, 3).unwrap());
        check_recorded(program, |work| ops::group(work, &labels, 4).unwrap().order);
        check_recorded(program, |work| ops::segment_sums(work, &rows, &grouping).unwrap());
        check_recorded(program, |work| ops::gather(work, &rows, &labels).unwrap());
        check_recorded(program, |work| ops::concat(work, &rows, &queries).unwrap());
        check_recorded(program, |work| ops::normalise(work, &rows).unwrap());
        check_recorded(program, |work| ops::rename(work, &candidates, &positions).unwrap());
        check_recorded(program, |work| ops::rerank(work, &queries, &rows, None, &candidates, 4, l2).unwrap());
        check_recorded(program, |work| ops::flat_scan(work, &queries, &rows, &lists, &probes, 4, l2).unwrap());
        check_recorded(program, |work| ops::pq_encode(work, &rows, &codebook, residuals).unwrap());
        let codes = |work: &mut Work| ops::pq_encode(work, &rows, &codebook, None).unwrap();
        check_recorded(program, |work| {
            let codes = codes(work);
            ops::pq_terms(work, &codes, &codebook, &centroids, &labels, &origin).unwrap()
        });
        check_recorded(program, |work| ops::pq_tables(work, &queries, &codebook, Table::L2).unwrap());
        let scan = |work: &mut Work| {
            let codes = codes(work);
            let tables = ops::pq_tables(work, &queries, &codebook, Table::L2).unwrap();
            let found = ops::pq_scan(work, &tables, &codebook, &codes, &lists, None, &probes, false, 4).unwrap();
            (codes, found)
        };
        check_recorded(program, |work| scan(work).1);
        check_recorded(program, |work| {
            let (codes, found) = scan(work);
            ops::pq_rerank(work, &queries, &codebook, &codes, &lists, &positions, &centroids, &found).unwrap()
        });
    }
}

/// The place of each of 0..n.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &number)| places[number as usize] = place as u32);
    places
}

#[test]
fn results_are_copied_into_the_callers_buffer() {
    let rows = rows(8, 50, 4);
    for program in &programs() {
        let index = built(&program.cellprobe, "Flat", Metric::L2, &rows, None);
        let queries = program.cellprobe.matrix(rows.view()).unwrap();
        let mut work = program.cellprobe.work();
        let found = index.search_on(&mut work, &queries, &Search::new(3)).unwrap();
        let results = program.filled(16, &[0; 50 * 3 * 8], Usage::COPY_SRC);
        let room = BufferRows::new(&results, 50, 3).offset(16);
        work.copy(&found, &room).unwrap();
        let mut encoder = program.encoder();
        encoder.insert_debug_marker("the program's own");
        work.record(&mut encoder).unwrap();
        let whole = BufferRows::new(&results, 1, results.size() as usize / 4);
        let words: Vec<u32> = program.read(encoder, [whole]);
        let (before, rest) = words.split_at(4);
        let (found, behind) = rest.split_at(50 * 3 * 2);
        assert!(before.iter().chain(behind).all(|&word| word == 0x7f7f_7f7f), "what is around them is untouched");
        let found: Vec<Ranked> = bytemuck::pod_collect_to_vec(found);
        assert_eq!(index.neighbors(&found, 3).unwrap(), index.search(rows.view(), 3).unwrap());
    }
}

#[test]
fn what_is_recorded_goes_with_others_in_one_submission() {
    let rows = rows(9, 40, 4);
    for program in &alone() {
        let index = built(&program.cellprobe, "IVF4,PQ2x4", Metric::L2, &rows, None);
        let queries = program.cellprobe.matrix(rows.view()).unwrap();
        let searches = [Search::new(3), Search::new(2).nprobe(4)];
        let plain = searches.map(|search| index.search_with(rows.view(), &search).unwrap());
        let before = program.cellprobe.counters();
        let mut found = vec![];
        let mut commands = vec![];
        for search in &searches {
            let mut work = program.cellprobe.work();
            found.push(index.search_on(&mut work, &queries, search).unwrap());
            commands.push(work.finish().unwrap());
        }
        program.queue.submit(commands);
        for ((plain, found), k) in plain.iter().zip(&found).zip([3, 2]) {
            let found = program.read::<Ranked>(program.encoder(), found.wgpu_rows());
            assert_eq!(program.cellprobe.counters(), before);
            assert_eq!(index.neighbors(&found, k).unwrap(), *plain);
        }
    }
}

#[test]
fn an_index_of_rows_on_the_device_is_the_one_of_uploads() {
    let rows = rows(10, 120, 8);
    let ids: Vec<i64> = (0..120).map(|row| (row * 77) % 120).collect();
    for device in &devices() {
        for (factory, metric) in FACTORIES.iter().flat_map(|factory| METRICS.map(|metric| (factory, metric))) {
            let what = format!("{factory}, {metric} on {device:?}");
            let mut index = Index::new(&Device::cpu(), 8, factory, metric).unwrap();
            index.train(rows.view()).unwrap();
            let mut index = index.to_device(device).unwrap();
            let mut plain = index.clone();
            for part in [0..70, 70..70, 70..120] {
                let (rows, ids) = (rows.slice(ndarray::s![part.clone(), ..]), &ids[part]);
                index.add_array(&device.matrix(rows).unwrap(), Some(ids)).unwrap();
                plain.add_with_ids(rows, ids).unwrap();
            }
            let exact = index.exact_array(&device.matrix(rows.view()).unwrap()).unwrap();
            let search = Search::new(9).nprobe(3).rerank(&exact, 2);
            let (found, expected) =
                (index.search_with(rows.view(), &search).unwrap(), plain.search_with(rows.view(), &search).unwrap());
            if metric == Metric::Cosine && device.is_gpu() {
                let apart = (found.scores() - expected.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                assert!(apart < 1e-5, "{what}: {apart}");
            } else {
                assert_eq!(found, expected, "{what}");
                assert_eq!(index.to_stored().unwrap(), plain.to_stored().unwrap(), "{what}");
            }
            assert_eq!((index.id_of(1), index.id_of(120)), (Some(77), None), "{what}");
        }
    }
}

#[test]
fn fewer_than_k_are_padded_wherever_the_search_runs() {
    let rows = rows(11, 6, 4);
    let queries = rows.slice(ndarray::s![..3, ..]);
    for device in &devices() {
        for factory in ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"] {
            let mut index = Index::new(&Device::cpu(), 4, factory, Metric::L2).unwrap();
            index.train(self::rows(12, 40, 4).view()).unwrap();
            let mut index = index.to_device(device).unwrap();
            let on_device = device.matrix(queries).unwrap();
            let search = Search::new(300).nprobe(4);
            let find = |index: &Index| {
                let mut work = device.work();
                let found = index.search_on(&mut work, &on_device, &search).unwrap();
                assert_eq!((found.rows(), found.columns()), (3, 300), "{factory} on {device:?}");
                read(work, found)
            };
            assert!(find(&index).iter().all(|found| found.is_none()), "{factory} on {device:?}");
            index.add(rows.view()).unwrap();
            let found = index.neighbors(&find(&index), 300).unwrap();
            assert_eq!(found, index.search_with(queries, &search).unwrap(), "{factory} on {device:?}");
            let none = device.upload(vec![], 4).unwrap();
            let mut work = device.work();
            assert_eq!(index.search_on(&mut work, &none, &search).unwrap().rows(), 0);
        }
    }
}

#[test]
fn a_query_that_is_not_finite_leaves_the_others_alone() {
    let rows = rows(13, 300, 8);
    let mut queries = rows.slice(ndarray::s![..80, ..]).to_owned();
    queries.row_mut(3).fill(f32::NAN);
    queries[[40, 2]] = f32::INFINITY;
    queries[[41, 7]] = f32::MAX;
    for program in &programs() {
        for factory in FACTORIES {
            let index = built(&program.cellprobe, factory, Metric::L2, &rows, None);
            let asked = laid_out_as_is(program, queries.view());
            let search = Search::new(4).nprobe(2);
            let found = program.recorded(|work| {
                let queries = ops::cast(work, &asked).unwrap();
                index.search_on(work, &queries, &search).unwrap()
            });
            let found = index.neighbors(&found, 4).unwrap();
            let expected = index.search_with(rows.slice(ndarray::s![..80, ..]), &search).unwrap();
            for query in (0..80).filter(|query| ![3, 40, 41].contains(query)) {
                assert_eq!(found.row(query), expected.row(query), "{factory}, {query} on {:?}", program.cellprobe);
            }
        }
    }
}

/// f32 from the beginning of a buffer of the program's on.
fn laid_out_as_is(program: &Program, rows: ArrayView2<'_, f32>) -> BufferRows {
    BufferRows::new(&program.filled(0, &bytes(rows), Usage::STORAGE), rows.nrows(), rows.ncols())
}

#[test]
fn what_does_not_fit_is_an_error_and_nothing_else() {
    let rows = rows(14, 20, 4);
    let limits = wgpu::Limits::default();
    for (own, queue) in own_devices(&limits, wgpu::Features::SUBGROUP) {
        let caught = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&caught);
        own.on_uncaptured_error(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        let program = Program::new(own, queue);
        let device = &program.cellprobe;
        let lying = laid_out_as_is(&program, rows.view());
        let take = |rows: &BufferRows| error_of(DeviceArray::<f32>::from_wgpu(device, rows));
        let cast = |rows: &BufferRows| error_of(ops::cast(&mut device.work(), rows));

        // Where it must be, and where it may be but for a copy.
        for offset in [2, 4] {
            assert_eq!(take(&lying.clone().offset(offset)), "Parameter");
        }
        assert_eq!(cast(&lying.clone().offset(2)), "Parameter");
        assert_eq!(cast(&lying.clone().f16().offset(3)), "Parameter");
        for stride in [20, 18, 12] {
            assert_eq!(take(&lying.clone().bytes_per_row(stride)), "Parameter");
        }
        assert_eq!(cast(&lying.clone().bytes_per_row(12)), "Parameter");
        assert_eq!(cast(&lying.clone().bytes_per_row(18)), "Parameter");
        assert_eq!(take(&lying.clone().f16()), "Parameter");
        for (offset, rows, columns) in
            [(0, 25, 4), (256, 9, 4), (u64::MAX - 255, 1, 4), (0, usize::MAX, 4), (0, 1, usize::MAX)]
        {
            let beyond = BufferRows::new(&lying.buffer, rows, columns).offset(offset);
            assert_eq!((take(&beyond), cast(&beyond)), ("Limit".into(), "Limit".into()), "{beyond:?}");
        }
        assert_eq!(cast(&lying.clone().bytes_per_row(u64::MAX - 3)), "Limit");
        let none = BufferRows::new(&lying.buffer, 3, 0);
        assert_eq!((take(&none), cast(&none)), ("Empty".into(), "Empty".into()));
        let other = BufferRows::new(&program.buffer(1024, Usage::VERTEX | Usage::COPY_SRC), 20, 4);
        assert_eq!((take(&other), cast(&other)), ("Parameter".into(), "Parameter".into()));
        assert_eq!(error_of(DeviceArray::<f32>::from_wgpu(&Device::cpu(), &lying)), "OtherDevice");
        assert_eq!(error_of(ops::cast(&mut Device::cpu().work(), &lying)), "OtherDevice");
        assert_eq!(error_of(DeviceArray::<u8>::from_wgpu(device, &lying)), "Parameter");

        // What cannot be copied, and what has no room.
        let array = DeviceArray::<f32>::from_wgpu(device, &lying).unwrap();
        assert_eq!(error_of(pollster::block_on(device.work().read(array.clone()))), "Parameter");
        assert_eq!(error_of(ops::concat(&mut device.work(), &array, &array)), "Parameter");
        let copy = |array: &DeviceArray<f32>, to: &BufferRows| error_of(device.work().copy(array, to));
        assert_eq!(copy(&array, &lying), "Parameter", "from a buffer that cannot be copied from");
        let both = program.filled(0, &bytes(rows.view()), Usage::STORAGE | Usage::COPY_SRC);
        let here = BufferRows::new(&both, 10, 4);
        let array = DeviceArray::<f32>::from_wgpu(device, &here).unwrap();
        assert_eq!(copy(&array, &here.clone().offset(160)), "Parameter", "within one buffer");
        assert_eq!(copy(&array, &BufferRows::new(&lying.buffer, 11, 4)), "Length");
        assert_eq!(copy(&array, &BufferRows::new(&lying.buffer, 10, 3)), "Dimension");
        assert_eq!(copy(&array, &BufferRows::new(&lying.buffer, 10, 4).offset(400)), "Limit");
        assert_eq!(copy(&array, &BufferRows::new(&lying.buffer, 10, 4).offset(2)), "Parameter");
        assert_eq!(copy(&array, &BufferRows::new(&lying.buffer, 10, 4).f16()), "Parameter");
        assert_eq!(copy(&array, &BufferRows::new(&program.buffer(1024, Usage::STORAGE), 10, 4)), "Parameter");

        check_search_errors(&program, &rows);
        assert_eq!(caught.load(Ordering::Relaxed), 0, "nothing of ours reaches the owner's handler");
        drop(program.buffer(16, Usage::MAP_READ | Usage::MAP_WRITE));
        assert_eq!(caught.load(Ordering::Relaxed), 1, "the owner's own mistakes do");
    }
}

fn check_search_errors(program: &Program, rows: &Array2<f32>) {
    let device = &program.cellprobe;
    let mut index = built(device, "Flat", Metric::L2, rows, None);
    let queries = device.matrix(rows.view()).unwrap();
    let search = |work: &mut Work, queries: &DeviceArray<f32>, search: Search<'_>| {
        error_of(index.search_on(work, queries, &search))
    };
    // The same wgpu device, but another of this crate's.
    let again = Device::from_wgpu(program.device.clone(), program.queue.clone()).unwrap();
    let elsewhere = [Device::cpu(), again];
    for other in &elsewhere {
        assert_eq!(search(&mut other.work(), &queries, Search::new(1)), "OtherDevice");
        assert_eq!(search(&mut device.work(), &other.matrix(rows.view()).unwrap(), Search::new(1)), "OtherDevice");
    }
    assert_eq!(search(&mut device.work(), &queries, Search::new(0)), "Parameter");
    assert_eq!(search(&mut device.work(), &queries, Search::new(1).nprobe(0)), "Parameter");
    assert_eq!(search(&mut device.work(), &queries, Search::new(usize::MAX)), "Limit");
    let narrow = device.upload(vec![0.0; 6], 3).unwrap();
    assert_eq!(search(&mut device.work(), &narrow, Search::new(1)), "Dimension");
    assert_eq!(error_of(index.exact_array(&narrow)), "Dimension");
    assert_eq!(error_of(index.exact_array(&device.upload(vec![0.0; 8], 4).unwrap())), "Length");
    assert_eq!(error_of(index.neighbors(&[Ranked::NONE; 7], 3)), "Length");
    assert_eq!(error_of(index.neighbors(&[], 0)), "Parameter");
    assert_eq!(error_of(Device::cpu().work().finish()), "OtherDevice");
    assert_eq!(error_of(Device::cpu().work().record(&mut program.encoder())), "OtherDevice");
    for rows in [&narrow, &elsewhere[0].upload(vec![0.0; 8], 4).unwrap()] {
        error_of(index.add_array(rows, None));
    }
    assert_eq!(error_of(index.add_array(&queries, Some(&[3; 20]))), "DuplicateId");
    assert_eq!(index.ntotal(), 20, "the index is as it was");
    let untrained = Index::new(device, 4, "PQ2x4", Metric::L2).unwrap();
    assert_eq!(error_of(untrained.search_on(&mut device.work(), &queries, &Search::new(1))), "NotTrained");
    assert_eq!(error_of(untrained.clone().add_array(&queries, None)), "NotTrained");
}

#[test]
fn a_buffer_of_another_device_of_the_instance_is_an_error() {
    for adapter in own_adapters() {
        let limits = wgpu::Limits::default();
        let (own, queue) = own_device(&adapter, &limits, wgpu::Features::empty());
        let (strange, strange_queue) = own_device(&adapter, &limits, wgpu::Features::empty());
        let (program, stranger) = (Program::new(own, queue), Program::new(strange, strange_queue));
        let rows = rows(15, 20, 4);
        let lying = laid_out_as_is(&stranger, rows.view());
        let array = DeviceArray::<f32>::from_wgpu(&program.cellprobe, &lying).unwrap();
        let mut work = program.cellprobe.work();
        ops::knn(&mut work, &array, &array, 1, Metric::L2).unwrap();
        assert_eq!(error_of(work.record(&mut program.encoder())), "Gpu");
    }
}

#[test]
fn the_least_and_the_best_limits_are_enough_to_be_used() {
    let rows = rows(16, 200, 8);
    for adapter in own_adapters() {
        let least = Device::least_limits();
        let expected = (8, 256, 16_384);
        assert_eq!(
            expected,
            (
                least.max_storage_buffers_per_shader_stage,
                least.max_compute_invocations_per_workgroup,
                least.max_compute_workgroup_storage_size
            )
        );
        let (best, features) = (Device::required_limits(&adapter), Device::required_features(&adapter));
        let opened = [(least, wgpu::Features::empty()), (best, features)].map(|(limits, features)| {
            let (own, queue) = own_device(&adapter, &limits, features);
            Program::new(own, queue)
        });
        for program in &opened {
            for factory in FACTORIES {
                let index = built(&program.cellprobe, factory, Metric::L2, &rows, None);
                let queries = laid_out(program, rows.view(), (256, Some(50), true));
                let search = Search::new(280).nprobe(3);
                let found = program.recorded(|work| {
                    let queries = ops::cast(work, &queries).unwrap();
                    index.search_on(work, &queries, &search).unwrap()
                });
                let found = index.neighbors(&found, 280).unwrap();
                assert_eq!(found, index.search_with(rows.view(), &search).unwrap(), "{factory}");
            }
        }
        let ours = gpus().into_iter().find(|device| device.name() == opened[1].cellprobe.name()).unwrap();
        assert_eq!(opened[1].cellprobe.variant(), ours.variant(), "as fast as a device of the crate's own");
    }
}

#[test]
fn threads_search_one_index_at_once() {
    let rows = rows(17, 200, 8);
    let asked = rows.slice(ndarray::s![..20, ..]);
    for program in &programs() {
        for factory in FACTORIES {
            let index = Arc::new(built(&program.cellprobe, factory, Metric::L2, &rows, None));
            let queries = program.cellprobe.matrix(asked).unwrap();
            let search = Search::new(6).nprobe(2);
            let expected = index.search_with(asked, &search).unwrap();
            let ask = |thread: usize| {
                let index = Arc::clone(&index);
                for _ in 0..3 {
                    let found = if thread.is_multiple_of(2) {
                        index.search_with(asked, &search).unwrap()
                    } else {
                        let mut work = program.cellprobe.work();
                        let found = index.search_on(&mut work, &queries, &search).unwrap();
                        let mut encoder = program.encoder();
                        work.record(&mut encoder).unwrap();
                        index.neighbors(&program.read(encoder, found.wgpu_rows()), 6).unwrap()
                    };
                    assert_eq!(found, expected, "{factory} in thread {thread} on {:?}", program.cellprobe);
                }
            };
            std::thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(move || ask(thread)))));
        }
    }
}
