//! What cannot be is refused with an error of its own, and leaves the index as it was.

mod common;

use std::sync::OnceLock;

use cellprobe::{
    Device, Error, FlatIndex, Index, IvfFlatIndex, IvfPqIndex, Metric, PqIndex, Search,
    device::Cancel,
    index::{ExactRows, Training},
    ops,
};
use common::devices;
use ndarray::{Array2, s};

const DIMENSION: usize = 6;

const FACTORIES: [&str; 4] = ["Flat", "PQ3x4", "IVF4,Flat", "IVF4,PQ3x4"];

fn rows(count: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, DIMENSION), |(row, column)| ((row * 7 + column * 5) % 23) as f32 - 11.0)
}

/// Every kind of index with 40 rows.
fn indexes(device: &Device) -> Vec<Index> {
    static TRAINED: OnceLock<Vec<Index>> = OnceLock::new();
    let trained = TRAINED.get_or_init(|| FACTORIES.map(|factory| trained(factory, Metric::L2)).into());
    let filled = |index: &Index| {
        let mut index = index.to_device(device).unwrap();
        index.add(rows(40).view()).unwrap();
        index
    };
    trained.iter().map(filled).collect()
}

/// An index without rows on the CPU.
fn trained(factory: &str, metric: Metric) -> Index {
    let mut index = Index::new(&Device::cpu(), DIMENSION, factory, metric).unwrap();
    index.train(rows(60).view()).unwrap();
    index
}

/// Fails unless every `attempt` on every kind of index on every device gives an error that is `expected`, and leaves
/// the index as it was.
fn refused(attempt: impl Fn(&mut Index) -> cellprobe::Result<()>, expected: impl Fn(&Error) -> bool) {
    for device in &devices() {
        for mut index in indexes(device) {
            let before = index.to_stored().unwrap();
            let answers = index.search(rows(2).view(), 5).unwrap();
            let what = format!("{} on {device:?}", index.factory());
            match attempt(&mut index) {
                Ok(()) => panic!("{what}: nothing was refused"),
                Err(error) => assert!(expected(&error), "{what}: {error:?}"),
            }
            assert_eq!(index.to_stored().unwrap(), before, "{what}");
            assert_eq!(index.search(rows(2).view(), 5).unwrap(), answers, "{what}");
        }
    }
}

#[test]
fn numbers_that_are_not_finite() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut poisoned = rows(9);
        poisoned[[7, 4]] = bad;
        let is_there = |error: &Error| matches!(error, Error::NotFinite { row: 7, column: 4, .. });
        refused(|index| index.add(poisoned.view()), is_there);
        refused(|index| index.search(poisoned.view(), 3).map(drop), is_there);
        refused(
            |index| {
                let mut all = rows(40);
                all[[7, 4]] = bad;
                index.exact_rows(all.view()).map(drop)
            },
            is_there,
        );
    }
}

#[test]
fn training_rows_that_do_not_do() {
    let mut poisoned = rows(60);
    poisoned[[3, 2]] = f32::NAN;
    for device in &devices() {
        for factory in ["PQ3x4", "IVF4,Flat", "IVF4,PQ3x4", "Flat"] {
            let mut index = Index::new(device, DIMENSION, factory, Metric::L2).unwrap();
            let before = index.to_stored().unwrap();
            let mut refused = |rows: &Array2<f32>| {
                let error = index.train(rows.view()).unwrap_err();
                assert_eq!(index.to_stored().unwrap(), before, "{factory} on {device:?}");
                error
            };
            assert!(matches!(refused(&poisoned), Error::NotFinite { row: 3, column: 2, .. }));
            assert!(matches!(refused(&Array2::zeros((60, 5))), Error::Dimension { expected: 6, found: 5, .. }));
            assert!(matches!(refused(&Array2::zeros((60, 0))), Error::Dimension { expected: 6, found: 0, .. }));
            if factory == "Flat" {
                continue;
            }
            let centroids = if factory.starts_with("PQ") { 16 } else { 4 };
            for points in [0, 1, centroids - 1] {
                let error = refused(&rows(points));
                assert!(
                    matches!(error, Error::TooFewPoints { points: found, centroids: wanted }
                        if found == points && wanted == centroids),
                    "{factory}: {error:?}"
                );
            }
        }
        // Enough for the lists, too few for the codebook.
        let mut index = IvfPqIndex::new(device, DIMENSION, 4, 3, 4, Metric::L2).unwrap();
        let error = index.train(rows(15).view()).unwrap_err();
        assert!(matches!(error, Error::TooFewPoints { points: 15, centroids: 16 }), "{error:?}");
        assert!(!index.is_trained());
    }
}

