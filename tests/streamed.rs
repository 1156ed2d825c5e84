//! What does not fit a device goes there in pieces, and comes to the same, to the bit.

#[allow(dead_code, reason = "what is found is compared with another index alone")]
mod cases;
mod common;

use std::{
    fs,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cases::{Built, METRICS, cases};
use cellprobe::{
    Device, Error, FlatIndex, Index, KMeans, Metric, Search, StreamedIndex,
    device::{Cancel, Options, adapters},
    kmeans::{Clustering, Init},
    ops::{self, SegmentSums},
    storage::{RowSource, VectorFile, read_vectors, write_vectors},
    wgpu,
};
use common::{Kind, Numbers, SMALL_BINDING, devices, kinds, on_devices, own_devices, read, upload};
use ndarray::{Array2, ArrayView2, s};
use proptest::prelude::*;

/// An index in pieces of about `rows` times as much as the least that is possible.
fn least<'a>(index: &Index, device: &Device, times: u64) -> StreamedIndex<'a> {
    let fits = |memory| index.streamed_to(device, memory).is_ok();
    let (mut low, mut high) = (0_u64, 1 << 20);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) { high = middle } else { low = middle }
    }
    index.streamed_to(device, high * times).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_in_pieces_finds_the_same(case in cases(), times in 1..9_u64) {
        let built = Built::new(case);
        let search = built.case.search();
        for device in &built.case.devices() {
            let index = built.index(device);
            let expected = index.search_with(built.queries.view(), &search).unwrap();
            let streamed = least(&index, device, times);
            let found = streamed.search_with(built.queries.view(), &search).unwrap();
            prop_assert_eq!(found, expected, "{:?}", streamed);
        }
    }

    #[test]
    fn kmeans_in_pieces_gives_the_same(
        (count, columns) in (1..300_usize, 1..10_usize), share in 0.0..1.0_f64, per_piece in 1..200_usize, seed: u64,
        plus_plus: bool, spherical: bool, most in 1..40_usize,
    ) {
        let rows = rows(seed, count, columns);
        let clusters = 1 + (share * share * (count - 1) as f64) as usize;
        let init = if plus_plus && clusters < 20 { Init::PlusPlus } else { Init::Random };
        let kmeans = KMeans::new(clusters).init(init).seed(seed).spherical(spherical);
        let kmeans = kmeans.max_points_per_centroid(most).iterations(3).restarts(2);
        for device in devices() {
            let whole = kmeans.train(&device, rows.view()).unwrap();
            let pieces = kmeans.clone().memory((2 * 4 * columns * per_piece) as u64);
            prop_assert_eq!(outcome(&pieces.train(&device, rows.view()).unwrap()), outcome(&whole), "{:?}", device);
            prop_assert_eq!(outcome(&pieces.train_rows(&device, &rows.view()).unwrap()), outcome(&whole), "{:?}", device);
            prop_assert_eq!(outcome(&kmeans.train_rows(&device, &rows.view()).unwrap()), outcome(&whole), "{:?}", device);
        }
    }
}

fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Even, count * columns)).unwrap()
}

/// All that a clustering says.
fn outcome(clustering: &Clustering) -> (Vec<u32>, Vec<f64>, f64, Vec<usize>, usize) {
    (
        clustering.centroids().iter().map(|value| value.to_bits()).collect(),
        clustering.objectives().to_vec(),
        clustering.objective(),
        clustering.empty_clusters().to_vec(),
        clustering.points(),
    )
}

#[test]
fn kmeans_in_pieces_of_many_rows_gives_the_same() {
    let rows = rows(1, 20_000, 9);
    for device in &devices() {
        // So few centroids that a group is many blocks of sums, and so many that products compare.
        for clusters in [1, 3, 70] {
            let kmeans = KMeans::new(clusters).max_points_per_centroid(None).iterations(2);
            let whole = kmeans.train(device, rows.view()).unwrap();
            let pieces = kmeans.memory(300_000).train(device, rows.view()).unwrap();
            assert_eq!(outcome(&pieces), outcome(&whole), "{clusters} centroids on {device:?}");
        }
    }
}

