//! Matches as a table.

use std::io::Write;

use super::{Found, Identification, Library, Match, Outcome, all, for_each};
use crate::{
    Result,
    spectra::{Collection, Field, Spectrum},
    storage::stream_error,
};

const COLUMNS: &str = "query_file\tquery_id\trank\tlibrary_id\tlibrary_name\tscore\tmatched_peaks\tprecursor_error_ppm\tdelta\t\
                       q_value\taccepted\tsearch\tisomers";

/// Writes matches as tab-separated values, after `heading` in lines that begin with `#`.
///
/// A query without a match has one line of rank 0 that says so. Where a truth field is given, a last column says whether
/// a match is `right`, an `isomer` (of the same formula) or `wrong`. What is unknown is empty.
///
/// # Errors
/// Those of the writer, as [`Error::Io`](crate::Error::Io), and of fetching queries and identifications.
pub fn write_matches<C: Collection + ?Sized, F: Found + ?Sized>(
    out: &mut impl Write,
    heading: &[(String, String)],
    library: &Library,
    queries: &C,
    found: &F,
    truth: Option<&Field>,
) -> Result<()> {
    for (name, value) in heading {
        writeln!(out, "# {name}: {}", clean(value)).map_err(stream_error)?;
    }
    writeln!(out, "{COLUMNS}{}", if truth.is_some() { "\toutcome" } else { "" }).map_err(stream_error)?;
    for_each(queries, found, all(queries, found), |_, query, found| {
        lines(library, query, found, truth).try_for_each(|line| writeln!(out, "{line}")).map_err(stream_error)
    })
}

/// The lines of a query.
fn lines(
    library: &Library,
    query: &Spectrum,
    found: &Identification,
    truth: Option<&Field>,
) -> impl Iterator<Item = String> {
    let query_columns = format!("{}\t{}", clean(&query.source.file.to_string_lossy()), clean(&query.id()));
    let search = if found.second_search { "second" } else { "first" };
    let nothing = found.matches.is_empty().then(|| {
        let ending = if truth.is_some() { "\t" } else { "" };
        format!("{query_columns}\t0\tno match\t\t\t\t\t\t\tno\t{search}\t0{ending}")
    });
    let matches = found.matches.iter().enumerate().map(move |(rank, matched)| {
        let spectrum = &library.spectra()[matched.library];
        let isomers = if rank == 0 { found.isomers.to_string() } else { String::new() };
        let outcome = truth.map(|truth| Outcome::of(query, spectrum, truth).map_or("", Outcome::name));
        let outcome = outcome.map_or_else(String::new, |outcome| format!("\t{outcome}"));
        format!("{query_columns}\t{}\t{}\t{search}\t{isomers}{outcome}", rank + 1, columns(spectrum, matched))
    });
    nothing.into_iter().chain(matches)
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

/// Without what would end a column or line.
fn clean(text: &str) -> String {
    text.replace(['\t', '\r', '\n'], " ")
}