#[test]
fn training_options_of_zero() {
    for device in &devices() {
        for training in [Training::default().iterations(0), Training::default().max_points_per_centroid(0)] {
            let mut index = IvfPqIndex::new(device, DIMENSION, 4, 3, 4, Metric::L2).unwrap();
            let error = index.train_with(rows(60).view(), &training).unwrap_err();
            assert!(matches!(error, Error::Parameter { .. }), "{error:?}");
            assert!(!index.is_trained());
        }
    }
}

#[test]
fn an_index_with_rows_is_not_trained_again() {
    refused(
        |index| index.train(rows(60).view()),
        |error| matches!(error, Error::Parameter { name: "rows in the index to train", .. }),
    );
}

#[test]
fn rows_of_another_dimension() {
    for columns in [0, DIMENSION - 1, DIMENSION + 1] {
        let other = Array2::zeros((3, columns));
        let is_there =
            |error: &Error| matches!(error, Error::Dimension { expected: 6, found, .. } if *found == columns);
        refused(|index| index.add(other.view()), is_there);
        refused(|index| index.search(other.view(), 3).map(drop), is_there);
        refused(|index| index.exact_rows(other.view()).map(drop), is_there);
    }
}

#[test]
fn searches_of_zero() {
    let named =
        |wanted: &'static str| move |error: &Error| matches!(error, Error::Parameter { name, .. } if *name == wanted);
    refused(|index| index.search(rows(2).view(), 0).map(drop), named("k"));
    refused(|index| index.search_with(rows(2).view(), &Search::new(3).nprobe(0)).map(drop), named("nprobe"));
    refused(
        |index| {
            let exact = index.exact_rows(rows(40).view())?;
            index.search_with(rows(2).view(), &Search::new(3).rerank(&exact, 0)).map(drop)
        },
        named("rerank factor"),
    );
    for mut index in indexes(&Device::cpu()) {
        match index.lists() {
            Some(lists) => {
                assert!(matches!(index.set_nprobe(0), Err(Error::Parameter { name: "nprobe", .. })));
                assert_eq!(index.lists(), Some(lists));
            }
            None => index.set_nprobe(0).unwrap(),
        }
    }
}

#[test]
fn an_untrained_index() {
    for device in &devices() {
        for factory in ["PQ3x4", "IVF4,Flat", "IVF4,PQ3x4"] {
            let mut index = Index::new(device, DIMENSION, factory, Metric::L2).unwrap();
            assert!(matches!(index.add(rows(3).view()), Err(Error::NotTrained { .. })), "{factory} on {device:?}");
            assert!(
                matches!(index.search(rows(3).view(), 1), Err(Error::NotTrained { .. })),
                "{factory} on {device:?}"
            );
            assert_eq!((index.ntotal(), index.is_trained()), (0, false));
        }
    }
}

#[test]
fn identifiers_that_do_not_do() {
    let with_ids = |ids: &[i64]| {
        let ids = ids.to_vec();
        move |index: &mut Index| {
            index.add_with_ids(rows(3).view(), &[100, 101, 102])?;
            let before = index.to_stored()?;
            let outcome = index.add_with_ids(rows(3).view(), &ids);
            assert_eq!(index.to_stored()?, before);
            outcome
        }
    };
    let attempt = |ids: &[i64], expected: &dyn Fn(&Error) -> bool| {
        for device in &devices() {
            for mut index in indexes(device) {
                let error = with_ids(ids)(&mut index).unwrap_err();
                assert!(expected(&error), "{} on {device:?}: {error:?}", index.factory());
                assert_eq!(index.ntotal(), 43);
            }
        }
    };
    attempt(&[200, 201, 200], &|error| matches!(error, Error::DuplicateId { id: 200 }));
    attempt(&[200, 101, 201], &|error| matches!(error, Error::DuplicateId { id: 101 }));
    attempt(&[200, 39, 201], &|error| matches!(error, Error::DuplicateId { id: 39 }));
    attempt(&[200, -1, 201], &|error| matches!(error, Error::Parameter { name: "id", .. }));
    attempt(&[200, i64::MIN, 201], &|error| matches!(error, Error::Parameter { name: "id", .. }));
    attempt(&[200, 201], &|error| matches!(error, Error::Length { expected: 3, found: 2, .. }));
    attempt(&[200, 201, 202, 203], &|error| matches!(error, Error::Length { expected: 3, found: 4, .. }));
}

