//! NIST's text format (MSP) in the dialects that libraries are kept in, read one spectrum at a time.

use std::{io::BufRead, path::Path, sync::Arc};

use super::{
    Flaw, Rejected, Source, Spectrum,
    draft::{Draft, TimeUnit},
    keys::{self, Key},
    peaks::FreePeaks,
    reader::{OverText, Parser, Reader, Tally},
    text::Lines,
    values::Charges,
};
use crate::Result;

/// Reads the spectra of an MSP file, in the dialects of NIST, `MoNA`, `MassBank`, RIKEN (MS-DIAL) and GOLM.
///
/// Fields have many names, which are read as one ([`Spectrum::fields`]); pairs of key and value in comments, quoted or
/// not, count as fields where the spectrum does not have them already. Peaks stand one a line or several, parted by
/// spaces, tabs, commas, semicolons, colons or brackets, with notes after them or without. A spectrum ends where the
/// next one begins, whether a blank line stands between them or the number of peaks is right, wrong or missing.
/// Retention times without a unit are in minutes. Charges come from the field, else from the adduct, else from a
/// peptide's name (`AADDK/3`), which with the modifications in the comment is also the field `SEQ` where there is none.
pub type MspReader<R> = Reader<Msp<R>>;

/// The format of [`MspReader`].
#[derive(Debug)]
pub struct Msp<R> {
    lines: Lines<R>,
    entry: Option<Entry>,
}

impl<R: BufRead> OverText for Msp<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        Msp { lines: Lines::new(text, file), entry: None }
    }
}

impl<R: BufRead> Parser for Msp<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let file = Arc::clone(&self.lines.file);
        while let Some((line, number)) = self.lines.next(&mut tally.rejected)? {
            if line.is_empty() {
                if let Some(entry) = &mut self.entry {
                    entry.gap = true;
                }
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            if let Some((name, value)) = field(&line) {
                let ended = self.entry.as_ref().is_some_and(|entry| entry.ends_before(name));
                let ended = if ended { self.entry.take() } else { None };
                let entry = self.entry.get_or_insert_with(|| Entry::new(tally.begin(&file, number), name));
                tally.rejected.note(entry.take_field(name, value));
                if let Some(spectrum) = ended.and_then(|entry| entry.finish(&mut tally.rejected)) {
                    return Ok(Some(spectrum));
                }
            } else {
                let taken = self.entry.as_mut().ok_or(Flaw::OutsideSpectrum).and_then(|entry| entry.take_peaks(&line));
                tally.rejected.note(taken);
            }
        }
        Ok(self.entry.take().and_then(|entry| entry.finish(&mut tally.rejected)))
    }
}

/// The name and value of a field; `None` for a line of peaks.
fn field(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$')) {
        return None;
    }
    let (name, value) =
        line.split_once(':').filter(|(name, _)| !name.contains('=')).or_else(|| line.split_once('='))?;
    Some((name.trim(), value.trim()))
}

/// An entry of the library on its way.
#[derive(Debug)]
struct Entry {
    draft: Draft,
    /// Its first field, with which the next entry will begin too.
    first: String,
    named: bool,
    /// Whether lines of peaks were met.
    has_peaks: bool,
    /// Whether the last line was blank.
    gap: bool,
    peaks: FreePeaks,
    comments: Vec<(String, String)>,
}

impl Entry {
    fn new(source: Source, first: &str) -> Self {
        Entry {
            draft: Draft::new(source, TimeUnit::Minutes),
            first: first.to_owned(),
            named: false,
            has_peaks: false,
            gap: false,
            peaks: FreePeaks::default(),
            comments: Vec::new(),
        }
    }

    /// Whether a field of this name belongs to the next entry.
    fn ends_before(&self, name: &str) -> bool {
        let names = self.named && name.eq_ignore_ascii_case("NAME");
        let first = name.eq_ignore_ascii_case(&self.first);
        let promised = self.draft.peak_count;
        if self.has_peaks {
            self.gap || names || first || promised.is_none_or(|count| count <= self.peaks.len())
        } else {
            names || self.gap && (first || promised.is_some())
        }
    }

    fn take_field(&mut self, name: &str, value: &str) -> Result<(), Flaw> {
        self.gap = false;
        self.named |= name.eq_ignore_ascii_case("NAME");
        match keys::key(name) {
            Key::PeakCount => {
                // Some programs let the peaks begin on the same line.
                let (count, rest) = value.split_once([' ', '\t', ';']).unwrap_or((value, ""));
                let counted = self.draft.take_field(name, count);
                if rest.trim().is_empty() { counted } else { counted.and(self.take_peaks(rest)) }
            }
            Key::Named("COMMENT") => {
                let (pairs, all) = comment_pairs(value);
                self.comments.extend(pairs);
                if all { Ok(()) } else { self.draft.take_field(name, value) }
            }
            _ => self.draft.take_field(name, value),
        }
    }

    fn take_peaks(&mut self, line: &str) -> Result<(), Flaw> {
        let whole = self.draft.peak_count.is_some_and(|count| count <= self.peaks.len());
        if self.gap && self.has_peaks && whole {
            return Err(Flaw::OutsideSpectrum);
        }
        self.gap = false;
        self.has_peaks = true;
        self.peaks.take_line(line)
    }

