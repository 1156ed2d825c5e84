//! An index on several devices finds what it finds on one of them, to the bit where they are alike.

mod cases;
mod common;

use std::sync::Mutex;

use cases::{Built, Contents, cases};
use cellprobe::{
    Device, Error, Index, Metric, MultiDeviceIndex, Search,
    device::{Options, adapters},
    index::Placement,
};
use common::{Kind, Numbers, devices};
use ndarray::{Array2, s};
use proptest::prelude::*;

const PLACEMENTS: [Placement; 2] = [Placement::Sharded, Placement::Replicated];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_parts_finds_the_same(case in cases(), count in 1..6_usize, cut in 0.0..1.0_f64, factor in 1..4_usize) {
        let built = Built::new(case);
        let search = built.case.search();
        for device in &built.case.devices() {
            let index = built.index(device);
            let expected = index.search_with(built.queries.view(), &search).unwrap();
            let exact = index.exact_rows(built.rows.view()).unwrap();
            let reranked = index.search_with(built.queries.view(), &search.rerank(&exact, factor)).unwrap();
            let devices = vec![device.clone(); count];
            for placement in PLACEMENTS {
                let what = format!("{count} parts, {placement:?} on {device:?}");
                let parts = index.to_devices(&devices, placement).unwrap();
                prop_assert_eq!(parts.ntotal(), index.ntotal());
                prop_assert_eq!(&parts.search_with(built.queries.view(), &search).unwrap(), &expected, "{}", what);
                let exact = parts.exact_rows(built.rows.view()).unwrap();
                let found = parts.search_with(built.queries.view(), &search.rerank(&exact, factor)).unwrap();
                prop_assert_eq!(&found, &reranked, "re-ranked, {}", what);

                let middle = (built.rows.nrows() as f64 * cut) as usize;
                let empty = Index::from_stored(built.empty.clone(), device).unwrap();
                let mut grown = empty.to_devices(&devices, placement).unwrap();
                for (start, end) in [(0, middle), (middle, middle), (middle, built.rows.nrows())] {
                    let rows = built.rows.slice(s![start..end, ..]);
                    match &built.ids {
                        Some(ids) => grown.add_with_ids(rows, &ids[start..end]).unwrap(),
                        None => grown.add(rows).unwrap(),
                    }
                }
                prop_assert_eq!(&grown.search_with(built.queries.view(), &search).unwrap(), &expected, "grown, {}", what);
            }
        }
    }

    #[test]
    fn devices_of_every_kind_together_find_the_nearest(case in cases()) {
        let built = Built::new(case);
        let index = built.index(&Device::cpu());
        let contents = Contents::of(&index);
        for placement in PLACEMENTS {
            let parts = index.to_devices(&built.case.devices(), placement).unwrap();
            let found = parts.search_with(built.queries.view(), &built.case.search()).unwrap();
            // Where rounding decides on lists, devices may differ.
            let exact = built.case.is_exact();
            if exact || contents.is_flat() {
                contents.check_all(&built, &found, exact, &format!("{parts:?}"));
            }
        }
    }
}

fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Even, count * columns)).unwrap()
}

/// Two devices of each adapter but those behind GL.
fn pairs() -> Vec<[Device; 2]> {
    if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
        return vec![];
    }
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    let open = |index| Device::open(&format!("gpu:{index}"), &Options::default()).unwrap();
    usable.map(|adapter| [open(adapter.index), open(adapter.index)]).collect()
}

