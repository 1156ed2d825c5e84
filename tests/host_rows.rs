//! Candidates are re-ranked by rows that stay in the host's memory or in a file as by rows on the device, to the bit.

#[allow(dead_code, reason = "what is found is compared with another search alone")]
mod cases;
mod common;

use std::{
    fs,
    ops::Range,
    sync::{Arc, Mutex},
};

use cases::{Built, METRICS, cases};
use cellprobe::{
    Device, Error, Index, Metric, Search, StreamedIndex,
    device::Cancel,
    index::{ExactRows, Filter, Placement},
    storage::{RowSource, VectorFile, write_vectors},
};
use common::{Kind, Numbers, devices};
use ndarray::{Array2, ArrayView2, Axis, s};
use proptest::prelude::*;

/// An index in pieces of a few rows.
fn in_pieces<'a>(index: &Index, device: &Device) -> StreamedIndex<'a> {
    (8..40).find_map(|shift| index.streamed_to(device, 1_u64 << shift).ok()).unwrap()
}

fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Even, count * columns)).unwrap()
}

/// An index of codes of `rows`.
fn coded(factory: &str, rows: &Array2<f32>, metric: Metric, device: &Device) -> Index {
    let mut index = Index::new(&Device::cpu(), rows.ncols(), factory, metric).unwrap();
    index.train(rows.view()).unwrap();
    let mut index = index.to_device(device).unwrap();
    index.add(rows.view()).unwrap();
    index
}

fn filtered_by<'a>(search: Search<'a>, filter: Option<&'a Filter>) -> Search<'a> {
    filter.map_or(search, |filter| search.filter(filter))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_index_finds_the_same(
        case in cases(), factor in 1..4_usize, turn in 0..400_usize, filtered: bool, radius in prop::option::of(-5.0..50.0_f32),
    ) {
        let built = Built::new(case);
        let mut search = built.case.search();
        if let Some(radius) = radius {
            search = search.within(radius);
        }
        // The rows in another order, with their identifiers.
        let count = built.rows.nrows();
        let order: Vec<usize> = (0..count).map(|place| (place + turn) % count).collect();
        let (queries, view, turned) = (built.queries.view(), built.rows.view(), built.rows.select(Axis(0), &order));
        let turned = turned.view();
        let accepts = |id: i64| id % 3 > 0;
        for device in &built.case.devices() {
            let index = built.index(device);
            let ids: Vec<i64> = order.iter().filter_map(|&row| index.id_of(row as u32)).collect();
            let sources: [Given<'_>; 2] = [(&view, None), (&turned, Some(&ids))];
            let exact = index.exact_rows(view).unwrap();
            let filter = filtered.then(|| index.filter(accepts).unwrap());
            let of_accepted = filtered_by(search, filter.as_ref());
            let expected = index.search_with(queries, &of_accepted.rerank(&exact, factor)).unwrap();
            for (rows, ids) in sources {
                let exact = index.exact_rows_from(rows, ids).unwrap();
                let found = index.search_with(queries, &of_accepted.rerank(&exact, factor)).unwrap();
                prop_assert_eq!(&found, &expected, "{:?}", index);

                let streamed = in_pieces(&index, device);
                let exact = streamed.exact_rows_from(rows, ids).unwrap();
                let filter = filtered.then(|| streamed.filter(accepts));
                let of_accepted = filtered_by(search, filter.as_ref());
                let found = streamed.search_with(queries, &of_accepted.rerank(&exact, factor)).unwrap();
                // A GPU's filtered search of vectors may add up in another order, which decides on the last candidate.
                if !(filtered && device.is_gpu() && built.case.kind == cases::Kind::Flat) {
                    prop_assert_eq!(&found, &expected, "{:?}", streamed);
                }

                for placement in [Placement::Sharded, Placement::Replicated] {
                    let parts = index.to_devices(&vec![device.clone(); 3], placement).unwrap();
                    let filter = filtered.then(|| parts.filter(accepts).unwrap());
                    let search = filtered_by(search, filter.as_ref());
                    let exact = parts.exact_rows_from(rows, ids).unwrap();
                    let found = parts.search_with(queries, &search.rerank(&exact, factor)).unwrap();
                    let exact = parts.exact_rows(view).unwrap();
                    prop_assert_eq!(found, parts.search_with(queries, &search.rerank(&exact, factor)).unwrap());
                }
            }
        }
    }
}

#[test]
fn an_index_behind_a_transform_compares_what_came_in() {
    let rows = rows(1, 1200, 12);
    let (view, queries) = (rows.view(), rows.slice(s![..90, ..]));
    for device in &devices() {
        for metric in METRICS {
            let index = coded("RR8,IVF9,PQ4x4", &rows, metric, device);
            let exact = index.exact_rows(view).unwrap();
            let search = Search::new(5).nprobe(4);
            let expected = index.search_with(queries, &search.rerank(&exact, 7)).unwrap();
            let streamed = index.streamed_to(device, 30_000).unwrap();
            let exact = streamed.exact_rows_from(&view, None).unwrap();
            assert!(streamed.pieces() > 2, "{streamed:?}");
            assert_eq!(streamed.search_with(queries, &search.rerank(&exact, 7)).unwrap(), expected, "{streamed:?}");
        }
    }
}

/// Rows that remember what of them was read.
struct Watched<'a>(ArrayView2<'a, f32>, Arc<Mutex<Vec<Range<usize>>>>);

