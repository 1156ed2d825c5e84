//! MSP libraries are read in every dialect, and the same fields mean the same in all of them.
#![cfg(feature = "spectra")]

#[path = "spectra_common/mod.rs"]
mod common;

use cellprobe::spectra::{Flaw, Format, MspReader, Polarity, Reason, Rejected, Spectrum, SpectrumReader, read_files};
use common::{all, data, flaws, peaks};

fn read(text: &str) -> (Vec<Spectrum>, Rejected) {
    all(MspReader::new(text.as_bytes(), "test.msp"))
}

/// Reads a single spectrum in which nothing is wrong.
fn one(text: &str) -> Spectrum {
    let (mut spectra, rejected) = read(text);
    assert_eq!((spectra.len(), rejected), (1, Rejected::default()), "{text}");
    spectra.remove(0)
}

fn names(spectra: &[Spectrum]) -> Vec<String> {
    spectra.iter().map(Spectrum::id).collect()
}

#[test]
fn one_compound_in_four_dialects() {
    let massbank = one(
        "Name: Kojic acid\nDB#: HB003316\nInChIKey: BEJNERDRQOWKJM-UHFFFAOYSA-N\nInChI: InChI=1S/C6H6O4/h1H\n\
         SMILES: C1=C(OC=C)CO\nPrecursor_type: [M-H]-\nSpectrum_type: MS2\nPrecursorMZ: 141.0193\nInstrument_type: LC-ESI-ITFT\n\
         Ion_mode: NEGATIVE\nCollision_energy: 60 % (nominal)\nFormula: C6H6O4\nExactMass: 142.0266\nNum Peaks: 1\n141.0194 999\n",
    );
    let riken = one("INCHIKEY: BEJNERDRQOWKJM-UHFFFAOYSA-N\nINCHI: InChI=1S/C6H6O4/h1H\nSMILES: C1=C(OC=C)CO\n\
         INSTRUMENTTYPE: LC-ESI-ITFT\nCOLLISIONENERGY: 60 % (nominal)\nFORMULA: C6H6O4\nNAME: Kojic acid\nPRECURSORTYPE: [M-H]-\n\
         PRECURSORMZ: 141.0193\nIONMODE: negative\nEXACTMASS: 142.0266\nSPECTRUMID: HB003316\nMSLEVEL: 2\nNUM PEAKS: 1\n141.0194    999.0\n");
    let mona = one("Name: Kojic acid\nDB#: HB003316\nInChIKey: BEJNERDRQOWKJM-UHFFFAOYSA-N\nFormula: C6H6O4\n\
         Comments: \"SMILES=C1=C(OC=C)CO\" \"InChI=InChI=1S/C6H6O4/h1H\" \"precursor m/z=141.0193\" \"precursor type=[M-H]-\" \
         \"ms level=MS2\" \"instrument type=LC-ESI-ITFT\" \"ionization mode=negative\" \"collision energy=60 % (nominal)\" \
         \"exact mass=142.0266\"\nNum Peaks: 1\n141.0194 999\n");
    let nist = one(
        "Name: Kojic acid\nPrecursor_type: [M-H]-\nSpectrum_type: ms2\nPrecursorMZ: 141.0193\nInstrument_type: LC-ESI-ITFT\n\
         Ion_mode: N\nInChIKey: BEJNERDRQOWKJM-UHFFFAOYSA-N\nFormula: C6H6O4\nExactMass: 142.0266\nDB#: HB003316\n\
         Comments: SMILES=C1=C(OC=C)CO InChI=InChI=1S/C6H6O4/h1H Collision_energy=\"60 % (nominal)\"\nNum peaks: 1\n\
         141.0194\t999\t\"p/0.1ppm 2/2\"\n",
    );
    for spectrum in [massbank, riken, mona, nist] {
        assert_eq!((spectrum.precursor_mz, spectrum.ms_level), (Some(141.0193), Some(2)));
        assert_eq!((spectrum.charge(), spectrum.polarity), (Some(-1), Some(Polarity::Negative)));
        assert_eq!(peaks(&spectrum), [(141.0194, 999.0)]);
        for (key, value) in [
            ("NAME", "Kojic acid"),
            ("SPECTRUMID", "HB003316"),
            ("INCHIKEY", "BEJNERDRQOWKJM-UHFFFAOYSA-N"),
            ("INCHI", "InChI=1S/C6H6O4/h1H"),
            ("SMILES", "C1=C(OC=C)CO"),
            ("FORMULA", "C6H6O4"),
            ("ADDUCT", "[M-H]-"),
            ("INSTRUMENT_TYPE", "LC-ESI-ITFT"),
            ("COLLISION_ENERGY", "60 % (nominal)"),
            ("EXACTMASS", "142.0266"),
        ] {
            assert_eq!(spectrum.field(key), Some(value), "{key}");
        }
        assert_eq!(spectrum.id(), "HB003316");
    }
}

