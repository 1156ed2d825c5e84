//! `matches.mztab` follows the specification of mzTab 1.0.0, and says what `matches.tsv` says of accepted matches.
#![cfg(all(feature = "cli", feature = "spectra"))]

mod spectra_common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use spectra_common::folder::{Result, run};

type Row = BTreeMap<String, String>;

/// The columns that the specification requires (tables 5 and 6), scores apart.
const PSM: &str = "sequence PSM_ID accession unique database database_version search_engine modifications spectra_ref \
                   retention_time charge exp_mass_to_charge calc_mass_to_charge pre post start end";
const SMALL_MOLECULE: &str = "identifier chemical_formula smiles inchi_key description exp_mass_to_charge \
                              calc_mass_to_charge charge retention_time taxid species database database_version \
                              spectra_ref search_engine modifications";
const NUMBERS: [&str; 7] = [
    "retention_time",
    "charge",
    "exp_mass_to_charge",
    "calc_mass_to_charge",
    "search_engine_score[1]",
    "best_search_engine_score[1]",
    "opt_global_q-value",
];

/// What a file says.
#[derive(Debug, Default)]
struct MzTab {
    metadata: BTreeMap<String, String>,
    peptides: Vec<Row>,
    molecules: Vec<Row>,
}

/// Reads a file by the rules of the specification.
fn parse(text: &str) -> MzTab {
    let mut file = MzTab::default();
    let mut headers = BTreeMap::<&str, Vec<&str>>::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("COM\t")) {
        let (prefix, rest) = line.split_once('\t').expect("a prefix and a tab");
        let cells: Vec<&str> = rest.split('\t').collect();
        assert!(cells.iter().all(|cell| !cell.is_empty() && cell.trim() == *cell), "empty cell: {line}");
        match prefix {
            "MTD" => {
                assert!(headers.is_empty(), "metadata below a table");
                assert_eq!(cells.len(), 2, "{line}");
                let before = file.metadata.insert(cells[0].into(), cells[1].into());
                assert_eq!(before, None, "{line}");
            }
            "PSH" | "SMH" => {
                assert_eq!(cells.iter().collect::<BTreeSet<_>>().len(), cells.len(), "{line}");
                let row = if prefix == "PSH" { "PSM" } else { "SML" };
                assert_eq!(headers.insert(row, cells), None, "a section stands twice");
            }
            "PSM" | "SML" => {
                let header = &headers[prefix];
                assert_eq!(cells.len(), header.len(), "{line}");
                let row = header.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect();
                if prefix == "PSM" { file.peptides.push(row) } else { file.molecules.push(row) }
            }
            _ => panic!("unknown prefix: {line}"),
        }
    }
    file.check();
    file
}

impl MzTab {
    fn check(&self) {
        let value = |name: &str| self.metadata.get(name).unwrap_or_else(|| panic!("{name} is missing")).as_str();
        assert_eq!(value("mzTab-version"), "1.0.0");
        assert_eq!((value("mzTab-mode"), value("mzTab-type")), ("Summary", "Identification"));
        assert!(!value("description").is_empty());
        for name in ["software[1]", "fixed_mod[1]", "variable_mod[1]"] {
            check_parameter(value(name));
        }
        let runs =
            self.metadata.keys().filter(|name| name.starts_with("ms_run[") && name.ends_with("-location")).count();
        assert!(runs > 0);
        for run in 1..=runs {
            let location = value(&format!("ms_run[{run}]-location"));
            assert!(location == "null" || location.starts_with("file:///") && !location.contains(' '), "{location}");
            check_parameter(value(&format!("ms_run[{run}]-format")));
            check_parameter(value(&format!("ms_run[{run}]-id_format")));
        }
        let settings = self.metadata.keys().filter(|name| name.starts_with("software[1]-setting[")).count();
        for number in 1..=settings {
            assert!(value(&format!("software[1]-setting[{number}]")).contains(" = "));
        }
        for (rows, required, kind, score) in [
            (&self.peptides, PSM, "psm", "search_engine_score[1]"),
            (&self.molecules, SMALL_MOLECULE, "smallmolecule", "best_search_engine_score[1]"),
        ] {
            let scored = self.metadata.get(&format!("{kind}_search_engine_score[1]"));
            assert_eq!(scored.is_some(), !rows.is_empty(), "{kind}");
            if let Some(scored) = scored {
                check_parameter(scored);
            }
            for row in rows {
                check_row(row, &required.split_whitespace().collect::<Vec<_>>(), score, runs);
            }
        }
        let ids: BTreeSet<u64> = self.peptides.iter().map(|row| row["PSM_ID"].parse().unwrap()).collect();
        assert_eq!(ids.len(), self.peptides.len());
    }

    fn settings(&self) -> Vec<&str> {
        let settings = self.metadata.iter().filter(|(name, _)| name.starts_with("software[1]-setting["));
        settings.map(|(_, value)| value.as_str()).collect()
    }
}

