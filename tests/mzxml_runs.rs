//! Of mzXML runs every scan is read or listed with a reason, side by side or in each other.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use std::{fs, io::Write as _};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cellprobe::spectra::{
    Flaw, Format, MzxmlReader, Polarity, Reason, Rejected, Spectrum, SpectrumReader, find_files, read_files,
};
use common::{all, flaws, peaks};
use flate2::{Compression, write::ZlibEncoder};

const PAIRS: [f64; 4] = [100.5, 1.0, 200.25, 2.0];

fn read(text: &str) -> (Vec<Spectrum>, Rejected) {
    all(MzxmlReader::new(text.as_bytes(), "test.mzXML"))
}

fn doubles(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn floats(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| (number as f32).to_be_bytes()).collect()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(attributes: &str, bytes: &[u8]) -> String {
    format!("<peaks {attributes}>{}</peaks>\n", BASE64.encode(bytes))
}

fn two_peaks() -> String {
    encoded("precision=\"32\" byteOrder=\"network\" pairOrder=\"m/z-int\"", &floats(&PAIRS))
}

/// A scan of level 2 without its end.
fn open_scan(number: usize, attributes: &str, inside: &str) -> String {
    format!("<scan num=\"{number}\" msLevel=\"2\" {attributes}>\n{inside}")
}

fn scan(number: usize, attributes: &str, inside: &str) -> String {
    open_scan(number, attributes, inside) + "</scan>\n"
}

fn survey(number: usize, below: &str) -> String {
    format!("<scan num=\"{number}\" msLevel=\"1\" peaksCount=\"2\">\n{}{below}</scan>\n", two_peaks())
}

/// A run of these scans; line 5 is the first after the header.
fn run(scans: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<mzXML xmlns=\"http://sashimi.sourceforge.net/schema\">\n\
         <msRun startTime=\"PT0S\">\n<dataProcessing centroided=\"1\"/>\n{scans}</msRun>\n\
         <index name=\"scan\"><offset id=\"1\">123</offset></index>\n</mzXML>\n"
    )
}

fn ids(spectra: &[Spectrum]) -> Vec<String> {
    spectra.iter().map(Spectrum::id).collect()
}

fn rejections(rejected: &Rejected) -> Vec<(usize, Reason)> {
    rejected.spectra.iter().map(|rejection| (rejection.source.index, rejection.reason)).collect()
}

#[test]
fn whole_scan() {
    let precursor = "<precursorMz precursorIntensity=\"9e3\" precursorCharge=\"2\" activationMethod=\"HCD\">\n 300.4567 </precursorMz>\n\
                     <precursorMz precursorCharge=\"3\">444.4</precursorMz>\n";
    let attributes =
        "peaksCount=\"2\" polarity=\"-\" centroided=\"1\" retentionTime=\"PT1M2.5S\" collisionEnergy=\"35\"";
    let (spectra, rejected) = read(&run(&scan(7, attributes, &(precursor.to_owned() + &two_peaks()))));
    assert_eq!((spectra.len(), rejected), (1, Rejected::default()));
    let spectrum = &spectra[0];
    assert_eq!((spectrum.precursor_mz, spectrum.charge()), (Some(300.4567), Some(-2)));
    assert_eq!((spectrum.polarity, spectrum.ms_level), (Some(Polarity::Negative), Some(2)));
    assert_eq!((spectrum.retention_time, spectrum.id().as_str()), (Some(62.5), "7"));
    assert_eq!((spectrum.field("COLLISION_ENERGY"), spectrum.field("FRAGMENTATION")), (Some("35"), Some("HCD")));
    assert_eq!(peaks(spectrum), [(100.5, 1.0), (200.25, 2.0)]);
    assert_eq!((spectrum.source.index, spectrum.source.line), (0, 5));
}

#[test]
fn scans_in_each_other() {
    let below = scan(2, "", &two_peaks()) + &open_scan(3, "", &two_peaks()) + &scan(4, "", &two_peaks()) + "</scan>\n";
    let scans = survey(1, &below) + &survey(5, "") + &scan(6, "", &two_peaks());
    let (spectra, rejected) = read(&run(&scans));
    assert_eq!(ids(&spectra), ["2", "3", "4", "6"]);
    assert!(spectra.iter().all(|spectrum| peaks(spectrum).len() == 2));
    assert_eq!(rejections(&rejected), [(0, Reason::SurveySpectrum), (4, Reason::SurveySpectrum)]);
    assert_eq!(flaws(&rejected), []);
}

#[test]
fn peaks_of_every_encoding() {
    let (narrow, wide) = (floats(&PAIRS), doubles(&PAIRS));
    let network = "byteOrder=\"network\" contentType=\"m/z-int\"";
    let wrapped = two_peaks().replace("<peaks ", "<peaks\n  ").replace("==</peaks>", "=\n= </peaks>");
    for peaks_element in [
        encoded("", &narrow),
        encoded(&format!("precision=\"32\" {network} compressionType=\"none\" compressedLen=\"0\""), &narrow),
        encoded(&format!("precision=\"64\" {network}"), &wide),
        encoded(&format!("precision=\"32\" {network} compressionType=\"zlib\" compressedLen=\"24\""), &zlib(&narrow)),
        encoded(&format!("compressionType=\"zlib\" precision=\"64\" {network}"), &zlib(&wide)),
        wrapped,
    ] {
        let (spectra, rejected) = read(&run(&scan(1, "peaksCount=\"2\"", &peaks_element)));
        assert_eq!(rejected, Rejected::default(), "{peaks_element}");
        assert_eq!(peaks(&spectra[0]), [(100.5, 1.0), (200.25, 2.0)], "{peaks_element}");
    }
}

