//! Accepted matches as mzTab.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Identification, Library, Match, peptide::Written};
use crate::spectra::{Format, Score, Spectrum};

const SOFTWARE: &str = concat!("[, , cellprobe, ", env!("CARGO_PKG_VERSION"), "]");

const PSM_COLUMNS: [&str; 23] = [
    "sequence",
    "PSM_ID",
    "accession",
    "unique",
    "database",
    "database_version",
    "search_engine",
    "search_engine_score[1]",
    "modifications",
    "retention_time",
    "charge",
    "exp_mass_to_charge",
    "calc_mass_to_charge",
    "spectra_ref",
    "pre",
    "post",
    "start",
    "end",
    "opt_global_cv_MS:1000889_peptidoform_sequence",
    "opt_global_library_id",
    "opt_global_matched_peaks",
    "opt_global_delta",
    "opt_global_q-value",
];

const SMALL_MOLECULE_COLUMNS: [&str; 22] = [
    "identifier",
    "chemical_formula",
    "smiles",
    "inchi_key",
    "description",
    "exp_mass_to_charge",
    "calc_mass_to_charge",
    "charge",
    "retention_time",
    "taxid",
    "species",
    "database",
    "database_version",
    "reliability",
    "spectra_ref",
    "search_engine",
    "best_search_engine_score[1]",
    "modifications",
    "opt_global_adduct_ion",
    "opt_global_matched_peaks",
    "opt_global_delta",
    "opt_global_q-value",
];

/// Accepted matches, to be written as [mzTab](https://www.psidev.info/mztab) 1.0.0 (summary of an identification).
///
/// A match of a library's spectrum with a sequence (field `SEQ`) is a row of the PSM section, any other one of the small
/// molecule section, with reliability 2: putatively annotated, as the Metabolomics Standards Initiative calls what a
/// library's spectrum names. What is unknown is `null`. The theoretical m/z is that of the library's precursor. Matches
/// that were not accepted are not there; [`write_matches`](super::write_matches) has them all.
#[derive(Clone, Copy, Debug)]
pub struct MzTab<'a> {
    /// The name of the library.
    pub database: &'a str,
    /// What was searched.
    pub library: &'a Library,
    /// The files of the queries, each once, and their formats, which decide how a spectrum is referred to.
    pub runs: &'a [(PathBuf, Format)],
    /// The cleaned queries. The spectrum of one whose file is not among the runs is `null`.
    pub queries: &'a [Spectrum],
    /// What was found for each.
    pub found: &'a [Identification],
    /// The score of the matches.
    pub score: Score,
    /// Device and parameters.
    pub heading: &'a [(String, String)],
}