#[test]
fn sums_of_pieces_are_those_of_all_rows() {
    let shapes = (1..2000_usize, 1..12_usize, 1..50_usize, 1..1000_usize, kinds(), any::<u64>());
    on_devices(&shapes, |device, (count, columns, groups, per_piece, kind, seed)| {
        let mut numbers = Numbers::new(seed);
        let data = numbers.vector(kind, count * columns);
        let labels = upload(device, &numbers.labels(groups, count), 1);
        let mut work = device.work();
        let grouping = ops::group(&mut work, &labels, groups).unwrap();
        let sums = ops::segment_sums(&mut work, &upload(device, &data, columns), &grouping).unwrap();
        let expected = read(work, sums);
        let mut sums = SegmentSums::new(&grouping, columns);
        for piece in data.chunks(per_piece * columns) {
            let mut work = device.work();
            sums.add(&mut work, &upload(device, piece, columns)).unwrap();
            work.submit().unwrap();
        }
        let mut work = device.work();
        let sums = sums.finish(&mut work).unwrap();
        assert_eq!(read(work, sums), expected, "{device:?}");
    });
}

#[test]
fn sums_of_the_wrong_rows_are_errors() {
    for device in &devices() {
        let labels = upload(device, &[0, 1, 0], 1);
        let mut work = device.work();
        let grouping = ops::group(&mut work, &labels, 2).unwrap();
        let mut sums = SegmentSums::new(&grouping, 2);
        let wide = upload(device, &[1.0, 2.0, 3.0], 3);
        assert!(matches!(sums.add(&mut work, &wide), Err(Error::Dimension { expected: 2, found: 3, .. })));
        let four = upload(device, &[1.0; 8], 2);
        assert!(matches!(sums.add(&mut work, &four), Err(Error::Length { expected: 3, found: 4, .. })));
        sums.add(&mut work, &upload(device, &[1.0; 4], 2)).unwrap();
        assert!(matches!(sums.finish(&mut work), Err(Error::Length { expected: 3, found: 2, .. })));
    }
}

#[test]
fn many_queries_find_the_same_in_pieces() {
    let rows = rows(2, 3000, 16);
    let queries = rows.slice(s![..150, ..]);
    for device in &devices() {
        for metric in METRICS {
            let memory =
                [("Flat", 130_000), ("PQ4", 78_000), ("PQ8x4", 39_000), ("IVF20,Flat", 134_000), ("IVF20,PQ4", 96_000)];
            for (factory, memory) in memory {
                let mut index = Index::new(&Device::cpu(), 16, factory, metric).unwrap();
                index.train(rows.view()).unwrap();
                let mut index = index.to_device(device).unwrap();
                index.add(rows.view()).unwrap();
                let search = Search::new(10).nprobe(5);
                let streamed = index.streamed_to(device, memory).unwrap();
                assert!((4..10).contains(&streamed.pieces()), "{streamed:?}");
                let found = streamed.search_with(queries, &search).unwrap();
                assert_eq!(found, index.search_with(queries, &search).unwrap(), "{factory}, {metric}: {streamed:?}");
            }
        }
    }
}

#[test]
fn a_search_moves_each_piece_once() {
    let rows = rows(3, 2000, 8);
    for (device, queue) in own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP) {
        let device = Device::from_wgpu(device, queue).unwrap();
        for (factory, submissions) in [("Flat", 1), ("IVF9,Flat", 1), ("PQ4", 2), ("IVF9,PQ4", 3)] {
            let mut index = Index::new(&Device::cpu(), 8, factory, Metric::L2).unwrap();
            index.train(rows.view()).unwrap();
            index.add(rows.view()).unwrap();
            let streamed = index.streamed_to(&device, 60_000).unwrap();
            let search = Search::new(3).nprobe(9);
            streamed.search_with(rows.slice(s![..3, ..]), &search).unwrap();
            let before = device.counters();
            streamed.search_with(rows.slice(s![..3, ..]), &search).unwrap();
            let after = device.counters();
            let (pieces, what) = (streamed.pieces() as u64, format!("{streamed:?}"));
            assert!((2..20).contains(&pieces), "{what}");
            assert_eq!(after.submissions - before.submissions, submissions * pieces, "{what}");
            assert_eq!(after.read_backs - before.read_backs, pieces, "{what}");
            let bytes = after.uploaded_bytes - before.uploaded_bytes;
            let contents = (2000 * index.bytes_per_vector()) as u64;
            // Centroids and queries go with each piece, names with each row.
            let most = contents + 2000 * 24 + pieces * (9 * 36 + 256 * 32 + 3 * 32 + 4096);
            assert!((contents..most).contains(&bytes), "{bytes} of {contents} bytes: {what}");
        }
    }
}

