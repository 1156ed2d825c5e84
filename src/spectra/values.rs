//! The values of fields, in the spellings that are met.

use super::{Peak, Polarity};

/// A finite number; its decimal separator may be a comma.
pub(super) fn number(text: &str) -> Option<f64> {
    let value = match text.split_once(',') {
        Some((whole, fraction)) if !text.contains('.') => format!("{whole}.{fraction}").parse::<f64>(),
        _ => text.parse(),
    };
    value.ok().filter(|value| value.is_finite())
}

/// A finite number above zero.
pub(super) fn positive(text: &str) -> Option<f64> {
    number(text).filter(|&value| value > 0.0)
}

/// m/z of a precursor, and whatever follows it; the last of `447.1/285.0`, which are the steps to an MS3 spectrum.
pub(super) fn precursor(text: &str) -> Option<f64> {
    let word = text.split_whitespace().next()?;
    positive(word.rsplit('/').next()?)
}

/// m/z and intensity, and whatever follows them.
pub(super) fn peak(line: &str) -> Option<Peak> {
    let mut words = line.split_whitespace();
    peak_of(words.next()?, words.next()?)
}

/// A peak of these two numbers, where they can be those of one.
pub(super) fn peak_of(mz: &str, intensity: &str) -> Option<Peak> {
    let mz = positive(mz)?;
    let intensity = number(intensity)? as f32;
    (intensity.is_finite() && intensity >= 0.0).then_some(Peak { mz, intensity })
}

/// Charges without their sign, and the sign that all share where one is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Charges {
    pub magnitudes: Vec<i32>,
    pub sign: Option<Polarity>,
}

/// `2+`, `1-`, `+2`, `3`, `2+ and 3+`, `2,3`; nothing and 0 stand for unknown. `None` if it is something else.
pub(super) fn charges(text: &str) -> Option<Charges> {
    let mut charges = Charges::default();
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '/' | '|' | '&'));
    for word in words.filter(|word| !word.is_empty() && !["and", "or"].iter().any(|w| word.eq_ignore_ascii_case(w))) {
        let (digits, sign) = signed(word);
        if charges.sign.is_some() && sign.is_some() && charges.sign != sign {
            return None;
        }
        charges.sign = charges.sign.or(sign);
        // u8 refuses a second sign, and whatever no ion carries.
        let magnitude = digits.strip_prefix(['+', '-']).map_or_else(|| digits.parse::<u8>().ok(), |_| None)?;
        if magnitude > 0 {
            charges.magnitudes.push(magnitude.into());
        }
    }
    Some(charges)
}

/// Splits a sign off either end.
fn signed(word: &str) -> (&str, Option<Polarity>) {
    for (sign, polarity) in [('+', Polarity::Positive), ('-', Polarity::Negative)] {
        if let Some(digits) = word.strip_suffix(sign).or_else(|| word.strip_prefix(sign)) {
            return (digits, Some(polarity));
        }
    }
    (word, None)
}

/// The charge of an adduct: `[M+H]+`, `[M+2H]2+`, `[M-2H]--`, `[M]+*`.
pub(super) fn adduct_charge(adduct: &str) -> Option<Charges> {
    let (_, charge) = adduct.rsplit_once(']')?;
    let charge = charge.trim_matches(|c: char| matches!(c, '*' | '.' | '\u{2022}') || c.is_whitespace());
    let sign = match charge.chars().last()? {
        '+' => Polarity::Positive,
        '-' => Polarity::Negative,
        _ => return None,
    };
    let digits = charge.trim_end_matches(['+', '-']);
    let magnitude = if digits.is_empty() { charge.len() as i32 } else { i32::from(digits.parse::<u8>().ok()?) };
    (magnitude > 0).then(|| Charges { magnitudes: vec![magnitude], sign: Some(sign) })
}

/// `positive`, `Pos`, `+`, `negative`, `N`, `-`.
pub(super) fn polarity(text: &str) -> Option<Polarity> {
    let text = text.to_ascii_lowercase();
    if text == "p" || text.starts_with('+') || text.starts_with("pos") {
        Some(Polarity::Positive)
    } else if text == "n" || text.starts_with('-') || text.starts_with("neg") {
        Some(Polarity::Negative)
    } else {
        None
    }
}

/// Seconds: `12.5`, `12,5`, `PT1M12.5S`, or the middle of the ranges and lists `10-20`, `10.2,10.8-11.4`.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let value = number(text).or_else(|| duration(text)).or_else(|| {
        let times = text.split([',', '-']).map(|time| number(time.trim())).collect::<Option<Vec<_>>>()?;
        let first = times.iter().copied().reduce(f64::min)?;
        let last = times.iter().copied().reduce(f64::max)?;
        Some(first.midpoint(last))
    })?;
    (value >= 0.0).then_some(value)
}