#[test]
fn numbers_go_on_above_the_identifiers_that_were_given() {
    for device in &devices() {
        let mut index = FlatIndex::new(device, DIMENSION, Metric::L2).unwrap();
        index.add_with_ids(rows(2).view(), &[3, 9]).unwrap();
        index.add(rows(2).view()).unwrap();
        let ids = |index: &FlatIndex| {
            let mut ids =
                index.search(rows(1).view(), 9).unwrap().row(0).iter().map(|found| found.id).collect::<Vec<_>>();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(&index), [3, 9, 10, 11], "{device:?}");
        index.remove(|id| id == 9).unwrap();
        index.add(rows(1).view()).unwrap();
        assert_eq!(ids(&index), [3, 10, 11, 12], "{device:?}");
        index.add_with_ids(rows(1).view(), &[i64::MAX]).unwrap();
        assert!(matches!(index.add(rows(1).view()), Err(Error::Limit { .. })), "{device:?}");
        assert_eq!(index.ntotal(), 5);
    }
}

#[test]
fn sizes_that_do_not_fit() {
    let refused = |outcome: cellprobe::Result<()>, wanted: &str| match outcome {
        Err(Error::Parameter { name, .. }) => assert_eq!(name, wanted),
        other => panic!("{wanted}: {other:?}"),
    };
    let cpu = &Device::cpu();
    for metric in [Metric::L2, Metric::Cosine] {
        refused(FlatIndex::new(cpu, 0, metric).map(drop), "dimension");
        refused(PqIndex::new(cpu, 0, 1, 8, metric).map(drop), "dimension");
        refused(IvfFlatIndex::new(cpu, 0, 4, metric).map(drop), "dimension");
        refused(IvfPqIndex::new(cpu, 0, 4, 1, 8, metric).map(drop), "dimension");
        for m in [0, 4, 7] {
            refused(PqIndex::new(cpu, DIMENSION, m, 8, metric).map(drop), "M");
            refused(IvfPqIndex::new(cpu, DIMENSION, 4, m, 8, metric).map(drop), "M");
        }
        for nbits in [0, 3, 9, 64, usize::MAX] {
            refused(PqIndex::new(cpu, DIMENSION, 3, nbits, metric).map(drop), "nbits");
            refused(IvfPqIndex::new(cpu, DIMENSION, 4, 3, nbits, metric).map(drop), "nbits");
        }
        refused(IvfFlatIndex::new(cpu, DIMENSION, 0, metric).map(drop), "nlist");
        refused(IvfPqIndex::new(cpu, DIMENSION, 0, 3, 8, metric).map(drop), "nlist");
        for factory in ["HNSW32", "IVF0,Flat", "PQ4x8", "PQ3x12", ""] {
            assert!(matches!(Index::new(cpu, DIMENSION, factory, metric), Err(Error::Parameter { .. })), "{factory}");
        }
    }
}

#[test]
fn rows_to_rerank_by_that_are_not_the_indexes_own() {
    refused(
        |index| index.exact_rows(rows(39).view()).map(drop),
        |error| matches!(error, Error::Length { expected: 40, found: 39, .. }),
    );
    let searched = |index: &Index, exact: &ExactRows<'_>| {
        index.search_with(rows(2).view(), &Search::new(3).rerank(exact, 2)).map(drop)
    };
    let is_of_others = |error: &Error| matches!(error, Error::Parameter { name: "rows to re-rank by", .. });
    // Rows came, or one came and another went.
    for went in [-1, 7] {
        refused(
            |index| {
                let before = index.exact_rows(rows(40).view())?;
                let mut changed = index.clone();
                changed.remove(|id| id == went)?;
                changed.add(rows(1).view())?;
                searched(&changed, &before)
            },
            is_of_others,
        );
    }
    refused(
        |index| {
            let mut other = FlatIndex::new(index.device(), DIMENSION, Metric::L2)?;
            other.add(rows(40).view())?;
            searched(index, &other.exact_rows(rows(40).view())?)
        },
        is_of_others,
    );
    let all = devices();
    for pair in all.windows(2) {
        for (mine, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            for index in indexes(mine) {
                let exact = index.to_device(other).unwrap().exact_rows(rows(40).view()).unwrap();
                assert!(matches!(searched(&index, &exact), Err(Error::OtherDevice { .. })), "{mine:?} and {other:?}");
            }
        }
    }
}

