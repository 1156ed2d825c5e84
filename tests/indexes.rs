//! Every kind of index finds what the plainest search in f64 finds, whatever the shapes, the values and the device.

mod cases;
mod common;

use cases::{Built, Case, Contents, Kind, METRICS, Random, Values, cases};
use cellprobe::{
    Device, Error, FlatIndex, Index, IvfFlatIndex, IvfPqIndex, Metric, PqIndex, Search,
    index::{ExactRows, Placement},
};
use common::devices;
use ndarray::{Array2, ArrayView2, Axis, s};
use proptest::prelude::*;
use rand_mt::Mt64;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nearest_are_found(case in cases()) {
        let built = Built::new(case);
        let exact = built.case.is_exact();
        for device in &built.case.devices() {
            let index = built.index(device);
            prop_assert_eq!(index.ntotal(), built.rows.nrows());
            let found = index.search_with(built.queries.view(), &built.case.search()).unwrap();
            Contents::of(&index).check_all(&built, &found, exact, &format!("{device:?}"));
        }
    }

    #[test]
    fn an_index_keeps_its_answers_on_another_device(case in cases()) {
        let built = Built::new(case);
        let search = built.case.search();
        let index = built.index(&Device::cpu());
        let contents = Contents::of(&index);
        let before = index.search_with(built.queries.view(), &search).unwrap();
        for device in &built.case.devices()[1..] {
            let moved = index.to_device(device).unwrap();
            let found = moved.search_with(built.queries.view(), &search).unwrap();
            contents.check_all(&built, &found, built.case.is_exact(), &format!("{device:?}"));
            let back = moved.to_device(&Device::cpu()).unwrap();
            prop_assert_eq!(&back.search_with(built.queries.view(), &search).unwrap(), &before);
        }
    }

    #[test]
    fn neither_batches_nor_pieces_nor_repetition_change_a_bit(case in cases(), cut in 0.0..1.0_f64) {
        let built = Built::new(case);
        let search = built.case.search();
        for device in &built.case.devices() {
            let index = built.index(device);
            let found = index.search_with(built.queries.view(), &search).unwrap();
            prop_assert_eq!(&index.search_with(built.queries.view(), &search).unwrap(), &found, "again on {:?}", device);

            for (number, query) in built.queries.axis_chunks_iter(Axis(0), 1).enumerate() {
                let alone = index.search_with(query, &search).unwrap();
                prop_assert_eq!(alone.row(0), found.row(number), "query {} alone on {:?}", number, device);
            }

            let mut in_pieces = Index::from_stored(built.empty.clone(), device).unwrap();
            let middle = (built.rows.nrows() as f64 * cut) as usize;
            built.add(&mut in_pieces, 0, middle);
            built.add(&mut in_pieces, middle, middle);
            built.add(&mut in_pieces, middle, built.rows.nrows());
            prop_assert_eq!(in_pieces.to_stored().unwrap(), index.to_stored().unwrap(), "in pieces on {:?}", device);
            prop_assert_eq!(in_pieces.search_with(built.queries.view(), &search).unwrap(), found, "{:?}", device);
        }
    }

    #[test]
    fn reranking_all_candidates_is_exact_search(case in cases()) {
        let built = Built::new(Case { nprobe: 25, ..case });
        let flat = Built::new(Case { kind: Kind::Flat, ..built.case.clone() });
        let flat = Built { rows: built.rows.clone(), queries: built.queries.clone(), ids: built.ids.clone(), ..flat };
        let contents = Contents::of(&flat.index(&Device::cpu()));
        let exact = built.case.is_exact();
        for device in &built.case.devices() {
            let index = built.index(device);
            let rows = index.exact_rows(built.rows.view()).unwrap();
            let search = Search::new(built.case.k).nprobe(25).rerank(&rows, 500);
            let found = index.search_with(built.queries.view(), &search).unwrap();
            contents.check_all(&built, &found, exact, &format!("{device:?}"));
        }
    }
}

