//! Every operation of product quantization on every device gives what its reference gives.

mod common;

use cellprobe::{
    Device, Work,
    ops::{self, Codebook, Places, PqCodes, Ranked, Table, reference},
};
use common::*;
use proptest::prelude::*;
use reference::Codewords;

/// A product quantizer and rows to go with it.
#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    m: usize,
    nbits: usize,
    dsub: usize,
    kind: Kind,
    seed: u64,
}

fn cases(rows: usize) -> impl Strategy<Value = Case> {
    let shape = (prop_oneof![Just(0), Just(1), 1..rows], 4..9usize, kinds(), any::<u64>());
    shape.prop_flat_map(|(rows, nbits, kind, seed)| {
        // A codebook must fit one binding.
        let most = (SMALL_BINDING as usize / 4) >> nbits;
        (1..=most.min(20)).prop_flat_map(move |dsub| {
            (1..=(most / dsub).min(20)).prop_map(move |m| Case { rows, m, nbits, dsub, kind, seed })
        })
    })
}

/// What a case's operations read.
struct Data {
    dimension: usize,
    centroids: Vec<f32>,
    numbers: Numbers,
}

impl Case {
    fn data(&self) -> Data {
        let mut numbers = Numbers::new(self.seed);
        // Codewords are residuals: near zero, wherever the rows are.
        let kind = if self.kind == Kind::Far { Kind::Even } else { self.kind };
        let centroids = numbers.vector(kind, (self.m << self.nbits) * self.dsub);
        Data { dimension: self.m * self.dsub, centroids, numbers }
    }

    fn codewords<'a>(&self, data: &'a Data) -> Codewords<'a> {
        Codewords { centroids: &data.centroids, m: self.m, nbits: self.nbits }
    }

    fn codebook(&self, device: &Device, data: &Data) -> Codebook {
        Codebook::new(upload(device, &data.centroids, self.dsub), self.m, self.nbits).unwrap()
    }

    /// Codes as scans read them.
    fn interleaved(&self, device: &Device, work: &mut Work, data: &Data, codes: &[u32]) -> PqCodes {
        let rows = upload(device, codes, self.codewords(data).words());
        ops::pq_interleave(work, &rows, &self.codebook(device, data)).unwrap()
    }

    /// Any codes, word after word.
    fn codes(&self, data: &mut Data, rows: usize) -> Vec<u32> {
        let mut code = || (0..self.m).map(|_| data.numbers.below(1 << self.nbits)).collect::<Vec<_>>();
        let codes: Vec<_> = (0..rows).map(|_| code()).collect();
        codes.iter().flat_map(|code| self.codewords(data).pack(code)).collect()
    }
}

#[test]
fn pq_encode_takes_the_closest_codewords() {
    on_devices(&(cases(300), 1..9usize, any::<bool>()), |device, (case, nlist, residual)| {
        let mut data = case.data();
        let rows = data.numbers.vector(case.kind, case.rows * data.dimension);
        let centroids = data.numbers.vector(case.kind, nlist * data.dimension);
        let labels = data.numbers.labels(nlist, case.rows);
        let on_device = (upload(device, &centroids, data.dimension), upload(device, &labels, 1));
        let mut work = device.work();
        let codes = ops::pq_encode(
            &mut work,
            &upload(device, &rows, data.dimension),
            &case.codebook(device, &data),
            residual.then_some((&on_device.0, &on_device.1)),
        )
        .unwrap();
        let codes = read(work, codes);
        let codewords = case.codewords(&data);
        let expected = reference::pq_encode(&rows, &codewords, residual.then_some((&centroids, &labels)));
        if case.kind == Kind::Whole {
            assert_eq!(codes, expected);
            return;
        }
        assert_eq!(codes.len(), expected.len());
        for (row, (code, expected)) in
            codes.chunks(codewords.words()).zip(expected.chunks(codewords.words())).enumerate()
        {
            assert_eq!(codewords.pack(&codewords.unpack(code)), code, "padding bits are zero");
            let (found, best) = (codewords.decode(code), codewords.decode(expected));
            for sub in 0..case.m {
                let columns = sub * case.dsub..(sub + 1) * case.dsub;
                let squares = |codeword: &[f32]| {
                    columns.clone().fold((0.0, 1e-30), |(sum, rounding), column| {
                        let value = f64::from(rows[row * data.dimension + column]);
                        let centre =
                            if residual { centroids[labels[row] as usize * data.dimension + column] } else { 0.0 };
                        let difference = value - f64::from(centre) - f64::from(codeword[column]);
                        let size = value.abs() + f64::from(centre).abs() + f64::from(codeword[column]).abs();
                        (
                            sum + difference * difference,
                            rounding + size * difference.abs() * 16.0 * f64::from(f32::EPSILON),
                        )
                    })
                };
                let ((found, rounding), (best, other)) = (squares(&found), squares(&best));
                assert!(found <= best + rounding + other, "row {row}, {sub}: {found} instead of {best}");
            }
        }
    });
}

