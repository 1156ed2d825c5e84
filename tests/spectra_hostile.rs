//! Whatever stands in a file of spectra, reading it ends, keeps to what a spectrum is, and loses none without a reason.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use std::{fmt::Write as _, fs, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cellprobe::{
    Result,
    spectra::{
        Format, MassBankReader, MgfReader, MspReader, MzSpecLibReader, MzmlReader, MzxmlReader, Reader, Rejected,
        Spectrum, SpectrumReader, find_files,
    },
};
use common::data;
use flate2::read::MultiGzDecoder;
use proptest::prelude::*;

const FORMATS: [&str; 6] = ["mgf", "msp", "mzml", "mzxml", "massbank", "mzspeclib"];

/// What stands below the spectra of XML files.
const FEET: [(&str, &str); 2] = [("mzml", "</spectrumList></run></mzML>\n"), ("mzxml", "</msRun></mzXML>\n")];

/// What a spectrum is written with in these tests.
#[derive(Clone, Debug)]
struct Values {
    name: String,
    precursor: f64,
    charge: i32,
    peaks: Vec<(f64, f32)>,
}

prop_compose! {
    fn values()(
        name in "[a-z]{1,8}",
        precursor in 50.0..2000.0f64,
        charge in prop_oneof![-4..-1, 1..4],
        peaks in prop::collection::btree_map(1u32..2_000_000, 0.0..1e9f32, 0..12),
    ) -> Values {
        let peaks = peaks.into_iter().map(|(mz, intensity)| (f64::from(mz) / 1000.0, intensity)).collect();
        Values { name, precursor, charge, peaks }
    }
}

fn text(format: &str, all: &[Values]) -> String {
    let mut text = match format {
        "mzml" => "<?xml version=\"1.0\"?>\n<mzML><run><spectrumList>\n".to_owned(),
        "mzxml" => "<?xml version=\"1.0\"?>\n<mzXML><msRun>\n".to_owned(),
        "mzspeclib" => "<mzSpecLib>\n".to_owned(),
        _ => String::new(),
    };
    for values in all {
        write(format, values, &mut text);
    }
    text + foot(format)
}

fn foot(format: &str) -> &'static str {
    FEET.iter().find(|(of, _)| *of == format).map_or("", |(_, foot)| foot)
}

