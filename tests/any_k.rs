//! However many are wanted, they are exactly the nearest, and everything is scanned once.

mod common;

use cellprobe::{
    Device, DeviceArray, Metric, Work,
    device::{Options, adapters},
    ops::{self, Ranked, reference},
};
use common::*;

/// Many more entries than are sorted whole, so that digits are counted; wanted are fewer, about as many, and more.
const LONG: [(usize, usize, usize); 6] =
    [(1, 20_000, 257), (1, 20_000, 5000), (3, 4_111, 300), (5, 9_000, 1024), (2, 6_000, 5_999), (2, 5_000, 5_007)];

fn check_select(device: &Device, values: &[f32], columns: usize, k: usize) {
    let mut work = device.work();
    let found = ops::select(&mut work, &upload(device, values, columns), k).unwrap();
    let found = read(work, found);
    let expected = reference::select(values, columns, k);
    assert_eq!(found.len(), expected.len() * k);
    for (found, expected) in found.chunks(k).zip(expected) {
        // Nothing is computed, so nothing is rounded.
        assert_neighbours(found, &expected, Kind::Whole, |_| unreachable!("numbers are compared as they are"));
    }
}

#[test]
fn select_takes_as_many_as_are_wanted_of_long_rows() {
    for device in &devices() {
        for (rows, columns, k) in LONG {
            for kind in [Kind::Whole, Kind::Even, Kind::Far] {
                check_select(device, &Numbers::new(columns as u64).vector(kind, rows * columns), columns, k);
            }
        }
    }
}

#[test]
fn select_orders_equal_and_extreme_numbers() {
    let extremes = [f32::INFINITY, 0.0, f32::MAX, 1e-40, f32::NEG_INFINITY, -0.0, 1.0, f32::MIN, -1e-40, -1.0];
    for device in &devices() {
        for k in [257, 300, 2000, 4500, 5000, 5003] {
            check_select(device, &vec![7.5; 5000], 5000, k);
            // Each of them 500 times.
            let mut numbers = Numbers::new(4);
            let values: Vec<f32> = (0..5000).map(|_| extremes[numbers.below(extremes.len())]).collect();
            check_select(device, &values, 5000, k);
            // One row of everything, and one of nothing but the last.
            check_select(device, &[values.clone(), vec![f32::INFINITY; 5000]].concat(), 5000, k);
            // Descending and ascending.
            let values: Vec<f32> =
                (0..5000).map(|value| -value as f32).chain((0..5000).map(|value| value as f32)).collect();
            check_select(device, &values, 5000, k);
        }
    }
}

#[test]
fn numbers_that_are_none_come_last_on_a_gpu() {
    for device in &gpus() {
        let mut values = vec![f32::INFINITY; 5000];
        values[17] = f32::NAN;
        values[3000] = f32::NAN;
        let mut work = device.work();
        let found = ops::select(&mut work, &upload(device, &values, 5000), 4999).unwrap();
        let ids: Vec<u32> = read(work, found).iter().map(|found| found.id()).collect();
        let numbers = (0..5000).filter(|&column| column != 17 && column != 3000);
        assert_eq!(ids, numbers.chain([17]).collect::<Vec<_>>(), "{device:?}");
    }
}

/// The true distance of a query to row `id` of `rows`, and its rounding.
fn judge(query: &[f32], rows: &[f32], metric: Metric) -> impl Fn(u32) -> (f64, f64) {
    move |id| {
        let row = &rows[id as usize * query.len()..][..query.len()];
        (reference::distance(query, row, metric), distance_rounding(query, row, metric))
    }
}

fn check_knn(device: &Device, queries: &[f32], base: &[f32], dimension: usize, k: usize, metric: Metric, kind: Kind) {
    let mut work = device.work();
    let (on_device, among) = (upload(device, queries, dimension), upload(device, base, dimension));
    let found = ops::knn(&mut work, &on_device, &among, k, metric).unwrap();
    let found = read(work, found);
    let expected = reference::knn(queries, base, dimension, k, metric);
    assert_eq!(found.len(), expected.len() * k);
    for ((query, found), expected) in queries.chunks(dimension).zip(found.chunks(k)).zip(expected) {
        assert_neighbours(found, &expected, kind, judge(query, base, metric));
    }
}

/// Rows that come nearer and nearer to the origin, so that each stretch has nearer ones than those before. Distances are
/// whole numbers below 2^24.
fn approaching(rows: usize, dimension: usize) -> Vec<f32> {
    (0..rows * dimension).map(|place| ((rows - place / dimension) * 900 / rows) as f32).collect()
}

#[test]
fn knn_are_the_closest_of_many_rows() {
    let shapes = [(1, 20_000, 1, 257), (3, 9000, 3, 280), (70, 9000, 2, 257), (2, 6000, 17, 5500), (35, 5000, 9, 1000)];
    for device in &devices() {
        for (queries, rows, dimension, k) in shapes {
            for (metric, kind) in
                [(Metric::L2, Kind::Whole), (Metric::InnerProduct, Kind::Whole), (Metric::L2, Kind::Far)]
            {
                let mut numbers = Numbers::new(rows as u64);
                let (some, base) = (numbers.vector(kind, queries * dimension), numbers.vector(kind, rows * dimension));
                check_knn(device, &some, &base, dimension, k, metric, kind);
            }
            let origin = vec![0.0; queries * dimension];
            check_knn(device, &origin, &approaching(rows, dimension), dimension, k, Metric::L2, Kind::Whole);
        }
    }
}

