//! In somebody else's GPU pipeline: work in a caller's encoder, results that stay on the GPU, a caller's device, threads.

mod common;

use std::sync::Arc;

use bytemuck::Pod;
use cellprobe::{
    Device, DeviceArray, Index, Metric, Search, Work,
    ops::{self, Codebook, Mask, Places, Ranked, Subset, Table},
    wgpu,
};
use common::{program::*, *};

#[test]
fn a_search_recorded_into_the_callers_encoder_finds_what_plain_search_finds() {
    let rows = rows(1, 300, 8);
    let queries = rows.slice(ndarray::s![..37, ..]).to_owned();
    let descending: Vec<i64> = (0..300).rev().collect();
    for program in &alone() {
        for (factory, metric) in FACTORIES.iter().flat_map(|factory| METRICS.map(|metric| (factory, metric))) {
            for ids in [None, Some(&descending[..])] {
                let index = built(&program.cellprobe, factory, metric, &rows, ids);
                let exact = index.exact_rows(rows.view()).unwrap();
                let on_gpu = program.cellprobe.matrix(queries.view()).unwrap();
                let searches =
                    [Search::new(5).nprobe(3), Search::new(290).nprobe(4), Search::new(5).nprobe(3).rerank(&exact, 4)];
                for (search, k) in searches.into_iter().zip([5, 290, 5]) {
                    let plain = index.search_with(queries.view(), &search).unwrap();
                    let found = program.recorded(|work| index.search_on(work, &on_gpu, &search).unwrap());
                    let found = index.neighbors(&found, k).unwrap();
                    let what = format!("{factory}, {metric}, {search:?} on {:?}", program.cellprobe);
                    if metric == Metric::Cosine {
                        let apart = (found.scores() - plain.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                        assert!(apart < 1e-5, "{what}: {apart}");
                    } else {
                        assert_eq!(found, plain, "{what}");
                    }
                }
            }
        }
    }
}

/// Fails unless `ask` gives the same in the program's encoder as in a submission of the crate's own.
fn check_recorded<T: Pod + PartialEq + std::fmt::Debug + Send + Sync>(
    program: &Program,
    ask: impl Fn(&mut Work) -> DeviceArray<T>,
) {
    let mut work = program.cellprobe.work();
    let expected = ask(&mut work);
    let expected = read(work, expected);
    assert!(!expected.is_empty());
    assert_eq!(program.recorded(&ask), expected, "on {:?}", program.cellprobe);
}

#[test]
fn every_operation_can_be_recorded_into_the_callers_encoder() {
    for program in &alone() {
        let device = &program.cellprobe;
        let mut numbers = Numbers::new(7);
        let rows = upload(device, &numbers.vector(Kind::Even, 90 * 8), 8);
        let queries = upload(device, &numbers.vector(Kind::Even, 6 * 8), 8);
        let labels = upload(device, &numbers.labels(4, 90), 1);
        let centroids = upload(device, &numbers.vector(Kind::Even, 4 * 8), 8);
        let origin = upload(device, &numbers.vector(Kind::Even, 8), 8);
        let codebook = Codebook::new(upload(device, &numbers.vector(Kind::Even, 2 * 16 * 4), 4), 2, 4).unwrap();
        let (offsets, ids) = numbers.lists(4, 90);
        let (positions, ids_there) = (upload(device, &inverse(&ids), 1), upload(device, &ids, 1));
        let lists = upload_lists(device, &offsets, &ids);
        let probes = upload(device, &numbers.probes(Kind::Even, 4, 6, 2), 2);
        let candidates = upload(device, &numbers.probes(Kind::Even, 90, 6, 9), 9);
        let grouping = {
            let mut work = device.work();
            let grouping = ops::group(&mut work, &labels, 4).unwrap();
            work.submit().unwrap();
            grouping
        };
        let (l2, residuals) = (Metric::L2, Some((&centroids, &labels)));
        check_recorded(program, |work| ops::nearest(work, &rows, &centroids, l2).unwrap().distances);
        check_recorded(program, |work| ops::knn(work, &queries, &rows, 5, l2).unwrap());
        check_recorded(program, |work| ops::select(work, &rows, 3).unwrap());
        check_recorded(program, |work| ops::group(work, &labels, 4).unwrap().order);
        check_recorded(program, |work| ops::segment_sums(work, &rows, &grouping).unwrap());
        check_recorded(program, |work| ops::gather(work, &rows, &labels).unwrap());
        check_recorded(program, |work| ops::concat(work, &rows, &queries).unwrap());
        check_recorded(program, |work| ops::normalise(work, &rows).unwrap());
        let is_third = |row: usize| row.is_multiple_of(3);
        let (among, thirds) = (Subset::new(device, 90, is_third).unwrap(), Mask::new(device, 90, is_third).unwrap());
        let masked = lists.masked(thirds.clone());
        check_recorded(program, |work| ops::knn_among(work, &queries, &rows, &among, 5, l2).unwrap());
        check_recorded(program, |work| ops::mask(work, &thirds, &ids_there).unwrap().words().clone());
        check_recorded(program, |work| ops::flat_scan(work, &queries, &rows, None, &masked, &probes, 4, l2).unwrap());
        check_recorded(program, |work| ops::rename(work, &candidates, &positions).unwrap());
        check_recorded(program, |work| ops::rerank(work, &queries, &rows, None, &candidates, 4, l2).unwrap());
        check_recorded(program, |work| {
            let rounded = ops::round(work, &rows, l2).unwrap();
            ops::flat_scan(work, &queries, &rows, Some(&rounded), &lists, &probes, 4, l2).unwrap()
        });
        check_recorded(program, |work| ops::flat_scan(work, &queries, &rows, None, &lists, &probes, 4, l2).unwrap());
        check_recorded(program, |work| ops::pq_encode(work, &rows, &codebook, residuals).unwrap());
        let codes = |work: &mut Work| ops::pq_encode(work, &rows, &codebook, None).unwrap();
        check_recorded(program, |work| {
            let codes = codes(work);
            ops::pq_terms(work, &codes, &codebook, &centroids, &labels, &origin).unwrap()
        });
        check_recorded(program, |work| ops::pq_tables(work, &queries, &codebook, Table::L2).unwrap());
        check_recorded(program, |work| {
            let codes = codes(work);
            ops::pq_interleave(work, &codes, &codebook).unwrap().rows(work).unwrap()
        });
        let scan = |work: &mut Work| {
            let codes = codes(work);
            let codes = ops::pq_interleave(work, &codes, &codebook).unwrap();
            let tables = ops::pq_tables(work, &queries, &codebook, Table::L2).unwrap();
            let found = ops::pq_scan(work, &tables, &codebook, &codes, &lists, None, &probes, false, 4).unwrap();
            (codes, found)
        };
        check_recorded(program, |work| scan(work).1);
        check_recorded(program, |work| {
            let (codes, found) = scan(work);
            ops::pq_rerank(work, &queries, &codebook, &codes, &lists, Places::Known(&positions), &centroids, &found)
                .unwrap()
        });
    }
}

/// The place of each of 0..n.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &number)| places[number as usize] = place as u32);
    places
}

