//! Every operation and index is measured, on every device.
#![cfg(feature = "cli")]

mod common;

use std::process::Command;

use cellprobe::{
    Device,
    bench::{self, Measured, Size},
    device::Options,
    storage::read_vectors,
};
use common::devices;
use serde_json::Value;

const TINY: Size = Size { rows: 400, dimension: 16, nlist: 4, queries: 3, m: 4, nprobe: 2 };

const OPERATIONS: [&str; 17] = [
    "nearest",
    "knn",
    "select",
    "group",
    "segment_sums",
    "update_centroids",
    "gather",
    "pq_encode",
    "pq_interleave",
    "pq_tables",
    "pq_terms",
    "pq_scan",
    "rotate",
    "round",
    "flat_scan",
    "rerank",
    "pq_rerank",
];

#[test]
fn every_case_is_measured_on_every_device() {
    let indexes = [
        "kmeans",
        "train PQ4",
        "search Flat",
        "search Flat, 3 queries",
        "search PQ4",
        "search PQ4x4",
        "search IVF4,Flat",
        "search IVF4,PQ4",
        "add IVF4,PQ4",
        "build IVF4,PQ4",
    ];
    for device in devices() {
        let mut steps = vec![];
        let rows = bench::run(&[Device::cpu(), device.clone()], TINY, |step| {
            assert_eq!(step.of, 2 * (OPERATIONS.len() + indexes.len()));
            steps.push(step.done);
        })
        .unwrap();
        assert!(steps.into_iter().eq(0..2 * rows.len()), "{device}");
        assert!(rows.iter().map(|row| row.name.as_str()).eq(OPERATIONS.into_iter().chain(indexes)), "{device}");
        for row in rows {
            let [cpu, measured] = &row.measured[..] else { panic!("{row:?}") };
            assert!(cpu.seconds > 0.0 && measured.seconds > 0.0 && row.amount.number > 0.0, "{device}: {row:?}");
            assert!(measured.fastest <= measured.seconds && measured.seconds <= measured.slowest, "{device}: {row:?}");
            let ratio = row.ratio(1) - cpu.seconds / measured.seconds;
            assert!(ratio.abs() < 1e-9 && row.rate(1).is_finite(), "{device}: {row:?}");
            let known = row.needed.gflop + row.needed.gbyte > 0.0;
            assert!(known || row.name.starts_with("build"), "{row:?}");
            if device.is_gpu() && !row.name.contains("kmeans") && !row.name.contains("train") {
                assert!(measured.submissions >= 1.0, "{device}: {row:?}");
            }
            if row.name.starts_with("search") && device.is_gpu() {
                assert_eq!((measured.submissions, measured.read_backs), (1.0, 1.0), "{device}: {row:?}");
            }
        }
    }
}

#[test]
fn the_command_prints_every_case() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
        let output = command.args(["bench", "--size", "small", "--device", "cpu"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(json["device"], "cpu");
    let results = json["results"].as_array().unwrap();
    assert!(OPERATIONS.iter().all(|name| results.iter().any(|row| row["name"] == *name)));
    for row in results {
        assert!(row["cpu_seconds"].as_f64() > Some(0.0), "{row}");
        assert!(row.get("ratio").is_none(), "there is nothing to compare the CPU with: {row}");
    }
    assert!(json["cpu_peak"]["gflops"].as_f64() > Some(0.0) && json["cpu_peak"]["gbytes"].as_f64() > Some(0.0));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let table = run(&["--plot", &path("plot.svg"), "--vectors", &path(".")]);
    println!("{table}");
    let plot = std::fs::read_to_string(path("plot.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>") && plot.contains("segment_sums"), "{plot}");
    let written = read_vectors(path("rows.npy")).unwrap();
    let (rows, queries) = bench::vectors(Size::SMALL);
    assert!(written == rows && read_vectors(path("queries.npy")).unwrap() == queries);
    assert!(results.iter().all(|row| table.contains(row["name"].as_str().unwrap())), "{table}");
}

#[test]
fn kernels_are_counted_where_a_device_is_profiled() {
    if let Some(device) = devices().iter().find(|device| device.is_gpu()) {
        let name = device.name().split(" (").next().unwrap();
        let profiled = Device::open(&format!("gpu:{name}"), &Options::default().profile(true)).unwrap();
        let peak = bench::peak(&profiled).unwrap();
        assert!(peak.gflops > 0.0 && peak.gbytes > 0.0, "{peak:?}");
        for row in bench::run(std::slice::from_ref(&profiled), TINY, |_| ()).unwrap() {
            let Measured { profile, runs, .. } = &row.measured[0];
            // Rows as short as these are not copied.
            assert_eq!(profile.stages.is_empty(), row.name == "round", "{row:?}");
            for stage in &profile.stages {
                assert_eq!(stage.dispatches % *runs as u64, 0, "every run is the same: {stage:?} of {}", row.name);
            }
            assert!(row.share(0, &peak).is_finite(), "{row:?}");
        }
    }
}

#[test]
fn a_size_that_does_not_fit_itself_is_an_error() {
    for size in [Size { m: 5, ..TINY }, Size { rows: 3, ..TINY }, Size { m: 0, ..TINY }, Size { nprobe: 0, ..TINY }] {
        assert!(bench::run(&[Device::cpu()], size, |_| ()).is_err(), "{size:?}");
    }
}