#[test]
fn scans_of_lists_find_as_many_as_are_wanted() {
    let shapes = [(3, 12_000, 1, 1, 300), (2, 9000, 5, 5, 1000), (9, 5000, 4, 2, 600), (1, 12_000, 1, 1, 5000)];
    for device in &devices() {
        for (queries, entries, nlist, nprobe, k) in shapes {
            let dimension = 3;
            let mut numbers = Numbers::new(entries as u64);
            let whole = numbers.vector(Kind::Whole, entries * dimension);
            for rows in [whole, approaching(entries, dimension)] {
                let queries = numbers.vector(Kind::Whole, queries * dimension);
                let (offsets, ids) = numbers.lists(nlist, entries);
                let probes = numbers.probes(Kind::Whole, nlist, queries.len() / dimension, nprobe);
                let mut work = device.work();
                let found = ops::flat_scan(
                    &mut work,
                    &upload(device, &queries, dimension),
                    &upload(device, &rows, dimension),
                    None,
                    &upload_lists(device, &offsets, &ids),
                    &upload(device, &probes, nprobe),
                    k,
                    Metric::L2,
                )
                .unwrap();
                let found = read(work, found);
                let lists =
                    reference::ProbedLists { offsets: &offsets, ids: &ids, probes: &probes, nprobe, mask: None };
                let expected = reference::flat_scan(&queries, &rows, dimension, &lists, k, Metric::L2);
                assert_eq!(found.len(), expected.len() * k);
                for (found, expected) in found.chunks(k).zip(expected) {
                    assert_neighbours(found, &expected, Kind::Whole, |_| unreachable!("whole numbers are exact"));
                }
            }
        }
    }
}

#[test]
fn rerank_orders_many_candidates() {
    for device in &devices() {
        for (rows, per_query, k) in [(9000, 9000, 500), (6000, 5000, 4900), (3000, 3000, 3000)] {
            let mut numbers = Numbers::new(rows as u64);
            let (base, queries) = (numbers.vector(Kind::Whole, rows * 2), numbers.vector(Kind::Whole, 3 * 2));
            let candidates = numbers.probes(Kind::Even, rows, 3, per_query);
            let mut work = device.work();
            let found = ops::rerank(
                &mut work,
                &upload(device, &queries, 2),
                &upload(device, &base, 2),
                None,
                &upload(device, &candidates, per_query),
                k,
                Metric::L2,
            )
            .unwrap();
            let found = read(work, found);
            let expected = reference::rerank(&queries, &base, 2, None, &candidates, per_query, k, Metric::L2);
            for (found, expected) in found.chunks(k).zip(expected) {
                assert_neighbours(found, &expected, Kind::Whole, |_| unreachable!("whole numbers are exact"));
            }
        }
    }
}

/// Every GPU but those behind GL, opened anew, so that nobody else's kernels are counted.
fn profiled() -> Vec<Device> {
    if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
        return vec![];
    }
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    let options = Options::default().profile(true);
    usable.map(|adapter| Device::open(&format!("gpu:{}", adapter.index), &options).unwrap()).collect()
}

/// Dispatches of a kernel, and of all, that a search takes.
fn dispatches(device: &Device, kernel: &str, search: impl Fn(&mut Work) -> DeviceArray<Ranked>) -> (u64, u64) {
    device.take_profile().unwrap();
    let before = device.counters();
    let mut work = device.work();
    let found = search(&mut work);
    read(work, found);
    let after = device.counters();
    assert_eq!((after.submissions - before.submissions, after.read_backs - before.read_backs), (1, 1), "{device:?}");
    let profile = device.take_profile().unwrap();
    let of = |kernel: Option<&str>| -> u64 {
        let stages = profile.stages.iter().filter(|stage| kernel.is_none_or(|kernel| stage.operation == kernel));
        stages.map(|stage| stage.dispatches).sum()
    };
    (of(Some(kernel)), of(None))
}

#[test]
fn everything_is_scanned_once_in_one_submission() {
    let rows = 8000;
    let base = Numbers::new(1).vector(Kind::Even, rows * 2);
    let ids: Vec<u32> = (0..rows as u32).collect();
    for device in &profiled() {
        let (queries, on_device) = (upload(device, &base[..20], 2), upload(device, &base, 2));
        let lists = upload_lists(device, &[0, rows as u32], &ids);
        let probes = upload(device, &[Ranked::new(0.0, 0); 10], 1);
        for k in [300, 2500, 7500] {
            let knn =
                dispatches(device, "knn_within", |work| ops::knn(work, &queries, &on_device, k, Metric::L2).unwrap());
            let scan = dispatches(device, "flat_scan", |work| {
                ops::flat_scan(work, &queries, &on_device, None, &lists, &probes, k, Metric::L2).unwrap()
            });
            let select =
                dispatches(device, "select_radix", |work| ops::select(work, &upload(device, &base, rows), k).unwrap());
            eprintln!("{device:?}, k = {k}: knn {knn:?}, flat_scan {scan:?}, select {select:?}");
            assert_eq!((knn.0, scan.0), (1, 1), "{device:?}, k = {k}");
            // Three digits of the value and up to three of the id, what is kept, and a merge whenever k is doubled.
            assert!(knn.1.max(scan.1).max(select.1) <= 20, "{device:?}, k = {k}: {knn:?}, {scan:?}, {select:?}");
        }
    }
}