#[test]
fn pq_tables_hold_distances_to_codewords() {
    on_devices(&(cases(20), 0..3_usize), |device, (case, table)| {
        let mut data = case.data();
        let queries = data.numbers.vector(case.kind, case.rows * data.dimension);
        let origin = data.numbers.vector(case.kind, data.dimension);
        let on_device = upload(device, &origin, data.dimension);
        let (squared, origin) = (table == 0, (table == 2).then_some(&origin[..]));
        let table = [Table::L2, Table::InnerProduct, Table::Residual(&on_device)][table];
        let mut work = device.work();
        let queries_there = upload(device, &queries, data.dimension);
        let tables = ops::pq_tables(&mut work, &queries_there, &case.codebook(device, &data), table).unwrap();
        let tables = read(work, tables);
        let expected = reference::pq_tables(&queries, &case.codewords(&data), squared, origin);
        assert_eq!(tables.len(), expected.len());
        let columns = case.m << case.nbits;
        for (place, (&found, expected)) in tables.iter().zip(expected).enumerate() {
            let (query, entry) = (&queries[place / columns * data.dimension..], place % columns);
            let first = (entry >> case.nbits) * case.dsub;
            let terms = (0..case.dsub).map(|i| {
                let (q, y) = (f64::from(query[first + i]), f64::from(data.centroids[entry * case.dsub + i]));
                let o = origin.map_or(0.0, |origin| f64::from(origin[first + i]));
                if squared { (q - y) * (q - y) } else { 2.0 * (q.abs() + o.abs()) * y }
            });
            assert_close(f64::from(found), expected, if case.kind == Kind::Whole { 0.0 } else { rounding(terms) });
        }
    });
}

#[test]
fn pq_terms_are_the_part_without_the_query() {
    on_devices(&(cases(300), 1..9usize), |device, (case, nlist)| {
        let mut data = case.data();
        let codes = case.codes(&mut data, case.rows);
        let centroids = data.numbers.vector(case.kind, nlist * data.dimension);
        let labels = data.numbers.labels(nlist, case.rows);
        let origin = data.numbers.vector(case.kind, data.dimension);
        let codewords = case.codewords(&data);
        let mut work = device.work();
        let terms = ops::pq_terms(
            &mut work,
            &upload(device, &codes, codewords.words()),
            &case.codebook(device, &data),
            &upload(device, &centroids, data.dimension),
            &upload(device, &labels, 1),
            &upload(device, &origin, data.dimension),
        )
        .unwrap();
        let terms = read(work, terms);
        let expected = reference::pq_terms(&codes, &codewords, &centroids, &labels, &origin);
        assert_eq!(terms.len(), expected.len());
        for (row, (&found, expected)) in terms.iter().zip(expected).enumerate() {
            let centroid = &centroids[labels[row] as usize * data.dimension..][..data.dimension];
            let residual = codewords.decode(&codes[row * codewords.words()..][..codewords.words()]);
            let parts = residual.iter().zip(centroid).zip(&origin).flat_map(|((&r, &c), &o)| {
                let (r, c, o) = (f64::from(r), f64::from(c), f64::from(o));
                [r * r, 2.0 * (c - o) * r]
            });
            assert_close(f64::from(found), expected, if case.kind == Kind::Whole { 0.0 } else { rounding(parts) });
        }
    });
}

#[test]
fn interleaved_codes_come_back_as_they_were() {
    on_devices(&(cases(20), prop_oneof![Just(0), 1..400usize]), |device, (case, entries)| {
        let mut data = case.data();
        let codes = case.codes(&mut data, entries);
        let mut work = device.work();
        let interleaved = case.interleaved(device, &mut work, &data, &codes);
        assert_eq!(interleaved.len(), entries);
        let rows = interleaved.rows(&mut work).unwrap();
        assert_eq!(read(work, rows), codes);
    });
}