fn check_row(row: &Row, required: &[&str], score: &str, runs: usize) {
    for name in required.iter().chain([&score]) {
        assert!(row.contains_key(*name), "{name} is missing");
    }
    for name in row.keys().filter(|name| !required.contains(&name.as_str()) && *name != score && *name != "reliability")
    {
        assert!(name.starts_with("opt_global_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-[]:".contains(c)), "{name}");
    }
    for number in NUMBERS.iter().filter_map(|name| row.get(*name)).filter(|value| *value != "null") {
        assert!(number.parse::<f64>().unwrap().is_finite(), "{number}");
    }
    assert_ne!(row[score], "null");
    check_parameter(&row["search_engine"]);
    let (run, id) = row["spectra_ref"].strip_prefix("ms_run[").unwrap().split_once("]:").unwrap();
    assert!((1..=runs).contains(&run.parse().unwrap()) && id.contains('='), "{}", row["spectra_ref"]);
}

/// `[label, accession, name, value]`
fn check_parameter(text: &str) {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or_else(|| panic!("{text}"));
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    assert!(parts.len() == 4 && !parts[2].is_empty(), "{text}");
    assert_eq!(parts[0].is_empty(), parts[1].is_empty(), "{text}");
    assert!(parts[0].is_empty() || parts[1].starts_with(&format!("{}:", parts[0])), "{text}");
}

/// Identifies into a folder `out`.
fn identify(folder: &Path, arguments: &[&str]) -> Result<(MzTab, Vec<Row>)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
    command.current_dir(folder).args(["spectra", "identify", "--device", "cpu", "--quiet", "-o", "out", "--force"]);
    let output = command.args(arguments).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(folder.join("out/matches.tsv"))?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').map(str::to_owned));
    let names: Vec<String> = lines.next().ok_or("no header")?.collect();
    let accepted = lines.map(|cells| names.iter().cloned().zip(cells).collect::<Row>());
    let accepted = accepted.filter(|row| row["accepted"] == "yes").collect();
    Ok((parse(&fs::read_to_string(folder.join("out/matches.mztab"))?), accepted))
}

#[test]
fn small_molecules_are_rows() -> Result {
    let folder = tempfile::tempdir()?;
    let files = [1, 2, 3].map(run);
    let (file, accepted) = identify(folder.path(), &[&files[0], &files[1], &files[2], "--decoys", "spectrum"])?;
    assert!(file.peptides.is_empty() && accepted.len() > 20);
    assert_eq!(file.molecules.len(), accepted.len());
    for (row, expected) in file.molecules.iter().zip(&accepted) {
        assert_eq!(row["identifier"].split_once(".mgf:").ok_or("no library")?.1, expected["library_id"]);
        assert!((row["best_search_engine_score[1]"].parse::<f64>()? - expected["score"].parse::<f64>()?).abs() < 1e-6);
        assert_eq!(row["opt_global_matched_peaks"], expected["matched_peaks"]);
        assert!((row["opt_global_q-value"].parse::<f64>()? - expected["q_value"].parse::<f64>()?).abs() < 1e-5);
        let run =
            file.metadata[&format!("{}-location", row["spectra_ref"].split(':').next().unwrap_or_default())].as_str();
        assert!(run.ends_with(&expected["query_file"]), "{run}");
        assert!(row["retention_time"].parse::<f64>()? > 0.0 && row["charge"] == "1" && row["reliability"] == "2");
    }
    assert_eq!(file.metadata["ms_run[2]-id_format"], "[MS, MS:1000774, multiple peak list nativeID format, ]");
    let settings = file.settings();
    for setting in ["device = cpu", "score = entropy", "decoys = spectrum", "max-peaks = 100", "hash-seed = 0"] {
        assert!(settings.contains(&setting), "{setting}");
    }
    assert_eq!(file.metadata["software[1]"], concat!("[, , cellprobe, ", env!("CARGO_PKG_VERSION"), "]"));
    Ok(())
}

const PEAKS: &str = "147.1128 5\n227.1026 9\n276.1554 4\n391.1823 6\n702.3668 8\n";

#[test]
fn peptides_are_spectrum_matches() -> Result {
    let folder = tempfile::tempdir()?;
    let spectra = [
        ("PEPTIDEK", 464.75),
        ("M[UNIMOD:35]PEPTC[Carbamidomethyl]K", 500.0),
        ("PEPTCIDEK[0|Acetyl|5|Carbamidomethyl]", 600.0),
        ("PEPTIDEK[Unheard-of]", 700.0),
        ("not a peptide", 800.0),
    ];
    let text =
        spectra.map(|(sequence, mz)| format!("BEGIN IONS\nPEPMASS={mz}\nCHARGE=2+\nSEQ={sequence}\n{PEAKS}END IONS\n"));
    fs::write(folder.path().join("peptides.mgf"), text.concat())?;
    let (file, accepted) = identify(folder.path(), &["peptides.mgf", "peptides.mgf", "--structure", "SEQ"])?;
    assert_eq!((file.peptides.len(), file.molecules.len(), accepted.len()), (5, 0, 5));
    let expected = [
        ("PEPTIDEK", "0"),
        ("MPEPTCK", "1-UNIMOD:35,6-UNIMOD:4"),
        ("PEPTCIDEK", "0-UNIMOD:1,5-UNIMOD:4"),
        ("PEPTIDEK", "null"),
        ("not a peptide", "null"),
    ];
    for (number, (row, (sequence, modifications))) in file.peptides.iter().zip(expected).enumerate() {
        assert_eq!((row["sequence"].as_str(), row["modifications"].as_str()), (sequence, modifications));
        assert_eq!(row["opt_global_cv_MS:1000889_peptidoform_sequence"], spectra[number].0);
        assert_eq!(row["spectra_ref"], format!("ms_run[1]:index={number}"));
        assert_eq!((row["charge"].as_str(), row["opt_global_q-value"].as_str()), ("2", "null"));
    }
    Ok(())
}

