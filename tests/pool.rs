//! Buffers are used again, never while somebody may still need what they hold.

mod common;

use cellprobe::{
    Device, DeviceArray, FlatIndex, Index, KMeans, Metric, Search,
    device::{BufferRows, Options, adapters},
    ops, wgpu,
};
use common::{Kind, Numbers, read};
use ndarray::{Array2, s};

const FACTORIES: [&str; 4] = ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"];

/// Every GPU but those behind GL, opened anew, so that nobody else uses its buffers.
fn gpus(options: &Options) -> Vec<Device> {
    if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
        return vec![];
    }
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    usable.map(|adapter| Device::open(&format!("gpu:{}", adapter.index), options).unwrap()).collect()
}

fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Whole, count * columns)).unwrap()
}

/// An index trained on the CPU and filled on a device.
fn built(device: &Device, factory: &str, rows: &Array2<f32>) -> Index {
    let mut trained = Index::new(&Device::cpu(), rows.ncols(), factory, Metric::L2).unwrap();
    trained.train(rows.view()).unwrap();
    let mut index = trained.to_device(device).unwrap();
    index.add(rows.view()).unwrap();
    index
}

/// Buffers that `act` makes.
fn made(device: &Device, act: impl FnOnce()) -> u64 {
    let before = device.counters().buffers;
    act();
    device.counters().buffers - before
}

#[test]
fn the_second_search_makes_no_buffer() {
    let rows = rows(1, 500, 8);
    for device in &gpus(&Options::default()) {
        for factory in FACTORIES {
            let index = built(device, factory, &rows);
            let exact = index.exact_rows(rows.view()).unwrap();
            for search in [Search::new(7).nprobe(3), Search::new(300), Search::new(7).nprobe(3).rerank(&exact, 4)] {
                let queries = rows.slice(s![..40, ..]);
                let find = || drop(index.search_with(queries, &search).unwrap());
                let (first, second) = (made(device, find), made(device, find));
                eprintln!("{factory}, {search:?} on {device:?}: {first} buffers, then {second}");
                assert_eq!(second, 0, "{factory}, {search:?} on {device:?}, after {first}");
                device.release_memory().unwrap();
                assert!(made(device, find) > 0, "what was released is made again");
            }
        }
    }
}

#[test]
fn what_is_recorded_for_somebody_else_makes_no_buffer_again() {
    let rows = rows(7, 500, 8);
    for device in &gpus(&Options::default()) {
        let (own, queue) = device.wgpu().unwrap();
        let results = own.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 100 * 7 * 8,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        for factory in FACTORIES {
            let index = built(device, factory, &rows);
            let expected = index.search(rows.slice(s![..100, ..]), 7).unwrap();
            let record = |encoder: &mut wgpu::CommandEncoder| {
                let queries = device.matrix(rows.slice(s![..100, ..])).unwrap();
                let mut work = device.work();
                let found = index.search_on(&mut work, &queries, &Search::new(7)).unwrap();
                work.copy(&found, &BufferRows::new(&results, 100, 7)).unwrap();
                work.record(encoder).unwrap();
            };
            let encoder = || own.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let submitted = || {
                let mut encoder = encoder();
                record(&mut encoder);
                queue.submit([encoder.finish()]);
                own.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            };
            let (first, second) = (made(device, submitted), made(device, submitted));
            eprintln!("{factory} on {device:?}: {first} buffers, then {second}");
            assert_eq!(second, 0, "{factory} on {device:?}, after {first}");
            let dropped = || record(&mut encoder());
            assert_eq!((made(device, dropped), made(device, dropped)), (0, 0), "{factory} on {device:?}");

            // Nobody else has the buffers of what is recorded and not submitted yet.
            let mut pending = encoder();
            record(&mut pending);
            index.search(rows.slice(s![200..300, ..]), 7).unwrap();
            queue.submit([pending.finish()]);
            let found = DeviceArray::<ops::Ranked>::from_wgpu(device, &BufferRows::new(&results, 100, 7)).unwrap();
            let found = read(device.work(), found);
            assert_eq!(index.neighbors(&found, 7).unwrap(), expected, "{factory} on {device:?}");
        }
    }
}