#[test]
fn two_devices_of_one_adapter_are_at_work_on_one_index() {
    let rows = rows(1, 3001, 12);
    let queries = rows.slice(s![..7, ..]);
    for factory in ["Flat", "PQ4", "PQ3x4", "IVF9,Flat", "IVF9,PQ4", "IVF9,PQ3x4"] {
        for metric in cases::METRICS {
            let mut trained = Index::new(&Device::cpu(), 12, factory, metric).unwrap();
            trained.train(rows.view()).unwrap();
            for pair in &pairs() {
                let mut index = trained.to_device(&pair[0]).unwrap();
                index.add(rows.view()).unwrap();
                let exact = index.exact_rows(rows.view()).unwrap();
                for placement in PLACEMENTS {
                    let what = format!("{factory}, {metric}, {placement:?} on {:?}", pair[0]);
                    let parts = index.to_devices(pair, placement).unwrap();
                    let search = Search::new(20).nprobe(3);
                    let expected = index.search_with(queries, &search).unwrap();
                    let before = pair.each_ref().map(Device::counters);
                    assert_eq!(parts.search_with(queries, &search).unwrap(), expected, "{what}");
                    for (device, before) in pair.iter().zip(before) {
                        let after = device.counters();
                        assert_eq!(after.submissions - before.submissions, 1, "{what}");
                        assert_eq!(after.read_backs - before.read_backs, 1, "{what}");
                    }
                    let there = parts.exact_rows(rows.view()).unwrap();
                    assert_eq!(
                        parts.search_with(queries, &search.rerank(&there, 2)).unwrap(),
                        index.search_with(queries, &search.rerank(&exact, 2)).unwrap(),
                        "re-ranked, {what}"
                    );
                    let sizes: Vec<usize> = parts.parts().iter().map(Index::ntotal).collect();
                    assert_eq!(sizes, if placement == Placement::Sharded { [1501, 1500] } else { [3001, 3001] });
                }
            }
        }
    }
}

#[test]
fn parts_that_grow_are_compared_as_the_whole_is() {
    // Identifiers descend, though those of a part, which has one row, do not.
    let ids = [30, 20, 10];
    for device in &devices() {
        for seed in 0..30 {
            let (rows, queries) = (rows(seed, 3, 3), rows(100 + seed, 2, 3));
            let mut index = Index::new(device, 3, "Flat", Metric::L2).unwrap();
            let mut parts = index.to_devices(&vec![device.clone(); 3], Placement::Sharded).unwrap();
            index.add_with_ids(rows.view(), &ids).unwrap();
            parts.add_with_ids(rows.view(), &ids).unwrap();
            assert_eq!(
                parts.search(queries.view(), 3).unwrap(),
                index.search(queries.view(), 3).unwrap(),
                "{device:?}"
            );
        }
    }
}

#[test]
fn more_devices_than_rows_and_no_rows() {
    let rows = rows(2, 3, 4);
    for device in &devices() {
        let mut index = Index::new(device, 4, "Flat", Metric::L2).unwrap();
        for placement in PLACEMENTS {
            let parts = index.to_devices(&[device.clone(), device.clone()], placement).unwrap();
            assert_eq!(parts.search(rows.view(), 2).unwrap(), index.search(rows.view(), 2).unwrap());
        }
        index.add_with_ids(rows.view(), &[9, 4, 7]).unwrap();
        for placement in PLACEMENTS {
            let parts = index.to_devices(&vec![device.clone(); 5], placement).unwrap();
            assert_eq!(parts.search(rows.view(), 5).unwrap(), index.search(rows.view(), 5).unwrap());
            let none = rows.slice(s![..0, ..]);
            assert_eq!(parts.search(none, 5).unwrap(), index.search(none, 5).unwrap());
        }
    }
}

#[test]
fn the_async_form_gives_the_same_and_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let rows = rows(3, 200, 6);
    for device in &devices() {
        let mut index = Index::new(device, 6, "IVF4,PQ3x4", Metric::L2).unwrap();
        index.train(rows.view()).unwrap();
        index.add(rows.view()).unwrap();
        let several = [device.clone(), Device::cpu(), device.clone()];
        let parts = pollster::block_on(is_send(index.to_devices_async(&several, Placement::Sharded))).unwrap();
        let search = Search::new(4).nprobe(2);
        let expected = parts.search_with(rows.view(), &search).unwrap();
        let future = is_send(parts.search_with_async(rows.view(), &search));
        let found = std::thread::scope(|scope| scope.spawn(|| pollster::block_on(future)).join()).unwrap().unwrap();
        assert_eq!(found, expected, "{device:?}");
    }
}

