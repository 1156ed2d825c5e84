//! Candidates, probes and labels that name nothing there is are passed over; nothing outside of an array is read for them.

mod common;

use cellprobe::{
    Device, Metric,
    ops::{self, Codebook, Mask, Places, Ranked, Table},
};
use common::*;

/// Numbers that lie past the end of `count`, near and far, but for every third.
fn strays(numbers: &mut Numbers, count: usize, wanted: usize) -> Vec<u32> {
    let past = [count as u32, count as u32 + 1, u32::MAX / 2, u32::MAX - 1, u32::MAX];
    let number = |place: usize| if place.is_multiple_of(3) { numbers.below(count) as u32 } else { past[place % 5] };
    (0..wanted).map(number).collect()
}

fn candidates(strays: Vec<u32>) -> Vec<Ranked> {
    strays.into_iter().map(|id| Ranked::new(0.5, id)).collect()
}

/// What `find` gives on the CPU, and on every device.
fn same<T: PartialEq + std::fmt::Debug>(find: impl Fn(&Device) -> T) -> T {
    let expected = find(&Device::cpu());
    for device in &devices_in_variants() {
        assert_eq!(find(device), expected, "{device:?}");
    }
    expected
}

#[test]
fn candidates_without_a_name_keep_theirs() {
    let mut numbers = Numbers::new(1);
    let (names, given) = (numbers.labels(90, 50), candidates(strays(&mut numbers, 50, 120)));
    let found = same(|device| {
        let mut work = device.work();
        let renamed = ops::rename(&mut work, &upload(device, &given, 6), &upload(device, &names, 1)).unwrap();
        read(work, renamed)
    });
    assert_eq!(found[1], given[1]);
}

#[test]
fn candidates_without_a_row_are_none() {
    let mut numbers = Numbers::new(2);
    let (queries, rows) = (numbers.vector(Kind::Whole, 10 * 8), numbers.vector(Kind::Whole, 50 * 8));
    // Some places are no rows.
    let (places, given) = (strays(&mut numbers, 50, 60), candidates(strays(&mut numbers, 60, 10 * 12)));
    for (rows, placed) in [(&rows[..], true), (&rows[..], false), (&[], true), (&[], false)] {
        let found = same(|device| {
            let places = placed.then(|| upload(device, &places, 1));
            let (queries, rows) = (upload(device, &queries, 8), upload(device, rows, 8));
            let given = upload(device, &given, 12);
            let mut work = device.work();
            let found = ops::rerank(&mut work, &queries, &rows, places.as_ref(), &given, 12, Metric::L2).unwrap();
            read(work, found)
        });
        assert_eq!(found.iter().all(|one| one.is_none()), rows.is_empty());
    }
}

#[test]
fn rows_that_a_mask_has_no_bit_of_are_not_set() {
    let mut numbers = Numbers::new(5);
    let ids = strays(&mut numbers, 96, 200);
    let found = same(|device| {
        let mask = Mask::new(device, 96, |_| true).unwrap();
        let mut work = device.work();
        let masked = ops::mask(&mut work, &mask, &upload(device, &ids, 1)).unwrap();
        read(work, masked.words().clone())
    });
    assert_eq!(found[0] & 0b1111, 0b1001);
}

#[test]
fn lists_that_there_are_not_hold_nothing() {
    let mut numbers = Numbers::new(3);
    let (queries, rows) = (numbers.vector(Kind::Whole, 10 * 8), numbers.vector(Kind::Whole, 100 * 8));
    let (offsets, ids) = numbers.lists(5, 100);
    let probes = candidates(strays(&mut numbers, 5, 10 * 3));
    let found = same(|device| {
        let (queries, rows) = (upload(device, &queries, 8), upload(device, &rows, 8));
        let (lists, probes) = (upload_lists(device, &offsets, &ids), upload(device, &probes, 3));
        [false, true].map(|rounded| {
            let mut work = device.work();
            let rounded = rounded.then(|| ops::round(&mut work, &rows, Metric::L2).unwrap());
            let rounded = rounded.as_ref();
            let found = ops::flat_scan(&mut work, &queries, &rows, rounded, &lists, &probes, 7, Metric::L2).unwrap();
            read(work, found)
        })
    });
    assert_eq!(found[0], found[1]);
}

