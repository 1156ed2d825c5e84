//! Identification finds what is there, within a window and without a precursor, counts what is wrong, and gives the same
//! answer on any number of threads.
#![cfg(feature = "spectra")]

mod spectra_common;

use std::path::{Path, PathBuf};

use cellprobe::{
    Device, Error,
    index::Training,
    spectra::{
        Cleaning, Field, Peak, Polarity, Score, Source, Spectrum, Spool, Tolerance, Vectorizer,
        identify::{
            Decoys, Found, Identification, IdentifyOptions, Library, Outcome, Quality, identify, identify_spooled,
            q_values, read_library, sidecar, write_library,
        },
        read_files,
    },
};
use proptest::prelude::*;
use spectra_common::data;

fn run(number: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/data/dbgi/20220513_PMA_DBGI_01_04_{number:03}.mgf"))
}

/// A library of nine runs, and the spectra of the tenth.
fn runs() -> (Library, Vec<Spectrum>) {
    let (known, _) = read_files(&(1..=9).map(run).collect::<Vec<_>>()).unwrap();
    let (library, rejected) = Library::new(known, Cleaning::metabolomics(), Vectorizer::default()).unwrap();
    assert_eq!(rejected.total(), 0);
    let (unknown, _) = read_files(&[run(10)]).unwrap();
    let queries = library.clean(unknown).unwrap().0;
    (library, queries)
}

fn found(library: &Library, queries: &[Spectrum], options: &IdentifyOptions) -> Vec<Identification> {
    identify(&Device::cpu(), library, queries, options, &|_, _, _| ()).unwrap()
}

fn spectrum(name: &str, precursor_mz: Option<f64>, peaks: &[(f64, f32)]) -> Spectrum {
    let source = Source { file: Path::new("test.mgf").into(), index: 0, line: 1 };
    Spectrum {
        precursor_mz,
        peaks: peaks.iter().map(|&(mz, intensity)| Peak { mz, intensity }).collect(),
        fields: vec![("TITLE".into(), name.into()), ("INCHIKEY".into(), name.into())],
        ..Spectrum::new(source)
    }
}

fn small(spectra: Vec<Spectrum>) -> Library {
    Library::new(spectra, Cleaning::metabolomics(), Vectorizer::default()).unwrap().0
}

const PEAKS: [(f64, f32); 3] = [(80.0, 5.0), (100.0, 9.0), (120.0, 7.0)];

#[test]
fn a_window_compares_all_that_is_in_it_and_nothing_else() {
    let (library, queries) = runs();
    let options = IdentifyOptions::default();
    let window = Tolerance::Ppm(10.0);
    for (query, found) in queries.iter().zip(found(&library, &queries, &options)) {
        let near = |s: &&Spectrum| {
            s.charges == query.charges
                && s.precursor_mz.zip(query.precursor_mz).is_some_and(|(a, b)| window.accepts(a, b))
        };
        assert_eq!(found.candidates, library.spectra().iter().filter(near).count());
        assert!(found.matches.iter().all(|it| it.precursor_error.unwrap().abs() <= 10.001));
        assert!(found.matches.is_sorted_by(|a, b| a.score >= b.score));
        assert!(found.matches.len() <= options.k);
    }
}

#[test]
fn spectra_find_themselves() {
    let (library, _) = runs();
    let queries = library.spectra().to_vec();
    let window = Some(Tolerance::Ppm(10.0));
    for score in [Score::Cosine, Score::ModifiedCosine, Score::Entropy] {
        for precursor_tolerance in [window, None] {
            let options = IdentifyOptions { score, precursor_tolerance, ..IdentifyOptions::default() };
            for found in found(&library, &queries, &options) {
                assert!((found.matches[0].score - 1.0).abs() < 1e-9, "{score} {precursor_tolerance:?}");
            }
        }
    }
}

