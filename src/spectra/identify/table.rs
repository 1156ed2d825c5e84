//! Matches as a table.

use std::io::{self, Write};

use super::{Identification, Library, Match, Outcome};
use crate::spectra::{Field, Spectrum};

const COLUMNS: &str = "query_file\tquery_id\trank\tlibrary_id\tlibrary_name\tscore\tmatched_peaks\tprecursor_error_ppm\tdelta\t\
                       q_value\taccepted\tsearch\tisomers";

/// Writes matches as tab-separated values, after `heading` in lines that begin with `#`.
///
/// A query without a match has one line of rank 0 that says so. Where a truth field is given, a last column says whether
/// a match is `right`, an `isomer` (of the same formula) or `wrong`. What is unknown is empty.
///
/// # Errors
/// Those of the writer.
pub fn write_matches(
    out: &mut impl Write,
    heading: &[(String, String)],
    library: &Library,
    queries: &[Spectrum],
    found: &[Identification],
    truth: Option<&Field>,
) -> io::Result<()> {
    for (name, value) in heading {
        writeln!(out, "# {name}: {}", clean(value))?;
    }
    writeln!(out, "{COLUMNS}{}", if truth.is_some() { "\toutcome" } else { "" })?;
    for (query, found) in queries.iter().zip(found) {
        let query_columns = format!("{}\t{}", clean(&query.source.file.to_string_lossy()), clean(&query.id()));
        if found.matches.is_empty() {
            let ending = if truth.is_some() { "\t" } else { "" };
            let search = search(found);
            writeln!(out, "{query_columns}\t0\tno match\t\t\t\t\t\t\tno\t{search}\t0{ending}")?;
        }
        for (rank, matched) in found.matches.iter().enumerate() {
            let spectrum = &library.spectra()[matched.library];
            write!(out, "{query_columns}\t{}\t{}", rank + 1, columns(spectrum, matched))?;
            let isomers = if rank == 0 { found.isomers.to_string() } else { String::new() };
            write!(out, "\t{}\t{isomers}", search(found))?;
            if let Some(truth) = truth {
                write!(out, "\t{}", Outcome::of(query, spectrum, truth).map_or("", Outcome::name))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn columns(spectrum: &Spectrum, matched: &Match) -> String {
    fn or_empty(value: Option<f64>, digits: usize) -> String {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    }
    let name = name_of(spectrum).unwrap_or_default();
    format!(
        "{}\t{}\t{:.7}\t{}\t{}\t{}\t{}\t{}",
        clean(&spectrum.id()),
        clean(name),
        matched.score,
        matched.matched,
        or_empty(matched.precursor_error, 3),
        or_empty(matched.delta, 6),
        or_empty(matched.q_value, 6),
        if matched.accepted { "yes" } else { "no" },
    )
}

/// What a spectrum of a library shows, by its name or its sequence.
pub(in crate::spectra) fn name_of(spectrum: &Spectrum) -> Option<&str> {
    ["NAME", "COMPOUND_NAME", "SEQ"].iter().find_map(|key| spectrum.field(key))
}

fn search(found: &Identification) -> &'static str {
    if found.second_search { "second" } else { "first" }
}

/// Without what would end a column or line.
fn clean(text: &str) -> String {
    text.replace(['\t', '\r', '\n'], " ")
}
