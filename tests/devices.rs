//! Choosing devices, somebody's own wgpu device, limits, loss, and how often a GPU is waited for.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cellprobe::{
    Device, Error, FlatIndex, Index, KMeans, Metric, Search,
    device::{Counters, Options, adapters},
    ops, wgpu,
};
use common::{own_adapters, own_device, own_devices};
use ndarray::{Array2, s};

const FACTORIES: [&str; 4] = ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"];

/// Whole numbers, so that every device finds the same.
fn rows(count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, columns), |(row, column)| {
        ((row * 31 + column * 17 + row * column) % 23) as f32 - 11.0
    })
}

/// The usual limits, but small ones on memory.
fn low_limits() -> wgpu::Limits {
    wgpu::Limits { max_buffer_size: 1 << 20, max_storage_buffer_binding_size: 1 << 19, ..wgpu::Limits::default() }
}

fn count(events: &AtomicUsize) {
    events.fetch_add(1, Ordering::Relaxed);
}

/// An index trained on the CPU and filled on a device.
fn built(device: &Device, factory: &str, rows: &Array2<f32>, ids: Option<&[i64]>) -> Index {
    let mut trained = Index::new(&Device::cpu(), rows.ncols(), factory, Metric::L2).unwrap();
    trained.train(rows.view()).unwrap();
    let mut index = trained.to_device(device).unwrap();
    match ids {
        Some(ids) => index.add_with_ids(rows.view(), ids).unwrap(),
        None => index.add(rows.view()).unwrap(),
    }
    index
}

#[test]
fn devices_are_chosen_by_name() {
    let options = Options::default();
    assert!(!Device::open("cpu", &options).unwrap().is_gpu());
    assert!(!Device::cpu().is_gpu());
    for wanted in ["gpu:there is none of that name", "gpu:4096"] {
        match Device::open(wanted, &options) {
            Err(Error::NoDevice { wanted: named, .. }) => assert_eq!(named, wanted),
            other => panic!("{wanted}: {other:?}"),
        }
    }
    for wanted in ["", "tpu", "CPU", "cpu:0"] {
        assert!(matches!(Device::open(wanted, &options), Err(Error::Parameter { name: "device", .. })), "{wanted}");
    }
    for adapter in adapters().into_iter().filter(|adapter| adapter.backend != "gl" && adapter.unusable.is_none()) {
        let by_index = Device::open(&format!("gpu:{}", adapter.index), &options).unwrap();
        assert!(by_index.is_gpu() && by_index.name().contains(&adapter.name), "{by_index:?} for {adapter:?}");
        let by_name = Device::open(&format!("gpu:{}", adapter.name.to_uppercase()), &options).unwrap();
        assert!(by_name.name().contains(&adapter.name), "{by_name:?} for {adapter:?}");
        assert!(!by_index.same_as(&by_name), "devices opened twice are two");
        assert!(by_index.same_as(&by_index.clone()));
    }
}

#[test]
fn a_software_rasteriser_is_never_taken_unasked() {
    let auto = Device::auto();
    let marked: Vec<_> = adapters().into_iter().filter(|adapter| adapter.auto).collect();
    assert!(marked.iter().all(|adapter| !adapter.software));
    assert_eq!(auto.is_gpu(), !marked.is_empty(), "{}", auto.reason());
    assert!(!auto.reason().is_empty());
    assert_eq!(Device::open("auto", &Options::default()).unwrap().name(), auto.name());
}

