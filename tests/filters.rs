//! A search finds the nearest of the rows that are accepted and within its radius, and nothing that was removed.

mod cases;
mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use cases::{Built, Case, Contents, cases};
use cellprobe::{
    Device, Error, FlatIndex, Index, IvfFlatIndex, Metric, PqIndex, Search,
    index::{Filter, Placement},
};
use common::{Kind, Numbers, devices, read};
use ndarray::{Array2, Axis, s};
use proptest::prelude::*;

/// Accepts about `share` of 8 identifiers.
fn accepts(share: u64, seed: u64) -> impl Fn(i64) -> bool + Copy {
    move |id| (id as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 < share
}

/// The index of a case's rows that are accepted, built of these alone.
fn of_accepted(built: &Built, device: &Device, accepts: impl Fn(i64) -> bool) -> Index {
    let numbers = (0..built.rows.nrows() as i64).collect();
    let ids = built.ids.as_ref().unwrap_or(&numbers);
    let (rows, ids): (Vec<usize>, Vec<i64>) = ids.iter().copied().enumerate().filter(|&(_, id)| accepts(id)).unzip();
    let mut index = Index::from_stored(built.empty.clone(), device).unwrap();
    index.add_with_ids(built.rows.select(Axis(0), &rows).view(), &ids).unwrap();
    index
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nearest_accepted_are_found(case in cases(), share in 0..9_u64) {
        let built = Built::new(Case { queries: case.queries + 2 * (share as usize % 2), ..case });
        let accepts = accepts(share, built.case.seed);
        let search = built.case.search();
        for device in &built.case.devices() {
            let what = format!("{share} of 8 on {device:?}");
            let index = built.index(device);
            let filter = index.filter(accepts).unwrap();
            let accepted = of_accepted(&built, device, accepts);
            prop_assert_eq!((filter.accepted(), filter.ntotal()), (accepted.ntotal(), index.ntotal()));
            let found = index.search_with(built.queries.view(), &search.filter(&filter)).unwrap();
            Contents::of(&accepted).check_all(&built, &found, built.case.is_exact(), &what);

            let exact = index.exact_rows(built.rows.view()).unwrap();
            let rerank = search.rerank(&exact, 500).filter(&filter);
            let reranked = index.search_with(built.queries.view(), &rerank).unwrap();
            let ids = |row: &[cellprobe::Neighbor]| row.iter().map(|one| one.id).collect::<Vec<_>>();
            prop_assert!(reranked.rows().all(|row| ids(row).into_iter().all(accepts)), "re-ranked, {}", what);
            let lengths = |found: &cellprobe::Neighbors| found.rows().map(<[_]>::len).collect::<Vec<_>>();
            prop_assert_eq!(lengths(&reranked), lengths(&found), "re-ranked, {}", what);

            for placement in [Placement::Sharded, Placement::Replicated] {
                let parts = index.to_devices(&vec![device.clone(); 3], placement).unwrap();
                let filter = parts.filter(accepts).unwrap();
                prop_assert_eq!(filter.accepted(), accepted.ntotal());
                let in_parts = parts.search_with(built.queries.view(), &search.filter(&filter)).unwrap();
                Contents::of(&accepted).check_all(&built, &in_parts, built.case.is_exact(), &what);
                if !device.is_gpu() {
                    prop_assert_eq!(&in_parts, &found, "{:?}, {}", placement, what);
                }
            }

            let streamed = index.streamed_to(device, 60_000).unwrap();
            let filter = streamed.filter(accepts);
            prop_assert_eq!(filter.accepted(), accepted.ntotal());
            let streamed = streamed.search_with(built.queries.view(), &search.filter(&filter)).unwrap();
            Contents::of(&accepted).check_all(&built, &streamed, built.case.is_exact(), &format!("streamed, {what}"));
        }
    }

    #[test]
    fn what_is_removed_was_never_there(case in cases(), share in 0..9_u64, after in 0..30_usize) {
        let built = Built::new(case);
        let accepts = accepts(share, built.case.seed);
        for device in &built.case.devices() {
            let what = format!("{share} of 8 on {device:?}");
            let mut index = built.index(device);
            let mut expected = of_accepted(&built, device, accepts);
            let removed = index.remove(|id| !accepts(id)).unwrap();
            prop_assert_eq!(removed, built.rows.nrows() - expected.ntotal(), "{}", what);
            for _ in 0..2 {
                prop_assert_eq!(index.to_stored().unwrap(), expected.to_stored().unwrap(), "{}", what);
                let (mine, theirs) = (&index, &expected);
                let search = |index: &Index| index.search_with(built.queries.view(), &built.case.search()).unwrap();
                Contents::of(theirs).check_all(&built, &search(mine), built.case.is_exact(), &what);
                // Rows added later have identifiers that no other has.
                let more = built.queries.select(Axis(0), &vec![0; after]);
                index.add(more.view()).unwrap();
                let added = (index.ntotal() - after) as u32..index.ntotal() as u32;
                let ids: Vec<i64> = added.map(|row| index.id_of(row).unwrap()).collect();
                let were_numbers = built.ids.is_none();
                let most = built.rows.nrows() as i64;
                prop_assert!(!were_numbers || ids.iter().all(|&id| id >= most), "{:?}, {}", ids, what);
                expected.add_with_ids(more.view(), &ids).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_within_a_radius_is_found(
        case in cases(), part in 0.0..1.0_f64, most in prop_oneof![1..400_usize, Just(usize::MAX)],
    ) {
        let built = Built::new(case);
        let accepts = accepts(6, built.case.seed);
        for device in &built.case.devices() {
            let index = built.index(device);
            let filter = index.filter(accepts).unwrap();
            let all = Search::new(built.case.rows.max(1)).nprobe(built.case.nprobe).filter(&filter);
            let all = index.search_with(built.queries.view(), &all).unwrap();
            // Between the scores that occur, so that rounding decides nothing.
            let mut scores: Vec<f32> = all.rows().flatten().map(|one| one.score).collect();
            scores.sort_by(f32::total_cmp);
            let gaps = scores.windows(2).filter(|pair| pair[1] - pair[0] > 1e-4 * (1.0 + pair[1].abs()));
            let radii: Vec<f32> = gaps.map(|pair| f32::midpoint(pair[0], pair[1])).collect();
            let chosen = radii.get((radii.len() as f64 * part) as usize).copied();
            let nearer_than = |one: &cellprobe::Neighbor, radius: f32| {
                if index.metric() == Metric::L2 { one.score < radius } else { one.score > radius }
            };
            for radius in [f32::NEG_INFINITY, f32::INFINITY].into_iter().chain(chosen) {
                let search = Search::new(most).within(radius).nprobe(built.case.nprobe).filter(&filter);
                let found = index.search_with(built.queries.view(), &search).unwrap();
                let parts = index.to_devices(&vec![device.clone(); 2], Placement::Sharded).unwrap();
                let of_parts = parts.filter(accepts).unwrap();
                let in_parts = parts.search_with(built.queries.view(), &search.filter(&of_parts)).unwrap();
                let streamed = index.streamed_to(device, 60_000).unwrap();
                let of_pieces = streamed.filter(accepts);
                let in_pieces = streamed.search_with(built.queries.view(), &search.filter(&of_pieces)).unwrap();
                let longest = found.rows().map(<[_]>::len).max().unwrap_or(0);
                prop_assert_eq!(found.k(), longest);
                for (query, row) in all.rows().enumerate() {
                    let near = row.iter().take_while(|one| nearer_than(one, radius)).take(most).count();
                    // Those as near as the last may be others.
                    prop_assert_eq!(found.row(query).len(), near, "{} on {:?}", radius, device);
                    prop_assert!(found.row(query).iter().all(|one| nearer_than(one, radius) && accepts(one.id)));
                    prop_assert_eq!(in_parts.row(query).len(), near, "in parts, {} on {:?}", radius, device);
                    prop_assert_eq!(in_pieces.row(query).len(), near, "in pieces, {} on {:?}", radius, device);
                    if built.case.is_exact() {
                        prop_assert_eq!(found.row(query), &row[..near]);
                        prop_assert_eq!(in_parts.row(query), &row[..near]);
                        prop_assert_eq!(in_pieces.row(query), &row[..near]);
                    }
                }
            }
            prop_assert!(index.search_with(built.queries.view(), &Search::all_within(f32::NAN)).is_err());
        }
    }
}

#[test]
fn a_filter_of_many_rows_and_queries() {
    let (rows, columns) = (10_000, 24);
    let mut numbers = Numbers::new(5);
    let mut array =
        |rows: usize| Array2::from_shape_vec((rows, columns), numbers.vector(Kind::Even, rows * columns)).unwrap();
    let (base, queries) = (array(rows), array(150));
    let accepts = accepts(5, 1);
    for device in &devices() {
        for factory in ["Flat", "PQ12", "IVF8,Flat", "IVF8,PQ6x4"] {
            let mut index = Index::new(&Device::cpu(), columns, factory, Metric::L2).unwrap();
            index.train(base.view()).unwrap();
            index.add(base.view()).unwrap();
            let index = index.to_device(device).unwrap();
            let mut left = index.clone();
            left.remove(|id| !accepts(id)).unwrap();
            let filter = index.filter(accepts).unwrap();
            for k in [10, 300] {
                let search = Search::new(k).nprobe(4);
                let found = index.search_with(queries.view(), &search.filter(&filter)).unwrap();
                let expected = left.search_with(queries.view(), &search).unwrap();
                assert_eq!(found, expected, "{factory}, k = {k}, on {device:?}");
                // The same, left on the device.
                let uploaded = device.upload(queries.iter().copied().collect(), columns).unwrap();
                let mut work = device.work();
                let there = index.search_on(&mut work, &uploaded, &search.filter(&filter)).unwrap();
                let there = index.neighbors(&read(work, there), k).unwrap();
                assert_eq!(there, expected, "{factory}, k = {k}, left on {device:?}");
                assert!(index.search_on(&mut device.work(), &uploaded, &search.within(1.0)).is_err());
            }
            // Round after round.
            let some = queries.slice(s![..3, ..]);
            let told = AtomicUsize::new(0);
            let tell = |done: usize, _: usize| {
                told.fetch_max(done, Ordering::Relaxed);
            };
            let all = Search::all_within(f32::INFINITY).nprobe(8).filter(&filter).progress(&tell);
            let found = index.search_with(some, &all).unwrap();
            assert!(found.rows().all(|row| row.len() == left.ntotal() && row.is_sorted_by(|a, b| a.score <= b.score)));
            assert_eq!(told.into_inner(), 3, "{factory} on {device:?}");
            // More than there are.
            let found = index.search_with(some, &Search::new(usize::MAX).nprobe(8).filter(&filter)).unwrap();
            assert!(found.rows().all(|row| row.len() == left.ntotal()));
            // None at all.
            let none = index.filter(|_| false).unwrap();
            let exact = index.exact_rows(base.view()).unwrap();
            for search in [Search::new(5), Search::new(5).rerank(&exact, 3), Search::all_within(9.0)] {
                let found = index.search_with(some, &search.filter(&none)).unwrap();
                assert_eq!(found.rows().map(<[_]>::len).collect::<Vec<_>>(), [0; 3], "{factory} on {device:?}");
            }
        }
    }
}

#[test]
fn a_filter_is_of_one_index() {
    let rows = Array2::from_shape_fn((300, 8), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
    for device in &devices() {
        let mut flat = FlatIndex::new(device, 8, Metric::L2).unwrap();
        let mut lists = IvfFlatIndex::new(device, 8, 4, Metric::L2).unwrap();
        assert!(matches!(lists.filter(|_| true), Err(Error::NotTrained { .. })));
        let codes = PqIndex::new(device, 8, 2, 4, Metric::L2).unwrap();
        assert!(matches!(codes.filter(|_| true), Err(Error::NotTrained { .. })));
        lists.train(rows.view()).unwrap();
        flat.add(rows.view()).unwrap();
        lists.add(rows.view()).unwrap();
        let (of_flat, of_lists) = (flat.filter(|_| true).unwrap(), lists.filter(|_| true).unwrap());
        let refused = |filter: &Filter, index: &Index| {
            let error = index.search_with(rows.view(), &Search::new(3).filter(filter)).unwrap_err();
            assert!(matches!(error, Error::OtherDevice { .. } | Error::Parameter { name: "filter", .. }), "{error:?}");
        };
        refused(&of_flat, &Index::IvfFlat(lists.clone()));
        refused(&of_lists, &Index::Flat(flat.clone()));
        // Rows that came and went leave it behind, as many as there are.
        lists.remove(|id| id == 7).unwrap();
        refused(&of_lists, &Index::IvfFlat(lists.clone()));
        lists.add(rows.slice(s![..1, ..])).unwrap();
        assert_eq!((of_lists.ntotal(), lists.ntotal()), (300, 300));
        refused(&of_lists, &Index::IvfFlat(lists.clone()));
        let mut alike = FlatIndex::new(device, 8, Metric::L2).unwrap();
        alike.add(rows.view()).unwrap();
        refused(&of_flat, &Index::Flat(alike));
        assert!(flat.clone().search_with(rows.view(), &Search::new(3).filter(&of_flat)).is_ok());
        for other in devices().iter().filter(|other| other.name() != device.name()) {
            refused(&of_flat, &Index::Flat(flat.to_device(other).unwrap()));
        }
        let streamed = |memory: u64| Index::Flat(flat.clone()).streamed_to(device, memory).unwrap();
        let (one, other) = (streamed(30_000), streamed(25_000));
        assert!(one.search_with(rows.view(), &Search::new(3).filter(&of_flat)).is_err());
        assert!(one.search_with(rows.view(), &Search::new(3).filter(&other.filter(|_| true))).is_err());
        assert!(one.search_with(rows.view(), &Search::new(3).filter(&one.filter(|_| true))).is_ok());
    }
}
