//! Every operation on every device gives what its reference gives.

mod common;

use cellprobe::{
    Device, Metric,
    ops::{self, Grouping, Mask, Ranked, Subset, reference},
};
use common::*;
use proptest::prelude::*;

/// Rows, other rows, dimension, metric, kind of numbers, seed.
fn shapes(rows: usize, others: usize) -> impl Strategy<Value = (usize, usize, usize, Metric, Kind, u64)> {
    let dimension = prop_oneof![Just(1), Just(3), 1..40usize, Just(64)];
    let rows = prop_oneof![Just(0), Just(1), Just(3), 1..rows];
    let others = prop_oneof![Just(1), Just(3), 1..others];
    (rows, others, dimension, metrics(), kinds(), any::<u64>())
}

/// Any k, small ones more often.
fn ks() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), 1..20usize, Just(100), 257..400usize]
}

#[test]
fn nearest_is_the_closest_centroid() {
    on_devices(&shapes(300, 200), |device, (rows, centroids, dimension, metric, kind, seed)| {
        let mut numbers = Numbers::new(seed);
        let (rows, centroids) = (numbers.vector(kind, rows * dimension), numbers.vector(kind, centroids * dimension));
        check_nearest(device, &rows, &centroids, dimension, metric, kind);
    });
}

#[test]
fn knn_are_the_closest_rows() {
    on_devices(&(shapes(20, 400), ks()), |device, ((queries, base, dimension, metric, kind, seed), k)| {
        let mut numbers = Numbers::new(seed);
        let (queries, base) = (numbers.vector(kind, queries * dimension), numbers.vector(kind, base * dimension));
        check_knn(device, &queries, &base, dimension, k, metric, kind);
    });
}

#[test]
fn closest_rows_are_those_of_differences_whatever_products_leave_open() {
    for device in &devices_in_variants() {
        eprintln!("on {device:?}");
        for (count, rows, dimension) in MANY {
            for (kind, queries, base) in many(count, rows, dimension) {
                for metric in [Metric::L2, Metric::InnerProduct] {
                    check_nearest(device, &queries, &base, dimension, metric, kind);
                    for k in [7, 100] {
                        check_knn(device, &queries, &base, dimension, k, metric, kind);
                    }
                }
            }
        }
    }
}

#[test]
fn equal_rows_are_ordered_by_number() {
    for device in &devices_in_variants() {
        let row: Vec<f32> = (0..24).map(|column| 1e3 + column as f32 / 7.0).collect();
        let (queries, base) = (row.repeat(66), row.repeat(150));
        let (queries, base) = (upload(device, &queries, 24), upload(device, &base, 24));
        let mut work = device.work();
        let nearest = ops::nearest(&mut work, &queries, &base, Metric::L2).unwrap();
        let found = ops::knn(&mut work, &queries, &base, 40, Metric::L2).unwrap();
        let found = read(work, found);
        assert!(read(device.work(), nearest.labels).iter().all(|&label| label == 0), "{device:?}");
        assert!(found.chunks(40).all(|found| found.iter().map(|found| found.id()).eq(0..40)), "{device:?}");
        assert!(found.iter().all(|found| found.distance() == 0.0), "{device:?}");
    }
}

#[test]
fn knn_goes_through_many_tiles() {
    let (cpu, mut numbers) = (Device::cpu(), Numbers::new(3));
    for (queries, rows, dimension, k) in [(200, 5000, 40, 10), (2, 9000, 50, 300), (7, 90, 3000, 5), (700, 2500, 1, 3)]
    {
        for (metric, kind) in [(Metric::L2, Kind::Whole), (Metric::InnerProduct, Kind::Even), (Metric::L2, Kind::Far)] {
            let (queries, base) = (numbers.vector(kind, queries * dimension), numbers.vector(kind, rows * dimension));
            check_knn(&cpu, &queries, &base, dimension, k, metric, kind);
        }
    }
}

