//! Of mzML runs every spectrum is read or listed with a reason, and what is read is what other readers find.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use std::io::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cellprobe::spectra::{Flaw, Format, MzmlReader, Polarity, Reason, Rejected, Spectrum, SpectrumReader, read_files};
use common::{all, data, flaws, peaks};
use flate2::{Compression, write::ZlibEncoder};

const F64: &str = "MS:1000523";
const F32: &str = "MS:1000521";
const PLAIN: &str = "MS:1000576";
const ZLIB: &str = "MS:1000574";
const MZ: &str = "MS:1000514";
const INTENSITY: &str = "MS:1000515";

fn read(text: &str) -> (Vec<Spectrum>, Rejected) {
    all(MzmlReader::new(text.as_bytes(), "test.mzML"))
}

fn term(accession: &str) -> String {
    format!("<cvParam cvRef=\"MS\" accession=\"{accession}\" name=\"?\"/>")
}

fn value(accession: &str, value: &str) -> String {
    format!("<cvParam cvRef=\"MS\" accession=\"{accession}\" name=\"?\" value=\"{value}\"/>")
}

fn array(terms: &[&str], bytes: &[u8]) -> String {
    let terms: String = terms.iter().map(|accession| term(accession)).collect();
    format!("<binaryDataArray>{terms}<binary>{}</binary></binaryDataArray>\n", BASE64.encode(bytes))
}

fn f64s(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn two_peaks() -> String {
    array(&[F64, PLAIN, MZ], &f64s(&[100.5, 200.25])) + &array(&[F32, PLAIN, INTENSITY], &f32s(&[1.0, 2.0]))
}

fn spectrum(scan: usize, terms: &str, arrays: &str) -> String {
    format!(
        "<spectrum index=\"{scan}\" id=\"controllerType=0 scan={scan}\" defaultArrayLength=\"2\">\n{terms}\n\
         <binaryDataArrayList count=\"2\">{arrays}</binaryDataArrayList>\n</spectrum>\n"
    )
}

/// A run of these spectra; line 6 is the first after the header.
fn run(spectra: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<mzML>\n<referenceableParamGroupList><referenceableParamGroup id=\"fragments\">\
         {}{}</referenceableParamGroup></referenceableParamGroupList>\n<run>\n<spectrumList>\n{spectra}\
         </spectrumList></run></mzML>\n<indexList><index name=\"spectrum\"></index></indexList>",
        value("MS:1000511", "2"),
        term("MS:1000129"),
    )
}

/// Reads a single spectrum of a run in which nothing is wrong.
fn one(terms: &str, arrays: &str) -> Spectrum {
    let (mut spectra, rejected) = read(&run(&spectrum(7, terms, arrays)));
    assert_eq!((spectra.len(), rejected), (1, Rejected::default()));
    spectra.remove(0)
}

fn rejections(rejected: &Rejected) -> Vec<(usize, Reason)> {
    rejected.spectra.iter().map(|rejection| (rejection.source.index, rejection.reason)).collect()
}

fn precursor(ions: &str) -> String {
    format!(
        "<precursorList><precursor><isolationWindow>{}</isolationWindow>{ions}<activation>{}</activation></precursor>\
         </precursorList>",
        value("MS:1000827", "300.5"),
        value("MS:1000045", "35.0"),
    )
}

#[test]
fn whole_spectrum() {
    let ion = format!("<selectedIon>{}{}</selectedIon>", value("MS:1000744", "300.4567"), value("MS:1000041", "2"));
    let time = "<cvParam accession=\"MS:1000016\" value=\"2.5\" unitAccession=\"UO:0000031\"/>";
    let terms = format!(
        "{}{}{}<scanList><scan>{time}</scan></scanList>{}",
        value("MS:1000511", "2"),
        term("MS:1000130"),
        term("MS:1000127"),
        precursor(&ion)
    );
    let spectrum = one(&terms, &two_peaks());
    assert_eq!((spectrum.precursor_mz, spectrum.charge()), (Some(300.4567), Some(2)));
    assert_eq!((spectrum.polarity, spectrum.ms_level), (Some(Polarity::Positive), Some(2)));
    assert_eq!((spectrum.retention_time, spectrum.field("COLLISION_ENERGY")), (Some(150.0), Some("35.0")));
    assert_eq!((spectrum.id().as_str(), spectrum.field("NATIVEID")), ("7", Some("controllerType=0 scan=7")));
    assert_eq!(peaks(&spectrum), [(100.5, 1.0), (200.25, 2.0)]);
    assert_eq!((spectrum.source.index, spectrum.source.line), (0, 6));
}