#[test]
fn pieces_that_no_query_visits_stay_where_they_are() {
    let rows = rows(9, 3000, 8);
    let query = rows.slice(s![..1, ..]);
    for (device, queue) in own_devices(&wgpu::Limits::default(), wgpu::Features::SUBGROUP) {
        let device = Device::from_wgpu(device, queue).unwrap();
        for factory in ["IVF12,Flat", "IVF12,PQ4", "RR6,IVF12,PQ3x4"] {
            let mut index = Index::new(&Device::cpu(), 8, factory, Metric::L2).unwrap();
            index.train(rows.view()).unwrap();
            let mut index = index.to_device(&device).unwrap();
            index.add(rows.view()).unwrap();
            let memory = if factory == "IVF12,Flat" { 60_000 } else { 45_000 };
            let streamed = index.streamed_to(&device, memory).unwrap();
            let (pieces, what) = (streamed.pieces() as u64, format!("{streamed:?}"));
            assert!(pieces >= 6, "{what}");
            let moved = |search: &Search<'_>, streamed: &StreamedIndex<'_>| {
                let before = device.counters();
                let found = streamed.search_with(query, search).unwrap();
                let after = device.counters();
                (found, after.read_backs - before.read_backs, after.uploaded_bytes - before.uploaded_bytes)
            };
            let search = Search::new(5).nprobe(1);
            let (found, read_backs, bytes) = moved(&search, &streamed);
            assert_eq!(found, index.search_with(query, &search).unwrap(), "{what}");
            let (_, all, all_bytes) = moved(&search.nprobe(12), &streamed);
            assert_eq!(all, pieces, "{what}");
            // A list may lie in several pieces, and which lists are visited is read back as well.
            assert!((2..5).contains(&read_backs) && bytes < all_bytes / 2, "{read_backs}, {bytes} bytes: {what}");

            // A filter leaves out what it has none of.
            let ids: Vec<i64> = found.row(0).iter().map(|one| one.id).collect();
            let filter = streamed.filter(|id| id == ids[4]);
            let (found, read_backs, _) = moved(&search.nprobe(12).filter(&filter), &streamed);
            assert_eq!((found.row(0).len(), found.row(0)[0].id, read_backs), (1, ids[4], 1), "{what}");
        }
    }
}

#[test]
fn an_index_that_does_not_fit_is_searched_in_pieces_that_do() {
    let rows = rows(10, 5000, 8);
    let queries = rows.slice(s![..7, ..]);
    let search = Search::new(9).nprobe(4);
    for adapter in adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl") {
        let open = |options| Device::open(&format!("gpu:{}", adapter.index), &options).unwrap();
        let device = open(Options::default());
        // Of numbers that go one a row, a binding has 2048.
        let small = open(Options::default().max_binding(SMALL_BINDING));
        for factory in ["PQ4x4", "IVF9,Flat", "IVF9,PQ4x4"] {
            let mut index = Index::new(&Device::cpu(), 8, factory, Metric::L2).unwrap();
            index.train(rows.view()).unwrap();
            index.add(rows.view()).unwrap();
            let whole = index.to_device(&small).and_then(|index| index.search_with(queries, &search));
            assert!(matches!(whole, Err(Error::Limit { .. })), "{factory}: {whole:?}");
            let streamed = index.streamed_to(&small, None).unwrap();
            assert!((3..20).contains(&streamed.pieces()), "{streamed:?}");
            let expected = index.to_device(&device).unwrap().search_with(queries, &search).unwrap();
            assert_eq!(streamed.search_with(queries, &search).unwrap(), expected, "{streamed:?}");
        }
    }
    // What nothing keeps from fitting goes in the pieces that a search has there at a time.
    let mut index = Index::new(&Device::cpu(), 8, "Flat", Metric::L2).unwrap();
    assert_eq!(index.streamed_to(&Device::cpu(), None).unwrap().search(queries, 2).unwrap().queries(), 7);
    index.add(rows.view()).unwrap();
    let streamed = index.streamed_to(&Device::cpu(), None).unwrap();
    assert_eq!(streamed.pieces(), 3, "{streamed:?}");
    assert_eq!(streamed.search(queries, 9).unwrap(), index.search(queries, 9).unwrap());
}