#[test]
fn peaks_that_cannot_be_read_are_a_reason() {
    let (narrow, wide) = (floats(&PAIRS), doubles(&PAIRS));
    let bad = [
        encoded("precision=\"16\"", &narrow),
        encoded("byteOrder=\"little\"", &narrow),
        encoded("contentType=\"m/z\"", &narrow),
        encoded("compressionType=\"zstd\"", &narrow),
        encoded("compressionType=\"zlib\"", &narrow),
        encoded("compressionType=\"zlib\"", &zlib(&narrow)[..9]),
        encoded("precision=\"64\"", &wide[..24]),
        encoded("", &narrow[..15]),
        // More than 128 MiB in a few bytes.
        encoded("compressionType=\"zlib\"", &zlib(&vec![0; 200 << 20])),
        two_peaks().replace("</peaks>", "!</peaks>"),
        two_peaks().replace("</peaks>", ""),
        two_peaks().replace("<peaks", "<!peaks"),
    ];
    let scans: String = bad.iter().enumerate().map(|(number, inside)| scan(number, "", inside)).collect();
    let (spectra, rejected) = read(&run(&(scans + &scan(99, "", &two_peaks()))));
    assert_eq!(rejections(&rejected), (0..bad.len()).map(|index| (index, Reason::Unreadable)).collect::<Vec<_>>());
    assert_eq!(ids(&spectra), ["99"]);
}

#[test]
fn surveys_profiles_and_empty_scans_are_listed() {
    let scans = [
        survey(1, ""),
        scan(2, "centroided=\"0\"", &two_peaks()),
        scan(3, "peaksCount=\"0\"", "<peaks precision=\"32\"></peaks>"),
        scan(4, "", "<peaks precision=\"32\"/>"),
        "<scan num=\"5\" msLevel=\"2\"/>\n".to_owned(),
    ];
    let (spectra, rejected) = read(&run(&scans.concat()));
    assert!(spectra.is_empty());
    let reasons = [Reason::SurveySpectrum, Reason::Profile, Reason::NoPeaks, Reason::NoPeaks, Reason::NoPeaks];
    assert_eq!(rejections(&rejected), reasons.into_iter().enumerate().collect::<Vec<_>>());
    assert_eq!((flaws(&rejected), rejected.spectra[4].id.as_str()), (vec![], "5"));
}

#[test]
fn values_and_peaks_that_are_none_are_flaws() {
    let inside = "<precursorMz precursorCharge=\"y\">x</precursorMz>".to_owned()
        + &encoded("precision=\"64\"", &doubles(&[100.5, 1.0, f64::NAN, 1.0, -1.0, 1.0, 7.0, f64::INFINITY]));
    let attributes = "peaksCount=\"4\" retentionTime=\"soon\" polarity=\"any\"";
    let (spectra, rejected) = read(&run(&scan(1, attributes, &inside).replace("msLevel=\"2\"", "msLevel=\"two\"")));
    assert_eq!((peaks(&spectra[0]), spectra[0].precursor_mz), (vec![(100.5, 1.0)], None));
    let expected = [
        (Flaw::Precursor, 1),
        (Flaw::Charge, 1),
        (Flaw::RetentionTime, 1),
        (Flaw::MsLevel, 1),
        (Flaw::PeakCount, 1),
        (Flaw::Peak, 3),
    ];
    assert_eq!(flaws(&rejected), expected);
}

#[test]
fn what_is_broken_costs_one_scan() {
    let good = |number| scan(number, "", &two_peaks());
    let text = run(&(good(1) + &good(2) + &good(3)));
    let cut = &text[..text.rfind("</peaks>").unwrap()];
    let (spectra, rejected) = read(cut);
    assert_eq!((ids(&spectra), rejections(&rejected)), (vec!["1".into(), "2".into()], vec![(2, Reason::Unreadable)]));
    assert_eq!(flaws(&rejected), [(Flaw::Unterminated, 1)]);
    for (count, expected) in [("3", vec![]), ("4", vec![(Flaw::SpectrumCount, 1)]), ("many", vec![])] {
        let (spectra, rejected) = read(&text.replace("<msRun", &format!("<msRun scanCount=\"{count}\"")));
        assert_eq!((spectra.len(), flaws(&rejected)), (3, expected), "{count}");
    }
}

#[test]
fn files_are_known_by_contents_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let (named, unnamed) = (folder.path().join("run.mzXML"), folder.path().join("run.xml"));
    for file in [&named, &unnamed] {
        fs::write(file, run(&scan(1, "", &two_peaks()))).unwrap();
        assert_eq!(SpectrumReader::open(file).unwrap().format(), Format::Mzxml);
    }
    assert_eq!(find_files(&[folder.path()]).unwrap(), [named]);
    assert_eq!(read_files(&[unnamed]).unwrap().0.len(), 1);
    fs::write(folder.path().join("not.mzXML"), "<html></html>").unwrap();
    let error = SpectrumReader::open(folder.path().join("not.mzXML")).unwrap_err().to_string();
    assert!(error.contains("none of MGF, MSP, mzML, mzXML"), "{error}");
}
