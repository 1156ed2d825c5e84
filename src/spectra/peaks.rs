//! Peaks in free format: one a line or several, parted by whatever a program found fit.

use super::{Flaw, Peak, values};

/// The peaks of a spectrum in free format.
///
/// NIST's format lets any number of peaks stand on a line, parted by spaces, tabs, commas, semicolons, colons or
/// brackets, while others write a decimal comma, or notes after each peak. Some lines can be read both ways: as a peak
/// and notes, or as a list of pairs. Both are kept, and the number of peaks that the file promises decides.
#[derive(Debug, Default)]
pub(super) struct FreePeaks {
    /// One peak a segment, and notes after it; a comma is a decimal point.
    noted: Vec<Peak>,
    /// Every two numbers a peak; a comma parts numbers. From the first line on that tells them apart.
    pairs: Option<Vec<Peak>>,
}

impl FreePeaks {
    /// Reads the peaks of a line.
    pub fn take_line(&mut self, line: &str) -> Result<(), Flaw> {
        let line = without_quotes(line);
        let is_bracket = |c: char| matches!(c, '(' | ')' | '[' | ']' | '{' | '}');
        let bracketed = line.trim_start().starts_with(is_bracket);
        let mut readable = true;
        for segment in line.split(|c: char| c == ';' || bracketed && is_bracket(c)) {
            let segment = segment.trim_matches(|c: char| c.is_whitespace() || c == ',');
            if !segment.is_empty() {
                readable &= self.take_segment(segment);
            }
        }
        if readable { Ok(()) } else { Err(Flaw::Line) }
    }

    /// The number of peaks so far.
    pub fn len(&self) -> usize {
        self.noted.len().max(self.pairs.as_ref().map_or(0, Vec::len))
    }

    /// The peaks under the reading that has as many as promised, else one a segment.
    pub fn finish(self, promised: Option<usize>) -> Vec<Peak> {
        match self.pairs {
            Some(pairs) if self.noted.is_empty() || promised == Some(pairs.len()) => pairs,
            _ => self.noted,
        }
    }

    /// Whether the segment is a peak, or several.
    fn take_segment(&mut self, segment: &str) -> bool {
        let words: Vec<&str> = segment.split_whitespace().collect();
        let colons: Vec<Peak> = words.iter().map_while(|word| parted(word, ':')).collect();
        if !colons.is_empty() {
            self.extend(&colons, None);
            // Notes may follow one peak; among several, what is no peak is a fault.
            return colons.len() == 1 || colons.len() == words.len();
        }
        let noted = match words[..] {
            [word] => parted(word, ','),
            [mz, intensity, ..] => values::peak_of(mz.trim_end_matches(','), intensity.trim_end_matches(',')),
            [] => None,
        };
        let pairs = if words.len() > 3 || segment.contains(',') { pairs(segment) } else { None };
        let pairs = pairs.filter(|pairs| noted.is_none_or(|noted| pairs[..] != [noted]));
        let readable = noted.is_some() || pairs.is_some();
        self.extend(noted.as_slice(), pairs.as_deref());
        readable
    }

    fn extend(&mut self, noted: &[Peak], pairs: Option<&[Peak]>) {
        if let Some(first) = pairs {
            self.pairs.get_or_insert_with(|| self.noted.clone()).extend(first);
        } else if let Some(pairs) = &mut self.pairs {
            pairs.extend(noted);
        }
        self.noted.extend(noted);
    }
}

/// A peak in a single word.
fn parted(word: &str, separator: char) -> Option<Peak> {
    let (mz, intensity) = word.split_once(separator)?;
    values::peak_of(mz, intensity.trim_end_matches(','))
}

/// A list of nothing but pairs of numbers.
fn pairs(segment: &str) -> Option<Vec<Peak>> {
    let words = segment.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let (pairs, []) = words.as_chunks::<2>() else { return None };
    pairs.iter().map(|[mz, intensity]| values::peak_of(mz, intensity)).collect::<Option<Vec<_>>>()
}

/// What stands outside of double quotes.
fn without_quotes(line: &str) -> std::borrow::Cow<'_, str> {
    if line.contains('"') { line.split('"').step_by(2).collect::<Vec<_>>().join(" ").into() } else { line.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], promised: Option<usize>) -> (Vec<(f64, f32)>, usize) {
        let mut peaks = FreePeaks::default();
        let flaws = lines.iter().filter(|line| peaks.take_line(line).is_err()).count();
        (peaks.finish(promised).iter().map(|peak| (peak.mz, peak.intensity)).collect(), flaws)
    }

    #[test]
    fn the_same_two_peaks_in_many_dress() {
        for line in [
            "100 5; 200 7",
            "100 5;200 7;",
            "100:5 200:7",
            "(100,5) (200,7)",
            "(100 5)(200 7)",
            "[100, 5], [200, 7]",
            "{100 5} {200 7}",
            "100 5 200 7",
            "100,5 200,7",
            "100, 5, 200, 7",
            "100\t5\t200\t7",
            "100 5 \"y1/0.2; a\"; 200 7 \"?\"",
        ] {
            assert_eq!(read(&[line], Some(2)), (vec![(100.0, 5.0), (200.0, 7.0)], 0), "{line}");
        }
    }

    #[test]
    fn one_peak_and_what_follows_it() {
        for line in
            ["100.5 7", "100.5\t7\ty1/0.2", "100.5, 7", "100,5 7", "100.5 7 1 0.5", "100.5:7", "100.5 7,0 a b c"]
        {
            assert_eq!(read(&[line], Some(1)), (vec![(100.5, 7.0)], 0), "{line}");
            assert_eq!(read(&[line], None), (vec![(100.5, 7.0)], 0), "{line}");
        }
    }

    #[test]
    fn the_promised_number_decides_for_all_lines() {
        let lines = ["100 5", "101,5 8,2", "102 7"];
        let decimal = vec![(100.0, 5.0), (101.5, 8.2), (102.0, 7.0)];
        assert_eq!(read(&lines, Some(3)).0, decimal);
        assert_eq!(read(&lines, None).0, decimal);
        assert_eq!(read(&lines, Some(4)).0, [(100.0, 5.0), (101.0, 5.0), (8.0, 2.0), (102.0, 7.0)]);
    }

    #[test]
    fn what_is_no_peak() {
        for line in ["100", "x 5", "-100 5", "0 5", "100 -5", "100 NaN", "100 5; x", "1:2 3:4 x", "100 1e39"] {
            assert_eq!(read(&[line], None).1, 1, "{line}");
        }
    }
}