#[test]
fn peptides_of_nist_carry_charge_and_precursor_in_name_and_comment() {
    let spectrum = one("Name: AADDK/3\nMW: 1609.753\nComment: Spec=Consensus Pep=Tryptic Mods=1/7,C,Carbamidomethyl \
         Parent=536.584 Protein=\"sp|P02769| (BSA) - a cow\" Nprot=1\nNum peaks: 2\n\
         175.2\t139\t\"? 2/2 1.3\"\n207.1\t63\t\"y4-17^2/-0.02,y4-18^2/0.48 2/2 0.1\"\n");
    assert_eq!((spectrum.charge(), spectrum.precursor_mz), (Some(3), Some(536.584)));
    assert_eq!((spectrum.field("PROTEIN"), spectrum.field("MW")), (Some("sp|P02769| (BSA) - a cow"), Some("1609.753")));
    assert_eq!(spectrum.field("COMMENT"), None);
    assert_eq!(peaks(&spectrum), [(175.2, 139.0), (207.1, 63.0)]);
}

#[test]
fn fields_come_before_comments() {
    let spectrum = one(
        "Name: a\nPrecursorMZ: 100.5\nComments: \"precursor m/z=300\" \"SMILES=C\" 5\nSMILES: O\nNum Peaks: 1\n50 1\n",
    );
    assert_eq!((spectrum.precursor_mz, spectrum.field("SMILES")), (Some(100.5), Some("O")));
    // What is more than pairs is kept as it stands too.
    assert_eq!(spectrum.field("COMMENT"), Some("\"precursor m/z=300\" \"SMILES=C\" 5"));
}

#[test]
fn peaks_stand_as_they_like() {
    let expected = [(100.0, 5.0), (101.5, 8.0), (200.25, 7.0)];
    for lines in [
        "100 5\n101.5 8\n200.25 7",
        "100\t5\t\"a: b; c\"\n101.5\t8\n200.25\t7\t?",
        "100 5; 101.5 8;\n200.25 7;",
        "  100   5;  101.5   8;  200.25   7;",
        "100:5 101.5:8\n200.25:7 ",
        "(100,5) (101.5,8) (200.25,7)",
        "[100 5] [101.5 8]\n[200.25 7]",
        "100 5 101.5 8 200.25 7",
        "100,5 101.5,8 200.25,7",
        "100 5\n101,5 8\n200,25 7",
        "200.25 7\n\n100 5\n101.5 8",
    ] {
        assert_eq!(peaks(&one(&format!("Name: a\nNum Peaks: 3\n{lines}\n"))), expected, "{lines}");
    }
    assert_eq!(peaks(&one("Name: a\nNum Peaks: 3; 100 5; 101.5 8; 200.25 7")), expected);
}

#[test]
fn number_of_peaks_missing_or_wrong() {
    let (spectra, rejected) = read("Name: a\n100 1\n200 2\n\nName: b\n100 1\n");
    assert_eq!((names(&spectra), rejected), (vec!["a".to_owned(), "b".to_owned()], Rejected::default()));
    for count in ["1", "3", "many", "-1", ""] {
        let text = format!("Name: a\nNum Peaks: {count}\n100 1\n200 2\n\nName: b\nNum Peaks: 1\n100 1\n");
        let (spectra, rejected) = read(&text);
        assert_eq!(names(&spectra), ["a", "b"], "{count}");
        assert_eq!(spectra[0].peaks.len(), 2, "{count}");
        let expected = if count.is_empty() { vec![] } else { vec![(Flaw::PeakCount, 1)] };
        assert_eq!(flaws(&rejected), expected, "{count}");
    }
}

#[test]
fn entries_end_with_or_without_a_blank_line() {
    for text in [
        "Name: a\nNum Peaks: 1\n100 1\nName: b\nNum Peaks: 1\n200 1\n",
        "NAME: a\r\nNUM PEAKS: 1\r\n100 1\r\n\r\n\r\nNAME: b\r\nNUM PEAKS: 1\r\n200 1",
        "\u{feff}Name: a\n100 1\n\nName: b\n200 1\n\n\n",
        "ID: 1\nName: a\nNum Peaks: 1\n100 1\nID: 2\nName: b\nNum Peaks: 1\n200 1\n",
        "# made by hand\nName: a\n\nNum Peaks: 1\n\n100 1\n\nName: b\n\nNum Peaks: 1\n\n200 1\n",
    ] {
        let (spectra, rejected) = read(text);
        assert_eq!((names(&spectra), rejected), (vec!["a".to_owned(), "b".to_owned()], Rejected::default()), "{text}");
        assert_eq!((peaks(&spectra[0]), peaks(&spectra[1])), (vec![(100.0, 1.0)], vec![(200.0, 1.0)]));
    }
}