/// What a scan looks for, and where.
#[derive(Clone, Debug)]
struct Lists {
    nlist: usize,
    entries: usize,
    nprobe: usize,
    k: usize,
    with_terms: bool,
    add_probe: bool,
    /// Whether some of the entries alone are looked at.
    with_mask: bool,
}

#[test]
fn pq_scan_finds_the_smallest_sums_of_the_probed_lists() {
    let lists = (1..12usize, 0..400usize, 1..5usize, prop_oneof![Just(1), 1..20usize, 257..400usize]);
    on_devices(&(cases(20), lists, any::<[bool; 3]>()), |device, (case, lists, [with_terms, add_probe, with_mask])| {
        let (nlist, entries, nprobe, k) = lists;
        check_scan(device, &case, &Lists { nlist, entries, nprobe, k, with_terms, add_probe, with_mask });
    });
}

/// Few and many sub-quantizers: words without sixteens of look-ups, sixteens with and without words, tables that fit
/// workgroup memory and that do not; more lists than a workgroup has open, empty and unaligned ones, more entries than
/// it scans at a time.
#[test]
fn pq_scan_takes_codes_of_any_length() {
    let shapes = [
        (1, 8, 3000, 2, 1),
        (7, 8, 900, 90, 100),
        (16, 8, 2500, 3, 300),
        (16, 5, 700, 5, 10),
        (21, 7, 1200, 100, 10),
        (30, 6, 300, 7, 5),
        (31, 4, 2000, 5, 20),
        (64, 4, 500, 3, 100),
        (64, 8, 1500, 150, 100),
        (75, 8, 400, 3, 10),
        (128, 4, 200, 9, 10),
        (128, 8, 300, 2, 1),
    ];
    for device in &devices() {
        for (seed, (m, nbits, entries, nlist, k)) in shapes.into_iter().enumerate() {
            for kind in [Kind::Whole, Kind::Even] {
                let case = Case { rows: 3, m, nbits, dsub: 1, kind, seed: seed as u64 };
                let with_terms = kind == Kind::Even;
                let (add_probe, with_mask) = (true, kind == Kind::Whole);
                check_scan(
                    device,
                    &case,
                    &Lists { nlist, entries, nprobe: nlist, k, with_terms, add_probe, with_mask },
                );
            }
        }
    }
}

/// Many queries are scanned in the order of their lists, two by two: an odd number of them and an even one, sixteens of
/// look-ups and others, tables that fit and that do not.
#[test]
fn pq_scan_gives_each_of_many_queries_its_own() {
    let shapes = [
        (300, 3, 4, 3, [true, true]),
        (300, 3, 4, 260, [true, true]),
        (257, 16, 7, 5, [false, true]),
        (256, 21, 6, 5, [true, true]),
        (257, 40, 7, 5, [false, false]),
    ];
    for device in &devices() {
        for (rows, m, nbits, k, [with_terms, add_probe]) in shapes {
            let case = Case { rows, m, nbits, dsub: 1, kind: Kind::Whole, seed: 5 };
            for with_mask in [false, true] {
                let lists = Lists { nlist: 9, entries: 400, nprobe: 4, k, with_terms, add_probe, with_mask };
                check_scan(device, &case, &lists);
            }
        }
    }
}

/// More are wanted than a queue in workgroup memory holds, of more entries than one in storage has room for: of one query,
/// and of two side by side, an even number of them and an odd one.
#[test]
fn pq_scan_finds_as_many_as_are_wanted() {
    for device in &devices() {
        for (rows, m, nbits, entries, nlist, k) in
            [(1, 5, 8, 9000, 2, 300), (2, 16, 8, 12_000, 3, 700), (5, 16, 4, 9000, 1, 1000), (257, 3, 4, 5000, 4, 260)]
        {
            for kind in [Kind::Whole, Kind::Even] {
                let case = Case { rows, m, nbits, dsub: 1, kind, seed: 3 };
                let with_mask = kind == Kind::Even;
                let lists = Lists { nlist, entries, nprobe: nlist, k, with_terms: true, add_probe: true, with_mask };
                check_scan(device, &case, &lists);
            }
        }
    }
}