impl RowSource for Watched<'_> {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn columns(&self) -> usize {
        self.0.ncols()
    }

    fn read(&self, rows: Range<usize>) -> cellprobe::Result<Vec<f32>> {
        self.1.lock().unwrap().push(rows.clone());
        self.0.read(rows)
    }
}

#[test]
fn rows_near_candidates_alone_are_read_once_and_in_order() {
    let rows = rows(2, 5000, 16);
    let queries = rows.slice(s![..20, ..]);
    for device in &devices() {
        let index = coded("PQ4x4", &rows, Metric::L2, device);
        let reads = Arc::default();
        let watched = Watched(rows.view(), Arc::clone(&reads));
        let streamed = index.streamed_to(device, 200_000).unwrap();
        let exact = streamed.exact_rows_from(&watched, None).unwrap();
        streamed.search_with(queries, &Search::new(1).rerank(&exact, 5)).unwrap();
        let reads = reads.lock().unwrap();
        assert!(reads.windows(2).all(|pair| pair[0].end <= pair[1].start), "{reads:?}");
        let read: usize = reads.iter().map(ExactSizeIterator::len).sum();
        // Of 20 queries 100 candidates at most, and at most 15 rows between two of them.
        assert!((20..1600).contains(&read), "{read} rows of {device:?}");
    }
}

#[test]
fn little_memory_takes_more_reads_and_finds_the_same() {
    let rows = rows(3, 900, 8);
    let (view, queries) = (rows.view(), rows.slice(s![..100, ..]));
    for device in &devices() {
        let index = coded("PQ4x4", &rows, Metric::InnerProduct, device);
        let exact = index.exact_rows(view).unwrap();
        let search = Search::new(40);
        let expected = index.search_with(queries, &search.rerank(&exact, 4)).unwrap();
        let mut counts = vec![];
        for memory in [20_000, 400_000] {
            let reads = Arc::default();
            let watched = Watched(view, Arc::clone(&reads));
            let streamed = index.streamed_to(device, memory).unwrap();
            let exact = streamed.exact_rows_from(&watched, None).unwrap();
            let found = streamed.search_with(queries, &search.rerank(&exact, 4)).unwrap();
            assert_eq!(found, expected, "{streamed:?}");
            counts.push(reads.lock().unwrap().len());
        }
        // Two queries at a time, and 208 rows; all at once.
        assert!(counts[0] > 100 && counts[1] < 30, "{counts:?} reads on {device:?}");
    }
}