#[test]
fn terms_in_groups_and_charges_of_negative_ions() {
    let ion = format!("<selectedIon>{}{}</selectedIon>", value("MS:1000744", "300"), value("MS:1000041", "1"));
    let spectrum = one(&format!("<referenceableParamGroupRef ref=\"fragments\"/>{}", precursor(&ion)), &two_peaks());
    assert_eq!((spectrum.polarity, spectrum.charge()), (Some(Polarity::Negative), Some(-1)));
    assert_eq!(spectrum.ms_level, Some(2));
}

#[test]
fn precursors_where_ions_are_many_or_none() {
    assert_eq!(one(&precursor(""), &two_peaks()).precursor_mz, Some(300.5));
    let ion =
        |mz, charge| format!("<selectedIon>{}{}</selectedIon>", value("MS:1000744", mz), value("MS:1000041", charge));
    let spectrum = one(&precursor(&(ion("300.1", "3") + &ion("300.9", "2"))), &two_peaks());
    assert_eq!((spectrum.precursor_mz, spectrum.charge()), (Some(300.1), Some(3)));
    let possible = format!("<selectedIon>{}{}</selectedIon>", value("MS:1000633", "2"), value("MS:1000633", "3"));
    assert_eq!(one(&precursor(&possible), &two_peaks()).charges, [2, 3]);
    let product = format!("<product><isolationWindow>{}</isolationWindow></product>", value("MS:1000827", "99"));
    assert_eq!(one(&product, &two_peaks()).precursor_mz, None);
}

