//! Long work is cut into submissions that take no longer than they may, finds the same, and can be cancelled.

mod common;

use std::{sync::Mutex, time::Duration};

use cellprobe::{
    Device, Error, Index, KMeans, Metric, Search,
    device::{Cancel, Options, adapters},
    index::Adding,
};
use common::{Kind, Numbers};
use ndarray::{Array2, s};

const FACTORIES: [&str; 4] = ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"];

/// Every GPU but those behind GL, opened anew, so that nobody else counts on it.
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

/// An empty index on a device, trained on the CPU.
fn trained(device: &Device, factory: &str, rows: &Array2<f32>) -> Index {
    let mut trained = Index::new(&Device::cpu(), rows.ncols(), factory, Metric::L2).unwrap();
    trained.train(rows.view()).unwrap();
    trained.to_device(device).unwrap()
}

/// An index trained on the CPU and filled on a device.
fn built(device: &Device, factory: &str, rows: &Array2<f32>) -> Index {
    let mut index = trained(device, factory, rows);
    index.add(rows.view()).unwrap();
    index
}

#[test]
fn work_in_parts_finds_the_same() {
    let rows = rows(1, 3000, 16);
    let queries = rows.slice(s![..200, ..]);
    let moment = Options::default().longest_submission(Duration::from_micros(20));
    let narrow = moment.clone().checked(true).max_workgroups(3);
    let plain = gpus(&Options::default());
    for options in [moment, narrow] {
        for (cut, whole) in gpus(&options).iter().zip(&plain) {
            for factory in FACTORIES {
                let [a, b] = [cut, whole].map(|device| built(device, factory, &rows));
                for k in [3, 300] {
                    let before = cut.counters();
                    let found = a.search(queries, k).unwrap();
                    let after = cut.counters();
                    let submissions = after.submissions - before.submissions;
                    eprintln!("{factory}, k = {k} on {cut:?}: {submissions} submissions");
                    assert!(submissions > 2, "{factory}, k = {k} on {cut:?}: {submissions}");
                    assert_eq!(after.read_backs - before.read_backs, 1, "{factory}, k = {k} on {cut:?}");
                    assert_eq!(found, b.search(queries, k).unwrap(), "{factory}, k = {k} on {cut:?}");
                }
            }
            let train = |device| KMeans::new(100).iterations(2).train(device, rows.view()).unwrap();
            let (a, b) = (train(cut), train(whole));
            assert_eq!((a.centroids(), a.objectives()), (b.centroids(), b.objectives()), "{cut:?}");
        }
    }
}

#[test]
fn a_training_is_cancelled_between_iterations() {
    let rows = rows(2, 500, 4);
    for device in gpus(&Options::default()).iter().chain([&Device::cpu()]) {
        let cancel = Cancel::default();
        let other = cancel.clone();
        let kmeans = KMeans::new(5).iterations(50).cancelled_by(&cancel).progress(move |progress| {
            assert!(progress.done <= 3, "nothing is begun after it was cancelled");
            if progress.done == 3 {
                other.cancel();
            }
        });
        assert!(matches!(kmeans.train(device, rows.view()), Err(Error::Cancelled)), "{device:?}");
    }
}

#[test]
fn a_cancelled_search_is_an_error_and_the_index_goes_on() {
    let rows = rows(3, 300, 4);
    for device in gpus(&Options::default()).iter().chain([&Device::cpu()]) {
        let index = built(device, "IVF4,Flat", &rows);
        let cancel = Cancel::default();
        let search = Search::new(3).cancelled_by(&cancel);
        let found = index.search_with(rows.view(), &search).unwrap();
        cancel.cancel();
        let before = device.counters();
        assert!(matches!(index.search_with(rows.view(), &search), Err(Error::Cancelled)), "{device:?}");
        assert_eq!(device.counters().submissions, before.submissions, "{device:?}");
        assert_eq!(index.search(rows.view(), 3).unwrap(), found, "{device:?}");
    }
}