/// Rows around some centres.
fn clustered(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    let mut random = Random(Mt64::new(seed));
    let centres = random.rows(Values::Normal, 20, columns) * 4.0;
    let noise = random.rows(Values::Normal, rows, columns);
    Array2::from_shape_fn((rows, columns), |(row, column)| centres[[row % 20, column]] + noise[[row, column]])
}

#[test]
fn trained_indexes_of_every_kind_and_metric_find_the_nearest() {
    let rows = clustered(1, 600, 12);
    let queries = clustered(2, 8, 12);
    for metric in METRICS {
        let mut flat = FlatIndex::new(&Device::cpu(), 12, metric).unwrap();
        flat.add(rows.view()).unwrap();
        let truth = flat.search(queries.view(), 10).unwrap();
        for (factory, least) in [("Flat", 1.0), ("IVF10,Flat", 1.0), ("PQ6x4", 0.8), ("IVF10,PQ6x4", 0.8)] {
            for device in &devices() {
                let what = format!("{factory}, {metric} on {device:?}");
                let mut index = Index::new(device, 12, factory, metric).unwrap();
                index.train(rows.view()).unwrap();
                index.add(rows.view()).unwrap();
                index.set_nprobe(10).unwrap();

                let found = index.search(queries.view(), 10).unwrap();
                let contents = Contents::of(&index);
                for (query, row) in queries.outer_iter().zip(found.rows()) {
                    contents.check(query.as_slice().unwrap(), row, 10, 10, false, &what);
                }

                let exact = index.exact_rows(rows.view()).unwrap();
                let found = index.search_with(queries.view(), &Search::new(10).rerank(&exact, 8)).unwrap();
                let shared: usize = found
                    .rows()
                    .zip(truth.rows())
                    .map(|(found, truth)| found.iter().filter(|one| truth.iter().any(|two| two.id == one.id)).count())
                    .sum();
                assert!(shared as f64 >= least * 80.0, "{what}: {shared} of 80");

                if metric != Metric::L2 {
                    continue;
                }
                let mut again = Index::new(device, 12, factory, metric).unwrap();
                again.train(rows.view()).unwrap();
                again.add(rows.view()).unwrap();
                again.set_nprobe(10).unwrap();
                assert_eq!(again.to_stored().unwrap(), index.to_stored().unwrap(), "{what}: trained again");
            }
        }
    }
}

#[test]
fn a_cosine_index_scores_by_the_cosine_and_leaves_the_rows_alone() {
    let mut rows = clustered(3, 50, 7);
    rows.row_mut(49).fill(0.0);
    let queries = clustered(4, 3, 7);
    let before = (rows.clone(), queries.clone());
    for device in &devices() {
        let mut index = FlatIndex::new(device, 7, Metric::Cosine).unwrap();
        index.add(rows.view()).unwrap();
        let found = index.search(queries.view(), 50).unwrap();
        assert_eq!((&rows, &queries), (&before.0, &before.1), "{device:?}");
        for (query, neighbors) in queries.outer_iter().zip(found.rows()) {
            for neighbor in neighbors {
                let row = rows.row(neighbor.id as usize);
                let product = |a: ndarray::ArrayView1<'_, f32>, b: ndarray::ArrayView1<'_, f32>| {
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
                };
                let norms = (product(query, query) * product(row, row)).sqrt();
                let cosine = if norms > 0.0 { product(query, row) / norms } else { 0.0 };
                assert!((f64::from(neighbor.score) - cosine).abs() < 1e-6, "{device:?}: {neighbor:?}, not {cosine}");
            }
        }
    }
}