impl MzTab<'_> {
    /// Writes the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let accepted = self.queries.iter().zip(self.found).filter(|(_, found)| found.is_accepted());
        let rows = accepted.filter_map(|(query, found)| Some(self.row(query, found.matches.first()?)));
        let (peptides, molecules): (Vec<Row>, Vec<Row>) = rows.partition(|row| row.library.field("SEQ").is_some());
        self.write_metadata(out, !peptides.is_empty(), !molecules.is_empty())?;
        if !peptides.is_empty() {
            writeln!(out, "\nPSH\t{}", PSM_COLUMNS.join("\t"))?;
            for (number, row) in (1..).zip(&peptides) {
                writeln!(out, "PSM\t{}", self.psm(number, row).join("\t"))?;
            }
        }
        if !molecules.is_empty() {
            writeln!(out, "\nSMH\t{}", SMALL_MOLECULE_COLUMNS.join("\t"))?;
            for row in &molecules {
                writeln!(out, "SML\t{}", self.small_molecule(row).join("\t"))?;
            }
        }
        Ok(())
    }

    fn write_metadata(&self, out: &mut impl Write, peptides: bool, molecules: bool) -> io::Result<()> {
        let mut line = |name: &str, value: &str| writeln!(out, "MTD\t{name}\t{value}");
        line("mzTab-version", "1.0.0")?;
        line("mzTab-mode", "Summary")?;
        line("mzTab-type", "Identification")?;
        line("description", "Spectra named by the most similar ones of a library: accepted matches")?;
        line("software[1]", SOFTWARE)?;
        for (number, (name, value)) in (1..).zip(self.heading) {
            line(&format!("software[1]-setting[{number}]"), &format!("{} = {}", cell(name), cell(value)))?;
        }
        let score = format!("[, , cellprobe:{}, ]", self.score);
        if peptides {
            line("psm_search_engine_score[1]", &score)?;
        }
        if molecules {
            line("smallmolecule_search_engine_score[1]", &score)?;
        }
        line("fixed_mod[1]", "[MS, MS:1002453, No fixed modifications searched, ]")?;
        line("variable_mod[1]", "[MS, MS:1002454, No variable modifications searched, ]")?;
        for (number, (file, format)) in (1..).zip(self.runs) {
            let (file_format, id_format) = terms(*format);
            line(&format!("ms_run[{number}]-format"), file_format)?;
            line(&format!("ms_run[{number}]-location"), &location(file))?;
            line(&format!("ms_run[{number}]-id_format"), id_format)?;
        }
        if self.runs.is_empty() {
            line("ms_run[1]-location", "null")?;
        }
        Ok(())
    }

    fn row<'b>(&'b self, query: &'b Spectrum, matched: &'b Match) -> Row<'b> {
        Row { query, matched, library: &self.library.spectra()[matched.library] }
    }

    fn psm(&self, number: usize, row: &Row) -> [String; PSM_COLUMNS.len()] {
        let text = row.library.field("SEQ").unwrap_or_default();
        let written = Written::parse(text);
        let null = || cell("");
        [
            written.as_ref().map_or_else(|| cell(text), |written| cell(&written.residues)),
            number.to_string(),
            null(),
            null(),
            cell(self.database),
            null(),
            SOFTWARE.to_owned(),
            row.matched.score.to_string(),
            or_null(written.and_then(|written| written.accessions())),
            or_null(row.query.retention_time),
            row.charge(),
            or_null(row.query.precursor_mz),
            or_null(row.library.precursor_mz),
            self.spectra_ref(row.query),
            null(),
            null(),
            null(),
            null(),
            cell(text),
            cell(&row.library.id()),
            row.matched.matched.to_string(),
            or_null(row.matched.delta),
            or_null(row.matched.q_value),
        ]
    }

    fn small_molecule(&self, row: &Row) -> [String; SMALL_MOLECULE_COLUMNS.len()] {
        let field = |name: &str| row.library.field(name).unwrap_or_default();
        let null = || cell("");
        [
            list_cell(&format!("{}:{}", self.database, row.library.id())),
            cell(field("FORMULA")),
            list_cell(field("SMILES")),
            list_cell(field("INCHIKEY")),
            cell(field("NAME")),
            or_null(row.query.precursor_mz),
            or_null(row.library.precursor_mz),
            row.charge(),
            or_null(row.query.retention_time),
            null(),
            null(),
            cell(self.database),
            null(),
            "2".to_owned(),
            self.spectra_ref(row.query),
            SOFTWARE.to_owned(),
            row.matched.score.to_string(),
            null(),
            cell(field("ADDUCT")),
            row.matched.matched.to_string(),
            or_null(row.matched.delta),
            or_null(row.matched.q_value),
        ]
    }

    /// The spectrum by its file and what identifies it there.
    fn spectra_ref(&self, query: &Spectrum) -> String {
        let source = &query.source;
        let Some(run) = self.runs.iter().position(|(file, _)| **file == *source.file) else { return cell("") };
        let id = match self.runs[run].1 {
            Format::Mzml => query.field("NATIVEID").map(str::to_owned),
            Format::Mzxml => query.field("SCANS").map(|scan| format!("scan={scan}")),
            _ => None,
        };
        list_cell(&format!("ms_run[{}]:{}", run + 1, id.unwrap_or_else(|| format!("index={}", source.index))))
    }
}

/// An accepted match.
struct Row<'a> {
    query: &'a Spectrum,
    matched: &'a Match,
    library: &'a Spectrum,
}

impl Row<'_> {
    fn charge(&self) -> String {
        or_null(self.query.charge().or(self.library.charge()))
    }
}

/// The terms of the PSI-MS vocabulary for a format and for how it identifies spectra.
fn terms(format: Format) -> (&'static str, &'static str) {
    const BY_INDEX: &str = "[MS, MS:1000774, multiple peak list nativeID format, ]";
    match format {
        Format::Mgf => ("[MS, MS:1001062, Mascot MGF format, ]", BY_INDEX),
        Format::Msp => ("[, , NIST MSP format, ]", BY_INDEX),
        Format::Mzml => ("[MS, MS:1000584, mzML format, ]", "[MS, MS:1001530, mzML unique identifier, ]"),
        Format::Mzxml => {
            ("[MS, MS:1000566, ISB mzXML format, ]", "[MS, MS:1000776, scan number only nativeID format, ]")
        }
        Format::MassBank => ("[, , MassBank record, ]", BY_INDEX),
        Format::MzSpecLib => ("[, , mzSpecLib text format, ]", BY_INDEX),
    }
}

/// The URL of a file ([RFC 8089](https://www.rfc-editor.org/rfc/rfc8089)).
fn location(file: &Path) -> String {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut url = "file://".to_owned();
    for (place, byte) in whole.as_os_str().as_encoded_bytes().iter().enumerate() {
        let byte = if cfg!(windows) && *byte == b'\\' { b'/' } else { *byte };
        if place == 0 && byte != b'/' {
            // A drive letter.
            url.push('/');
        }
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            url.push(byte.into());
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| cell(""), |value| value.to_string())
}

/// A text without what ends a cell; nothing is `null`.
fn cell(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let text = text.trim();
    if text.is_empty() { "null".to_owned() } else { text.to_owned() }
}

/// As [`cell`], without what parts the values of a list.
fn list_cell(text: &str) -> String {
    cell(&text.replace('|', " "))
}