/// Seconds out of a time with its unit, `12.3 min` or `740 s`, or without one, in units of `unit` seconds.
pub(super) fn time(text: &str, unit: f64) -> Option<f64> {
    if text.starts_with("PT") {
        return seconds(text);
    }
    let value = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '.');
    let unit = match text[value.len()..].trim_matches('.').to_ascii_lowercase().as_str() {
        "" => unit,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    seconds(value.trim()).map(|value| value * unit)
}

/// An ISO 8601 duration of hours, minutes and seconds.
fn duration(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix("PT").filter(|rest| !rest.is_empty())?;
    let mut total = 0.0;
    for (unit, length) in [('H', 3600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((value, after)) = rest.split_once(unit) {
            total += number(value)? * length;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

/// `2`, `MS2`, and `MS` for the first.
pub(super) fn ms_level(text: &str) -> Option<u8> {
    if text.eq_ignore_ascii_case("MS") {
        return Some(1);
    }
    let digits = text.strip_prefix("MS").or_else(|| text.strip_prefix("ms")).unwrap_or(text);
    digits.parse().ok().filter(|&level| level > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in [("1.5", 1.5), ("1,5", 1.5), ("+2", 2.0), ("7.8E4", 78000.0), (".5", 0.5), ("3", 3.0)] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "x", "1,2,3", "1,234.5", "1e400", "inf", "NaN", "1.5x", ","] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn charge_spellings() {
        let read = |text| charges(text).map(|c| (c.magnitudes, c.sign));
        let (plus, minus) = (Some(Polarity::Positive), Some(Polarity::Negative));
        for (text, magnitudes, sign) in [
            ("2+", vec![2], plus),
            ("+2", vec![2], plus),
            ("1-", vec![1], minus),
            ("-1", vec![1], minus),
            ("3", vec![3], None),
            ("2+ and 3+", vec![2, 3], plus),
            ("2+,3+ or 4+", vec![2, 3, 4], plus),
            ("2,3", vec![2, 3], None),
            ("", vec![], None),
            ("0", vec![], None),
        ] {
            assert_eq!(read(text), Some((magnitudes, sign)), "{text}");
        }
        for text in ["two", "1+ and 1-", "+-2", "++2", "2.5", "256", "Mr", "+"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, value) in [
            ("12.5", 12.5),
            ("12,5", 12.5),
            ("PT12.5S", 12.5),
            ("PT1M12.5S", 72.5),
            ("PT1H", 3600.0),
            ("10-20", 15.0),
            ("10.2,10.8-11.4", 10.8),
        ] {
            let read = seconds(text).unwrap_or(f64::NAN);
            assert!((read - value).abs() < 1e-9, "{text}: {read}");
        }
        for text in ["", "soon", "-5", "PT", "PTxS", "PT5", "5 min", "NaN", "10-"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn times_and_their_units() {
        for (text, value) in [
            ("2.5", 150.0),
            ("2,5 min", 150.0),
            ("150 s", 150.0),
            ("150sec.", 150.0),
            ("PT2M30S", 150.0),
            ("0.5 h", 1800.0),
            ("2 - 3 min", 150.0),
        ] {
            let read = time(text, 60.0).unwrap_or(f64::NAN);
            assert!((read - value).abs() < 1e-9, "{text}: {read}");
        }
        for text in ["", "min", "later", "5 parsec", "-5", "N/A"] {
            assert_eq!(time(text, 60.0), None, "{text}");
        }
    }

    #[test]
    fn charges_of_adducts() {
        for (text, charge) in [
            ("[M+H]+", Some(1)),
            ("[M+2H]2+", Some(2)),
            ("[M+2H]++", Some(2)),
            ("[M-H]-", Some(-1)),
            ("[M-2H]2-", Some(-2)),
            ("[M]+*", Some(1)),
            ("[M]+.", Some(1)),
            ("M+H", None),
            ("[M+H]", None),
            ("[M+H]0+", None),
            ("[M+H]999+", None),
        ] {
            let read = adduct_charge(text).map(|charges| match charges.sign {
                Some(Polarity::Negative) => -charges.magnitudes[0],
                _ => charges.magnitudes[0],
            });
            assert_eq!(read, charge, "{text}");
        }
        assert_eq!(precursor("447.1/285.0"), Some(285.0));
    }

    #[test]
    fn polarities_and_levels() {
        assert_eq!(polarity("Positive"), Some(Polarity::Positive));
        assert_eq!(polarity("-"), Some(Polarity::Negative));
        assert_eq!(polarity("negative-QTOF"), Some(Polarity::Negative));
        assert_eq!(polarity("N"), Some(Polarity::Negative));
        assert_eq!(polarity("N/A"), None);
        assert_eq!(polarity("none"), None);
        assert_eq!(polarity(""), None);
        assert_eq!(ms_level("MS2"), Some(2));
        assert_eq!(ms_level("0"), None);
    }
}