fn write(format: &str, values: &Values, text: &mut String) {
    let Values { name, precursor, charge, peaks } = values;
    let (number, size, count) = (text.len(), charge.abs(), peaks.len());
    let (sign, mode) = if *charge < 0 { ("-", "NEGATIVE") } else { ("+", "POSITIVE") };
    let head = match format {
        "mgf" => format!("BEGIN IONS\nTITLE={name}\nPEPMASS={precursor}\nCHARGE={size}{sign}\n"),
        "msp" => {
            format!("Name: {name}\nPrecursorMZ: {precursor}\nIon_mode: {mode}\nCharge: {size}\nNum Peaks: {count}\n")
        }
        "mzml" => format!(
            "<spectrum id=\"scan={number}\" defaultArrayLength=\"{count}\"><cvParam accession=\"{}\"/><selectedIon>\
             <cvParam accession=\"MS:1000744\" value=\"{precursor}\"/><cvParam accession=\"MS:1000041\" value=\"{size}\"/>\
             </selectedIon>\n",
            if *charge < 0 { "MS:1000129" } else { "MS:1000130" },
        ),
        "mzxml" => format!(
            "<scan num=\"{number}\" msLevel=\"2\" peaksCount=\"{count}\" polarity=\"{sign}\">\n\
             <precursorMz precursorCharge=\"{size}\">{precursor}</precursorMz>\n",
        ),
        "massbank" => format!(
            "ACCESSION: {name}\nAC$MASS_SPECTROMETRY: ION_MODE {mode}\nMS$FOCUSED_ION: PRECURSOR_M/Z {precursor}\n\
             MS$FOCUSED_ION: PRECURSOR_TYPE [M]{size}{sign}\nPK$NUM_PEAK: {count}\nPK$PEAK: m/z int. rel.int.\n"
        ),
        _ => format!(
            "<Spectrum={number}>\nMS:1003061|library spectrum name={name}\nMS:1000744|selected ion m/z={precursor}\n\
             MS:1000041|charge state={charge}\nMS:1003059|number of peaks={count}\n<Peaks>\n"
        ),
    };
    text.push_str(&head);
    if format == "mzml" {
        let mzs: Vec<u8> = peaks.iter().flat_map(|(mz, _)| mz.to_le_bytes()).collect();
        let intensities: Vec<u8> = peaks.iter().flat_map(|(_, intensity)| intensity.to_le_bytes()).collect();
        for (kind, number, bytes) in [("514", "523", mzs), ("515", "521", intensities)] {
            let array = BASE64.encode(bytes);
            writeln!(
                text,
                "<binaryDataArray><cvParam accession=\"MS:1000{kind}\"/><cvParam accession=\"MS:1000{number}\"/>\
                 <binary>{array}</binary></binaryDataArray>"
            )
            .unwrap();
        }
    } else if format == "mzxml" {
        let pairs = peaks.iter().flat_map(|&(mz, intensity)| [mz, f64::from(intensity)]);
        let bytes: Vec<u8> = pairs.flat_map(f64::to_be_bytes).collect();
        let pairs = BASE64.encode(bytes);
        writeln!(text, "<peaks precision=\"64\" byteOrder=\"network\" pairOrder=\"m/z-int\">{pairs}</peaks>").unwrap();
    } else {
        for (mz, intensity) in peaks {
            writeln!(text, "{mz} {intensity}").unwrap();
        }
    }
    text.push_str(match format {
        "mgf" => "END IONS\n",
        "mzml" => "</spectrum>\n",
        "mzxml" => "</scan>\n",
        "massbank" => "//\n",
        _ => "\n",
    });
}

/// How many spectra begin in a text, found in another way than readers do.
fn begun(format: &str, text: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(text);
    let lines = || text.split('\n').map(|line| line.trim_start_matches('\u{feff}').trim());
    match format {
        "mgf" => Some(lines().filter(|line| line.eq_ignore_ascii_case("BEGIN IONS")).count()),
        "massbank" => Some(lines().filter(|line| line.starts_with("ACCESSION:")).count()),
        // Where an entry of the others begins depends on what stands around it.
        _ => None,
    }
}

fn check<P>(mut reader: Reader<P>) -> (Vec<Spectrum>, Rejected)
where
    Reader<P>: Iterator<Item = Result<Spectrum>>,
{
    let spectra: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
    assert_eq!(reader.blocks(), spectra.len() + reader.rejected().total());
    let rejected = reader.into_rejected();
    assert_eq!(rejected.total(), rejected.reasons.values().sum::<usize>());
    for spectrum in &spectra {
        assert!(!spectrum.peaks.is_empty() && spectrum.peaks.is_sorted_by(|a, b| a.mz <= b.mz));
        let possible = |mz: f64| mz > 0.0 && mz.is_finite();
        assert!(spectrum.peaks.iter().all(|p| possible(p.mz) && p.intensity >= 0.0 && p.intensity.is_finite()));
        assert!(spectrum.precursor_mz.is_none_or(possible));
        assert!(spectrum.retention_time.is_none_or(|time| time >= 0.0 && time.is_finite()));
        assert!(spectrum.charges.iter().all(|&charge| charge != 0));
    }
    // Each spectrum has a place of its own.
    let mut places: Vec<_> = spectra.iter().map(|spectrum| spectrum.source.index).collect();
    places.extend(rejected.spectra.iter().map(|rejection| rejection.source.index));
    places.sort_unstable();
    assert_eq!(places, (0..places.len()).collect::<Vec<_>>());
    (spectra, rejected)
}