#[test]
fn what_cannot_be_is_an_error_and_the_index_as_it_was() {
    let rows = rows(4, 10, 4);
    for device in &devices() {
        let untrained = Index::new(device, 4, "IVF2,Flat", Metric::L2).unwrap();
        let mut index = Index::new(device, 4, "Flat", Metric::L2).unwrap();
        assert!(matches!(index.to_devices(&[], Placement::Sharded), Err(Error::Empty { .. })));
        index.add(rows.view()).unwrap();
        let pair = [device.clone(), Device::cpu()];
        for placement in PLACEMENTS {
            let nothing = untrained.to_devices(&pair, placement);
            assert!(matches!(nothing, Err(Error::NotTrained { what: "IVF-Flat index" })));

            let mut parts = index.to_devices(&pair, placement).unwrap();
            let found = parts.search(rows.view(), 3).unwrap();
            assert!(matches!(parts.search(rows.view(), 0), Err(Error::Parameter { name: "k", .. })));
            assert!(matches!(parts.search(rows.slice(s![.., ..3]), 1), Err(Error::Dimension { .. })));
            assert!(matches!(parts.add_with_ids(rows.slice(s![..1, ..]), &[3]), Err(Error::DuplicateId { id: 3 })));
            assert!(matches!(parts.add_with_ids(rows.view(), &[30]), Err(Error::Length { .. })));
            let mut broken = rows.clone();
            broken[[9, 2]] = f32::NAN;
            assert!(matches!(parts.add(broken.view()), Err(Error::NotFinite { row: 9, column: 2, .. })));
            assert!(matches!(parts.exact_rows(rows.slice(s![..9, ..])), Err(Error::Length { .. })));

            // Rows that are elsewhere, or of rows that came and went since.
            let of_others = |error: &Error| matches!(error, Error::Parameter { name: "rows to re-rank by", .. });
            let own = index.exact_rows(rows.view()).unwrap();
            let search = Search::new(3).rerank(&own, 2);
            assert!(parts.search_with(rows.view(), &search).is_err_and(|error| of_others(&error)));
            let exact = parts.exact_rows(rows.view()).unwrap();
            let search = Search::new(3).rerank(&exact, 2);
            assert!(index.search_with(rows.view(), &search).is_err_and(|error| of_others(&error)));
            let mut grown = parts.clone();
            grown.add(rows.view()).unwrap();
            assert!(grown.search_with(rows.view(), &search).is_err_and(|error| of_others(&error)));
            assert!(parts.search_with(rows.view(), &search).is_ok());

            let cancel = cellprobe::device::Cancel::default();
            cancel.cancel();
            let search = Search::new(3).cancelled_by(&cancel);
            assert!(matches!(parts.search_with(rows.view(), &search), Err(Error::Cancelled)));
            assert_eq!((parts.ntotal(), parts.search(rows.view(), 3).unwrap()), (10, found));
        }
    }
}

#[test]
fn a_search_tells_how_far_it_is_and_changes_nothing() {
    let rows = rows(5, 9000, 6);
    for device in &devices() {
        let mut index = Index::new(device, 6, "Flat", Metric::L2).unwrap();
        index.add(rows.slice(s![..500, ..])).unwrap();
        let exact_of = |parts: &MultiDeviceIndex| parts.exact_rows(rows.slice(s![..500, ..])).unwrap();
        for placement in PLACEMENTS {
            let parts = index.to_devices(&[device.clone(), device.clone()], placement).unwrap();
            let told: Mutex<Vec<(usize, usize)>> = Mutex::default();
            let tell = |done: usize, of: usize| told.lock().unwrap().push((done, of));
            let exact = exact_of(&parts);
            for search in [Search::new(3), Search::new(3).rerank(&exact, 2)] {
                let expected = parts.search_with(rows.view(), &search).unwrap();
                assert_eq!(parts.search_with(rows.view(), &search.progress(&tell)).unwrap(), expected, "{device:?}");
                let told = std::mem::take(&mut *told.lock().unwrap());
                assert!(told.len() > 1 && told.is_sorted_by(|a, b| a.0 < b.0), "{placement:?} on {device:?}: {told:?}");
                assert_eq!(told.last(), Some(&(9000, 9000)), "{placement:?} on {device:?}");
            }
        }
    }
}