#[test]
fn entries_without_peaks_are_listed() {
    for text in [
        "Name: a\nNum Peaks: 0\n\nName: b\nNum Peaks: 1\n200 1\n\nName: c\nNum Peaks: 0\n",
        "Name: a\nNum Peaks: 0\nName: b\nNum Peaks: 1\n200 1\nName: c\nNum Peaks: 0\n",
        "Name: a\n\nName: b\nNum Peaks: 1\n200 1\n\nName: c\n",
        "Name: a\nName: b\n200 1\nName: c\n",
    ] {
        let (spectra, rejected) = read(text);
        assert_eq!(names(&spectra), ["b"], "{text}");
        let listed: Vec<_> = rejected.spectra.iter().map(|r| (r.source.index, r.id.as_str(), r.reason)).collect();
        assert_eq!(listed, [(0, "a", Reason::NoPeaks), (2, "c", Reason::NoPeaks)], "{text}");
        assert_eq!(flaws(&rejected), []);
    }
}

#[test]
fn values_that_cannot_be_read_are_flaws_and_stay_as_text() {
    let (spectra, rejected) =
        read("Name: a\nPrecursorMZ: 0\nCharge: many\nRetentionTime: later\nIon_mode: both\n100 1\nx\n");
    let spectrum = &spectra[0];
    assert_eq!((spectrum.precursor_mz, spectrum.retention_time, spectrum.polarity), (None, None, None));
    assert_eq!((spectrum.field("PrecursorMZ"), spectrum.field("Ion_mode")), (Some("0"), Some("both")));
    let all = [Flaw::Precursor, Flaw::Charge, Flaw::Polarity, Flaw::RetentionTime, Flaw::Line];
    assert_eq!(flaws(&rejected), all.map(|flaw| (flaw, 1)));
    let unknown = one("Name: a\nPrecursorMZ: N/A\nCharge: NA\nRetentionTime:\nInChIKey: N/A\n100 1\n");
    assert_eq!((unknown.precursor_mz, unknown.field("INCHIKEY")), (None, None));
}

#[test]
fn retention_times_are_in_minutes_unless_they_say_otherwise() {
    for (line, seconds) in [
        ("RETENTIONTIME: 2.5", 150.0),
        ("Retention_Time: 2,5 min", 150.0),
        ("RT: 150 sec", 150.0),
        ("RTINSECONDS: 150", 150.0),
        ("Comments: \"retention time=2.5 min\"", 150.0),
    ] {
        assert_eq!(one(&format!("Name: a\n{line}\n100 1\n")).retention_time, Some(seconds), "{line}");
    }
}

#[test]
fn electron_ionization_breaks_molecules_without_a_second_stage() {
    let level = |line: &str| one(&format!("Name: a\nSpectrum_type: MS1\n{line}\n100 1\n")).ms_level;
    assert_eq!(level("Instrument_type: EI-B"), None);
    assert_eq!(level("Instrument_type: GC-EI-TOF"), None);
    assert_eq!(level("Ionization: EI"), None);
    assert_eq!(level("Instrument_type: LC-ESI-QTOF"), Some(1));
}

#[test]
fn files_are_known_by_their_contents() {
    for text in ["Name: a\nNum Peaks: 1\n100 1\n", "INCHIKEY: K\nNUM PEAKS: 1\n100 1\n", "Num_Peaks: 1\n100 1\n"] {
        let reader = SpectrumReader::new(text.as_bytes().to_vec().leak() as &[u8], "library.txt").unwrap();
        assert_eq!(reader.format(), Format::Msp, "{text}");
        assert_eq!(all(reader).0.len(), 1, "{text}");
    }
}

#[test]
fn libraries_are_read_whole() {
    let Some(folder) = data() else { return };
    // Spectra and peaks as the `Num Peaks` of the files add up to, and as matchms 0.33 reads them.
    for (name, spectra, peaks, allowed) in [
        ("matchms_Hydrogen_chloride.msp", 1, 4, vec![]),
        // Electron ionization has no precursor, for which the files say 0.
        ("matchms_MoNA-export-GC-MS-first10.msp", 10, 494, vec![(Flaw::Precursor, 10)]),
        ("matchms_comments_with_quotes.msp", 1, 248, vec![]),
        ("matchms_golm.msp", 3, 287, vec![]),
        ("matchms_massbank_five_spectra.msp", 5, 41, vec![]),
        ("matchms_multiline_semicolon.msp", 2, 25, vec![]),
        ("matchms_riken_style_five_spectra.msp", 5, 41, vec![]),
        ("nist-bsa_consensus.msp.gz", 725, 95_673, vec![]),
    ] {
        let (read, rejected) = read_files(&[folder.join("msp").join(name)]).unwrap();
        assert_eq!((read.len(), rejected.total()), (spectra, 0), "{name}");
        assert_eq!(read.iter().map(|spectrum| spectrum.peaks.len()).sum::<usize>(), peaks, "{name}");
        assert_eq!(flaws(&rejected), allowed, "{name}");
        assert!(read.iter().all(|spectrum| spectrum.field("NAME").is_some()), "{name}");
        if name.starts_with("nist") {
            assert!(read.iter().all(|s| s.precursor_mz.is_some() && s.charge().is_some()), "{name}");
            assert!(read.iter().all(|s| s.field("SEQ").is_some()), "{name}");
        }
    }
}