#[test]
fn codes_of_no_list_have_no_term_and_candidates_without_a_code_are_none() {
    let mut numbers = Numbers::new(4);
    let (m, nbits, dimension, entries, nlist) = (3, 4, 6, 70, 4);
    let codewords = numbers.vector(Kind::Whole, (m << nbits) * 2);
    let codes: Vec<u32> = (0..entries).map(|_| numbers.below(1 << 12) as u32).collect();
    let centroids = numbers.vector(Kind::Whole, nlist * dimension);
    let (queries, origin) = (numbers.vector(Kind::Whole, 9 * dimension), numbers.vector(Kind::Whole, dimension));
    let labels = strays(&mut numbers, nlist, entries);
    let (offsets, ids) = numbers.lists(nlist, entries);
    let (positions, given) =
        (strays(&mut numbers, entries, entries), candidates(strays(&mut numbers, entries, 9 * 10)));
    let codebook = |device: &Device| Codebook::new(upload(device, &codewords, 2), m, nbits).unwrap();
    let terms = same(|device| {
        let (centroids, origin) = (upload(device, &centroids, dimension), upload(device, &origin, dimension));
        let (codes, labels) = (upload(device, &codes, 1), upload(device, &labels, 1));
        let mut work = device.work();
        let terms = ops::pq_terms(&mut work, &codes, &codebook(device), &centroids, &labels, &origin).unwrap();
        read(work, terms)
    });
    assert!(terms[1].abs() < f32::EPSILON && terms.iter().any(|term| term.abs() > 1.0));
    for entries in [entries, 0] {
        let found = same(|device| {
            let (codes, ids) = (upload(device, &codes[..entries], 1), &ids[..entries]);
            let offsets = if entries == 0 { &[0; 5] } else { &offsets[..] };
            let (lists, places) = (upload_lists(device, offsets, ids), upload(device, &positions[..entries], 1));
            let (queries, centroids) = (upload(device, &queries, dimension), upload(device, &centroids, dimension));
            let given = upload(device, &given, 10);
            let mut work = device.work();
            let codebook = codebook(device);
            let codes = ops::pq_interleave(&mut work, &codes, &codebook).unwrap();
            let places = Places::Known(&places);
            let found =
                ops::pq_rerank(&mut work, &queries, &codebook, &codes, &lists, places, &centroids, &given).unwrap();
            read(work, found)
        });
        assert_eq!(found.iter().all(|one| one.is_none()), entries == 0);
    }
}

#[test]
fn codes_in_lists_that_there_are_not_are_not_found() {
    let mut numbers = Numbers::new(6);
    let (nbits, entries, nlist) = (4, 300, 5);
    let (offsets, ids) = numbers.lists(nlist, entries);
    // Few queries, and two side by side.
    for (m, queries, nprobe) in [(3, 1, 3), (16, 4, 3)] {
        let codewords = numbers.vector(Kind::Whole, (m << nbits) * 2);
        let codes: Vec<u32> = (0..entries * (m * nbits).div_ceil(32)).map(|_| numbers.below(1 << 12) as u32).collect();
        let (asked, probes) =
            (numbers.vector(Kind::Whole, queries * 2 * m), strays(&mut numbers, nlist, queries * nprobe));
        let found = same(|device| {
            let codebook = Codebook::new(upload(device, &codewords, 2), m, nbits).unwrap();
            let probes = upload(device, &candidates(probes.clone()), nprobe);
            let mut work = device.work();
            let codes = upload(device, &codes, codebook.words());
            let codes = ops::pq_interleave(&mut work, &codes, &codebook).unwrap();
            let tables = ops::pq_tables(&mut work, &upload(device, &asked, 2 * m), &codebook, Table::L2).unwrap();
            let lists = upload_lists(device, &offsets, &ids);
            let found = ops::pq_scan(&mut work, &tables, &codebook, &codes, &lists, None, &probes, false, 400).unwrap();
            read(work, found)
        });
        assert!(found.iter().any(|one| one.is_none()) && found.iter().any(|one| !one.is_none()));
    }
}

#[test]
fn rows_of_no_centroid_have_some_code() {
    let mut numbers = Numbers::new(7);
    for dsub in [2, 20] {
        let (m, nbits, rows, nlist) = (3, 4, 50, 4);
        let codewords = numbers.vector(Kind::Even, (m << nbits) * dsub);
        let (values, centroids) =
            (numbers.vector(Kind::Even, rows * m * dsub), numbers.vector(Kind::Even, nlist * m * dsub));
        let labels = strays(&mut numbers, nlist, rows);
        let encoded = |device: &Device| {
            let codebook = Codebook::new(upload(device, &codewords, dsub), m, nbits).unwrap();
            let (values, centroids) = (upload(device, &values, m * dsub), upload(device, &centroids, m * dsub));
            let labels = upload(device, &labels, 1);
            let mut work = device.work();
            let codes = ops::pq_encode(&mut work, &values, &codebook, Some((&centroids, &labels))).unwrap();
            read(work, codes)
        };
        let expected = encoded(&Device::cpu());
        for device in &devices_in_variants() {
            let codes = encoded(device);
            assert!((0..rows).step_by(3).all(|row| codes[row] == expected[row]), "{device:?}");
        }
    }
}