#[test]
fn a_clone_goes_its_own_way() {
    let rows = clustered(5, 60, 4);
    for device in &devices() {
        for factory in ["Flat", "PQ2x4", "IVF3,Flat", "IVF3,PQ2x4"] {
            let mut index = Index::new(device, 4, factory, Metric::L2).unwrap();
            index.train(rows.view()).unwrap();
            index.add(rows.slice(s![..30, ..])).unwrap();
            let before = index.to_stored().unwrap();
            let mut clone = index.clone();
            clone.add(rows.slice(s![30.., ..])).unwrap();
            clone.set_nprobe(3).unwrap();
            assert_eq!((index.ntotal(), clone.ntotal()), (30, 60), "{factory} on {device:?}");
            assert_eq!(index.to_stored().unwrap(), before, "{factory} on {device:?}");
        }
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn the_async_forms_give_the_same_and_can_move_between_threads() {
    let rows = clustered(6, 80, 6);
    let queries = clustered(7, 4, 6);
    for device in &devices() {
        let mut flat = FlatIndex::new(device, 6, Metric::L2).unwrap();
        pollster::block_on(is_send(flat.add_async(rows.view(), None))).unwrap();
        let mut pq = PqIndex::new(device, 6, 3, 4, Metric::L2).unwrap();
        pollster::block_on(is_send(pq.train_async(rows.view(), &cellprobe::index::Training::default()))).unwrap();
        pq.add(rows.view()).unwrap();
        let mut lists = IvfFlatIndex::new(device, 6, 4, Metric::L2).unwrap();
        lists.train(rows.view()).unwrap();
        lists.add(rows.view()).unwrap();
        let mut codes = IvfPqIndex::new(device, 6, 4, 3, 4, Metric::L2).unwrap();
        codes.train(rows.view()).unwrap();
        codes.add(rows.view()).unwrap();

        assert_eq!(
            pollster::block_on(is_send(flat.search_async(queries.view(), 5))).unwrap(),
            flat.search(queries.view(), 5).unwrap()
        );
        assert_eq!(
            pollster::block_on(is_send(pq.search_async(queries.view(), 5))).unwrap(),
            pq.search(queries.view(), 5).unwrap()
        );
        assert_eq!(
            pollster::block_on(is_send(lists.search_async(queries.view(), 5))).unwrap(),
            lists.search(queries.view(), 5).unwrap()
        );
        let exact = codes.exact_rows(rows.view()).unwrap();
        let search = Search::new(5).nprobe(2).rerank(&exact, 3);
        let expected = codes.search_with(queries.view(), &search).unwrap();
        let future = is_send(codes.search_with_async(queries.view(), &search));
        let found = std::thread::scope(|scope| scope.spawn(|| pollster::block_on(future)).join()).unwrap().unwrap();
        assert_eq!(found, expected);
        let moved = pollster::block_on(is_send(codes.to_device_async(&Device::cpu()))).unwrap();
        assert_eq!(moved.search(queries.view(), 5).unwrap().ids(), codes.search(queries.view(), 5).unwrap().ids());
        let everywhere: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| codes.search_with(queries.view(), &search))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(everywhere.iter().all(|found| *found == expected), "four threads on {device:?}");
    }
}

#[test]
fn rows_and_queries_may_be_views_of_any_layout() {
    let rows = clustered(8, 40, 5);
    let turned = rows.t().as_standard_layout().into_owned();
    let transposed: ArrayView2<'_, f32> = turned.t();
    for device in &devices() {
        let mut index = FlatIndex::new(device, 5, Metric::Cosine).unwrap();
        index.add(transposed).unwrap();
        let mut plain = FlatIndex::new(device, 5, Metric::Cosine).unwrap();
        plain.add(rows.view()).unwrap();
        let every_other = rows.slice(s![..;2, ..]);
        assert_eq!(index.search(every_other, 3).unwrap(), plain.search(every_other.to_owned().view(), 3).unwrap());
    }
}

#[test]
fn lists_that_are_looked_through_rounded_find_the_same() {
    // Whole numbers, so that distances are exact; enough of them for the rounded copy to be used.
    let rows = |count| {
        Array2::from_shape_fn((count, 40), |(row, column)| ((row * row * (column + 1) + row * 31) % 211) as f32)
    };
    let (first, all) = (rows(2000), rows(2500));
    for metric in METRICS {
        let mut index = IvfFlatIndex::new(&Device::cpu(), 40, 4, metric).unwrap();
        index.train(first.view()).unwrap();
        index.add(first.view()).unwrap();
        for device in &devices() {
            let mut there = index.to_device(device).unwrap();
            let mut here = index.clone();
            for more in [2000..2000, 2000..2500] {
                if !more.is_empty() {
                    let more = all.slice(s![more, ..]);
                    there.add(more).unwrap();
                    here.add(more).unwrap();
                }
                for k in [10, 160] {
                    let search = Search::new(k).nprobe(3);
                    let found = there.search_with(all.slice(s![..300, ..]), &search).unwrap();
                    let expected = here.search_with(all.slice(s![..300, ..]), &search).unwrap();
                    if metric == Metric::Cosine {
                        let apart = (found.scores() - expected.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                        assert!(apart < 1e-5, "{apart}, k = {k} on {device:?}");
                    } else {
                        assert_eq!(found, expected, "{metric}, k = {k} on {device:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_went_through_a_file_is_reranked_by_the_rows_of_its_identifiers() {
    let rows = clustered(11, 300, 8);
    let queries = rows.slice(s![..9, ..]);
    // Identifiers are not in the order of addition, and rows are given in a third one.
    let ids: Vec<i64> = (0..300).map(|row| row * 7 % 300 + 1000).collect();
    let shuffled: Vec<usize> = (0..300).map(|row| row * 11 % 300).collect();
    let (others, their_ids) = (rows.select(Axis(0), &shuffled), shuffled.iter().map(|&row| ids[row]));
    let their_ids: Vec<i64> = their_ids.collect();
    let search = Search::new(5).nprobe(4);
    for metric in METRICS {
        for factory in ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"] {
            let mut built = Index::new(&Device::cpu(), 8, factory, metric).unwrap();
            built.train(rows.view()).unwrap();
            built.add_with_ids(rows.view(), &ids).unwrap();
            for device in &devices() {
                let what = format!("{factory}, {metric} on {device:?}");
                let index = built.to_device(device).unwrap();
                let exact = index.exact_rows(rows.view()).unwrap();
                let expected = index.search_with(queries, &search.rerank(&exact, 3)).unwrap();
                let reranked = |index: &Index, exact: &ExactRows<'_>| {
                    assert_eq!(index.search_with(queries, &search.rerank(exact, 3)).unwrap(), expected, "{what}");
                };
                reranked(&index, &index.exact_rows_with_ids(others.view(), &their_ids).unwrap());
                let again = Index::from_stored(index.to_stored().unwrap(), device).unwrap();
                reranked(&again, &again.exact_rows_with_ids(others.view(), &their_ids).unwrap());
                let parts = again.to_devices(&[device.clone(), device.clone()], Placement::Sharded).unwrap();
                let exact = parts.exact_rows_with_ids(others.view(), &their_ids).unwrap();
                let in_parts = parts.search_with(queries, &search.rerank(&exact, 3)).unwrap();
                assert_eq!(in_parts, expected, "in parts, {what}");
                if factory.starts_with("IVF") {
                    let array = device.matrix(rows.view()).unwrap();
                    let mut grown = again.clone();
                    grown.remove(|id| id == 1000).unwrap();
                    grown.add(rows.slice(s![..1, ..])).unwrap();
                    let outcomes = [again.exact_rows(rows.view()), again.exact_array(&array)];
                    let others = [parts.exact_rows(rows.view()), grown.exact_rows(rows.view())];
                    for outcome in outcomes.into_iter().chain(others) {
                        let error = outcome.unwrap_err();
                        assert!(matches!(error, Error::Parameter { .. }), "{error:?}, {what}");
                        assert!(error.to_string().contains("exact_rows_with_ids"), "{error}, {what}");
                    }
                } else {
                    reranked(&again, &again.exact_rows(rows.view()).unwrap());
                }
            }
        }
    }
}