/// A query's distances are the same to the last bit whether it is scanned for alone or beside another.
#[test]
fn pq_scan_does_not_depend_on_the_other_queries() {
    let case = Case { rows: 3, m: 23, nbits: 6, dsub: 1, kind: Kind::Even, seed: 9 };
    for device in &devices() {
        let mut data = case.data();
        let columns = case.m << case.nbits;
        let tables = data.numbers.vector(case.kind, case.rows * columns);
        let codes = case.codes(&mut data, 500);
        let (offsets, ids) = data.numbers.lists(4, 500);
        let probes = data.numbers.probes(case.kind, 4, case.rows, 4);
        let mut work = device.work();
        let interleaved = case.interleaved(device, &mut work, &data, &codes);
        let (codebook, lists) = (case.codebook(device, &data), upload_lists(device, &offsets, &ids));
        work.submit().unwrap();
        let scan = |tables: &[f32], probes: &[Ranked]| {
            let (tables, probes) = (upload(device, tables, columns), upload(device, probes, 4));
            let mut work = device.work();
            let found =
                ops::pq_scan(&mut work, &tables, &codebook, &interleaved, &lists, None, &probes, true, 10).unwrap();
            read(work, found)
        };
        let alone = tables.chunks(columns).zip(probes.chunks(4)).flat_map(|(table, probes)| scan(table, probes));
        assert_eq!(scan(&tables, &probes), alone.collect::<Vec<_>>(), "{device:?}");
    }
}

/// Scans of random codes give what the reference gives.
fn check_scan(device: &Device, case: &Case, lists: &Lists) {
    let &Lists { nlist, entries, nprobe, k, with_terms, add_probe, with_mask } = lists;
    let mut data = case.data();
    let columns = case.m << case.nbits;
    let tables = data.numbers.vector(case.kind, case.rows * columns);
    let codes = case.codes(&mut data, entries);
    let (offsets, ids) = data.numbers.lists(nlist, entries);
    let terms = with_terms.then(|| data.numbers.vector(case.kind, entries));
    let probes = data.numbers.probes(case.kind, nlist, case.rows, nprobe);
    let mask = with_mask.then(|| data.numbers.mask(entries));
    let mask = mask.as_deref();
    let codewords = case.codewords(&data);
    let mut work = device.work();
    let interleaved = case.interleaved(device, &mut work, &data, &codes);
    let found = ops::pq_scan(
        &mut work,
        &upload(device, &tables, columns),
        &case.codebook(device, &data),
        &interleaved,
        &masked(device, &upload_lists(device, &offsets, &ids), mask),
        terms.as_ref().map(|terms| upload(device, terms, 1)).as_ref(),
        &upload(device, &probes, nprobe),
        add_probe,
        k,
    )
    .unwrap();
    let found = read(work, found);
    let lists = reference::ProbedLists { offsets: &offsets, ids: &ids, probes: &probes, nprobe, mask };
    let terms = terms.as_deref();
    let search = |k| reference::pq_scan(&tables, &codewords, &codes, terms, &lists, add_probe, k);
    let (expected, all) = (search(k), search(usize::MAX));
    assert_eq!(found.len(), expected.len() * k);
    for (query, (found, expected)) in found.chunks(k).zip(expected).enumerate() {
        // What is added may be as large as the largest number among it.
        let largest = tables.iter().chain(terms.unwrap_or_default()).fold(0.0_f32, |a, &b| a.max(b.abs()));
        let largest = probes.iter().filter(|probe| !probe.is_none()).fold(largest, |a, b| a.max(b.distance().abs()));
        let rounding = rounding((0..case.m + 2).map(|_| f64::from(largest)));
        assert_neighbours(found, &expected, case.kind, |id| {
            (all[query].iter().find(|candidate| candidate.0 == id).map_or(f64::NAN, |found| found.1), rounding)
        });
    }
}

