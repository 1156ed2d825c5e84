//! Libraries in the text form of mzSpecLib are read whole, with the attributes that spectra share.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use cellprobe::spectra::{Flaw, Format, MzSpecLibReader, Polarity, Reason, Rejected, Spectrum, SpectrumReader};
use common::{all, flaws, peaks};

const LIBRARY: &str = "<mzSpecLib>
MS:1003186|library format version=1.0
MS:1003188|library name=made up
<AttributeSet Spectrum=all>
MS:1000465|scan polarity=MS:1000130|positive scan
MS:1000511|ms level=2
<AttributeSet Spectrum=late>
[1]MS:1000894|retention time=2.5
[1]UO:0000000|unit=UO:0000031|minute
<AttributeSet Analyte=all>
MS:1000866|molecular formula=C6H6O4

<Spectrum=1>
MS:1003061|library spectrum name=AADDK/2
MS:1000041|charge state=2
MS:1003208|experimental precursor monoisotopic m/z=855.4538
[1]MS:1000894|retention time=150
[1]UO:0000000|unit=UO:0000010|second
[2]MS:1000045|collision energy=46
[2]UO:0000000|unit=UO:0000266|electronvolt
MS:1003057|scan number=5538
MS:1003059|number of peaks=2
[3]MS:1003275|other attribute name=Se
[3]MS:1003276|other attribute value=1(^G1:sc=8e-015)
<Analyte=1>
MS:1000888|stripped peptide sequence=AADDK
MS:1002894|InChIKey=BEJNERDRQOWKJM-UHFFFAOYSA-N
MS:1000885|protein accession=\"sp|P02769|ALBU a = b\"
<Interpretation=1>
MS:1002357|PSM-level probability=0.97
<InterpretationMember=1>
MS:1000744|selected ion m/z=1
<Peaks>
143.0823\t14791.5\tb2/5.6ppm
153.2575\t5008.6\t?

<Spectrum=2>
MS:1003212|library attribute set name=late
MS:1000744|selected ion m/z=300.5
<Analyte=1>
MS:1000866|molecular formula=C2H6O
<Peaks>
100.5 1
<Cluster=1>
MS:1003267|spectrum cluster key=1
";

fn read(text: &str) -> (Vec<Spectrum>, Rejected) {
    all(MzSpecLibReader::new(text.as_bytes(), "test.mzlb.txt"))
}

fn check(text: &str) {
    let (spectra, rejected) = read(text);
    assert_eq!((spectra.len(), rejected), (2, Rejected::default()));
    let [first, second] = &spectra[..] else { panic!() };
    assert_eq!((first.precursor_mz, first.charge(), first.retention_time), (Some(855.4538), Some(2), Some(150.0)));
    assert_eq!(peaks(first), [(143.0823, 14791.5), (153.2575, 5008.6)]);
    for (key, value) in [
        ("NAME", "AADDK/2"),
        ("SEQ", "AADDK"),
        ("INCHIKEY", "BEJNERDRQOWKJM-UHFFFAOYSA-N"),
        ("COLLISION_ENERGY", "46"),
        ("SE", "1(^G1:sc=8e-015)"),
        ("PROTEIN ACCESSION", "sp|P02769|ALBU a = b"),
        ("FORMULA", "C6H6O4"),
    ] {
        assert_eq!(first.field(key), Some(value), "{key}");
    }
    assert_eq!((first.id(), second.id()), ("1".to_owned(), "2".to_owned()));
    assert_eq!((second.precursor_mz, second.retention_time), (Some(300.5), Some(150.0)));
    assert_eq!(second.fields.iter().filter(|(key, _)| key == "FORMULA").count(), 2);
    for spectrum in &spectra {
        assert_eq!((spectrum.polarity, spectrum.ms_level), (Some(Polarity::Positive), Some(2)));
    }
}

#[test]
fn whole_library() {
    check(LIBRARY);
    check(&LIBRARY.replace('\n', "\r\n"));
}

#[test]
fn older_drafts_of_the_format() {
    let older = LIBRARY.replace("<mzSpecLib>", "<mzSpecLib 1.0>").replace("<Spectrum=", "<LibraryEntry=");
    check(&older.replace("Set Spectrum=", "Set LibraryEntry=").replace("library spectrum name", "spectrum name"));
}

#[test]
fn what_is_wrong_is_counted() {
    let text = LIBRARY.replace("number of peaks=2", "number of peaks=3").replace("153.2575\t", "x\t");
    let (spectra, rejected) = read(&text.replace("=300.5", "=heavy").replace("100.5 1", ""));
    assert_eq!((spectra.len(), spectra[0].peaks.len()), (1, 1));
    assert_eq!((rejected.spectra[0].id.as_str(), rejected.spectra[0].reason), ("2", Reason::NoPeaks));
    assert_eq!(flaws(&rejected), [(Flaw::Precursor, 1), (Flaw::PeakCount, 1), (Flaw::Line, 1)]);
}

#[test]
fn files_are_known_by_their_contents() {
    let reader = SpectrumReader::new(LIBRARY.as_bytes(), "library").unwrap();
    assert_eq!(reader.format(), Format::MzSpecLib);
    assert_eq!(all(reader).0.len(), 2);
}