/// So many rows that they are queued, or that a sample of them is searched first: every eighth tile of 128, which may tell
/// everything, nothing or something wrong about the rest.
#[test]
fn knn_of_many_rows_does_not_depend_on_a_sample() {
    const DIMENSION: usize = 8;
    let mut numbers = Numbers::new(8);
    let queries = numbers.vector(Kind::Even, 67 * DIMENSION);
    for (rows, k) in [(9_000, 100), (35_000, 9)] {
        let even = numbers.vector(Kind::Even, rows * DIMENSION);
        // Near rows in the sample alone, or outside of it alone.
        let near = |eighth: usize| -> Vec<f32> {
            let is_near = |place: usize| place / DIMENSION / 128 % 8 == eighth;
            let value = |(place, value): (usize, &f32)| if is_near(place) { *value } else { value + 9.0 };
            even.iter().enumerate().map(value).collect()
        };
        let bases = [near(0), near(1), vec![0.5; rows * DIMENSION], even.clone()];
        for device in &devices() {
            for (base, metric) in bases.iter().zip([Metric::L2, Metric::L2, Metric::L2, Metric::InnerProduct]) {
                check_knn(device, &queries, base, DIMENSION, k, metric, Kind::Even);
            }
        }
    }
}

#[test]
fn knn_of_no_rows_is_padding() {
    for device in &devices_in_variants() {
        let (queries, base) = (upload(device, &[1.0, 2.0], 1), upload(device, &[], 1));
        let mut work = device.work();
        let found = ops::knn(&mut work, &queries, &base, 3, Metric::L2).unwrap();
        assert_eq!(read(work, found), [Ranked::NONE; 6]);
    }
}

#[test]
fn select_takes_the_smallest() {
    let shapes = (0..6usize, prop_oneof![Just(1), 1..2000usize], ks(), kinds(), any::<u64>());
    on_devices(&shapes, |device, (rows, columns, k, kind, seed)| {
        let values = Numbers::new(seed).vector(kind, rows * columns);
        let mut work = device.work();
        let found = ops::select(&mut work, &upload(device, &values, columns), k).unwrap();
        let found = read(work, found);
        let expected = reference::select(&values, columns, k);
        assert_eq!(found.len(), expected.len() * k);
        for (found, expected) in found.chunks(k).zip(expected) {
            // Nothing is computed, so nothing is rounded.
            assert_neighbours(found, &expected, Kind::Whole, |_| unreachable!("numbers are compared as they are"));
        }
    });
}

#[test]
fn group_sorts_stably() {
    let shapes = (prop_oneof![Just(0), 1..1000usize], prop_oneof![Just(1), 1..700usize], any::<u64>());
    on_devices(&shapes, |device, (rows, groups, seed)| {
        let labels = Numbers::new(seed).labels(groups, rows);
        let mut work = device.work();
        let grouping = ops::group(&mut work, &upload(device, &labels, 1), groups).unwrap();
        work.submit().unwrap();
        let found = (read(device.work(), grouping.offsets), read(device.work(), grouping.order));
        assert_eq!(found, reference::group(&labels, groups));
    });
}

#[test]
fn segment_sums_add_up() {
    let shapes = (0..700usize, 1..50usize, 1..40usize, kinds(), any::<u64>());
    on_devices(&shapes, |device, (rows, groups, columns, kind, seed)| {
        let mut numbers = Numbers::new(seed);
        let (offsets, order) = reference::group(&numbers.labels(groups, rows), groups);
        let values = numbers.vector(kind, rows * columns);
        let grouping = Grouping { offsets: upload(device, &offsets, 1), order: upload(device, &order, 1) };
        let mut work = device.work();
        let sums = ops::segment_sums(&mut work, &upload(device, &values, columns), &grouping).unwrap();
        let sums = read(work, sums);
        let expected = reference::segment_sums(&values, columns, &offsets, &order);
        assert_eq!(sums.len(), expected.len());
        for (place, (&sum, expected)) in sums.iter().zip(expected).enumerate() {
            let members = &order[offsets[place / columns] as usize..offsets[place / columns + 1] as usize];
            let terms = members.iter().map(|&row| f64::from(values[row as usize * columns + place % columns]));
            assert_close(f64::from(sum), expected, if kind == Kind::Whole { 0.0 } else { rounding(terms) });
        }
    });
}

#[test]
fn update_centroids_gives_means_and_splits_for_empty_clusters() {
    let shapes = (0..300usize, 1..60usize, 1..20usize, any::<bool>(), 0..9usize, kinds(), any::<u64>());
    on_devices(&shapes, |device, (rows, clusters, columns, spherical, draws, kind, seed)| {
        let mut numbers = Numbers::new(seed);
        let used = numbers.below(clusters) + 1;
        let labels = numbers.labels(used, rows);
        check_update(device, numbers, &labels, clusters, columns, (spherical, draws, kind));
    });
}