#[test]
fn somebodys_own_device_is_used_as_it_is() {
    let rows = rows(300, 8);
    for features in [wgpu::Features::empty(), wgpu::Features::SUBGROUP] {
        for (own, queue) in own_devices(&wgpu::Limits::default(), features) {
            let caught = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&caught);
            own.on_uncaptured_error(Arc::new(move |_| count(&counter)));
            let device = Device::from_wgpu(own.clone(), queue).unwrap();
            let subgroups = own.features().contains(wgpu::Features::SUBGROUP);
            assert_eq!(device.variant().contains("no subgroups"), !subgroups, "{device:?}");

            for factory in FACTORIES {
                let index = built(&device, factory, &rows, None);
                let on_cpu = index.to_device(&Device::cpu()).unwrap();
                let (found, expected) = (index.search(rows.view(), 4).unwrap(), on_cpu.search(rows.view(), 4).unwrap());
                let furthest = (found.scores() - expected.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                assert!(furthest < 1e-2, "{factory} on {device:?}: {furthest}");
            }
            let refused = device.upload(vec![0.0_f32; 7], 2);
            assert!(matches!(refused, Err(Error::Length { .. })), "{device:?}");
            assert_eq!(caught.load(Ordering::Relaxed), 0, "nothing of ours reaches the owner's handler");

            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
            drop(own.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 16,
                usage,
                mapped_at_creation: false,
            }));
            assert_eq!(caught.load(Ordering::Relaxed), 1, "the owner's own mistakes do");
        }
    }
}