    fn finish(self, rejected: &mut Rejected) -> Option<Spectrum> {
        let Entry { mut draft, peaks, comments, .. } = self;
        draft.spectrum.peaks = peaks.finish(draft.peak_count);
        for (name, value) in comments {
            draft.take_if_missing(&name, &value);
        }
        let spectrum = &mut draft.spectrum;
        let name = spectrum.field("NAME").unwrap_or_default();
        let charge = peptide_charge(name);
        let sequence = charge.and_then(|_| peptide_sequence(name, spectrum.field("MODS").unwrap_or("0")));
        if spectrum.field("SEQ").is_none() {
            spectrum.fields.extend(sequence.map(|sequence| ("SEQ".to_owned(), sequence)));
        }
        draft.finish(&Charges { magnitudes: charge.into_iter().collect(), sign: None }, rejected)
    }
}

/// The pairs of key and value in a comment, and whether it holds nothing else:
/// `"accession=JP000001" "author=KOGA M, UNIV."`, `Pep=Tryptic Protein="a protein" Parent=536.58`.
fn comment_pairs(comment: &str) -> (Vec<(String, String)>, bool) {
    let mut pairs = Vec::new();
    let mut all = true;
    for word in quoted_words(comment) {
        match word.split_once('=') {
            Some((name, value)) if name.starts_with(char::is_alphabetic) => {
                pairs.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            _ => all = false,
        }
    }
    (pairs, all)
}

/// Words parted by spaces that stand outside of double quotes; the quotes are left out.
fn quoted_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The charge in a peptide's name: `AADDK/3`, `AADDK/2_1(4,C,CAM)_46eV`.
fn peptide_charge(name: &str) -> Option<i32> {
    let (peptide, rest) = name.rsplit_once('/')?;
    let is_residue =
        |c: char| c.is_ascii_uppercase() || matches!(c, '[' | ']' | '(' | ')' | 'n' | 'c' | '.' | '+' | '-');
    if !peptide.starts_with(|c: char| c.is_ascii_uppercase() || c == 'n' || c == '[')
        || !peptide.chars().all(|c| is_residue(c) || c.is_ascii_digit())
    {
        return None;
    }
    let charge = rest.split('_').next()?.parse::<u8>().ok()?;
    (charge > 0).then_some(charge.into())
}

/// The sequence in a peptide's name with its modifications, `1/7,C,Carbamidomethyl` or `1(7,C,CAM)` with places from 0,
/// after it: `AADDKEACK[8|Carbamidomethyl]`. `None` where either is written in another way.
fn peptide_sequence(name: &str, modifications: &str) -> Option<String> {
    let (residues, _) = name.split_once('/')?;
    let mut parts = modifications.split(['/', '(']).map(|part| part.trim_end_matches(')'));
    let count: usize = parts.next()?.parse().ok()?;
    let placed = parts.map(|part| {
        let (place, rest) = part.split_once(',')?;
        let (_, name) = rest.split_once(',')?;
        Some(format!("{}|{name}", place.parse::<usize>().ok()? + 1))
    });
    let placed = placed.collect::<Option<Vec<_>>>()?;
    if placed.len() != count || !residues.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Some(if placed.is_empty() { residues.to_owned() } else { format!("{residues}[{}]", placed.join("|")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_comments() {
        let pairs = |comment| {
            let (pairs, all) = comment_pairs(comment);
            (pairs.into_iter().map(|(name, value)| format!("{name}|{value}")).collect::<Vec<_>>(), all)
        };
        let quoted = r#""accession=JP000001" "exact mass=247.06333" "SMILES=C=C""#;
        assert_eq!(
            pairs(quoted),
            (["accession|JP000001", "exact mass|247.06333", "SMILES|C=C"].map(str::to_owned).into(), true)
        );
        let mixed = r#"Pep=Tryptic Protein="sp|P02769| a (b)" 5 Parent=536.58"#;
        assert_eq!(
            pairs(mixed),
            (["Pep|Tryptic", "Protein|sp|P02769| a (b)", "Parent|536.58"].map(str::to_owned).into(), false)
        );
        assert_eq!(pairs("with majority threshold = 60%"), (vec![], false));
        assert_eq!(pairs(r#"open="for ever"#), (vec!["open|for ever".to_owned()], true));
    }

    #[test]
    fn sequences_in_names() {
        for (name, modifications, sequence) in [
            ("AADDK/3", "0", Some("AADDK")),
            ("AADDKEACK/3", "1/7,C,Carbamidomethyl", Some("AADDKEACK[8|Carbamidomethyl]")),
            ("ACDCK/2", "2/0,A,Acetyl/3,C,CAM", Some("ACDCK[1|Acetyl|4|CAM]")),
            ("AACK/2_1(2,C,CAM)_46eV", "1(2,C,CAM)", Some("AACK[3|CAM]")),
            ("n[43]AAC[160]K/2", "0", None),
            ("AADDK/3", "2/7,C,Carbamidomethyl", None),
            ("AADDK/3", "1/x,C,Carbamidomethyl", None),
            ("AADDK/3", "some", None),
        ] {
            assert_eq!(peptide_sequence(name, modifications).as_deref(), sequence, "{name} {modifications}");
        }
    }

    #[test]
    fn charges_in_names() {
        for (name, charge) in [
            ("AADDKEACFAVEGPK/3", Some(3)),
            ("AAAACALTPGPLADLAAR/2_1(4,C,CAM)_46eV", Some(2)),
            ("n[43]AAC[160]K/2", Some(2)),
            ("AADDK", None),
            ("Acid/2", None),
            ("AADDK/0", None),
            ("AADDK/x", None),
            ("", None),
        ] {
            assert_eq!(peptide_charge(name), charge, "{name}");
        }
    }
}