#[test]
fn codes_find_what_exact_vectors_find_once_candidates_are_compared() {
    let (mut library, queries) = runs();
    let options = IdentifyOptions { precursor_tolerance: None, ..IdentifyOptions::default() };
    let exact = found(&library, &queries, &options);
    library.build_index(&Device::cpu(), "IVF8,PQ80x4", &Training::default()).unwrap();
    let by_codes = found(&library, &queries, &IdentifyOptions { nprobe: Some(8), ..options.clone() });
    let same = exact
        .iter()
        .zip(&by_codes)
        .filter(|(a, b)| a.matches[0].score.to_bits() == b.matches[0].score.to_bits())
        .count();
    assert!(same * 100 >= 97 * queries.len(), "{same} of {}", queries.len());
    let alone = found(&library, &queries, &IdentifyOptions { rerank_candidates: None, ..options });
    assert!(alone.iter().all(|found| found.matches[0].score <= 1.0));
}

#[test]
fn libraries_come_back_from_their_files() {
    let (mut library, queries) = runs();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.index");
    assert!(matches!(write_library(&library, &path, false), Err(Error::Empty { .. })));
    for factory in ["Flat", "PQ8x4", "IVF8,Flat", "IVF8,PQ8x4"] {
        library.build_index(&Device::cpu(), factory, &Training::default()).unwrap();
        write_library(&library, &path, true).unwrap();
        assert!(matches!(write_library(&library, &path, false), Err(Error::Io { .. })), "{factory}");
        // Neither of the two is written if one of them is there.
        let elsewhere = folder.path().join("elsewhere.index");
        for there in [elsewhere.clone(), sidecar(&elsewhere)] {
            std::fs::write(&there, "another's").unwrap();
            assert!(matches!(write_library(&library, &elsewhere, false), Err(Error::Io { .. })), "{factory}");
            assert_ne!(elsewhere.exists(), sidecar(&elsewhere).exists(), "{factory}");
            std::fs::remove_file(&there).unwrap();
        }
        let read = read_library(&path).unwrap();
        assert_eq!(read.cleaning(), library.cleaning());
        assert_eq!(read.vectorizer(), library.vectorizer());
        let options =
            IdentifyOptions { precursor_tolerance: None, decoys: Some(Decoys::Spectrum), ..IdentifyOptions::default() };
        assert_eq!(found(&read, &queries, &options), found(&library, &queries, &options), "{factory}");
    }
    // A sidecar of other spectra, a damaged one, none.
    let (other, _) = read_files(&[run(1)]).unwrap();
    let mut other = Library::new(other, Cleaning::metabolomics(), Vectorizer::default()).unwrap().0;
    other.build_index(&Device::cpu(), "Flat", &Training::default()).unwrap();
    let other_path = folder.path().join("other.index");
    write_library(&other, &other_path, false).unwrap();
    std::fs::copy(sidecar(&other_path), sidecar(&path)).unwrap();
    assert!(matches!(read_library(&path), Err(Error::File { .. })));
    std::fs::write(sidecar(&path), "BEGIN IONS\n100 1\nEND IONS\n").unwrap();
    assert!(read_library(&path).is_err());
    std::fs::remove_file(sidecar(&path)).unwrap();
    assert!(matches!(read_library(&path), Err(Error::Io { .. })));
}

#[test]
fn only_ions_that_can_be_the_same_are_compared() {
    let with = |name: &str, polarity, charges: &[i32]| Spectrum {
        polarity,
        charges: charges.to_vec(),
        ..spectrum(name, Some(300.0), &PEAKS)
    };
    let (positive, negative) = (Some(Polarity::Positive), Some(Polarity::Negative));
    let library = small(vec![
        with("1+", positive, &[1]),
        with("2+", positive, &[2]),
        with("+", positive, &[]),
        with("1-", negative, &[-1]),
        with("unknown", None, &[]),
    ]);
    for (query, expected) in [
        (with("", positive, &[1]), vec!["1+", "+", "unknown"]),
        (with("", positive, &[2, 3]), vec!["2+", "+", "unknown"]),
        (with("", positive, &[]), vec!["1+", "2+", "+", "unknown"]),
        (with("", negative, &[-1]), vec!["1-", "unknown"]),
        (with("", None, &[]), vec!["1+", "2+", "+", "1-", "unknown"]),
    ] {
        for precursor_tolerance in [Some(Tolerance::Ppm(10.0)), None] {
            let options = IdentifyOptions { precursor_tolerance, ..IdentifyOptions::default() };
            let found = &found(&library, std::slice::from_ref(&query), &options)[0];
            let mut names: Vec<_> = found.matches.iter().map(|it| library.spectra()[it.library].id()).collect();
            let mut expected = expected.clone();
            names.sort();
            expected.sort_unstable();
            assert_eq!(names, expected, "{:?} {:?} {precursor_tolerance:?}", query.polarity, query.charges);
        }
    }
}