#[test]
fn a_device_with_too_low_limits_is_refused() {
    let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..wgpu::Limits::default() };
    for (own, queue) in own_devices(&few, wgpu::Features::empty()) {
        match Device::from_wgpu(own, queue) {
            Err(Error::Limit { allowed: 4, asked: 8, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn arrays_past_the_limit_of_a_binding_are_split() {
    // 141 MiB, where a binding may have 128.
    let (base, columns) = (rows(36_000, 1024), 1024);
    let mut queries = base.slice(s![..2, ..]).to_owned();
    queries.row_mut(1).assign(&base.row(35_999));
    queries[[1, 5]] += 1.0;
    let search = |device: &Device| {
        let mut index = FlatIndex::new(device, columns, Metric::L2).unwrap();
        index.add(base.view()).unwrap();
        index.search(queries.view(), 5).unwrap()
    };
    let expected = search(&Device::cpu());
    assert_eq!((expected.row(0)[0].score, expected.row(1)[0].score), (0.0, 1.0));
    for (own, queue) in own_devices(&wgpu::Limits::default(), wgpu::Features::empty()) {
        assert_eq!(own.limits().max_storage_buffer_binding_size, 128 << 20);
        let device = Device::from_wgpu(own, queue).unwrap();
        assert_eq!(search(&device), expected, "{device:?}");
    }
}

#[test]
fn arrays_past_the_limit_of_a_buffer_are_read_back() {
    let rows = rows(10_000, 80);
    for (own, queue) in own_devices(&low_limits(), wgpu::Features::empty()) {
        let device = Device::from_wgpu(own, queue).unwrap();
        let array = device.matrix(rows.view()).unwrap();
        assert!(array.bytes() > 3 << 20);
        let back = pollster::block_on(device.work().read(array)).unwrap();
        assert!(back == rows.as_slice().unwrap(), "{device:?}");
    }
}

#[test]
fn what_a_device_cannot_hold_is_an_error() {
    for (own, queue) in own_devices(&low_limits(), wgpu::Features::empty()) {
        let device = Device::from_wgpu(own, queue).unwrap();
        let array = device.matrix(rows(3, 4).view()).unwrap();
        for k in [1 << 20, 1 << 40, usize::MAX] {
            let outcome = ops::knn(&mut device.work(), &array, &array, k, Metric::L2);
            assert!(matches!(outcome, Err(Error::Limit { allowed, .. }) if allowed == 1 << 19), "{device:?}: {k}");
        }
        let wide = device.upload(vec![0.0_f32; 1 << 18], 1 << 18);
        let expected = matches!(wide, Err(Error::Limit { limit: "bytes a row", allowed, asked })
            if (allowed, asked) == (1 << 19, 1 << 20));
        assert!(expected, "{device:?}: {wide:?}");
        // The device goes on.
        let mut work = device.work();
        let found = ops::knn(&mut work, &array, &array, 2, Metric::L2).unwrap();
        assert_eq!(pollster::block_on(work.read(found)).unwrap().len(), 6);
    }
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let rows = rows(200, 8);
    let lost = |outcome: cellprobe::Result<()>, what: &str| match outcome {
        Err(Error::DeviceLost { device, reason }) => assert!(!device.is_empty() && !reason.is_empty(), "{what}"),
        other => panic!("{what}: {other:?}"),
    };
    for (own, queue) in own_devices(&wgpu::Limits::default(), wgpu::Features::empty()) {
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        own.set_device_lost_callback(move |_, _| count(&counter));
        let device = Device::from_wgpu(own.clone(), queue).unwrap();
        let indexes: Vec<Index> = FACTORIES.map(|factory| built(&device, factory, &rows, None)).into();
        let on_cpu: Vec<Index> = indexes.iter().map(|index| index.to_device(&Device::cpu()).unwrap()).collect();
        let array = device.matrix(rows.view()).unwrap();
        let mut work = device.work();
        let found = ops::knn(&mut work, &array, &array, 3, Metric::L2).unwrap();

        own.destroy();

        lost(pollster::block_on(work.read(found)).map(drop), "work begun before");
        lost(device.matrix(rows.view()).map(drop), "an upload");
        lost(pollster::block_on(device.work().read(array.clone())).map(drop), "a read-back");
        let mut work = device.work();
        let outcome = ops::concat(&mut work, &array, &array).and_then(|_| work.submit());
        lost(outcome, "a submission");
        lost(KMeans::new(3).train(&device, rows.view()).map(drop), "k-means");
        for mut index in indexes {
            let what = index.factory();
            lost(index.search(rows.view(), 3).map(drop), &what);
            lost(index.add(rows.view()), &what);
            assert_eq!(index.ntotal(), 200, "{what}");
            lost(index.to_stored().map(drop), &what);
            lost(index.to_device(&Device::cpu()).map(drop), &what);
            lost(index.exact_rows(rows.view()).map(drop), &what);
        }
        for index in on_cpu {
            lost(index.to_device(&device).map(drop), "moving to it");
            assert_eq!(index.search(rows.view(), 3).unwrap().queries(), 200);
        }
        drop(own.poll(wgpu::PollType::Poll));
        assert_eq!(told.load(Ordering::Relaxed), 1, "the owner is told as well");
    }
}

/// An index filled on the CPU and moved to a device.
fn on_cpu_and_moved(device: &Device, rows: &Array2<f32>) -> Index {
    built(&Device::cpu(), "IVF4,Flat", rows, None).to_device(device).unwrap()
}

/// Devices that no other test counts on.
fn uncounted() -> Vec<Device> {
    let own = own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP);
    own.into_iter().map(|(device, queue)| Device::from_wgpu(device, queue).unwrap()).collect()
}

fn asked_for(device: &Device, act: impl FnOnce()) -> Counters {
    let before = device.counters();
    act();
    let after = device.counters();
    let (submissions, read_backs) = (after.submissions - before.submissions, after.read_backs - before.read_backs);
    Counters { submissions, read_backs, ..Counters::default() }
}

#[test]
fn a_search_is_one_submission_and_one_read_back() {
    let rows = rows(500, 8);
    let descending: Vec<i64> = (0..500).rev().collect();
    for device in &uncounted() {
        for factory in FACTORIES.into_iter().chain(["RR6,IVF4,PQ2x4"]) {
            for ids in [None, Some(&descending[..])] {
                let index = built(device, factory, &rows, ids);
                let exact = index.exact_rows(rows.view()).unwrap();
                let filter = index.filter(|id| id % 3 > 0).unwrap();
                let short = Search::new(7).nprobe(3);
                let searches = [
                    short,
                    Search::new(300).nprobe(4),
                    short.rerank(&exact, 4),
                    short.filter(&filter),
                    short.rerank(&exact, 4).filter(&filter),
                ];
                for search in searches {
                    let counted = asked_for(device, || drop(index.search_with(rows.view(), &search).unwrap()));
                    let once = Counters { submissions: 1, read_backs: 1, ..Counters::default() };
                    assert_eq!(counted, once, "{factory}, {search:?} on {device:?}");
                }
            }
        }
    }
}

#[test]
fn kernels_are_compiled_once_whoever_asks_and_not_when_they_are_prepared() {
    let rows = rows(400, 8);
    for (device, other) in uncounted().iter().zip(&uncounted()) {
        let on_cpu = built(&Device::cpu(), "IVF4,PQ2x4", &rows, None);
        let search = Search::new(7).nprobe(3);
        let find = |device: &Device, index: &Index| {
            let before = device.counters().pipelines;
            let found = index.search_with(rows.view(), &search).unwrap();
            (device.counters().pipelines - before, found)
        };
        // As many as one thread makes.
        let index = on_cpu.to_device(device).unwrap();
        let moved = device.counters().pipelines;
        let (alone, expected) = find(device, &index);
        assert!(alone > 3, "{device:?}: {alone}");
        assert_eq!(find(device, &index), (0, expected.clone()), "{device:?}");

        // The same by many at once.
        let index = on_cpu.to_device(other).unwrap();
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(find(other, &index).1, expected, "{other:?}");
                });
            }
        });
        assert_eq!(other.counters().pipelines, moved + alone, "{other:?}");
    }
    for device in &uncounted() {
        let index = on_cpu_and_moved(device, &rows);
        let before = device.counters();
        let mut work = device.work();
        let queries = device.matrix(rows.slice(s![..100, ..])).unwrap();
        index.search_on(&mut work, &queries, &Search::new(3)).unwrap();
        work.prepare().unwrap();
        drop(work);
        let prepared = device.counters();
        assert!(prepared.pipelines > before.pipelines && prepared.submissions == before.submissions, "{device:?}");
        index.search(rows.slice(s![..100, ..]), 3).unwrap();
        assert_eq!(device.counters().pipelines, prepared.pipelines, "{device:?}");
    }
}

