//! Files of `MassBank` records are read whole, and their tags mean what the fields of other formats do.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use cellprobe::spectra::{Flaw, Format, MassBankReader, Polarity, Reason, Rejected, Spectrum, SpectrumReader};
use common::{all, flaws, peaks};

const RECORD: &str = "ACCESSION: MSBNK-Test-TT000001
RECORD_TITLE: Kojic acid; LC-ESI-QFT; MS2
AUTHORS: Nobody
LICENSE: CC0
COMMENT: CONFIDENCE: made up
CH$NAME: Kojic acid
CH$NAME: 5-hydroxy-2-(hydroxymethyl)pyran-4-one
CH$FORMULA: C6H6O4
CH$EXACT_MASS: 142.0266
CH$SMILES: C1=C(OC=C(C1=O)O)CO
CH$IUPAC: InChI=1S/C6H6O4/h1H
CH$LINK: CAS 501-30-4
CH$LINK: INCHIKEY BEJNERDRQOWKJM-UHFFFAOYSA-N
AC$INSTRUMENT: Q Exactive
AC$INSTRUMENT_TYPE: LC-ESI-QFT
AC$MASS_SPECTROMETRY: MS_TYPE MS2
AC$MASS_SPECTROMETRY: ION_MODE NEGATIVE
AC$MASS_SPECTROMETRY: COLLISION_ENERGY 35 (NCE)
AC$MASS_SPECTROMETRY: FRAGMENTATION_MODE HCD
AC$CHROMATOGRAPHY: RETENTION_TIME 16.5 min
AC$CHROMATOGRAPHY: SOLVENT A water with 0.1% formic acid
MS$FOCUSED_ION: BASE_PEAK 65.0598
MS$FOCUSED_ION: PRECURSOR_M/Z 141.0193
MS$FOCUSED_ION: PRECURSOR_TYPE [M-H]-
PK$SPLASH: splash10-0006-0900000000-e4cab40bfe2e4dacd27f
PK$ANNOTATION: m/z tentative_formula formula_count mass error(ppm)
  57.0701 C4H9+ 1 57.0699 4.61
PK$NUM_PEAK: 2
PK$PEAK: m/z int. rel.int.
  57.0701 1134.9 18
  69.0336 6327.6 999
//
";

fn read(text: &str) -> (Vec<Spectrum>, Rejected) {
    all(MassBankReader::new(text.as_bytes(), "test.txt"))
}

#[test]
fn whole_record() {
    let (spectra, rejected) = read(RECORD);
    assert_eq!((spectra.len(), rejected), (1, Rejected::default()));
    let spectrum = &spectra[0];
    assert_eq!((spectrum.id().as_str(), spectrum.source.line), ("MSBNK-Test-TT000001", 1));
    assert_eq!((spectrum.precursor_mz, spectrum.charge()), (Some(141.0193), Some(-1)));
    assert_eq!((spectrum.polarity, spectrum.ms_level), (Some(Polarity::Negative), Some(2)));
    assert_eq!(spectrum.retention_time, Some(990.0));
    assert_eq!(peaks(spectrum), [(57.0701, 1134.9), (69.0336, 6327.6)]);
    for (key, value) in [
        ("NAME", "Kojic acid"),
        ("FORMULA", "C6H6O4"),
        ("EXACTMASS", "142.0266"),
        ("SMILES", "C1=C(OC=C(C1=O)O)CO"),
        ("INCHI", "InChI=1S/C6H6O4/h1H"),
        ("INCHIKEY", "BEJNERDRQOWKJM-UHFFFAOYSA-N"),
        ("CAS", "501-30-4"),
        ("INSTRUMENT", "Q Exactive"),
        ("INSTRUMENT_TYPE", "LC-ESI-QFT"),
        ("COLLISION_ENERGY", "35 (NCE)"),
        ("FRAGMENTATION", "HCD"),
        ("ADDUCT", "[M-H]-"),
        ("LICENSE", "CC0"),
        ("COMMENT", "CONFIDENCE: made up"),
        ("SOLVENT", "A water with 0.1% formic acid"),
    ] {
        assert_eq!(spectrum.field(key), Some(value), "{key}");
    }
}

#[test]
fn records_one_after_another() {
    let second = RECORD.replace("000001", "000002");
    let ids = |spectra: &[Spectrum]| spectra.iter().map(Spectrum::id).collect::<Vec<_>>();
    let both = ["MSBNK-Test-TT000001", "MSBNK-Test-TT000002"];
    for text in [format!("{RECORD}{second}"), format!("{RECORD}\n\n{second}").replace('\n', "\r\n")] {
        let (spectra, rejected) = read(&text);
        assert_eq!((ids(&spectra), rejected), (both.map(str::to_owned).to_vec(), Rejected::default()));
    }
    let (spectra, rejected) = read(&format!("{RECORD}{second}").replace("//\n", ""));
    assert_eq!(ids(&spectra), both);
    assert_eq!(flaws(&rejected), [(Flaw::Unterminated, 2)]);
}

#[test]
fn what_is_not_known_or_not_right() {
    let unknown =
        RECORD.replace("141.0193", "N/A").replace("16.5 min", "N/A").replace(": C1=C(OC=C(C1=O)O)CO", ": N/A");
    let (spectra, rejected) = read(&unknown);
    assert_eq!((spectra[0].precursor_mz, spectra[0].retention_time), (None, None));
    assert_eq!((spectra[0].field("SMILES"), rejected), (None, Rejected::default()));

    // The steps to an MS3 spectrum.
    assert_eq!(read(&RECORD.replace("141.0193", "285.07/141.02")).0[0].precursor_mz, Some(141.02));

    let (spectra, rejected) = read(&RECORD.replace("NUM_PEAK: 2", "NUM_PEAK: 3").replace("AUTHORS: ", ""));
    assert_eq!(spectra[0].peaks.len(), 2);
    assert_eq!(flaws(&rejected), [(Flaw::PeakCount, 1), (Flaw::Line, 1)]);

    let (spectra, rejected) = read(&RECORD.replace("  57.0701 1134.9 18\n  69.0336 6327.6 999\n", "  N/A\n"));
    assert!(spectra.is_empty());
    assert_eq!((rejected.spectra[0].id.as_str(), rejected.spectra[0].reason), ("MSBNK-Test-TT000001", Reason::NoPeaks));
}

#[test]
fn files_are_known_by_their_contents() {
    let reader = SpectrumReader::new(RECORD.as_bytes(), "record").unwrap();
    assert_eq!(reader.format(), Format::MassBank);
    assert_eq!(all(reader).0.len(), 1);
}