#[test]
fn structures_are_reported_once_with_the_distance_to_the_next() {
    let library = small(vec![
        spectrum("A", Some(300.0), &PEAKS),
        spectrum("A", Some(300.0), &PEAKS[..2]),
        spectrum("B", Some(300.001), &PEAKS[..2]),
        spectrum("C", Some(400.0), &PEAKS),
    ]);
    let queries = [spectrum("A", Some(300.0), &PEAKS), spectrum("D", None, &PEAKS), spectrum("E", Some(500.0), &PEAKS)];
    let found = found(&library, &queries, &IdentifyOptions { min_delta: Some(0.0), ..IdentifyOptions::default() });
    let best = &found[0].matches;
    assert_eq!(best.iter().map(|it| it.library).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((best[0].matched, best[0].delta), (3, Some(best[0].score - best[1].score)));
    assert_eq!(best[1].delta, None);
    assert!(best[0].accepted && !best[1].accepted);
    assert!((best[1].precursor_error.unwrap() + 3.333).abs() < 0.01);
    // Without a precursor nothing is within a window, and nothing has that of E.
    assert!(found[1].matches.is_empty() && found[2].matches.is_empty());
    let truth: Field = "INCHIKEY".parse().unwrap();
    let quality = Quality::of(&library, &queries[..], &found[..], &truth).unwrap().unwrap();
    assert_eq!((quality.known, quality.absent, quality.right, quality.accepted_right), (1, 2, 1, 1));
    assert_eq!(Outcome::of(&queries[0], &library.spectra()[2], &truth), Some(Outcome::Wrong));
}

#[test]
fn peaks_of_the_precursor_say_nothing_within_a_window() {
    let fragment = |name, mz| spectrum(name, Some(300.0), &[(mz, 1.0), (300.0, 9.0)]);
    let library = small(vec![fragment("A", 100.0), fragment("B", 150.0)]);
    let queries = [fragment("B", 150.0), spectrum("B", Some(300.0), &[(300.0, 9.0)])];
    let found = found(&library, &queries, &IdentifyOptions::default());
    assert_eq!((found[0].matches[0].library, found[0].matches[1].score), (1, 0.0));
    // A query that shows its precursor alone is compared with it.
    assert!(found[1].matches[0].score > 0.5);
}

#[test]
fn a_cascade_searches_again_for_what_the_window_leaves() {
    let library = small(vec![spectrum("A", Some(300.0), &PEAKS)]);
    let queries = [spectrum("A", Some(300.0), &PEAKS), spectrum("A", Some(318.0), &PEAKS)];
    let options = IdentifyOptions { cascade: Some(None), min_matched: Some(3), ..IdentifyOptions::default() };
    let found = found(&library, &queries, &options);
    assert_eq!(
        found.iter().map(|it| (it.is_accepted(), it.second_search)).collect::<Vec<_>>(),
        [(true, false), (true, true)]
    );
}

#[test]
fn what_is_found_in_temporary_files_is_what_is_found_in_memory() {
    let (library, queries) = runs();
    let cascade = Some(None);
    let options = IdentifyOptions { cascade, decoys: Some(Decoys::Spectrum), ..IdentifyOptions::default() };
    let expected = found(&library, &queries, &options);
    for memory in [0, 1 << 12, usize::MAX] {
        let mut spool = Spool::new(memory);
        queries.iter().cloned().try_for_each(|query| spool.push(query)).unwrap();
        let spooled = identify_spooled(&Device::cpu(), &library, &spool, &options, memory, &|_, _, _| ()).unwrap();
        let numbers: Vec<u32> = (0..queries.len() as u32).rev().collect();
        let mut fetched = spooled.fetch(&numbers).unwrap();
        fetched.reverse();
        assert_eq!(fetched, expected, "{memory} bytes");
        assert_eq!(spooled.accepted(), expected.iter().filter(|found| found.is_accepted()).count());
        assert_eq!(spooled.matched(), expected.iter().filter(|found| !found.matches.is_empty()).count());
    }
}

#[test]
fn a_match_far_from_the_precursor_is_not_accepted() {
    let library = small(vec![spectrum("A", Some(300.0), &PEAKS)]);
    let queries = [0.0, 2.4, 2.6, 9.9].map(|ppm| spectrum("A", Some(300.0 * (1.0 + ppm * 1e-6)), &PEAKS));
    let accepted = |accept_within| {
        let options = IdentifyOptions { accept_within, ..IdentifyOptions::default() };
        found(&library, &queries, &options).iter().map(Identification::is_accepted).collect::<Vec<_>>()
    };
    assert_eq!(accepted(None), [true, true, false, false]);
    assert_eq!(accepted(Some(Tolerance::Ppm(10.0))), [true; 4]);
    assert_eq!(accepted(Some(Tolerance::Ppm(1.0))), [true, false, false, false]);
}

#[test]
fn an_empty_library_and_no_queries_are_no_failure() {
    let empty = small(vec![]);
    let query = [spectrum("A", Some(300.0), &PEAKS)];
    for precursor_tolerance in [Some(Tolerance::Ppm(10.0)), None] {
        let options =
            IdentifyOptions { precursor_tolerance, decoys: Some(Decoys::Spectrum), ..IdentifyOptions::default() };
        assert!(found(&empty, &query, &options)[0].matches.is_empty());
        assert!(found(&empty, &[], &options).is_empty());
        assert!(found(&small(query.to_vec()), &[], &options).is_empty());
    }
}

#[test]
fn impossible_options_are_errors() {
    let library = small(vec![]);
    let usual = IdentifyOptions::default;
    for options in [
        IdentifyOptions { k: 0, ..usual() },
        IdentifyOptions { rerank_candidates: Some(0), ..usual() },
        IdentifyOptions { nprobe: Some(0), ..usual() },
        IdentifyOptions { min_score: Some(f64::NAN), ..usual() },
        IdentifyOptions { min_delta: Some(2.0), ..usual() },
        IdentifyOptions { max_q_value: Some(-0.1), ..usual() },
        IdentifyOptions { precursor_window: Some(-1.0), ..usual() },
    ] {
        let error = identify(&Device::cpu(), &library, &[], &options, &|_, _, _| ()).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_answer() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut library, queries) = runs();
            library.build_index(&Device::cpu(), "IVF8,PQ8x4", &Training::default()).unwrap();
            let options =
                IdentifyOptions { decoys: Some(Decoys::Spectrum), cascade: Some(None), ..IdentifyOptions::default() };
            found(&library, &queries, &options)
        })
    };
    let single = with(1);
    assert!(single.iter().any(|found| found.matches.first().is_some_and(|best| best.q_value.is_some())));
    for threads in [2, 5] {
        assert!(with(threads) == single, "{threads} threads");
    }
}

