//! How far apart two m/z may be and still be the same.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// How far apart two m/z may be and still be the same.
///
/// ```
/// use cellprobe::spectra::Tolerance;
/// # fn main() -> cellprobe::Result<()> {
/// let tolerance: Tolerance = "10ppm".parse()?;
/// assert!(tolerance.accepts(500.0, 500.004));
/// assert!(!tolerance.accepts(500.0, 500.006));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Parts per million of the larger of the two.
    Ppm(f64),
    /// Da (at charge 1; otherwise m/z).
    Dalton(f64),
}

impl Tolerance {
    /// Whether two m/z are the same; the order of the two does not matter. The limit itself is accepted as far as rounding
    /// to `f64` allows.
    #[must_use]
    pub fn accepts(&self, a: f64, b: f64) -> bool {
        // Rounded like the bounds that matchms computes, which decide on m/z of few decimals that lie at the limit.
        let (lower, upper) = (a.min(b), a.max(b));
        lower >= upper - self.width(upper)
    }

    /// Whether two m/z are the same once the second one is moved by `shift`; parts per million are those of the larger of
    /// the two as they were measured, so that it does not matter which of them is moved.
    pub(super) fn accepts_moved(&self, a: f64, b: f64, shift: f64) -> bool {
        let moved = b + shift;
        a.min(moved) >= a.max(moved) - self.width(a.max(b))
    }

    /// How far below `mz` another one may be.
    #[must_use]
    pub fn width(&self, mz: f64) -> f64 {
        match self {
            Tolerance::Ppm(parts) => mz * parts * 1e-6,
            Tolerance::Dalton(width) => *width,
        }
    }

    /// The lowest and the highest m/z that are the same as `mz`, or a little beyond them by rounding.
    #[must_use]
    pub fn range(&self, mz: f64) -> (f64, f64) {
        let above = match self {
            // The width is that of the upper m/z itself.
            Tolerance::Ppm(parts) if *parts < 1e6 => mz / (1.0 - parts * 1e-6),
            Tolerance::Ppm(_) => f64::INFINITY,
            Tolerance::Dalton(width) => mz + width,
        };
        let below = mz - self.width(mz);
        (below - below.abs() * 1e-12, above + above.abs() * 1e-12)
    }

    pub(super) fn doubled(self) -> Self {
        self.times(2.0)
    }

    pub(super) fn times(self, factor: f64) -> Self {
        match self {
            Tolerance::Ppm(parts) => Tolerance::Ppm(factor * parts),
            Tolerance::Dalton(width) => Tolerance::Dalton(factor * width),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Ppm(parts) => write!(f, "{parts}ppm"),
            Tolerance::Dalton(width) => write!(f, "{width}Da"),
        }
    }
}

impl FromStr for Tolerance {
    type Err = Error;

    /// `10ppm`, `0.01Da`; the case and space before the unit do not matter.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::parameter("tolerance", format!("\"{text}\""), "like 10ppm or 0.01Da, 0 or more");
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit): (_, fn(f64) -> Self) = if let Some(number) = lower.strip_suffix("ppm") {
            (number, Tolerance::Ppm)
        } else {
            (lower.strip_suffix("da").ok_or_else(unknown)?, Tolerance::Dalton)
        };
        let value: f64 = number.trim().parse().map_err(|_| unknown())?;
        if value >= 0.0 && value.is_finite() { Ok(unit(value)) } else { Err(unknown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[test]
    fn spellings() {
        for (text, tolerance) in [
            ("10ppm", Tolerance::Ppm(10.0)),
            ("2.5 PPM", Tolerance::Ppm(2.5)),
            ("0.01Da", Tolerance::Dalton(0.01)),
            ("0da", Tolerance::Dalton(0.0)),
        ] {
            let read: Tolerance = text.parse().unwrap();
            assert_eq!(read, tolerance, "{text}");
            assert_eq!(read.to_string().parse::<Tolerance>().unwrap(), tolerance);
        }
        for text in ["", "10", "ppm", "-1ppm", "NaNDa", "infDa", "1e400ppm", "10 ppmx"] {
            assert!(text.parse::<Tolerance>().is_err(), "{text}");
        }
    }

    #[test]
    fn range_is_what_is_accepted() {
        for tolerance in [Tolerance::Ppm(10.0), Tolerance::Ppm(2e6), Tolerance::Dalton(0.5)] {
            for mz in [50.0, 500.25, 1999.9] {
                let (low, high) = tolerance.range(mz);
                assert!(tolerance.accepts(mz, low + 1e-6) && !tolerance.accepts(mz, low - 1e-6), "{tolerance} {mz}");
                let high = high.min(1e9);
                assert!(tolerance.accepts(mz, high - 1e-6), "{tolerance} {mz}");
                assert!(tolerance == Tolerance::Ppm(2e6) || !tolerance.accepts(mz, high + 1e-6), "{tolerance} {mz}");
            }
        }
    }
}