fn read(format: &str, text: &[u8]) -> (Vec<Spectrum>, Rejected) {
    match format {
        "mgf" => check(MgfReader::new(text, "test")),
        "msp" => check(MspReader::new(text, "test")),
        "mzml" => check(MzmlReader::new(text, "test")),
        "mzxml" => check(MzxmlReader::new(text, "test")),
        "massbank" => check(MassBankReader::new(text, "test")),
        _ => check(MzSpecLibReader::new(text, "test")),
    }
}

fn read_as_all(text: &[u8]) {
    for format in FORMATS {
        let (spectra, rejected) = read(format, text);
        if let Some(begun) = begun(format, text) {
            assert_eq!(spectra.len() + rejected.total(), begun, "{format}");
        }
    }
    if let Ok(reader) = SpectrumReader::new(std::io::Cursor::new(text.to_vec()), "test") {
        check(reader);
    }
}

/// A change to a text: at a share of its length, so many bytes are dropped, and others put there.
#[derive(Clone, Debug)]
struct Change {
    place: f64,
    dropped: usize,
    put: Vec<u8>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let token = prop::sample::select(vec![
        "\n",
        "\n\n",
        "\r",
        "\t",
        " ",
        ":",
        "=",
        "\"",
        "<",
        ">",
        "/>",
        "</spectrum>",
        "<spectrum ",
        "<scan ",
        "</scan>",
        "<scan msLevel=\"1\"/>",
        "</peaks>",
        "<!--",
        "]]>",
        "&",
        "&#x;",
        "BEGIN IONS\n",
        "END IONS\n",
        "Name: x\n",
        "Num Peaks: 99999999999999999999\n",
        "//\n",
        "ACCESSION: x\n",
        "<Spectrum=1>\n",
        "<Peaks>\n",
        "1 1; 2 2",
        "(",
        "1,5",
        "-",
        "NaN",
        "1e999",
        "inf",
        "0",
        "\u{feff}",
        "\u{0}",
        "[M+H]+",
        "/2",
    ]);
    let put = prop_oneof![
        token.prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
        Just(Vec::new()),
    ];
    let change = (0.0..1.0, prop_oneof![Just(0usize), 0..4usize, 0..200usize], put);
    prop::collection::vec(change.prop_map(|(place, dropped, put)| Change { place, dropped, put }), 0..6)
}

fn changed(text: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut text = text.to_vec();
    for Change { place, dropped, put } in changes {
        let from = (place * text.len() as f64) as usize;
        let to = (from + dropped).min(text.len());
        text.splice(from..to, put.iter().copied());
    }
    text
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        read_as_all(&bytes);
    }

    #[test]
    fn arbitrary_lines_of_all_formats(lines in prop::collection::vec(
        prop_oneof![
            "(BEGIN IONS|END IONS|//|<Peaks>|<Spectrum=1>|<spectrum>|</spectrum>|<scan>|</scan>|<peaks>|<AttributeSet Spectrum=all>)",
            "(Name|Num Peaks|PrecursorMZ|Comments|PK\\$PEAK|ACCESSION|AC\\$CHROMATOGRAPHY): ?[-+0-9a-z.,;=/\" ]{0,12}",
            "\\[?[0-9]?\\]?MS:100[0-9]{4}\\|(ms level|charge state|unit|retention time)=[-0-9a-z:|.]{0,9}",
            "[-+0-9.,:;()\\[\\]{}eE \t\"]{0,24}",
            any::<String>(),
        ],
        0..40,
    )) {
        read_as_all(lines.join("\n").as_bytes());
    }

    #[test]
    fn well_formed_files_keep_every_spectrum(all in prop::collection::vec(values(), 0..8)) {
        for format in FORMATS {
            let (spectra, rejected) = read(format, text(format, &all).as_bytes());
            let written: Vec<_> = all.iter().filter(|values| !values.peaks.is_empty()).collect();
            prop_assert_eq!(spectra.len(), written.len(), "{}", format);
            prop_assert_eq!(rejected.total(), all.len() - written.len(), "{}", format);
            prop_assert!(rejected.flaws.is_empty(), "{} {:?}", format, rejected.flaws);
            for (spectrum, Values { precursor, charge, peaks, .. }) in spectra.iter().zip(written) {
                prop_assert_eq!(spectrum.precursor_mz, Some(*precursor), "{}", format);
                prop_assert_eq!(spectrum.charge(), Some(*charge), "{}", format);
                prop_assert_eq!(&common::peaks(spectrum), peaks, "{}", format);
            }
        }
    }

    #[test]
    fn damaged_files(all in prop::collection::vec(values(), 1..6), changes in changes()) {
        for format in FORMATS {
            read_as_all(&changed(text(format, &all).as_bytes(), &changes));
        }
    }

    #[test]
    fn files_cut_off_anywhere(all in prop::collection::vec(values(), 1..6), share in 0.0..1.0) {
        for format in FORMATS {
            let ends: Vec<usize> = (1..=all.len()).map(|count| length(format, &all[..count])).collect();
            let cut = (share * ends[all.len() - 1] as f64) as usize;
            let (spectra, rejected) = read(format, &text(format, &all).as_bytes()[..cut]);
            let found = spectra.len() + rejected.total();
            // Those that end above the cut, and the one that it goes through as far as it has begun.
            let above = ends.iter().filter(|&&end| end <= cut).count();
            prop_assert!((above..=above + 1).contains(&found), "{} {} {}", format, found, above);
        }
    }
}