#[test]
fn decoys_look_like_the_library_and_are_not_it() {
    let (library, _) = runs();
    let tolerance = Tolerance::Dalton(0.02);
    let decoys = Decoys::Spectrum.of(library.spectra(), tolerance, 1);
    assert_eq!(decoys, Decoys::Spectrum.of(library.spectra(), tolerance, 1));
    assert_ne!(decoys, Decoys::Spectrum.of(library.spectra(), tolerance, 2));
    let (mut made, mut alike) = (0, 0);
    for (spectrum, decoy) in library.spectra().iter().zip(&decoys) {
        let Some(decoy) = decoy else { continue };
        assert_eq!((decoy.precursor_mz, &decoy.charges), (spectrum.precursor_mz, &spectrum.charges));
        assert!(!decoy.peaks.is_empty() && decoy.peaks.len() <= spectrum.peaks.len());
        assert!(decoy.peaks.is_sorted_by(|a, b| a.mz <= b.mz));
        made += 1;
        alike += usize::from(Score::Entropy.of(spectrum, decoy, tolerance).score > 0.7);
    }
    assert!(made * 10 > 9 * decoys.len() && alike * 10 < made, "{made} {alike}");
}

#[test]
fn q_values_by_hand() {
    let best = [
        (Some(0.9), None),
        (Some(0.8), Some(0.1)),
        (Some(0.2), Some(0.7)),
        (Some(0.6), Some(0.3)),
        (None, None),
        (Some(0.5), Some(0.5)),
        (None, Some(0.4)),
    ];
    // In order of the winners' scores: target .9, target .8, decoy .7, target .6, decoy .5 (the same), decoy .4.
    // (decoys + 1) / targets: 1/1, 1/2, 2/2, 2/3, 3/3, 4/3; the least from each on: .5, .5, -, 2/3.
    let expected = [Some(0.5), Some(0.5), Some(1.0), Some(2.0 / 3.0), None, Some(1.0), None];
    assert_eq!(q_values(&best), expected);
    assert_eq!(q_values(&[]), []);
}