#[test]
fn a_long_search_is_cancelled_in_the_middle() {
    let rows = rows(4, 20_000, 32);
    for device in &gpus(&Options::default().longest_submission(Duration::from_micros(20))) {
        let index = built(device, "Flat", &rows);
        let cancel = Cancel::default();
        let other = cancel.clone();
        let before = device.counters().submissions;
        let (there, begun) = (device.clone(), before);
        let canceller = std::thread::spawn(move || {
            while there.counters().submissions < begun + 2 {
                std::thread::yield_now();
            }
            other.cancel();
        });
        let outcome = index.search_with(rows.slice(s![..500, ..]), &Search::new(3).cancelled_by(&cancel));
        canceller.join().unwrap();
        assert!(matches!(outcome, Err(Error::Cancelled)), "{device:?}");
        eprintln!("cancelled on {device:?} after {} submissions", device.counters().submissions - before);
    }
}

#[test]
fn adding_and_searching_tell_how_far_they_are_and_change_nothing() {
    let rows = rows(5, 40_000, 8);
    for device in gpus(&Options::default()).iter().chain([&Device::cpu()]) {
        for factory in FACTORIES {
            let plain = built(device, factory, &rows);
            let told: Mutex<Vec<(usize, usize)>> = Mutex::default();
            let tell = |done: usize, of: usize| told.lock().unwrap().push((done, of));
            let take = || std::mem::take(&mut *told.lock().unwrap());

            let mut index = trained(device, factory, &rows);
            index.add_with(rows.view(), &Adding::default().progress(&tell)).unwrap();
            assert_told(&take(), 40_000, factory, device);
            let queries = rows.slice(s![..2500, ..]);
            let found = index.search_with(queries, &Search::new(3).progress(&tell)).unwrap();
            assert_told(&take(), 2500, factory, device);
            assert_eq!(found, plain.search(queries, 3).unwrap(), "{factory} on {device:?}");
            let found = index.search_with(rows.slice(s![..0, ..]), &Search::new(3).progress(&tell)).unwrap();
            assert_eq!((found.queries(), take()), (0, vec![]), "{factory} on {device:?}");
        }
    }
}

/// Fails unless there are several steps, each farther than the one before, and the last is the end.
fn assert_told(told: &[(usize, usize)], of: usize, factory: &str, device: &Device) {
    let ends = told.last() == Some(&(of, of)) && told.iter().all(|step| step.1 == of);
    assert!(ends && told.len() > 1 && told.is_sorted_by(|a, b| a.0 < b.0), "{factory} on {device:?}: {told:?}");
}

#[test]
fn a_cancelled_addition_leaves_the_index_as_it_was() {
    let rows = rows(6, 40_000, 8);
    for device in gpus(&Options::default()).iter().chain([&Device::cpu()]) {
        for factory in FACTORIES {
            let mut index = trained(device, factory, &rows);
            index.add(rows.slice(s![..300, ..])).unwrap();
            let queries = rows.slice(s![..50, ..]);
            let before = index.search(queries, 3).unwrap();
            let cancel = Cancel::default();
            let first = |done: usize, of: usize| {
                assert!(done < of, "nothing goes on after it was cancelled");
                cancel.cancel();
            };
            let adding = Adding::default().progress(&first).cancelled_by(&cancel);
            assert!(matches!(index.add_with(rows.view(), &adding), Err(Error::Cancelled)), "{factory} on {device:?}");
            assert_eq!((index.ntotal(), index.search(queries, 3).unwrap()), (300, before), "{factory} on {device:?}");
            index.add(rows.slice(s![300.., ..])).unwrap();
            let (found, expected) = (index.search(queries, 3), built(device, factory, &rows).search(queries, 3));
            assert_eq!(found.unwrap(), expected.unwrap(), "{factory} on {device:?}");
        }
    }
}

#[test]
fn many_rows_go_in_pieces() {
    // Of 16 MiB, the last of which is short.
    let rows = rows(7, 40_001, 128);
    for device in &gpus(&Options::default()) {
        let mut index = Index::new(device, 128, "Flat", Metric::L2).unwrap();
        index.add(rows.view()).unwrap();
        for places in [0..8, 32_760..32_776, 39_990..40_001] {
            let found = index.search(rows.slice(s![places.clone(), ..]), 1).unwrap();
            let expected: Vec<i64> = places.map(i64::from).collect();
            assert_eq!(found.ids().into_raw_vec_and_offset().0, expected, "{device:?}");
            assert!(found.scores().iter().all(|&score| score == 0.0), "{device:?}");
        }
    }
}