#[test]
fn rows_of_a_file_are_searched_as_those_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Array2::from_shape_fn((300, 6), |(row, column)| ((row * 31 + column * 17) % 23) as f32);
    for name in ["rows.npy", "rows.fvecs", "rows.bvecs"] {
        let path = folder.path().join(name);
        write_vectors(&path, bytes.view(), false).unwrap();
        let file = VectorFile::open(&path).unwrap();
        assert_eq!((file.rows(), file.columns()), (300, 6));
        let all = read_vectors(&path).unwrap();
        assert_eq!(file.read(0..300).unwrap(), all.iter().copied().collect::<Vec<_>>());
        assert_eq!(file.read(7..9).unwrap(), all.slice(s![7..9, ..]).iter().copied().collect::<Vec<_>>());
        assert!(file.read(300..300).unwrap().is_empty());
        for device in &devices() {
            for metric in METRICS {
                let mut index = FlatIndex::new(device, 6, metric).unwrap();
                index.add(all.view()).unwrap();
                for memory in [72, 1000, 1 << 30] {
                    let streamed = StreamedIndex::of_rows(&file, metric, device, memory).unwrap();
                    let queries = all.slice(s![..3, ..]);
                    assert_eq!(streamed.ntotal(), 300);
                    if memory == 72 && device.is_gpu() {
                        assert_eq!(streamed.pieces(), 300);
                        continue;
                    }
                    assert_eq!(streamed.search(queries, 9).unwrap(), index.search(queries, 9).unwrap(), "{streamed:?}");
                }
            }
            let kmeans = KMeans::new(7).iterations(3).max_points_per_centroid(20);
            let whole = kmeans.train(device, all.view()).unwrap();
            let pieces = kmeans.memory(1000).train_rows(device, &file).unwrap();
            assert_eq!(outcome(&pieces), outcome(&whole), "{name} on {device:?}");
            assert_eq!(pieces.assign_rows(&file).unwrap(), whole.assign(all.view()).unwrap());
        }
    }
}

#[test]
fn damaged_files_are_errors_when_they_are_opened_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(4, 20, 3);
    let message = |error: Error| error.to_string();
    for name in ["rows.npy", "rows.fvecs"] {
        let path = folder.path().join(name);
        write_vectors(&path, rows.view(), false).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = VectorFile::open(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert!(message(VectorFile::open(&path).unwrap_err()).contains(name));
        fs::write(&path, [&bytes[..], &[0; 3]].concat()).unwrap();
        assert!(message(VectorFile::open(&path).unwrap_err()).contains(name));
        // A NaN in the last row, while the file is open.
        let mut broken = bytes.clone();
        let end = broken.len();
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&path, &broken).unwrap();
        let streamed = StreamedIndex::of_rows(&file, Metric::L2, &Device::cpu(), 1000).unwrap();
        assert!(matches!(streamed.search(rows.view(), 1), Err(Error::File { .. })));
        assert!(matches!(KMeans::new(2).memory(100).train_rows(&Device::cpu(), &file), Err(Error::File { .. })));
        // Cut off while it is open.
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(end as u64 - 30).unwrap();
        assert!(message(file.read(0..20).unwrap_err()).contains("ends inside"));
        assert!(file.read(0..5).is_ok());
    }
    let path = folder.path().join("turned.npy");
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }\n";
    let length = (header.len() as u16).to_le_bytes();
    fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 16]].concat()).unwrap();
    assert!(read_vectors(&path).is_ok());
    assert!(message(VectorFile::open(&path).unwrap_err()).contains("Fortran"));
    let path = folder.path().join("other.fvecs");
    fs::write(&path, [&1_i32.to_le_bytes()[..], &[0; 4], &2_i32.to_le_bytes(), &[0; 4]].concat()).unwrap();
    let file = VectorFile::open(&path).unwrap();
    assert!(message(file.read(0..2).unwrap_err()).contains("not that of the first row"));
}