#[test]
fn searches_alike_make_no_bind_group() {
    let rows = rows(5, 500, 8);
    for device in &gpus(&Options::default()) {
        for factory in FACTORIES {
            let index = built(device, factory, &rows);
            let find = || drop(index.search_with(rows.slice(s![..40, ..]), &Search::new(7).nprobe(3)).unwrap());
            // Buffers of the same size may take turns.
            (0..4).for_each(|_| find());
            let before = device.counters().bind_groups;
            (0..4).for_each(|_| find());
            assert_eq!(device.counters().bind_groups, before, "{factory} on {device:?}");
            device.release_memory().unwrap();
            find();
            assert!(device.counters().bind_groups > before, "what was released is made again");
        }
    }
}

#[test]
fn what_kernels_were_bound_to_is_freed_with_its_owner() {
    let rows = rows(6, 4000, 64);
    for device in &gpus(&Options::default().pooled_bytes(1 << 16)) {
        let allocated = || {
            let (own, queue) = device.wgpu()?;
            queue.submit([]);
            own.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            Some(own.generate_allocator_report()?.total_allocated_bytes)
        };
        let index = built(device, "Flat", &rows);
        let Some(with) = allocated() else {
            eprintln!("NOT TESTED: {device:?} does not tell what it has allocated");
            continue;
        };
        index.search(rows.slice(s![..4, ..]), 3).unwrap();
        drop(index);
        let without = allocated().unwrap();
        eprintln!("{with} bytes with the index, {without} without, on {device:?}");
        assert!(without + (900 << 10) <= with, "{without} of {with} bytes are left on {device:?}");
    }
}

#[test]
fn a_pool_of_no_bytes_keeps_nothing() {
    let rows = rows(2, 100, 4);
    for device in &gpus(&Options::default().pooled_bytes(0)) {
        let index = built(device, "Flat", &rows);
        let find = || drop(index.search(rows.view(), 3).unwrap());
        let (first, second) = (made(device, find), made(device, find));
        eprintln!("{first} buffers for every search on {device:?}");
        assert!(first == second && first > 0, "{device:?}: {first}, {second}");
    }
}

#[test]
fn a_pool_keeps_no_more_than_it_may() {
    for device in &gpus(&Options::default().pooled_bytes(1 << 20)) {
        let upload = |bytes: usize| drop(device.upload(vec![1_u32; bytes / 4], 1).unwrap());
        upload(900 << 10);
        assert_eq!(made(device, || upload(900 << 10)), 0, "{device:?}");
        upload(600 << 10);
        assert_eq!(made(device, || upload(900 << 10)), 1, "the oldest makes room: {device:?}");
        upload(2 << 20);
        assert_eq!(made(device, || upload(2 << 20)), 1, "too large to be kept: {device:?}");
    }
}

#[test]
fn the_longest_idle_alone_makes_room() {
    for device in &gpus(&Options::default().pooled_bytes(1 << 20)) {
        let upload = |kibibytes: usize| device.upload(vec![1_u32; kibibytes << 8], 1).unwrap();
        // Free at the same time, the first of them first.
        let (first, second, third) = (upload(400), upload(500), upload(300));
        [first, second, third].into_iter().for_each(drop);
        assert_eq!(made(device, || drop([upload(500), upload(300)])), 0, "{device:?}");
        assert_eq!(made(device, || drop(upload(400))), 1, "{device:?}");
    }
}

#[test]
fn what_is_long_idle_is_freed_though_work_is_only_recorded() {
    for device in &gpus(&Options::default()) {
        let (own, queue) = device.wgpu().unwrap();
        let (rows, large) = (rows(8, 20, 4), vec![1_u32; 1 << 20]);
        let queries = device.matrix(rows.view()).unwrap();
        drop(device.upload(large.clone(), 1).unwrap());
        assert_eq!(made(device, || drop(device.upload(large.clone(), 1).unwrap())), 0, "{device:?}");
        for _ in 0..200 {
            let mut encoder = own.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut work = device.work();
            let found = ops::knn(&mut work, &queries, &queries, 1, Metric::L2).unwrap();
            work.record(&mut encoder).unwrap();
            queue.submit([encoder.finish()]);
            own.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            drop(found);
        }
        assert_eq!(made(device, || drop(device.upload(large.clone(), 1).unwrap())), 1, "{device:?}");
    }
}

