//! Mass spectra are read whatever shape their files are in, and none is lost without a reason.
#![cfg(feature = "spectra")]

use std::{
    fmt::Write as _,
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use cellprobe::{
    Error,
    spectra::{Flaw, Format, MgfReader, Peak, Polarity, Reason, Rejected, Spectrum, SpectrumReader, read_files},
};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

fn read(text: impl AsRef<[u8]>) -> (Vec<Spectrum>, Rejected) {
    let mut reader = MgfReader::new(text.as_ref(), "test.mgf");
    let spectra: Vec<_> = reader.by_ref().collect::<Result<_, _>>().expect("reading from memory cannot fail");
    assert_eq!(reader.blocks(), spectra.len() + reader.rejected().total());
    (spectra, reader.into_rejected())
}

/// Reads a single spectrum with two peaks and these lines, in which nothing is wrong.
fn one(lines: &str) -> Spectrum {
    let (spectrum, flaws) = flawed(lines);
    assert_eq!(flaws, []);
    spectrum
}

/// Reads a single spectrum with two peaks and these lines.
fn flawed(lines: &str) -> (Spectrum, Vec<(Flaw, usize)>) {
    let (mut spectra, rejected) = read(format!("BEGIN IONS\n{lines}\n100.5 1\n200.25 2e3\nEND IONS\n"));
    assert_eq!((spectra.len(), rejected.total()), (1, 0));
    (spectra.remove(0), rejected.flaws.into_iter().collect())
}

fn peaks(spectrum: &Spectrum) -> Vec<(f64, f32)> {
    spectrum.peaks.iter().map(|&Peak { mz, intensity }| (mz, intensity)).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn written(contents: &[u8]) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(contents).unwrap();
    file.into_temp_path()
}

const TWO: &str = "BEGIN IONS\nTITLE=a\n100 1\nEND IONS\n\nBEGIN IONS\nTITLE=b\n200 2\nEND IONS\n";

#[test]
fn whole_spectrum() {
    let spectrum =
        one("TITLE=a scan\nPEPMASS=381.0794\nCHARGE=1+\nRTINSECONDS=37.01\nMSLEVEL=2\nSCANS=7\nINCHIKEY=KEY");
    assert_eq!(spectrum.precursor_mz, Some(381.0794));
    assert_eq!((spectrum.charge(), spectrum.polarity), (Some(1), Some(Polarity::Positive)));
    assert_eq!((spectrum.retention_time, spectrum.ms_level), (Some(37.01), Some(2)));
    assert_eq!(peaks(&spectrum), [(100.5, 1.0), (200.25, 2000.0)]);
    assert_eq!(spectrum.field("InchiKey"), Some("KEY"));
    assert_eq!(spectrum.id(), "a scan");
    let fields: Vec<_> = spectrum.fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(fields, ["TITLE", "SCANS", "INCHIKEY"]);
    assert_eq!(spectrum.source.to_string(), "test.mgf:1");
}

#[test]
fn names_by_what_there_is() {
    assert_eq!(one("TITLE=\nSCANS=7\nFEATURE_ID=3").id(), "7");
    assert_eq!(one("FEATURE_ID=3").id(), "3");
    assert_eq!(one("").id(), "index=0");
}

#[test]
fn charges() {
    for (line, charges) in [
        ("", vec![]),
        ("CHARGE=", vec![]),
        ("CHARGE=0", vec![]),
        ("CHARGE=2", vec![2]),
        ("CHARGE=2+ and 3+", vec![2, 3]),
        ("CHARGE=1-", vec![-1]),
        ("CHARGE=1\nIONMODE=negative", vec![-1]),
        ("IONMODE=Positive\nCHARGE=1", vec![1]),
    ] {
        let spectrum = one(line);
        assert_eq!(spectrum.charges, charges, "{line}");
        let polarity = charges.first().map(|&c| if c < 0 { Polarity::Negative } else { Polarity::Positive });
        assert_eq!(spectrum.polarity, polarity, "{line}");
        assert_eq!(spectrum.charge(), if charges.len() == 1 { Some(charges[0]) } else { None }, "{line}");
    }
    let (spectrum, flaws) = flawed("CHARGE=unknown");
    assert_eq!((spectrum.charges.len(), spectrum.field("CHARGE")), (0, Some("unknown")));
    assert_eq!(flaws, [(Flaw::Charge, 1)]);
    let (spectrum, flaws) = flawed("CHARGE=1+\nIONMODE=negative");
    assert_eq!((spectrum.charge(), flaws), (Some(-1), vec![(Flaw::Polarity, 1)]));
}

#[test]
fn charge_above_the_first_spectrum_is_the_default() {
    let (spectra, rejected) = read(
        "COM=a run\nCHARGE=2+ and 3+\n\nBEGIN IONS\n100 1\nEND IONS\nBEGIN IONS\nCHARGE=1+\n100 1\nEND IONS\n\
         BEGIN IONS\nIONMODE=-\nCHARGE=\n100 1\nEND IONS\n",
    );
    let charges: Vec<_> = spectra.iter().map(|spectrum| spectrum.charges.clone()).collect();
    assert_eq!(charges, [vec![2, 3], vec![1], vec![-2, -3]]);
    assert_eq!(rejected.flaws.into_iter().collect::<Vec<_>>(), [(Flaw::Polarity, 1)]);
}

#[test]
fn comma_decimals() {
    let (spectra, rejected) =
        read("BEGIN IONS\nPEPMASS=381,0794 12,5\nRTINSECONDS=37,5\n100,5 1,25\n200,25\t2,5E3 1+\nEND IONS\n");
    assert_eq!((spectra[0].precursor_mz, spectra[0].retention_time), (Some(381.0794), Some(37.5)));
    assert_eq!(peaks(&spectra[0]), [(100.5, 1.25), (200.25, 2500.0)]);
    assert_eq!(rejected, Rejected::default());
}

#[test]
fn peaks_in_any_order_with_tabs_and_a_third_column() {
    let (spectra, rejected) = read("BEGIN IONS\n300\t3\t2+\n  100 \t 1 1+\n200 2 y3 and more\n100 0.5\nEND IONS\n");
    assert_eq!(peaks(&spectra[0]), [(100.0, 1.0), (100.0, 0.5), (200.0, 2.0), (300.0, 3.0)]);
    assert_eq!(rejected, Rejected::default());
}

#[test]
fn peaks_that_are_none() {
    let lines = "100\n-5 1\n0 1\n100 -1\n100 1e39\nNaN 1\n100 inf\n100 x\nwhat is this";
    let (spectrum, flaws) = flawed(lines);
    assert_eq!(spectrum.peaks.len(), 2);
    assert_eq!(flaws, [(Flaw::Line, 9)]);
}

#[test]
fn no_peaks_is_a_reason() {
    let (spectra, rejected) =
        read("BEGIN IONS\nTITLE=none\nEND IONS\n\nBEGIN IONS\n100 1\nEND IONS\nBEGIN IONS\nBEGIN IONS\nx\n");
    assert_eq!((spectra.len(), spectra[0].source.index), (1, 1));
    assert_eq!(rejected.reasons.into_iter().collect::<Vec<_>>(), [(Reason::NoPeaks, 3)]);
    let places: Vec<_> = rejected.spectra.iter().map(|r| (r.source.index, r.source.line)).collect();
    assert_eq!(places, [(0, 1), (2, 8), (3, 9)]);
}

#[test]
fn line_ends_marks_blanks_and_comments() {
    let text = "\u{feff}# made by hand\r\n\r\nbegin ions\r\n; one\r\n! two\r\n/ three\r\ntitle=a\r\n\
                \u{20}PepMass = 300.5 \r\n100.5 1\r\n\r\n200.25 2\r\nEnd Ions\r\n";
    for end in ["\r\n", "\n", "\r"] {
        let text = text.replace("\r\n", end);
        let (spectra, rejected) = read(&text);
        assert_eq!((spectra[0].id().as_str(), spectra[0].precursor_mz), ("a", Some(300.5)));
        assert_eq!(peaks(&spectra[0]), [(100.5, 1.0), (200.25, 2.0)]);
        assert_eq!((spectra.len(), spectra[0].source.line, rejected), (1, 3, Rejected::default()));
        let any = SpectrumReader::new(io::Cursor::new(text.into_bytes()), "a.txt").unwrap();
        assert_eq!((any.format(), any.count()), (Format::Mgf, 1), "{end:?}");
    }
}

#[test]
fn spaces_of_any_kind_around_lines() {
    for space in ["\u{b}", "\u{c}", "\u{a0}", "\u{2003}", "\u{3000}"] {
        let (spectra, rejected) = read(TWO.replace("BEGIN IONS", &format!("{space}BEGIN IONS{space}")));
        assert_eq!((spectra.len(), rejected), (2, Rejected::default()), "{space:?}");
    }
}

#[test]
fn precursors() {
    assert_eq!(one("PEPMASS=381.0794 12345.6").precursor_mz, Some(381.0794));
    assert_eq!(one("PRECURSOR_MZ=381.0794").precursor_mz, Some(381.0794));
    assert_eq!(one("PEPMASS=").precursor_mz, None);
    assert_eq!(one("").precursor_mz, None);
    for value in ["0.0", "-1", "heavy", "1e400"] {
        let (spectrum, flaws) = flawed(&format!("PEPMASS={value}"));
        assert_eq!((spectrum.precursor_mz, spectrum.field("PEPMASS")), (None, Some(value)));
        assert_eq!(flaws, [(Flaw::Precursor, 1)]);
    }
}

#[test]
fn retention_times_and_scans() {
    assert_eq!(one("RTINSECONDS=PT61.5S").retention_time, Some(61.5));
    assert_eq!(one("RTINSECONDS=10-20\nSCANS=100-110").retention_time, Some(15.0));
    assert_eq!(one("SCANS=100-110").id(), "100-110");
    for value in ["later", "-3", "12:30", "NaN"] {
        let (spectrum, flaws) = flawed(&format!("RTINSECONDS={value}"));
        assert_eq!((spectrum.retention_time, spectrum.field("RTINSECONDS")), (None, Some(value)));
        assert_eq!(flaws, [(Flaw::RetentionTime, 1)]);
    }
}

#[test]
fn lines_outside_of_spectra() {
    let (spectra, rejected) = read(format!("SEARCH=MIS\nhello\nEND IONS\n{TWO}100 1\n"));
    assert_eq!((spectra.len(), rejected.total()), (2, 0));
    assert_eq!(rejected.flaws.into_iter().collect::<Vec<_>>(), [(Flaw::OutsideSpectrum, 3)]);
}

#[test]
fn spectra_without_an_end() {
    let (spectra, rejected) = read(TWO.replace("END IONS\n", ""));
    assert_eq!(spectra.iter().map(Spectrum::id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(spectra.iter().map(|spectrum| spectrum.peaks.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(rejected.flaws.into_iter().collect::<Vec<_>>(), [(Flaw::Unterminated, 2)]);
}

#[test]
fn text_in_another_encoding() {
    let (spectra, rejected) = read(b"BEGIN IONS\nAUTHORS=M\xfcller\n100 1\nEND IONS\n");
    assert_eq!(spectra[0].field("AUTHORS"), Some("M\u{fffd}ller"));
    assert_eq!(rejected.flaws.into_iter().collect::<Vec<_>>(), [(Flaw::Encoding, 1)]);
}

#[test]
fn endless_lines_are_passed_over() {
    let long = "x".repeat(3 << 20);
    let (spectra, rejected) = read(format!("{long}\nBEGIN IONS\nTITLE={long}\n100 1\nEND IONS\n"));
    assert_eq!((spectra.len(), spectra[0].id().as_str()), (1, "index=0"));
    assert_eq!((spectra[0].source.line, rejected.flaws[&Flaw::LongLine]), (2, 2));
}

#[test]
fn gzip_is_known_by_its_contents() {
    let (one, two) = TWO.split_at(TWO.find("\n\n").unwrap() + 1);
    let members = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    let paths = [written(TWO.as_bytes()), written(&members), written(&gzip(TWO.as_bytes()))];
    let (spectra, rejected) = read_files(&paths).unwrap();
    assert_eq!(spectra.iter().map(Spectrum::id).collect::<Vec<_>>(), ["a", "b", "a", "b", "a", "b"]);
    assert_eq!(rejected, Rejected::default());
    for (spectrum, path) in spectra.iter().zip([0, 0, 1, 1, 2, 2]) {
        assert_eq!(&*spectrum.source.file, &*paths[path]);
    }
}

#[test]
fn short_and_empty_files() {
    for contents in ["", "\n", "#", "# nothing here\n"] {
        let (spectra, rejected) = read_files(&[written(contents.as_bytes())]).unwrap();
        assert_eq!((spectra.len(), rejected), (0, Rejected::default()));
    }
}

#[test]
fn corrupt_gzip_is_an_error_with_its_place() {
    let whole = gzip(TWO.repeat(1000).as_bytes());
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut trailing = whole.clone();
    trailing.extend_from_slice(b"more");
    for contents in [&whole[..whole.len() - 5], &whole[..whole.len() / 2], &flipped, &trailing, &whole[..4]] {
        let path = written(contents);
        match read_files(&[&path]) {
            Err(Error::File { path: named, source }) => {
                assert_eq!(named, path.to_path_buf());
                assert!(matches!(*source, Error::Format { .. }), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_that_cannot_be_read_are_errors() {
    let missing = Path::new("no/such/file.mgf");
    assert!(matches!(read_files(&[missing]), Err(Error::Io { path, .. }) if path == missing));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(matches!(read_files(&[folder]), Err(Error::Io { path, .. }) if path == folder));
    let other = written(b"A letter\n100 1\n");
    let error = read_files(&[&other]).unwrap_err().to_string();
    assert!(error.contains("none of MGF, MSP"), "{error}");
}

#[test]
fn a_failure_ends_the_reading_after_what_came_before_it() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let mut reader = MgfReader::new(BufReader::new(TWO.as_bytes().chain(Broken)), "test.mgf");
    assert!(matches!(reader.next(), Some(Ok(_))));
    assert!(matches!(reader.next(), Some(Ok(_))));
    assert!(matches!(reader.next(), Some(Err(Error::Io { .. }))));
    assert!(reader.next().is_none());
}

#[test]
fn dbgi_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/dbgi");
    let mut paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mgf"));
    assert_eq!(paths.len(), 10);
    let (spectra, rejected) = read_files(&paths).unwrap();
    assert_eq!((spectra.len(), rejected), (1191, Rejected::default()));
    for spectrum in &spectra {
        assert_eq!((spectrum.ms_level, spectrum.polarity), (Some(2), Some(Polarity::Positive)));
        assert!(spectrum.precursor_mz.is_some() && spectrum.retention_time.is_some() && spectrum.charge().is_some());
        assert!(spectrum.field("SCANS").is_some() && spectrum.field("FEATURE_ID").is_some());
        assert!(spectrum.peaks.is_sorted_by(|a, b| a.mz <= b.mz));
    }
}

#[test]
fn larger_collections() {
    let Some(folder) = std::env::var_os("CELLPROBE_TEST_DATA") else {
        // Unlike eprintln!, this is shown for tests that pass.
        writeln!(io::stderr(), "SKIPPED: CELLPROBE_TEST_DATA does not name the folder of test data").unwrap();
        return;
    };
    let folder = Path::new(&folder).join("spectra");
    for (name, count) in [
        ("massbank_library.mgf.gz", 14_997),
        ("massbank_query_known.mgf.gz", 1_353),
        ("massbank_query_absent.mgf.gz", 193),
        ("massbank_query_isomer.mgf.gz", 77),
        ("peptides.mgf.gz", 2_817),
        ("msp/matchms_pesticides.mgf", 76),
    ] {
        let (spectra, rejected) = read_files(&[folder.join(name)]).unwrap();
        assert_eq!((spectra.len(), rejected), (count, Rejected::default()), "{name}");
        assert!(spectra.iter().all(|s| s.precursor_mz.is_some() && s.charge().is_some()), "{name}");
        if name.starts_with("massbank") {
            assert!(spectra.iter().all(|s| s.field("INCHIKEY").is_some_and(|key| key.len() == 27)), "{name}");
        }
    }
}

prop_compose! {
    fn spectrum_values()(
        precursor in prop::option::of(50.0..2000.0f64),
        charge in -4..5i32,
        time in prop::option::of(0.0..1e5f64),
        title in "[a-zA-Z0-9 =:_.-]{0,20}",
        peaks in prop::collection::vec((1e-3..3000.0f64, 0.0..1e9f32), 0..20),
    ) -> (Option<f64>, i32, Option<f64>, String, Vec<(f64, f32)>) {
        (precursor, charge, time, title, peaks)
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_fail(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(bytes);
    }

    #[test]
    fn arbitrary_lines_are_read_without_fail(
        lines in prop::collection::vec(
            prop_oneof![
                Just("BEGIN IONS".to_owned()),
                Just("END IONS".to_owned()),
                "(PEPMASS|CHARGE|RTINSECONDS|IONMODE|MSLEVEL|TITLE)=[-+0-9.,eEPTSMHand ]{0,8}",
                "[-+0-9.,eE \t]{0,12}",
                any::<String>(),
            ],
            0..40,
        ),
    ) {
        let (spectra, _) = read(lines.join("\n"));
        for spectrum in spectra {
            prop_assert!(!spectrum.peaks.is_empty());
            prop_assert!(spectrum.peaks.iter().all(|p| p.mz > 0.0 && p.mz.is_finite() && p.intensity >= 0.0));
            prop_assert!(spectrum.precursor_mz.is_none_or(|mz| mz > 0.0 && mz.is_finite()));
            prop_assert!(spectrum.retention_time.is_none_or(|time| time >= 0.0 && time.is_finite()));
        }
    }

    #[test]
    fn well_formed_files_keep_their_values(all in prop::collection::vec(spectrum_values(), 0..10)) {
        let mut text = String::new();
        for (precursor, charge, time, title, peaks) in &all {
            writeln!(text, "BEGIN IONS\nTITLE={title}").unwrap();
            if let Some(mz) = precursor { writeln!(text, "PEPMASS={mz}").unwrap(); }
            if let Some(time) = time { writeln!(text, "RTINSECONDS={time}").unwrap(); }
            writeln!(text, "CHARGE={}{}", charge.abs(), if *charge < 0 { "-" } else { "+" }).unwrap();
            for (mz, intensity) in peaks { writeln!(text, "{mz} {intensity}").unwrap(); }
            writeln!(text, "END IONS\n").unwrap();
        }
        let (spectra, rejected) = read(&text);
        prop_assert!(rejected.flaws.is_empty());
        prop_assert_eq!(rejected.total(), all.iter().filter(|(.., peaks)| peaks.is_empty()).count());
        let mut written: Vec<_> = all.into_iter().filter(|(.., peaks)| !peaks.is_empty()).collect();
        prop_assert_eq!(spectra.len(), written.len());
        for (spectrum, (precursor, charge, time, title, expected)) in spectra.iter().zip(&mut written) {
            expected.sort_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert_eq!(spectrum.precursor_mz, *precursor);
            prop_assert_eq!(spectrum.charge().unwrap_or(0), *charge);
            prop_assert_eq!(spectrum.retention_time, *time);
            prop_assert_eq!(spectrum.field("TITLE").unwrap_or_default(), title.trim());
            prop_assert_eq!(&peaks(spectrum), expected);
        }
    }
}