/// More empty clusters than one dispatch splits others for. Few draws, for llvmpipe ends an invocation's loops after 65,535
/// rounds.
#[test]
fn update_centroids_splits_for_thousands_of_empty_clusters() {
    for device in &devices() {
        for (clusters, used, rows) in [(2600, 100, 4000), (2600, 2599, 2700), (2048, 1, 2048)] {
            let mut numbers = Numbers::new(4);
            let labels = numbers.labels(used, rows);
            check_update(device, numbers, &labels, clusters, 2, (false, 300, Kind::Even));
        }
    }
}

/// Clusters of rows of those labels.
fn check_update(
    device: &Device,
    mut numbers: Numbers,
    labels: &[u32],
    clusters: usize,
    columns: usize,
    (spherical, draws, kind): (bool, usize, Kind),
) {
    let rows = labels.len();
    let (offsets, order) = reference::group(labels, clusters);
    let sums = reference::segment_sums(&numbers.vector(kind, rows * columns), columns, &offsets, &order);
    let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
    let inertia = numbers.vector(kind, clusters);
    let draws: Vec<f32> = (0..draws).map(|_| numbers.unit()).collect();
    let before = [0.5, 2.0];
    let mut work = device.work();
    let updated = ops::update_centroids(
        &mut work,
        &upload(device, &sums, columns),
        &upload(device, &offsets, 1),
        &upload(device, &inertia, 1),
        &upload(device, &before, 2),
        &upload(device, &draws, 1),
        spherical,
    )
    .unwrap();
    work.submit().unwrap();
    let (centroids, [objective, empty]) =
        reference::update_centroids(&sums, columns, &offsets, &inertia, &draws, spherical);
    let history = read(device.work(), updated.history);
    assert_eq!((history.len(), &history[..2]), (4, &before[..]));
    assert_close(f64::from(history[2]), objective, rounding(inertia.iter().map(|&inertia| f64::from(inertia))));
    assert_eq!(history[3].to_bits(), (empty as f32).to_bits());
    let found = read(device.work(), updated.centroids);
    assert_eq!(found.len(), centroids.len());
    for (&found, expected) in found.iter().zip(centroids) {
        assert_close(f64::from(found), expected, rounding([expected]) * columns as f64);
    }
}

#[test]
fn gather_and_concat_copy_rows() {
    let shapes = (1..300usize, 0..300usize, 1..40usize, any::<u64>());
    on_devices(&shapes, |device, (rows, others, columns, seed)| {
        let mut numbers = Numbers::new(seed);
        let values = numbers.vector(Kind::Even, rows * columns);
        let order = numbers.labels(rows, others);
        let on_device = upload(device, &values, columns);
        let mut work = device.work();
        let gathered = ops::gather(&mut work, &on_device, &upload(device, &order, 1)).unwrap();
        let both = ops::concat(&mut work, &on_device, &gathered).unwrap();
        assert_eq!((both.rows(), both.columns()), (rows + others, columns));
        let expected = reference::gather(&values, columns, &order);
        assert_eq!(read(work, both), [&values[..], &expected[..]].concat());
    });
}

#[test]
fn normalise_gives_unit_length() {
    on_devices(&(shapes(300, 2), 0..3usize), |device, ((rows, _, columns, _, kind, seed), size)| {
        // Squares of the largest overflow, those of the smallest vanish.
        let scale = [1.0, 1e25, 1e-25][size];
        let mut values = Numbers::new(seed).vector(kind, rows * columns);
        for value in &mut values {
            *value *= scale;
        }
        values.iter_mut().take(columns).for_each(|value| *value = 0.0);
        let mut work = device.work();
        let normalised = ops::normalise(&mut work, &upload(device, &values, columns)).unwrap();
        let found = read(work, normalised);
        let expected = reference::normalise(&values, columns);
        assert_eq!(found.len(), expected.len());
        for (&found, expected) in found.iter().zip(expected) {
            assert_close(f64::from(found), expected, (columns as f64 + 8.0) * f64::from(f32::EPSILON));
        }
    });
}

