//! Factory strings, as FAISS users type them.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// What a factory string asks for: `Flat`, `PQ16`, `PQ8x4`, `IVF1024,Flat`, `IVF1024,PQ16`, `IVF1024,PQ8x4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factory {
    pub nlist: Option<usize>,
    /// M and bits a code; none for vectors as they are.
    pub codes: Option<(usize, usize)>,
}

impl FromStr for Factory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            let expected =
                "one of Flat, PQ<M>, PQ<M>x<bits>, IVF<nlist>,Flat, IVF<nlist>,PQ<M>, IVF<nlist>,PQ<M>x<bits>";
            Error::parameter("index", format!("\"{text}\""), expected)
        };
        // Identifiers are kept by every index here, so an id map has nothing to add.
        let body = text.trim_start_matches("IDMap2,").trim_start_matches("IDMap,");
        let (nlist, last) = match body.strip_prefix("IVF") {
            Some(rest) => {
                let (nlist, last) = rest.split_once(',').ok_or_else(unknown)?;
                (Some(number(nlist).ok_or_else(unknown)?), last)
            }
            None => (None, body),
        };
        let codes = match last.strip_prefix("PQ") {
            None if last == "Flat" => None,
            None => return Err(unknown()),
            Some(sizes) => {
                let (m, nbits) = sizes.split_once('x').unwrap_or((sizes, "8"));
                Some((number(m).ok_or_else(unknown)?, number(nbits).ok_or_else(unknown)?))
            }
        };
        Ok(Factory { nlist, codes })
    }
}

/// A whole number written in digits alone.
fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl fmt::Display for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(nlist) = self.nlist {
            write!(f, "IVF{nlist},")?;
        }
        match self.codes {
            None => f.write_str("Flat"),
            Some((m, 8)) => write!(f, "PQ{m}"),
            Some((m, nbits)) => write!(f, "PQ{m}x{nbits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Factory;

    #[test]
    fn known_strings_come_back() {
        for text in ["Flat", "PQ8", "PQ8x4", "IVF1024,Flat", "IVF16,PQ4", "IVF16,PQ4x6"] {
            assert_eq!(text.parse::<Factory>().unwrap().to_string(), text);
        }
        assert_eq!("IDMap,PQ8x8".parse::<Factory>().unwrap().to_string(), "PQ8");
    }

    #[test]
    fn unknown_strings_are_errors() {
        for text in ["", "flat", "PQ", "PQx4", "PQ8x", "IVF,Flat", "IVF16", "IVF16,", "IVF+1,Flat", "HNSW32", "PQ8x4fs"]
        {
            assert!(text.parse::<Factory>().is_err(), "{text}");
        }
    }
}