#[test]
fn identifiers_of_rows_to_rerank_by_that_are_not_the_indexes_own() {
    let exact = |ids: Vec<i64>| move |index: &mut Index| index.exact_rows_with_ids(rows(40).view(), &ids).map(drop);
    refused(exact((0..39).collect()), |error| matches!(error, Error::Length { expected: 40, found: 39, .. }));
    refused(exact((1..41).collect()), |error| matches!(error, Error::Parameter { value, .. } if value == "without 0"));
    refused(exact((0..39).chain([7]).collect()), |error| matches!(error, Error::DuplicateId { id: 7 }));
    refused(
        |index| index.exact_rows_with_ids(rows(39).view(), &(0..40).collect::<Vec<_>>()).map(drop),
        |error| matches!(error, Error::Length { expected: 40, found: 39, .. }),
    );
}

#[test]
fn watchers_of_a_search_whose_results_stay_on_the_device() {
    let (cancel, tell) = (Cancel::default(), |_: usize, _: usize| {});
    for search in [Search::new(3).cancelled_by(&cancel), Search::new(3).progress(&tell)] {
        refused(
            |index| {
                let device = index.device().clone();
                index.search_on(&mut device.work(), &device.matrix(rows(2).view())?, &search).map(drop)
            },
            |error| matches!(error, Error::Parameter { .. }),
        );
    }
}

#[test]
fn arrays_of_another_device() {
    let all = devices();
    for pair in all.windows(2) {
        for (mine, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let here = mine.matrix(rows(8).view()).unwrap();
            let there = other.matrix(rows(8).view()).unwrap();
            let is_refused = |outcome: cellprobe::Result<()>| {
                assert!(matches!(outcome, Err(Error::OtherDevice { .. })), "{mine:?} and {other:?}: {outcome:?}");
            };
            is_refused(ops::knn(&mut mine.work(), &here, &there, 3, Metric::L2).map(drop));
            is_refused(ops::knn(&mut mine.work(), &there, &here, 3, Metric::L2).map(drop));
            is_refused(ops::nearest(&mut mine.work(), &there, &here, Metric::L2).map(drop));
            is_refused(ops::concat(&mut mine.work(), &here, &there).map(drop));
            is_refused(pollster::block_on(mine.work().read(there)).map(drop));
        }
    }
}

#[test]
fn nothing_is_nothing() {
    let none = Array2::zeros((0, DIMENSION));
    for device in &devices() {
        for mut index in indexes(device) {
            let before = index.to_stored().unwrap();
            index.add(none.view()).unwrap();
            index.add_with_ids(none.view(), &[]).unwrap();
            assert_eq!(index.to_stored().unwrap(), before, "{} on {device:?}", index.factory());
            let found = index.search(none.view(), 5).unwrap();
            assert_eq!((found.queries(), found.ids().dim()), (0, (0, 5)));
            assert!(found.row(0).is_empty());
        }
        for factory in FACTORIES {
            let index = trained(factory, Metric::InnerProduct).to_device(device).unwrap();
            let found = index.search(rows(2).view(), 3).unwrap();
            assert_eq!(found.queries(), 2);
            assert!(found.rows().all(<[_]>::is_empty), "an empty {factory} on {device:?}");
            assert!(found.ids().iter().all(|&id| id == -1));
            let exact = index.exact_rows(none.view()).unwrap();
            let found = index.search_with(rows(2).slice(s![..1, ..]), &Search::new(3).rerank(&exact, 2)).unwrap();
            assert_eq!((found.queries(), found.row(0).len()), (1, 0));
        }
    }
}