#[test]
fn rename_gives_candidates_other_names() {
    let shapes = (0..40usize, 1..600usize, 1..300usize, any::<u64>());
    on_devices(&shapes, |device, (queries, columns, names, seed)| {
        let mut numbers = Numbers::new(seed);
        let candidates = numbers.probes(Kind::Even, names, queries, columns);
        let names: Vec<u32> = (0..names).map(|_| numbers.below(1 << 32) as u32).collect();
        let mut work = device.work();
        let on_device = upload(device, &candidates, columns);
        let renamed = ops::rename(&mut work, &on_device, &upload(device, &names, 1)).unwrap();
        assert_eq!((renamed.rows(), renamed.columns()), (queries, columns));
        assert_eq!(read(work, renamed), reference::rename(&candidates, &names));
    });
}

/// What a scan finds, which is the same with rounded rows as without.
fn flat_scan(
    device: &Device,
    (queries, rows, dimension): (&[f32], &[f32], usize),
    (offsets, ids): (&[u32], &[u32]),
    (probes, nprobe): (&[Ranked], usize),
    mask: Option<&[u32]>,
    (k, metric): (usize, Metric),
) -> Vec<Ranked> {
    let lists = masked(device, &upload_lists(device, offsets, ids), mask);
    let (queries, rows) = (upload(device, queries, dimension), upload(device, rows, dimension));
    let probes = upload(device, probes, nprobe);
    let scan = |rounded_first: bool| {
        let mut work = device.work();
        let rounded = rounded_first.then(|| ops::round(&mut work, &rows, metric).unwrap());
        let found = ops::flat_scan(&mut work, &queries, &rows, rounded.as_ref(), &lists, &probes, k, metric).unwrap();
        read(work, found)
    };
    let found = scan(false);
    assert_eq!(scan(true), found, "rounded first, on {device:?}");
    found
}

#[test]
fn rounded_rows_change_nothing_that_is_found() {
    for device in &devices_in_variants() {
        for (rows, dimension, nlist) in [(300, 1, 3), (260, 17, 5), (600, 32, 1), (300, 100, 4)] {
            let mut numbers = Numbers::new((rows * dimension) as u64);
            let (offsets, ids) = numbers.lists(nlist, rows);
            let probes = numbers.probes(Kind::Even, nlist, 12, 4);
            for (kind, rows) in hard_to_round(&mut numbers, rows, dimension) {
                let mut queries = rows[..8 * dimension].to_vec();
                queries.extend(numbers.vector(Kind::Even, 2 * dimension));
                // Far from all rows.
                queries.extend(numbers.vector(Kind::Far, dimension));
                queries.extend(vec![-1e6; dimension]);
                let mask = numbers.mask(ids.len());
                for (metric, k, masked) in [
                    (Metric::L2, 10, false),
                    (Metric::L2, 10, true),
                    (Metric::InnerProduct, 3, true),
                    (Metric::L2, 160, false),
                ] {
                    let vectors = (&queries[..], &rows[..], dimension);
                    let mask = masked.then_some(&mask[..]);
                    let found = flat_scan(device, vectors, (&offsets, &ids), (&probes, 4), mask, (k, metric));
                    assert!(found.chunks(k).all(<[Ranked]>::is_sorted), "{kind:?}, {metric}, on {device:?}");
                }
            }
        }
    }
}

#[test]
fn flat_scan_finds_the_closest_of_the_probed_lists() {
    let lists = (1..12usize, 0..400usize, 1..5usize, ks(), any::<bool>());
    on_devices(&(shapes(20, 2), lists), |device, (shape, (nlist, entries, nprobe, k, masked))| {
        let (queries, _, dimension, metric, kind, seed) = shape;
        let mut numbers = Numbers::new(seed);
        let (queries, rows) = (numbers.vector(kind, queries * dimension), numbers.vector(kind, entries * dimension));
        let (offsets, ids) = numbers.lists(nlist, entries);
        let probes = numbers.probes(kind, nlist, queries.len() / dimension, nprobe);
        let mask = masked.then(|| numbers.mask(entries));
        let (mask, vectors) = (mask.as_deref(), (&queries[..], &rows[..], dimension));
        let found = flat_scan(device, vectors, (&offsets, &ids), (&probes, nprobe), mask, (k, metric));
        let lists = reference::ProbedLists { offsets: &offsets, ids: &ids, probes: &probes, nprobe, mask };
        let expected = reference::flat_scan(&queries, &rows, dimension, &lists, k, metric);
        assert_eq!(found.len(), expected.len() * k);
        for ((query, found), expected) in queries.chunks(dimension).zip(found.chunks(k)).zip(expected) {
            let exact = judge(query, &rows, metric);
            let entry = |id| ids.iter().position(|&other| other == id).unwrap_or_default();
            assert_neighbours(found, &expected, kind, |id| exact(entry(id) as u32));
        }
    });
}