#[test]
fn a_file_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Array2::from_shape_fn((700, 8), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
    for device in &devices() {
        let index = coded("IVF7,PQ4x4", &rows, Metric::Cosine, device);
        let exact = index.exact_rows(rows.view()).unwrap();
        let search = Search::new(4).nprobe(3);
        let expected = index.search_with(rows.view(), &search.rerank(&exact, 6)).unwrap();
        for name in ["rows.npy", "rows.fvecs", "rows.bvecs"] {
            let path = folder.path().join(name);
            write_vectors(&path, rows.view(), true).unwrap();
            let file = VectorFile::open(&path).unwrap();
            let exact = index.exact_rows_from(&file, None).unwrap();
            let found = index.search_with(rows.view(), &search.rerank(&exact, 6)).unwrap();
            assert_eq!(found, expected, "{name} on {device:?}");
            // Cut off while it is open.
            let length = fs::metadata(&path).unwrap().len();
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            let error = index.search_with(rows.view(), &search.rerank(&exact, 6)).unwrap_err();
            assert!(matches!(&error, Error::File { path, .. } if path.ends_with(name)), "{error}");
        }
    }
}

type Given<'a> = (&'a dyn RowSource, Option<&'a [i64]>);

#[test]
fn what_cannot_be_is_an_error() {
    let rows = rows(4, 60, 8);
    let view = rows.view();
    let ids: Vec<i64> = (0..60).collect();
    for device in &devices() {
        let mut index = coded("PQ2x4", &rows, Metric::L2, device);
        let streamed = index.streamed_to(device, 1 << 20).unwrap();
        let parts = index.to_devices(&[device.clone(), device.clone()], Placement::Sharded).unwrap();
        let (narrow, few) = (rows.slice(s![.., ..7]), rows.slice(s![..59, ..]));
        let mut twice = ids.clone();
        twice[3] = 4;
        let others: Vec<i64> = (1..61).collect();
        let given = |rows: Given<'_>| {
            [
                index.exact_rows_from(rows.0, rows.1).map(|_| ()).unwrap_err(),
                streamed.exact_rows_from(rows.0, rows.1).map(|_| ()).unwrap_err(),
                parts.exact_rows_from(rows.0, rows.1).map(|_| ()).unwrap_err(),
            ]
        };
        let all = |errors: [Error; 3], right: fn(&Error) -> bool| assert!(errors.iter().all(right), "{errors:?}");
        all(given((&narrow, None)), |error| matches!(error, Error::Dimension { expected: 8, found: 7, .. }));
        all(given((&few, None)), |error| matches!(error, Error::Length { expected: 60, found: 59, .. }));
        all(given((&few, Some(&ids))), |error| matches!(error, Error::Length { expected: 60, found: 59, .. }));
        all(given((&view, Some(&ids[1..]))), |error| matches!(error, Error::Length { expected: 60, found: 59, .. }));
        all(given((&view, Some(&twice))), |error| matches!(error, Error::DuplicateId { id: 4 }));
        all(given((&view, Some(&others))), |error| matches!(error, Error::Parameter { .. }));

        // Of another index, or of a version of it before rows came.
        let exact = index.exact_rows_from(&view, None).unwrap();
        let wrong = |found: cellprobe::Result<_>| assert!(matches!(found, Err(Error::Parameter { .. })), "{found:?}");
        wrong(streamed.search_with(view, &Search::new(1).rerank(&exact, 2)));
        wrong(parts.search_with(view, &Search::new(1).rerank(&exact, 2)));
        wrong(index.search_with(view, &Search::new(1).rerank(&exact, 0)));
        let queries = device.upload(vec![0.0_f32; 8], 8).unwrap();
        let staying = index.search_on(&mut device.work(), &queries, &Search::new(1).rerank(&exact, 2));
        assert!(matches!(staying, Err(Error::Parameter { .. })));
        index.add(view).unwrap();
        wrong(index.search_with(view, &Search::new(1).rerank(&exact, 2)));

        let mut broken = rows.clone();
        broken[[40, 1]] = f32::NAN;
        let broken = broken.view();
        let exact = streamed.exact_rows_from(&broken, None).unwrap();
        let found = streamed.search_with(view, &Search::new(1).rerank(&exact, 60));
        assert!(matches!(found, Err(Error::NotFinite { row: 40, column: 1, .. })), "{found:?}");
    }
}

/// Rows whose reading cancels the search that reads them.
struct Cancelling<'a>(ArrayView2<'a, f32>, &'a Cancel);