proptest! {
    #[test]
    fn q_values_fall_with_the_score(
        best in prop::collection::vec((prop::option::of(0..50u8), prop::option::of(0..50u8)), 0..200),
    ) {
        let score = |score: Option<u8>| score.map(|score| f64::from(score) / 50.0);
        let best: Vec<_> = best.into_iter().map(|(target, decoy)| (score(target), score(decoy))).collect();
        let q_values = q_values(&best);
        prop_assert_eq!(q_values.len(), best.len());
        let mut won: Vec<(f64, f64)> = vec![];
        for (&(target, decoy), q_value) in best.iter().zip(q_values) {
            prop_assert_eq!(q_value.is_some(), target.is_some());
            prop_assert!(q_value.is_none_or(|q_value| q_value > 0.0 && q_value <= 1.0));
            if let (Some(target), Some(q_value)) = (target, q_value) {
                match decoy {
                    Some(decoy) if decoy >= target => prop_assert!(q_value >= 1.0),
                    _ => won.push((target, q_value)),
                }
            }
        }
        won.sort_by(|a, b| b.0.total_cmp(&a.0));
        prop_assert!(won.is_sorted_by(|a, b| a.1 <= b.1), "{:?}", won);
    }

    #[test]
    fn hostile_spectra_are_identified_without_a_panic(
        all in prop::collection::vec(
            (prop::option::of(-1.0..2000.0f64), prop::collection::vec((1.0..2000.0f64, 0.0..1e6f32), 0..20)),
            1..12,
        ),
        sequences in prop::collection::vec("[A-Z\\[\\]|;:0-9é-]{0,12}", 1..12),
        open: bool,
        peptide: bool,
    ) {
        let mut spectra: Vec<_> = all.iter().map(|(mz, peaks)| spectrum("A", *mz, peaks)).collect();
        for (spectrum, sequence) in spectra.iter_mut().zip(&sequences) {
            spectrum.fields.push(("SEQ".into(), sequence.clone()));
        }
        let library = small(spectra.clone());
        let queries = library.clean(spectra).unwrap().0;
        let options = IdentifyOptions {
            precursor_tolerance: if open { None } else { Some(Tolerance::Ppm(10.0)) },
            decoys: Some(if peptide { Decoys::Peptide } else { Decoys::Spectrum }),
            ..IdentifyOptions::default()
        };
        prop_assert_eq!(found(&library, &queries, &options).len(), queries.len());
    }
}

#[test]
fn compounds_are_named_as_often_as_measured() {
    let Some(folder) = data() else { return };
    let read = |name: &str| read_files(&[folder.join(name)]).unwrap().0;
    let (library, _) =
        Library::new(read("massbank_library.mgf.gz"), Cleaning::metabolomics(), Vectorizer::default()).unwrap();
    let queries = library.clean(read("massbank_query_known.mgf.gz")).unwrap().0;
    let truth = Field::inchikey();
    for (score, open, least) in
        [(Score::Cosine, false, 0.93), (Score::Entropy, false, 0.93), (Score::Entropy, true, 0.75)]
    {
        let precursor_tolerance = if open { None } else { Some(Tolerance::Ppm(10.0)) };
        let options = IdentifyOptions { score, precursor_tolerance, ..IdentifyOptions::default() };
        let found = found(&library, &queries, &options);
        let top1 = Quality::of(&library, &queries[..], &found[..], &truth).unwrap().unwrap().top1();
        eprintln!("{score}, open {open}: top-1 {top1:.4}");
        assert!(top1 >= least, "{score}, open {open}: {top1}");
    }
}
