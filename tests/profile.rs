//! What a GPU's time went into is told kernel by kernel, and never made up.

mod common;

use std::time::Instant;

use cellprobe::{
    Device, IvfPqIndex, Metric,
    device::{Options, Profile, adapters},
    ops, wgpu,
};
use common::{Kind, Numbers, read};

fn cpu_alone() -> bool {
    std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu")
}

/// Every GPU but those behind GL, opened anew.
fn gpus(options: &Options) -> Vec<Device> {
    if cpu_alone() {
        return vec![];
    }
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    usable.map(|adapter| Device::open(&format!("gpu:{}", adapter.index), options).unwrap()).collect()
}

fn has_timestamps(device: &Device) -> bool {
    let adapter = adapters().into_iter().find(|adapter| device.name().starts_with(&adapter.name)).unwrap();
    adapter.features.contains(&"timestamps")
}

fn dispatches(profile: &Profile) -> u64 {
    profile.stages.iter().map(|stage| stage.dispatches).sum()
}

#[test]
fn kernels_are_counted_and_timed_and_results_are_the_same() {
    let rows = ndarray::Array2::from_shape_fn((600, 8), |(row, column)| ((row * 31 + column * 17) % 23) as f32);
    for (profiled, plain) in gpus(&Options::default().profile(true)).iter().zip(&gpus(&Options::default())) {
        let mut trained = IvfPqIndex::new(&Device::cpu(), 8, 4, 2, 4, Metric::L2).unwrap();
        trained.train(rows.view()).unwrap();
        trained.add(rows.view()).unwrap();
        let (index, other) = (trained.to_device(profiled).unwrap(), trained.to_device(plain).unwrap());
        let expected = other.search(rows.view(), 5).unwrap();
        profiled.take_profile().unwrap();
        let (before, start) = (profiled.counters(), Instant::now());
        assert_eq!(index.search(rows.view(), 5).unwrap(), expected, "{profiled:?}");
        let (profile, seconds) = (profiled.take_profile().unwrap(), start.elapsed().as_secs_f64());
        eprintln!("{profiled:?}\n{profile}");
        assert_eq!(profiled.counters().submissions, before.submissions + 1, "{profiled:?}");

        let scan = profile.stages.iter().find(|stage| (stage.operation, stage.entry) == ("pq_scan", "main")).unwrap();
        assert_eq!(scan.dispatches, 1);
        // A workgroup has a query or two.
        assert!(scan.workgroups >= 300 && scan.bytes > 600 * 4, "{scan:?}");
        assert_eq!(profile.timed, has_timestamps(profiled), "{profiled:?}");
        assert!(profile.stages.iter().all(|stage| stage.seconds.is_some() == profile.timed), "{profile:?}");
        if let Some(timed) = profile.seconds() {
            assert!(timed > 0.0 && timed <= seconds, "{profiled:?}: {timed} s of {seconds} s");
        }
        assert_eq!(dispatches(&profiled.take_profile().unwrap()), 0, "what was taken is gone");
        assert_eq!(plain.take_profile().unwrap(), Profile::default(), "nothing is collected unasked");
    }
}

#[test]
fn more_dispatches_than_a_query_set_holds_are_timed() {
    for device in &gpus(&Options::default().profile(true)) {
        let values = Numbers::new(3).vector(Kind::Whole, 30);
        let mut array = device.upload(values.clone(), 1).unwrap();
        let back = device.upload((0..30_u32).rev().collect(), 1).unwrap();
        let mut work = device.work();
        for _ in 0..2500 {
            array = ops::gather(&mut work, &array, &back).unwrap();
        }
        assert_eq!(read(work, array), values);
        let profile = device.take_profile().unwrap();
        assert_eq!(dispatches(&profile), 2500, "{device:?}");
        assert_eq!(profile.stages[0].seconds.is_some(), profile.timed, "{device:?}: {profile:?}");
    }
}

#[test]
fn without_timestamps_kernels_are_only_counted() {
    if cpu_alone() {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let backends = wgpu::Backends::all() - wgpu::Backends::GL;
    for adapter in pollster::block_on(instance.enumerate_adapters(backends)) {
        let (own, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        let device = Device::from_wgpu_with(own, queue, &Options::default().profile(true)).unwrap();
        let array = device.upload(vec![1.0_f32; 12], 3).unwrap();
        let mut work = device.work();
        let nearest = ops::nearest(&mut work, &array, &array, Metric::L2).unwrap();
        assert_eq!(read(work, nearest.labels), [0; 4]);
        let profile = device.take_profile().unwrap();
        assert!(!profile.timed && profile.seconds().is_none(), "{profile:?}");
        assert_eq!((dispatches(&profile), profile.stages[0].seconds), (1, None));
        assert!(profile.to_string().contains("not timed"), "{profile}");
    }
}

#[test]
fn the_cpu_has_no_kernels() {
    let device = Device::open("cpu", &Options::default().profile(true)).unwrap();
    let array = device.upload(vec![1.0_f32; 12], 3).unwrap();
    let mut work = device.work();
    let nearest = ops::nearest(&mut work, &array, &array, Metric::L2).unwrap();
    assert_eq!(read(work, nearest.labels), [0; 4]);
    assert_eq!(device.take_profile().unwrap(), Profile::default());
}
