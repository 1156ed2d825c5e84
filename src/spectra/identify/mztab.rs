//! Accepted matches as mzTab.

use std::{
    fmt::Write as _,
    io::Write,
    path::{Path, PathBuf},
};

use super::{Found, Library, Match, QUERIES_AT_ONCE, all, for_each, peptide::Written};
use crate::{
    Result,
    spectra::{Collection, Format, Score, Spectrum},
    storage::stream_error,
};

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
pub struct MzTab<'a, C: ?Sized, F: ?Sized> {
    /// The name of the library.
    pub database: &'a str,
    /// What was searched.
    pub library: &'a Library,
    /// The files of the queries, each once, and their formats, which decide how a spectrum is referred to.
    pub runs: &'a [(PathBuf, Format)],
    /// The cleaned queries. The spectrum of one whose file is not among the runs is `null`.
    pub queries: &'a C,
    /// What was found for each.
    pub found: &'a F,
    /// The score of the matches.
    pub score: Score,
    /// Device and parameters.
    pub heading: &'a [(String, String)],
}

impl<C: Collection + ?Sized, F: Found + ?Sized> MzTab<'_, C, F> {
    /// Writes the file.
    ///
    /// # Errors
    /// Those of the writer, as [`Error::Io`](crate::Error::Io), and of fetching queries and identifications.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        let (peptides, molecules) = self.accepted()?;
        self.write_metadata(out, !peptides.is_empty(), !molecules.is_empty()).map_err(stream_error)?;
        if !peptides.is_empty() {
            writeln!(out, "\nPSH\t{}", PSM_COLUMNS.join("\t")).map_err(stream_error)?;
            let mut number = 0;
            self.for_each(peptides, |row| {
                number += 1;
                writeln!(out, "PSM\t{}", self.psm(number, row).join("\t")).map_err(stream_error)
            })?;
        }
        if !molecules.is_empty() {
            writeln!(out, "\nSMH\t{}", SMALL_MOLECULE_COLUMNS.join("\t")).map_err(stream_error)?;
            self.for_each(molecules, |row| {
                writeln!(out, "SML\t{}", self.small_molecule(row).join("\t")).map_err(stream_error)
            })?;
        }
        Ok(())
    }

    /// The numbers of the queries whose accepted match is a peptide, and of those where it is a small molecule.
    fn accepted(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let (mut peptides, mut molecules) = (Vec::new(), Vec::new());
        let numbers: Vec<u32> = all(self.queries, self.found).collect();
        for some in numbers.chunks(QUERIES_AT_ONCE) {
            for (&number, found) in some.iter().zip(self.found.fetch(some)?) {
                let Some(best) = found.matches.first().filter(|best| best.accepted) else { continue };
                let is_peptide = self.library.spectra()[best.library].field("SEQ").is_some();
                if is_peptide { &mut peptides } else { &mut molecules }.push(number);
            }
        }
        Ok((peptides, molecules))
    }

    fn for_each(&self, numbers: Vec<u32>, mut each: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        for_each(self.queries, self.found, numbers, |_, query, found| match found.matches.first() {
            Some(matched) => each(&Row { query, matched, library: &self.library.spectra()[matched.library] }),
            None => Ok(()),
        })
    }

    fn write_metadata(&self, out: &mut impl Write, peptides: bool, molecules: bool) -> std::io::Result<()> {
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