/// The length of a text up to the end of the last spectrum.
fn length(format: &str, all: &[Values]) -> usize {
    text(format, all).trim_end_matches(foot(format)).len()
}

/// How many spectra are in a file, by the words that begin them.
fn marked(format: Format, text: &str) -> usize {
    let lines = |mark: &str| text.lines().filter(|line| line.trim().to_uppercase().starts_with(mark)).count();
    match format {
        Format::Mgf => lines("BEGIN IONS"),
        Format::Msp => lines("NAME:"),
        Format::Mzml => text.matches("<spectrum ").count(),
        format => panic!("{format}"),
    }
}

#[test]
fn real_files_lose_no_spectrum_without_a_reason() {
    let Some(folder) = data() else { return };
    let mut spectra = 0;
    for path in find_files(&[folder]).unwrap() {
        let file = fs::read(&path).unwrap();
        let mut text = String::new();
        if file.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8_lossy(&file).into_owned();
        }
        let reader = SpectrumReader::open(&path).unwrap();
        let marked = marked(reader.format(), &text);
        let (read, rejected) = check(reader);
        assert_eq!(read.len() + rejected.total(), marked, "{}", path.display());
        spectra += marked;
    }
    assert!(spectra > 20_000, "{spectra}");
}

#[test]
fn damaged_real_files() {
    let Some(folder) = data() else { return };
    let mut texts = Vec::new();
    for name in [
        "dbgi/20220513_PMA_DBGI_01_04_002.mgf",
        "msp/matchms_MoNA-export-GC-MS-first10.msp",
        "msp/matchms_golm.msp",
        "msp/matchms_massbank_five_spectra.msp",
        "msp/matchms_multiline_semicolon.msp",
        "msp/matchms_riken_style_five_spectra.msp",
        "msp/nist-bsa_consensus.msp.gz",
        "mzml/openms_gnpsexport_1.mzML.gz",
    ] {
        let file = fs::read(folder.join(name)).unwrap();
        let mut text = Vec::new();
        if file.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(&file[..]).take(60_000).read_to_end(&mut text).unwrap();
        } else {
            text.extend(&file[..file.len().min(60_000)]);
        }
        assert!(!text.is_empty());
        texts.push(text);
    }
    let mut runner = proptest::test_runner::TestRunner::default();
    let damaged = (prop::sample::select(texts), changes());
    runner
        .run(&damaged, |(text, changes)| {
            read_as_all(&changed(&text, &changes));
            Ok(())
        })
        .unwrap();
}