#[test]
fn mask_has_the_entries_of_the_rows_that_are_set() {
    on_devices(&(0..300usize, 1..9000usize, any::<u64>()), |device, (entries, rows, seed)| {
        let mut numbers = Numbers::new(seed);
        let (words, ids) = (numbers.mask(rows), numbers.labels(rows, entries));
        let is_set = |row: usize| words[row / 32] >> (row % 32) & 1 == 1;
        let mask = |work: &mut _| {
            ops::mask(work, &Mask::new(device, rows, is_set).unwrap(), &upload(device, &ids, 1)).unwrap()
        };
        let mut work = device.work();
        let found = mask(&mut work);
        assert_eq!(found.len(), entries);
        let found = read(work, found.words().clone());
        let expected: Vec<bool> = ids.iter().map(|&row| is_set(row as usize)).collect();
        let bits =
            |words: &[u32]| (0..entries).map(|entry| words[entry / 32] >> (entry % 32) & 1 == 1).collect::<Vec<_>>();
        assert_eq!(bits(&found), expected);
        // Nothing is past the last.
        assert_eq!(found, reference::mask(&words, &ids));
    });
}

#[test]
fn knn_among_some_rows_are_the_closest_of_these() {
    on_devices(&(shapes(20, 400), ks()), |device, ((queries, base, dimension, metric, kind, seed), k)| {
        let mut numbers = Numbers::new(seed);
        let (queries, base) = (numbers.vector(kind, queries * dimension), numbers.vector(kind, base * dimension));
        let words = numbers.mask(base.len() / dimension);
        let is_set = |row: usize| words[row / 32] >> (row % 32) & 1 == 1;
        let among = Subset::new(device, base.len() / dimension, is_set).unwrap();
        let mut work = device.work();
        let (left, right) = (upload(device, &queries, dimension), upload(device, &base, dimension));
        let found = ops::knn_among(&mut work, &left, &right, &among, k, metric).unwrap();
        let found = read(work, found);
        let ranked = reference::knn(&queries, &base, dimension, usize::MAX, metric);
        assert_eq!(found.len(), ranked.len() * k);
        for ((query, found), ranked) in queries.chunks(dimension).zip(found.chunks(k)).zip(ranked) {
            let expected: Vec<_> = ranked.into_iter().filter(|&(row, _)| is_set(row as usize)).take(k).collect();
            assert_neighbours(found, &expected, kind, judge(query, &base, metric));
        }
    });
}

#[test]
fn rerank_orders_candidates_by_their_exact_distance() {
    let shapes = (shapes(20, 400), 1..300usize, ks(), any::<bool>());
    on_devices(&shapes, |device, ((queries, rows, dimension, metric, kind, seed), candidates, k, placed)| {
        let mut numbers = Numbers::new(seed);
        let base = numbers.vector(kind, rows * dimension);
        let queries = numbers.vector(kind, queries * dimension);
        let places = placed.then(|| numbers.permutation(rows));
        let given = numbers.probes(kind, rows, queries.len() / dimension, candidates);
        let mut work = device.work();
        let found = ops::rerank(
            &mut work,
            &upload(device, &queries, dimension),
            &upload(device, &base, dimension),
            places.as_ref().map(|places| upload(device, places, 1)).as_ref(),
            &upload(device, &given, candidates),
            k,
            metric,
        )
        .unwrap();
        let found = read(work, found);
        let places = places.as_deref();
        let expected = reference::rerank(&queries, &base, dimension, places, &given, candidates, k, metric);
        assert_eq!(found.len(), expected.len() * k);
        for ((query, found), expected) in queries.chunks(dimension).zip(found.chunks(k)).zip(expected) {
            let exact = judge(query, &base, metric);
            assert_neighbours(found, &expected, kind, |id| exact(places.map_or(id, |places| places[id as usize])));
        }
    });
}