#[test]
fn arrays_of_every_encoding() {
    let (mz, intensity) = (f64s(&[100.5, 200.25]), f32s(&[1.0, 2.0]));
    let plain = array(&[F32, PLAIN, INTENSITY], &intensity);
    let wrapped = two_peaks().replace("<binary>", "<binary>\n  ").replace("=</binary>", "=\n </binary>");
    let integers: Vec<u8> = [1i32, 2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let longs: Vec<u8> = [1i64, 2].iter().flat_map(|number| number.to_le_bytes()).collect();
    // The same by MS-Numpress: linear with a factor of 1000, and whole numbers.
    let mut linear = 1000f64.to_be_bytes().to_vec();
    linear.extend([100_500u32, 200_250].iter().flat_map(|number| number.to_le_bytes()));
    for arrays in [
        two_peaks(),
        wrapped,
        array(&[F64, ZLIB, MZ], &zlib(&mz)) + &array(&[F32, ZLIB, INTENSITY], &zlib(&intensity)),
        array(&[F32, PLAIN, MZ], &f32s(&[100.5, 200.25])) + &array(&["MS:1000519", PLAIN, INTENSITY], &integers),
        array(&["MS:1000522", PLAIN, INTENSITY], &longs) + &array(&[F64, PLAIN, MZ], &mz),
        array(&["MS:1002312", MZ], &linear) + &array(&["MS:1002747", INTENSITY], &zlib(&[0x71, 0x72])),
        array(&[F64, PLAIN, MZ], &mz) + &array(&[F64, "MS:1003090", "MS:1000786"], &[1, 2]) + &plain,
    ] {
        assert_eq!(peaks(&one("", &arrays)), [(100.5, 1.0), (200.25, 2.0)], "{arrays}");
    }
}

#[test]
fn arrays_that_cannot_be_read_are_a_reason() {
    let (mz, intensity) = (f64s(&[100.5, 200.25]), f32s(&[1.0, 2.0]));
    let (good_mz, good) = (array(&[F64, PLAIN, MZ], &mz), array(&[F32, PLAIN, INTENSITY], &intensity));
    let bad = [
        good_mz.clone(),
        good.clone(),
        array(&[F64, PLAIN, MZ], &mz[..8]) + &good,
        array(&[F64, PLAIN, MZ], &mz[..15]) + &good,
        array(&[PLAIN, MZ], &mz) + &good,
        array(&[F64, ZLIB, MZ], &mz) + &good,
        array(&[F64, ZLIB, MZ], &zlib(&mz)[..10]) + &good,
        array(&[F64, "MS:1003090", MZ], &mz) + &good,
        array(&["MS:1002312", MZ], &mz[..7]) + &good,
        // More than 128 MiB in a few bytes.
        array(&[F64, ZLIB, MZ], &zlib(&vec![0; 200 << 20])) + &good,
        two_peaks().replace("<binary>", "<binary>!"),
    ];
    let spectra: String = bad.iter().enumerate().map(|(scan, arrays)| spectrum(scan, "", arrays)).collect();
    let (spectra, rejected) = read(&run(&(spectra + &spectrum(99, "", &two_peaks()))));
    assert_eq!(rejections(&rejected), (0..bad.len()).map(|index| (index, Reason::Unreadable)).collect::<Vec<_>>());
    assert_eq!(spectra.iter().map(Spectrum::id).collect::<Vec<_>>(), ["99"]);
}

#[test]
fn surveys_profiles_and_empty_spectra_are_listed() {
    let spectra = [
        spectrum(1, &value("MS:1000511", "1"), &two_peaks()),
        spectrum(2, &term("MS:1000579"), &two_peaks()),
        spectrum(3, &(value("MS:1000511", "2") + &term("MS:1000128")), &two_peaks()),
        spectrum(4, &value("MS:1000511", "2"), "").replace("\"2\">\n", "\"0\">\n"),
        "<spectrum index=\"5\" id=\"scan=5\" defaultArrayLength=\"0\"/>\n".to_owned(),
    ];
    let (read, rejected) = read(&run(&spectra.concat()));
    assert!(read.is_empty());
    let reasons = [Reason::SurveySpectrum, Reason::SurveySpectrum, Reason::Profile, Reason::NoPeaks, Reason::NoPeaks];
    assert_eq!(rejections(&rejected), reasons.into_iter().enumerate().collect::<Vec<_>>());
    assert_eq!(rejected.flaws.len(), 0);
    let mut table = Vec::new();
    rejected.write_tsv(&mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0], "file\tindex\tline\tid\treason");
    assert_eq!(lines[3], "test.mzML\t2\t18\t3\tprofile mode");
}

#[test]
fn values_and_peaks_that_are_none_are_flaws() {
    let terms = value("MS:1000511", "two")
        + &format!("<scanList><scan>{}</scan></scanList>", value("MS:1000016", ""))
        + &precursor(&format!("<selectedIon>{}{}</selectedIon>", value("MS:1000744", "x"), value("MS:1000041", "y")));
    let mzs = array(&[F64, PLAIN, MZ], &f64s(&[100.5, f64::NAN, -1.0, 7.0]));
    let arrays = mzs + &array(&[F32, PLAIN, INTENSITY], &f32s(&[1.0, 1.0, 1.0, f32::INFINITY]));
    let (spectra, rejected) = read(&run(&spectrum(1, &terms, &arrays)));
    assert_eq!(peaks(&spectra[0]), [(100.5, 1.0)]);
    // Without a selected ion that can be read the isolation window stands in.
    assert_eq!((spectra[0].precursor_mz, spectra[0].retention_time), (Some(300.5), None));
    let expected = [(Flaw::Precursor, 1), (Flaw::Charge, 1), (Flaw::MsLevel, 1), (Flaw::PeakCount, 1), (Flaw::Peak, 3)];
    assert_eq!(flaws(&rejected), expected);
}