#[test]
fn what_buffers_held_before_changes_nothing() {
    let (small, large) = (rows(3, 90, 6), rows(4, 700, 16));
    for (pooled, plain) in gpus(&Options::default()).iter().zip(&gpus(&Options::default().pooled_bytes(0))) {
        // Everything that may be left over is anything but zero.
        let litter = || {
            let sizes = (0..24).map(|power| 1_usize << power);
            let arrays: Vec<_> =
                sizes.map(|bytes| pooled.upload(vec![0xffff_fffe_u32; bytes.div_ceil(4)], 1)).collect();
            assert!(arrays.iter().all(Result::is_ok));
        };
        for rows in [&small, &large, &small] {
            for clusters in [3, 70] {
                litter();
                let [a, b] = [pooled, plain]
                    .map(|device| KMeans::new(clusters).iterations(4).train(device, rows.view()).unwrap());
                assert_eq!(
                    (a.centroids(), a.objectives()),
                    (b.centroids(), b.objectives()),
                    "{clusters} on {pooled:?}"
                );
            }
            for factory in FACTORIES {
                litter();
                let [a, b] = [pooled, plain].map(|device| built(device, factory, rows));
                for k in [1, 5, 300] {
                    litter();
                    let queries = rows.slice(s![..40, ..]);
                    let [a, b] = [&a, &b].map(|index| index.search(queries, k).unwrap());
                    assert_eq!(a, b, "{factory}, k = {k} on {pooled:?}");
                }
            }
        }
    }
}

#[test]
fn work_that_is_not_submitted_yet_keeps_its_buffers() {
    let (rows, others) = (rows(5, 400, 8), rows(6, 400, 8));
    for device in &gpus(&Options::default()) {
        let index = built(device, "Flat", &rows);
        let expected = index.search(rows.view(), 5).unwrap();
        let busy = || {
            let mut other = FlatIndex::new(device, 8, Metric::L2).unwrap();
            other.add(others.view()).unwrap();
            other.search(others.slice(s![..350, ..]), 5).unwrap();
        };

        // Arrays are dropped that recorded work still reads.
        let mut work = device.work();
        let found = {
            let queries = device.matrix(rows.view()).unwrap();
            let base = ops::concat(&mut work, &queries, &queries).unwrap();
            ops::knn(&mut work, &queries, &base, 1, Metric::L2).unwrap()
        };
        busy();
        let found = read(work, found);
        assert!(found.iter().all(|found| found.distance() == 0.0), "{device:?}");

        // The caller submits later, and again has what it asked for whatever happens meanwhile.
        let (own, queue) = device.wgpu().unwrap();
        let mut encoder = own.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut work = device.work();
        let found = {
            let queries = device.matrix(rows.view()).unwrap();
            index.search_on(&mut work, &queries, &Search::new(5)).unwrap()
        };
        work.record(&mut encoder).unwrap();
        busy();
        queue.submit([encoder.finish()]);
        busy();
        let found = read(device.work(), found);
        assert_eq!(index.neighbors(&found, 5).unwrap(), expected, "{device:?}");
    }
}

/// Zeros are zeros even where nothing else is done to them.
#[test]
fn sums_of_nothing_are_zero_in_a_used_buffer() {
    for device in &gpus(&Options::default()) {
        let mut work = device.work();
        let grouping = ops::group(&mut work, &device.upload(vec![], 1).unwrap(), 50).unwrap();
        work.submit().unwrap();
        let rows = device.upload(vec![], 8).unwrap();
        // What is left over in a buffer of that size.
        drop(device.upload(vec![1.0_f32; 50 * 8], 8).unwrap());
        let mut work = device.work();
        let sums = ops::segment_sums(&mut work, &rows, &grouping).unwrap();
        work.submit().unwrap();
        assert_eq!(read(device.work(), sums), [0.0; 50 * 8], "{device:?}");
    }
}