#[test]
fn arguments_that_do_not_fit_are_errors() {
    for device in &devices_in_variants() {
        let (three, two, none) = (upload(device, &[0.0; 6], 3), upload(device, &[0.0; 6], 2), upload(device, &[], 3));
        let no_columns = upload::<f32>(device, &[], 0);
        let numbers = upload(device, &[0_u32; 3], 1);
        let ranked = upload(device, &[Ranked::NONE; 2], 1);
        let lists = upload_lists(device, &[0, 2], &[0, 1]);
        let work = &mut device.work();
        let l2 = Metric::L2;
        assert_eq!(error_of(ops::nearest(work, &three, &two, l2)), "Dimension");
        assert_eq!(error_of(ops::nearest(work, &three, &none, l2)), "Empty");
        assert_eq!(error_of(ops::knn(work, &three, &two, 1, l2)), "Dimension");
        assert_eq!(error_of(ops::knn(work, &no_columns, &no_columns, 1, l2)), "Empty");
        assert_eq!(error_of(ops::knn(work, &three, &three, 0, l2)), "Parameter");
        assert_eq!(error_of(ops::select(work, &three, 0)), "Parameter");
        assert_eq!(error_of(ops::group(work, &numbers, 0)), "Parameter");
        assert_eq!(error_of(ops::gather(work, &ranked, &numbers)), "Parameter");
        assert_eq!(error_of(ops::concat(work, &three, &two)), "Dimension");
        assert_eq!(error_of(ops::normalise(work, &no_columns)), "Empty");
        assert_eq!(error_of(ops::rerank(work, &three, &two, None, &ranked, 1, l2)), "Dimension");
        assert_eq!(error_of(ops::rerank(work, &three, &three, None, &ranked, 0, l2)), "Parameter");
        assert_eq!(error_of(ops::rerank(work, &two, &two, None, &ranked, 1, l2)), "Length");
        assert_eq!(error_of(ops::flat_scan(work, &two, &two, None, &lists, &ranked, 1, l2)), "Length");
        assert_eq!(error_of(ops::flat_scan(work, &three, &three, None, &lists, &ranked, 0, l2)), "Parameter");
        let short = lists.masked(Mask::new(device, 1, |_| true).unwrap());
        assert_eq!(error_of(ops::flat_scan(work, &three, &three, None, &short, &ranked, 1, l2)), "Length");
        let one = Subset::new(device, 1, |_| true).unwrap();
        assert_eq!(error_of(ops::knn_among(work, &three, &three, &one, 1, l2)), "Length");
        let other = ops::round(work, &two, Metric::InnerProduct).unwrap();
        assert_eq!(error_of(ops::flat_scan(work, &three, &three, Some(&other), &lists, &ranked, 1, l2)), "Length");
        let other = ops::round(work, &three, Metric::InnerProduct).unwrap();
        assert_eq!(error_of(ops::flat_scan(work, &three, &three, Some(&other), &lists, &ranked, 1, l2)), "Parameter");
        let grouping = Grouping { offsets: numbers.clone(), order: numbers.clone() };
        assert_eq!(error_of(ops::segment_sums(work, &three, &grouping)), "Length");
        assert_eq!(error_of(ops::update_centroids(work, &two, &numbers, &two, &two, &two, false)), "Length");
        for other in devices_in_variants().iter().filter(|other| !other.same_as(device)) {
            let elsewhere = upload(other, &[0.0; 6], 3);
            assert_eq!(error_of(ops::knn(work, &elsewhere, &three, 1, l2)), "OtherDevice");
            assert_eq!(error_of(ops::nearest(work, &three, &elsewhere, l2)), "OtherDevice");
            assert_eq!(error_of(ops::select(work, &elsewhere, 1)), "OtherDevice");
            assert_eq!(error_of(ops::normalise(work, &elsewhere)), "OtherDevice");
            assert_eq!(error_of(ops::concat(work, &three, &elsewhere)), "OtherDevice");
            assert_eq!(error_of(ops::rename(work, &ranked, &upload(other, &[0], 1))), "OtherDevice");
            let there = Mask::new(other, 2, |_| true).unwrap();
            assert_eq!(error_of(ops::mask(work, &there, &numbers)), "OtherDevice");
            let masked = lists.masked(there);
            assert_eq!(error_of(ops::flat_scan(work, &three, &three, None, &masked, &ranked, 1, l2)), "OtherDevice");
        }
    }
}