#[test]
fn what_is_recorded_goes_with_others_in_one_submission() {
    let rows = rows(9, 40, 4);
    for program in &alone() {
        let index = built(&program.cellprobe, "IVF4,PQ2x4", Metric::L2, &rows, None);
        let queries = program.cellprobe.matrix(rows.view()).unwrap();
        let searches = [Search::new(3), Search::new(2).nprobe(4)];
        let plain = searches.map(|search| index.search_with(rows.view(), &search).unwrap());
        let before = program.cellprobe.counters().submissions;
        let mut found = vec![];
        let mut commands = vec![];
        for search in &searches {
            let mut work = program.cellprobe.work();
            found.push(index.search_on(&mut work, &queries, search).unwrap());
            commands.push(work.finish().unwrap());
        }
        program.queue.submit(commands);
        for ((plain, found), k) in plain.iter().zip(&found).zip([3, 2]) {
            let found = program.read::<Ranked>(program.encoder(), found.wgpu_rows());
            assert_eq!(program.cellprobe.counters().submissions, before);
            assert_eq!(index.neighbors(&found, k).unwrap(), *plain);
        }
    }
}

#[test]
fn an_index_of_rows_on_the_device_is_the_one_of_uploads() {
    let rows = rows(10, 120, 8);
    let ids: Vec<i64> = (0..120).map(|row| (row * 77) % 120).collect();
    for device in &devices() {
        for (factory, metric) in FACTORIES.iter().flat_map(|factory| METRICS.map(|metric| (factory, metric))) {
            let what = format!("{factory}, {metric} on {device:?}");
            let mut index = Index::new(&Device::cpu(), 8, factory, metric).unwrap();
            index.train(rows.view()).unwrap();
            let mut index = index.to_device(device).unwrap();
            let mut plain = index.clone();
            for part in [0..70, 70..70, 70..120] {
                let (rows, ids) = (rows.slice(ndarray::s![part.clone(), ..]), &ids[part]);
                index.add_array(&device.matrix(rows).unwrap(), Some(ids)).unwrap();
                plain.add_with_ids(rows, ids).unwrap();
            }
            let array = device.matrix(rows.view()).unwrap();
            let [found, expected] = [&index, &plain].map(|index| {
                let exact = index.exact_array(&array).unwrap();
                index.search_with(rows.view(), &Search::new(9).nprobe(3).rerank(&exact, 2)).unwrap()
            });
            if metric == Metric::Cosine && device.is_gpu() {
                let apart = (found.scores() - expected.scores()).into_iter().map(f32::abs).fold(0.0, f32::max);
                assert!(apart < 1e-5, "{what}: {apart}");
            } else {
                assert_eq!(found, expected, "{what}");
                assert_eq!(index.to_stored().unwrap(), plain.to_stored().unwrap(), "{what}");
            }
            assert_eq!((index.id_of(1), index.id_of(120)), (Some(77), None), "{what}");
        }
    }
}

