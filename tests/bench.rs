//! Every operation and index is measured, on every device.
#![cfg(feature = "cli")]

mod common;

use std::process::Command;

use cellprobe::{
    Device,
    bench::{self, Size},
};
use common::devices;
use serde_json::Value;

const TINY: Size = Size { rows: 400, dimension: 16, nlist: 4, queries: 3, m: 4, nprobe: 2 };

const OPERATIONS: [&str; 15] = [
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
            let [cpu, seconds] = row.seconds[..] else { panic!("{}: {:?}", row.name, row.seconds) };
            assert!(cpu > 0.0 && seconds > 0.0 && row.amount.number > 0.0, "{device}: {row:?}");
            assert!((row.ratio() - cpu / seconds).abs() < 1e-9 && row.rate(1).is_finite(), "{device}: {row:?}");
        }
    }
}

#[test]
fn the_command_prints_every_case() {
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
        let output = command.args(["bench", "--size", "small", "--device", "cpu"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&bench(&["--json"])).unwrap();
    assert_eq!(json["device"], "cpu");
    let results = json["results"].as_array().unwrap();
    assert!(OPERATIONS.iter().all(|name| results.iter().any(|row| row["name"] == *name)));
    for row in results {
        assert!(row["cpu_seconds"].as_f64() > Some(0.0), "{row}");
        assert!(row.get("ratio").is_none(), "there is nothing to compare the CPU with: {row}");
    }
    let table = bench(&[]);
    println!("{table}");
    assert!(results.iter().all(|row| table.contains(row["name"].as_str().unwrap())), "{table}");
}

#[test]
fn a_size_that_does_not_fit_itself_is_an_error() {
    for size in [Size { m: 5, ..TINY }, Size { rows: 3, ..TINY }, Size { m: 0, ..TINY }, Size { nprobe: 0, ..TINY }] {
        assert!(bench::run(&[Device::cpu()], size, |_| ()).is_err(), "{size:?}");
    }
}