#[test]
fn what_is_compiled_is_kept_where_the_device_can() {
    let rows = rows(200, 8);
    for adapter in own_adapters() {
        let folder = tempfile::tempdir().unwrap();
        let open = |folder: Option<std::path::PathBuf>| {
            let features = Device::required_features(&adapter);
            let (own, queue) = own_device(&adapter, &wgpu::Limits::default(), features);
            let device = Device::from_wgpu_with(own, queue, &Options::default().cache(folder)).unwrap();
            on_cpu_and_moved(&device, &rows).search(rows.view(), 3).unwrap()
        };
        let files =
            || -> Vec<_> { std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect() };
        let expected = open(None);
        assert!(files().is_empty());
        assert_eq!(open(Some(folder.path().into())), expected);
        let kept = files();
        let can = adapter.features().contains(wgpu::Features::PIPELINE_CACHE);
        assert_eq!(kept.len(), usize::from(can), "{kept:?}");
        assert_eq!(open(Some(folder.path().into())), expected);
        for path in &kept {
            let whole = std::fs::read(path).unwrap();
            let mut damaged = whole.clone();
            damaged.last_mut().map(|byte| *byte ^= 1).unwrap();
            for content in [&damaged[..], &whole[..whole.len() / 2], b"", b"something else altogether"] {
                std::fs::write(path, content).unwrap();
                assert_eq!(open(Some(folder.path().into())), expected);
                assert!(std::fs::read(path).unwrap().len() > whole.len() / 2, "it is written anew");
            }
        }
        assert_eq!(files(), kept, "nothing is left over");
    }
}

#[test]
fn kmeans_reads_back_as_often_however_long_it_goes_on() {
    let rows = rows(400, 6);
    for device in &uncounted() {
        let counted = |iterations| {
            asked_for(device, || drop(KMeans::new(5).iterations(iterations).train(device, rows.view()).unwrap()))
        };
        let (short, long) = (counted(5), counted(20));
        assert_eq!(short.read_backs, long.read_backs, "{device:?}");
        assert!(short.read_backs <= 3, "{device:?}: {short:?}");
        assert_eq!(long.submissions - short.submissions, 15, "one an iteration on {device:?}");
    }
}
