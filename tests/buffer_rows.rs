//! Rows in a caller's buffers: read where they lie or cast, results copied into them, and what does not fit.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cellprobe::{
    Device, DeviceArray, Index, Metric, Search, Work,
    device::BufferRows,
    ops::{self, Ranked, reference},
    wgpu::{self, BufferUsages as Usage},
};
use common::{program::*, *};
use half::f16;
use ndarray::Array2;
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

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

/// Rows, columns, offset and gap between rows in numbers, f16, seed.
fn layouts() -> impl Strategy<Value = (usize, usize, usize, usize, bool, u64)> {
    (0..300usize, 1..70usize, 0..200usize, 0..9usize, any::<bool>(), any::<u64>())
}

#[test]
fn rows_are_cast_wherever_they_lie() {
    for program in &programs() {
        let config = Config { cases: 24, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&layouts(), |(rows, columns, offset, gap, halves, seed)| {
            let size = if halves { 2 } else { 4 };
            let (offset, stride) = (offset * size, (columns + gap) * size);
            let mut numbers = Numbers::new(seed);
            // Neither infinite nor below the smallest normal f16, which a device may take for 0.
            let mut half = || (numbers.below(2) << 15 | (1 + numbers.below(30)) << 10 | numbers.below(1024)) as u16;
            let number = |_| {
                if halves {
                    half().to_le_bytes().to_vec()
                } else {
                    f16::from_bits(half()).to_f32().to_le_bytes().to_vec()
                }
            };
            let bytes: Vec<u8> = (0..rows * (columns + gap)).flat_map(number).collect();
            let buffer = program.filled(offset as u64, &bytes, Usage::STORAGE);
            let lying = BufferRows::new(&buffer, rows, columns).offset(offset as u64).bytes_per_row(stride as u64);
            let lying = if halves { lying.f16() } else { lying };
            let found = program.recorded(|work| ops::cast(work, &lying).unwrap());
            prop_assert_eq!(found, reference::cast(&bytes, rows, columns, stride, halves));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{:?}: {error}", program.cellprobe));
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