#[test]
fn what_is_broken_costs_one_spectrum() {
    let good = |scan| spectrum(scan, "", &two_peaks());
    let no_end = good(2).replace("</spectrum>", "");
    let (spectra, rejected) = read(&run(&(good(1) + &no_end + &good(3))));
    assert_eq!(spectra.iter().map(Spectrum::id).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(
        (rejections(&rejected), flaws(&rejected)),
        (vec![(1, Reason::Unreadable)], vec![(Flaw::Unterminated, 1)])
    );

    let broken = good(2).replace("<binaryDataArrayList", "<!binaryDataArrayList");
    let (spectra, rejected) = read(&run(&(good(1) + &broken + &good(3))));
    assert_eq!(spectra.iter().map(Spectrum::id).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(rejections(&rejected), [(1, Reason::Unreadable)]);

    let cut = run(&(good(1) + &good(2)));
    let cut = &cut[..cut.rfind("</binary>").unwrap()];
    let (spectra, rejected) = read(cut);
    assert_eq!((spectra.len(), rejections(&rejected)), (1, vec![(1, Reason::Unreadable)]));
    assert_eq!(rejected.spectra[0].id, "2");
}

#[test]
fn spectra_that_are_not_there_are_missed() {
    let text = run(&(spectrum(1, "", &two_peaks()) + &spectrum(2, "", &two_peaks())));
    for (count, expected) in [("2", vec![]), ("3", vec![(Flaw::SpectrumCount, 1)]), ("many", vec![])] {
        let (spectra, rejected) = read(&text.replace("<spectrumList", &format!("<spectrumList count=\"{count}\"")));
        assert_eq!((spectra.len(), flaws(&rejected)), (2, expected), "{count}");
    }
    // A tag that is broken hides no spectrum.
    let (spectra, rejected) = read(&text.replace("id=\"controllerType=0 scan=2\"", "id=\"<controllerType=0 >"));
    assert_eq!((spectra.len(), rejections(&rejected)), (1, vec![(1, Reason::Unreadable)]));
}

#[test]
fn files_are_known_by_their_contents() {
    let text = run(&spectrum(1, "", &two_peaks())).into_bytes().leak() as &[u8];
    let reader = SpectrumReader::new(text, "run.xml").unwrap();
    assert_eq!(reader.format(), Format::Mzml);
    assert_eq!(all(reader).0.len(), 1);
}

#[test]
fn runs_are_read_whole() {
    let Some(folder) = data() else { return };
    // Spectra, peaks and the sum of m/z as pyteomics 5 reads them from MS2.
    for (name, spectra, surveys, number, sum) in [
        ("mzdata_small.mzML.gz", 34, 14, 25_344, 18_255_051.438_110_35),
        ("openms_gnpsexport_1.mzML.gz", 319, 106, 61_165, 12_028_450.483_417_511),
    ] {
        let (read, rejected) = read_files(&[folder.join("mzml").join(name)]).unwrap();
        assert_eq!((read.len(), rejected.total()), (spectra, surveys), "{name}");
        assert_eq!(rejected.reasons.get(&Reason::SurveySpectrum), Some(&surveys), "{name}");
        assert!(rejected.flaws.is_empty(), "{name}");
        let peaks: Vec<_> = read.iter().flat_map(|spectrum| &spectrum.peaks).collect();
        assert_eq!(peaks.len(), number, "{name}");
        let read_sum: f64 = peaks.iter().map(|peak| peak.mz).sum();
        assert!((read_sum / sum - 1.0).abs() < 1e-9, "{name}: {read_sum}");
        for spectrum in &read {
            assert_eq!((spectrum.ms_level, spectrum.polarity), (Some(2), Some(Polarity::Positive)));
            assert!(spectrum.precursor_mz.is_some() && spectrum.retention_time.is_some());
            assert!(spectrum.field("SCANS").is_some());
        }
    }
}