#[test]
fn pq_rerank_gives_the_distance_to_the_decoded_row() {
    on_devices(&(cases(20), 1..9usize, 1..300usize, 1..50usize), |device, (case, nlist, entries, candidates)| {
        let mut data = case.data();
        let queries = data.numbers.vector(case.kind, case.rows * data.dimension);
        let codes = case.codes(&mut data, entries);
        let centroids = data.numbers.vector(case.kind, nlist * data.dimension);
        let (offsets, mut ids) = data.numbers.lists(nlist, entries);
        let visited = data.numbers.below(2) == 0;
        if visited {
            offsets.windows(2).for_each(|ends| ids[ends[0] as usize..ends[1] as usize].sort_unstable());
        }
        let mut positions = vec![0; entries];
        (0..).zip(&ids).for_each(|(entry, &id)| positions[id as usize] = entry);
        let given = data.numbers.probes(case.kind, entries, case.rows, candidates);
        let places = upload(device, &positions, 1);
        let every_list: Vec<_> = (0..case.rows * nlist).map(|probe| Ranked::new(0.0, (probe % nlist) as u32)).collect();
        let every_list = upload(device, &every_list, nlist);
        let codewords = case.codewords(&data);
        let mut work = device.work();
        let interleaved = case.interleaved(device, &mut work, &data, &codes);
        let found = ops::pq_rerank(
            &mut work,
            &upload(device, &queries, data.dimension),
            &case.codebook(device, &data),
            &interleaved,
            &upload_lists(device, &offsets, &ids),
            if visited { Places::Visited(&every_list) } else { Places::Known(&places) },
            &upload(device, &centroids, data.dimension),
            &upload(device, &given, candidates),
        )
        .unwrap();
        let found = read(work, found);
        let expected =
            reference::pq_rerank(&queries, &codewords, &codes, &offsets, &positions, &centroids, &given, candidates);
        assert_eq!(found.len(), expected.len() * candidates);
        for (query, (found, expected)) in found.chunks(candidates).zip(expected).enumerate() {
            let query = &queries[query * data.dimension..][..data.dimension];
            assert_neighbours(found, &expected, case.kind, |id| {
                let truth = expected.iter().find(|candidate| candidate.0 == id).map_or(f64::NAN, |found| found.1);
                // A difference is rounded as its largest part.
                let largest = query.iter().chain(&centroids).fold(1.0_f32, |a, &b| a.max(b.abs()));
                let difference = (truth / data.dimension as f64).sqrt() + 1.0;
                (truth, rounding((0..data.dimension).map(|_| f64::from(largest) * difference)))
            });
        }
    });
}

#[test]
fn arguments_that_do_not_fit_are_errors() {
    for device in &devices_in_variants() {
        let codewords = upload(device, &[0.0; 64], 2);
        assert_eq!(error_of(Codebook::new(codewords.clone(), 2, 3)), "Parameter");
        assert_eq!(error_of(Codebook::new(codewords.clone(), 0, 4)), "Parameter");
        assert_eq!(error_of(Codebook::new(codewords.clone(), 3, 4)), "Length");
        let codebook = Codebook::new(codewords, 2, 4).unwrap();
        let (four, three) = (upload(device, &[0.0; 4], 4), upload(device, &[0.0; 3], 3));
        let (codes, label) = (upload(device, &[0_u32; 1], 1), upload(device, &[0_u32; 1], 1));
        let (labels, tables) = (upload(device, &[0_u32; 2], 1), upload(device, &[0.0; 32], 32));
        let lists = upload_lists(device, &[0, 1], &[0]);
        let probes = upload(device, &[Ranked::NONE], 1);
        let three_words = upload(device, &[0_u32; 3], 3);
        let work = &mut device.work();
        assert_eq!(error_of(ops::pq_encode(work, &three, &codebook, None)), "Dimension");
        assert_eq!(error_of(ops::pq_encode(work, &four, &codebook, Some((&three, &label)))), "Dimension");
        assert_eq!(error_of(ops::pq_encode(work, &four, &codebook, Some((&four, &labels)))), "Length");
        assert_eq!(error_of(ops::pq_tables(work, &three, &codebook, Table::L2)), "Dimension");
        assert_eq!(error_of(ops::pq_tables(work, &four, &codebook, Table::Residual(&three))), "Dimension");
        assert_eq!(error_of(ops::pq_terms(work, &codes, &codebook, &three, &label, &three)), "Dimension");
        assert_eq!(error_of(ops::pq_terms(work, &codes, &codebook, &four, &labels, &four)), "Length");
        let codes = ops::pq_interleave(work, &codes, &codebook).unwrap();
        assert_eq!(error_of(ops::pq_interleave(work, &three_words, &codebook)), "Dimension");
        let mut scan = |tables, k| ops::pq_scan(work, tables, &codebook, &codes, &lists, None, &probes, true, k);
        assert_eq!(error_of(scan(&tables, 0)), "Parameter");
        assert_eq!(error_of(scan(&four, 1)), "Dimension");
        let rerank = ops::pq_rerank(work, &three, &codebook, &codes, &lists, Places::Known(&label), &three, &probes);
        assert_eq!(error_of(rerank), "Dimension");
        let rerank = ops::pq_rerank(work, &four, &codebook, &codes, &lists, Places::Known(&labels), &four, &probes);
        assert_eq!(error_of(rerank), "Length");
    }
}