#[test]
fn what_cannot_be_is_an_error() {
    let rows = rows(5, 50, 4);
    let view = rows.view();
    for device in &devices() {
        let untrained = Index::new(device, 4, "PQ2x4", Metric::L2).unwrap();
        assert!(matches!(untrained.streamed_to(device, 1 << 20), Err(Error::NotTrained { .. })));
        let mut index = Index::new(device, 4, "Flat", Metric::L2).unwrap();
        let empty = index.streamed_to(device, 1 << 20).unwrap();
        assert_eq!(empty.search(view, 3).unwrap(), index.search(view, 3).unwrap());
        index.add(view).unwrap();
        assert!(matches!(index.streamed_to(device, 10), Err(Error::Limit { allowed: 10, .. })));
        assert!(matches!(StreamedIndex::of_rows(&view, Metric::L2, device, 47), Err(Error::Limit { asked: 48, .. })));
        let none = rows.slice(s![.., ..0]);
        assert!(matches!(StreamedIndex::of_rows(&none, Metric::L2, device, 1 << 20), Err(Error::Empty { .. })));

        let streamed = StreamedIndex::of_rows(&view, Metric::L2, device, 500).unwrap();
        assert!(matches!(streamed.search(view, 0), Err(Error::Parameter { name: "k", .. })));
        assert!(matches!(streamed.search(rows.slice(s![.., ..3]), 1), Err(Error::Dimension { .. })));
        assert_eq!(streamed.search(rows.slice(s![..0, ..]), 1).unwrap().queries(), 0);
        let exact = index.exact_rows(view).unwrap();
        let search = Search::new(1).rerank(&exact, 2);
        assert!(matches!(streamed.search_with(view, &search), Err(Error::Parameter { .. })));
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(streamed.search_with(view, &Search::new(1).cancelled_by(&cancel)), Err(Error::Cancelled)));
        let kmeans = KMeans::new(3).memory(100).cancelled_by(&cancel);
        assert!(matches!(kmeans.train(device, view), Err(Error::Cancelled)));

        let mut broken = rows.clone();
        broken[[40, 1]] = f32::NAN;
        let broken = broken.view();
        let streamed = StreamedIndex::of_rows(&broken, Metric::L2, device, 500).unwrap();
        assert!(matches!(streamed.search(view, 1), Err(Error::NotFinite { row: 40, column: 1, .. })));
    }
}

#[test]
fn the_async_forms_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let rows = rows(6, 200, 6);
    for device in &devices() {
        let view = rows.view();
        let streamed = StreamedIndex::of_rows(&view, Metric::L2, device, 4000).unwrap();
        let search = Search::new(3);
        let expected = streamed.search_with(view, &search).unwrap();
        let future = is_send(streamed.search_with_async(view, &search));
        let found = std::thread::scope(|scope| scope.spawn(|| pollster::block_on(future)).join()).unwrap().unwrap();
        assert_eq!(found, expected, "{device:?}");
        let kmeans = KMeans::new(3).memory(1000);
        let clustering = pollster::block_on(is_send(kmeans.train_rows_async(device, &view))).unwrap();
        assert_eq!(outcome(&clustering), outcome(&kmeans.train(device, view).unwrap()), "{device:?}");
    }
}

#[test]
fn a_search_tells_of_each_piece() {
    let rows = rows(7, 200, 4);
    let view = rows.view();
    for device in &devices() {
        let streamed = StreamedIndex::of_rows(&view, Metric::L2, device, 5000).unwrap();
        let told: Mutex<Vec<(usize, usize)>> = Mutex::default();
        let tell = |done: usize, of: usize| told.lock().unwrap().push((done, of));
        let found = streamed.search_with(view, &Search::new(2).progress(&tell)).unwrap();
        let pieces = streamed.pieces();
        assert!(pieces > 1, "{streamed:?}");
        assert_eq!(told.into_inner().unwrap(), (1..=pieces).map(|done| (done, pieces)).collect::<Vec<_>>());
        assert_eq!(found, streamed.search(view, 2).unwrap(), "{streamed:?}");
    }
}

/// Rows that remember how many of them were read at a time.
struct Watched<'a>(ArrayView2<'a, f32>, AtomicUsize);

impl RowSource for Watched<'_> {
    fn rows(&self) -> usize {
        self.0.nrows()
    }

    fn columns(&self) -> usize {
        self.0.ncols()
    }

    fn read(&self, rows: Range<usize>) -> cellprobe::Result<Vec<f32>> {
        self.1.fetch_max(rows.len(), Ordering::Relaxed);
        self.0.read(rows)
    }
}

#[test]
fn rows_are_assigned_within_the_memory_for_training() {
    let rows = rows(8, 300, 5);
    let kmeans = KMeans::new(4).iterations(2);
    for device in &devices() {
        let expected = kmeans.train(device, rows.view()).unwrap().assign(rows.view()).unwrap();
        let watched = Watched(rows.view(), AtomicUsize::new(0));
        let clustering = kmeans.clone().memory(2 * 4 * 5 * 70).train_rows(device, &watched).unwrap();
        watched.1.store(0, Ordering::Relaxed);
        assert_eq!(clustering.assign_rows(&watched).unwrap(), expected, "{device:?}");
        assert_eq!(watched.1.into_inner(), 70, "{device:?}");
    }
}
