//! Mascot generic format (MGF), read one spectrum at a time.

use std::{io::BufRead, path::Path, sync::Arc};

use super::{
    Flaw, Spectrum,
    draft::{Draft, TimeUnit},
    reader::{OverText, Parser, Reader, Tally},
    text::Lines,
    values::{self, Charges},
};
use crate::Result;

/// Reads the spectra of an MGF file.
///
/// The format is that of the [Mascot documentation](https://www.matrixscience.com/help/data_file_help.html), with the
/// liberties that files take: keys in any case, charges missing or empty, `2+ and 3+` or `1-`, commas for decimal
/// points, unsorted peaks, a third column, comments, blank lines, a byte-order mark, a missing `END IONS`, text that is
/// not UTF-8. A charge without a sign takes that of the ion mode, and is positive where none is given. A `CHARGE` above
/// the first spectrum holds for all that have none.
pub type MgfReader<R> = Reader<Mgf<R>>;

/// The format of [`MgfReader`].
#[derive(Debug)]
pub struct Mgf<R> {
    lines: Lines<R>,
    /// A spectrum that has begun where the last one lacked its end.
    begun: Option<Draft>,
    /// Charges for spectra that have none.
    charges: Charges,
}

impl<R: BufRead> OverText for Mgf<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        Mgf { lines: Lines::new(text, file), begun: None, charges: Charges::default() }
    }
}

impl<R: BufRead> Parser for Mgf<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let file = Arc::clone(&self.lines.file);
        let mut draft = self.begun.take();
        while let Some((line, number)) = self.lines.next_but(b"#;!/", &mut tally.rejected)? {
            if line.eq_ignore_ascii_case("BEGIN IONS") {
                let begun = Draft::new(tally.begin(&file, number), TimeUnit::Seconds);
                let Some(cut_off) = draft.replace(begun) else { continue };
                tally.rejected.flaw(Flaw::Unterminated);
                if let Some(spectrum) = cut_off.finish(&self.charges, &mut tally.rejected) {
                    self.begun = draft;
                    return Ok(Some(spectrum));
                }
            } else if line.eq_ignore_ascii_case("END IONS") {
                match draft.take().map(|draft| draft.finish(&self.charges, &mut tally.rejected)) {
                    Some(Some(spectrum)) => return Ok(Some(spectrum)),
                    Some(None) => {}
                    None => tally.rejected.flaw(Flaw::OutsideSpectrum),
                }
            } else if let Some(draft) = &mut draft {
                tally.rejected.note(take_line(draft, &line));
            } else {
                tally.rejected.note(take_header(&line, &mut self.charges));
            }
        }
        Ok(draft.and_then(|draft| {
            tally.rejected.flaw(Flaw::Unterminated);
            draft.finish(&self.charges, &mut tally.rejected)
        }))
    }
}

fn take_line(draft: &mut Draft, line: &str) -> Result<(), Flaw> {
    if let Some(peak) = values::peak(line) {
        draft.spectrum.peaks.push(peak);
        return Ok(());
    }
    let (key, value) = line.split_once('=').ok_or(Flaw::Line)?;
    draft.take_field(key.trim(), value.trim())
}

/// A line above, between or below the spectra.
fn take_header(line: &str, charges: &mut Charges) -> Result<(), Flaw> {
    let (key, value) = line.split_once('=').ok_or(Flaw::OutsideSpectrum)?;
    if key.trim().eq_ignore_ascii_case("CHARGE") {
        *charges = values::charges(value).ok_or(Flaw::Charge)?;
    }
    Ok(())
}