#[test]
fn scans_are_referred_to_as_their_format_does() -> Result {
    let folder = tempfile::tempdir()?;
    let numbers = [100.0_f64, 5.0, 150.0, 9.0, 200.0, 4.0];
    let pairs = BASE64.encode(numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>());
    let array =
        |numbers: [f64; 3]| BASE64.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>());
    fs::write(
        folder.path().join("a run.mzXML"),
        format!(
            "<mzXML><msRun><scan num=\"17\" msLevel=\"2\"><precursorMz>300</precursorMz>\
             <peaks precision=\"64\">{pairs}</peaks></scan></msRun></mzXML>"
        ),
    )?;
    fs::write(
        folder.path().join("b.mzML"),
        format!(
            "<mzML><run><spectrumList><spectrum id=\"controllerType=0 controllerNumber=1 scan=4\">\
             <selectedIon><cvParam accession=\"MS:1000744\" value=\"300\"/></selectedIon>\
             <binaryDataArray><cvParam accession=\"MS:1000514\"/><cvParam accession=\"MS:1000523\"/>\
             <binary>{}</binary></binaryDataArray><binaryDataArray><cvParam accession=\"MS:1000515\"/>\
             <cvParam accession=\"MS:1000523\"/><binary>{}</binary></binaryDataArray></spectrum></spectrumList></run></mzML>",
            array([100.0, 150.0, 200.0]),
            array([5.0, 9.0, 4.0]),
        ),
    )?;
    let library = "Name: glycine | \"the\" [first], of all\nPrecursorMZ: 300\nSMILES: NCC(=O)O |c:1|\nFormula: C2H5NO2\n\
                   InChIKey: DHMQDGOQFOQNFH-UHFFFAOYSA-N\nPrecursor_type: [M+H]+\nNum Peaks: 3\n100 5\n150 9\n200 4\n";
    fs::write(folder.path().join("library.msp"), library)?;
    let (file, _) = identify(folder.path(), &["library.msp", "b.mzML", "a run.mzXML"])?;
    let refs: Vec<&str> = file.molecules.iter().map(|row| row["spectra_ref"].as_str()).collect();
    assert_eq!(refs, ["ms_run[1]:scan=17", "ms_run[2]:controllerType=0 controllerNumber=1 scan=4"]);
    assert_eq!(file.metadata["ms_run[1]-id_format"], "[MS, MS:1000776, scan number only nativeID format, ]");
    assert_eq!(file.metadata["ms_run[2]-id_format"], "[MS, MS:1001530, mzML unique identifier, ]");
    assert!(file.metadata["ms_run[1]-location"].ends_with("/a%20run.mzXML"));
    let row = &file.molecules[0];
    for (name, value) in [
        ("description", "glycine | \"the\" [first], of all"),
        ("smiles", "NCC(=O)O  c:1"),
        ("chemical_formula", "C2H5NO2"),
        ("inchi_key", "DHMQDGOQFOQNFH-UHFFFAOYSA-N"),
        ("opt_global_adduct_ion", "[M+H]+"),
        ("charge", "1"),
        ("retention_time", "null"),
        ("taxid", "null"),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    Ok(())
}

#[test]
fn what_would_break_a_line_is_a_space_and_nothing_is_a_file_too() -> Result {
    let folder = tempfile::tempdir()?;
    let spectrum =
        "BEGIN IONS\nTITLE=a\tb|c\nNAME=\tx\ty\u{b}\nPEPMASS=300\nCHARGE=1+\nSMILES=\t\n100 1\n150 2\nEND IONS\n";
    let file: PathBuf = folder.path().join("tab in\u{fc}.mgf");
    fs::write(&file, spectrum)?;
    let name = file.to_string_lossy();
    let (written, accepted) = identify(folder.path(), &[&name, &name])?;
    assert_eq!((written.molecules.len(), accepted.len()), (1, 1));
    assert_eq!(written.molecules[0]["description"], "x y");
    assert!(written.metadata["ms_run[1]-location"].ends_with("/tab%20in%C3%BC.mgf"));

    let (nothing, _) = identify(folder.path(), &[&name, &name, "--min-delta", "0", "--min-matched", "9"])?;
    assert!(nothing.peptides.is_empty() && nothing.molecules.is_empty());
    Ok(())
}