impl RowSource for Cancelling<'_> {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn columns(&self) -> usize {
        self.0.ncols()
    }

    fn read(&self, rows: Range<usize>) -> cellprobe::Result<Vec<f32>> {
        self.1.cancel();
        self.0.read(rows)
    }
}

#[test]
fn re_ranking_is_told_of_and_can_be_cancelled() {
    let rows = rows(5, 400, 8);
    let view = rows.view();
    for device in &devices() {
        let index = coded("PQ4x4", &rows, Metric::L2, device);
        let streamed = index.streamed_to(device, 20_000).unwrap();
        let exact = streamed.exact_rows_from(&view, None).unwrap();
        let told: Mutex<Vec<(usize, usize)>> = Mutex::default();
        let tell = |done: usize, of: usize| told.lock().unwrap().push((done, of));
        let search = Search::new(3).rerank(&exact, 20);
        let found = streamed.search_with(view, &search.progress(&tell)).unwrap();
        let steps = streamed.pieces() + 1;
        assert_eq!(told.into_inner().unwrap(), (1..=steps).map(|done| (done, steps)).collect::<Vec<_>>());
        assert_eq!(found, streamed.search_with(view, &search).unwrap(), "{streamed:?}");

        let cancel = Cancel::default();
        let cancelling = Cancelling(view, &cancel);
        let exact = streamed.exact_rows_from(&cancelling, None).unwrap();
        let search = Search::new(3).rerank(&exact, 20).cancelled_by(&cancel);
        assert!(matches!(streamed.search_with(view, &search), Err(Error::Cancelled)), "{streamed:?}");
    }
}

#[test]
fn rows_of_any_place_are_one_type() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let rows = rows(6, 300, 8);
    let view = rows.view();
    let index = coded("PQ4x4", &rows, Metric::L2, &Device::cpu());
    let exact: [ExactRows<'_>; 2] = [index.exact_rows(view).unwrap(), index.exact_rows_from(&view, None).unwrap()];
    let found = exact.each_ref().map(|exact| {
        let search = Search::new(3).rerank(exact, 9);
        pollster::block_on(is_send(index.search_with_async(view, &search))).unwrap()
    });
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_row_without_a_distance_is_no_neighbour() {
    let rows = rows(8, 60, 4);
    let mut compared = rows.clone();
    // Infinite terms of both signs.
    compared.row_mut(7).assign(&ndarray::array![3e38, -3e38, 3e38, -3e38]);
    let queries = Array2::from_elem((2, 4), 4.0);
    for device in &devices() {
        let index = coded("PQ2x4", &rows, Metric::InnerProduct, device);
        let view = compared.view();
        let (there, here) = (index.exact_rows(view).unwrap(), index.exact_rows_from(&view, None).unwrap());
        let [there, here] = [there, here].map(|exact| {
            let found = index.search_with(queries.view(), &Search::new(60).rerank(&exact, 1)).unwrap();
            let rows =
                found.rows().map(|row| row.iter().filter(|one| !one.score.is_nan()).copied().collect::<Vec<_>>());
            rows.collect::<Vec<_>>()
        });
        assert_eq!(there, here, "{device:?}");
        assert!(here.iter().all(|row| row.len() == 59), "{device:?}");
    }
}

/// A source that has lost its last rows.
struct Shortened<'a>(ArrayView2<'a, f32>);

impl RowSource for Shortened<'_> {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn columns(&self) -> usize {
        self.0.ncols()
    }

    fn read(&self, rows: Range<usize>) -> cellprobe::Result<Vec<f32>> {
        let end = self.0.nrows() / 2;
        self.0.read(rows.start.min(end)..rows.end.min(end))
    }
}

#[test]
fn a_source_that_gives_too_little_is_an_error() {
    let rows = rows(9, 300, 4);
    for device in &devices() {
        let index = coded("PQ2x4", &rows, Metric::L2, device);
        let shortened = Shortened(rows.view());
        let exact = index.exact_rows_from(&shortened, None).unwrap();
        let found = index.search_with(rows.view(), &Search::new(2).rerank(&exact, 4));
        assert!(matches!(found, Err(Error::Length { .. })), "{device:?}: {found:?}");
    }
}