#[test]
fn fewer_than_k_are_padded_wherever_the_search_runs() {
    let rows = rows(11, 6, 4);
    let queries = rows.slice(ndarray::s![..3, ..]);
    for device in &devices() {
        for factory in ["Flat", "PQ2x4", "IVF4,Flat", "IVF4,PQ2x4"] {
            let mut index = Index::new(&Device::cpu(), 4, factory, Metric::L2).unwrap();
            index.train(self::rows(12, 40, 4).view()).unwrap();
            let mut index = index.to_device(device).unwrap();
            let on_device = device.matrix(queries).unwrap();
            let search = Search::new(300).nprobe(4);
            let find = |index: &Index| {
                let mut work = device.work();
                let found = index.search_on(&mut work, &on_device, &search).unwrap();
                assert_eq!((found.rows(), found.columns()), (3, 300), "{factory} on {device:?}");
                read(work, found)
            };
            assert!(find(&index).iter().all(|found| found.is_none()), "{factory} on {device:?}");
            index.add(rows.view()).unwrap();
            let found = index.neighbors(&find(&index), 300).unwrap();
            assert_eq!(found, index.search_with(queries, &search).unwrap(), "{factory} on {device:?}");
            let none = device.upload(vec![], 4).unwrap();
            let mut work = device.work();
            assert_eq!(index.search_on(&mut work, &none, &search).unwrap().rows(), 0);
        }
    }
}

#[test]
fn a_query_that_is_not_finite_leaves_the_others_alone() {
    let rows = rows(13, 300, 8);
    let mut queries = rows.slice(ndarray::s![..80, ..]).to_owned();
    queries.row_mut(3).fill(f32::NAN);
    queries[[40, 2]] = f32::INFINITY;
    queries[[41, 7]] = f32::MAX;
    for program in &programs() {
        for factory in FACTORIES {
            let index = built(&program.cellprobe, factory, Metric::L2, &rows, None);
            let asked = laid_out_as_is(program, queries.view());
            let search = Search::new(4).nprobe(2);
            let found = program.recorded(|work| {
                let queries = ops::cast(work, &asked).unwrap();
                index.search_on(work, &queries, &search).unwrap()
            });
            let found = index.neighbors(&found, 4).unwrap();
            let expected = index.search_with(rows.slice(ndarray::s![..80, ..]), &search).unwrap();
            for query in (0..80).filter(|query| ![3, 40, 41].contains(query)) {
                assert_eq!(found.row(query), expected.row(query), "{factory}, {query} on {:?}", program.cellprobe);
            }
        }
    }
}

#[test]
fn the_least_and_the_best_limits_are_enough_to_be_used() {
    let rows = rows(16, 200, 8);
    for adapter in own_adapters() {
        let least = Device::least_limits();
        let expected = (8, 256, 16_384);
        assert_eq!(
            expected,
            (
                least.max_storage_buffers_per_shader_stage,
                least.max_compute_invocations_per_workgroup,
                least.max_compute_workgroup_storage_size
            )
        );
        let (best, features) = (Device::required_limits(&adapter), Device::required_features(&adapter));
        let opened = [(least, wgpu::Features::empty()), (best, features)].map(|(limits, features)| {
            let (own, queue) = own_device(&adapter, &limits, features);
            Program::new(own, queue)
        });
        for program in &opened {
            for factory in FACTORIES {
                let index = built(&program.cellprobe, factory, Metric::L2, &rows, None);
                let queries = laid_out(program, rows.view(), (256, Some(50), true));
                let search = Search::new(280).nprobe(3);
                let found = program.recorded(|work| {
                    let queries = ops::cast(work, &queries).unwrap();
                    index.search_on(work, &queries, &search).unwrap()
                });
                let found = index.neighbors(&found, 280).unwrap();
                assert_eq!(found, index.search_with(rows.view(), &search).unwrap(), "{factory}");
            }
        }
        let ours = gpus().into_iter().find(|device| device.name() == opened[1].cellprobe.name()).unwrap();
        assert_eq!(opened[1].cellprobe.variant(), ours.variant(), "as fast as a device of the crate's own");
    }
}

#[test]
fn threads_search_one_index_at_once() {
    let rows = rows(17, 200, 8);
    let asked = rows.slice(ndarray::s![..20, ..]);
    for program in &programs() {
        for factory in FACTORIES {
            let index = Arc::new(built(&program.cellprobe, factory, Metric::L2, &rows, None));
            let queries = program.cellprobe.matrix(asked).unwrap();
            let search = Search::new(6).nprobe(2);
            let expected = index.search_with(asked, &search).unwrap();
            let ask = |thread: usize| {
                let index = Arc::clone(&index);
                for _ in 0..3 {
                    let found = if thread.is_multiple_of(2) {
                        index.search_with(asked, &search).unwrap()
                    } else {
                        let mut work = program.cellprobe.work();
                        let found = index.search_on(&mut work, &queries, &search).unwrap();
                        let mut encoder = program.encoder();
                        work.record(&mut encoder).unwrap();
                        index.neighbors(&program.read(encoder, found.wgpu_rows()), 6).unwrap()
                    };
                    assert_eq!(found, expected, "{factory} in thread {thread} on {:?}", program.cellprobe);
                }
            };
            std::thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(move || ask(thread)))));
        }
    }
}
