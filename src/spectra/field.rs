//! The field of spectra that names what they show.

use std::{fmt, str::FromStr};

use super::Spectrum;
use crate::{Error, Result};

/// A field of spectra, or its first characters.
///
/// ```
/// use cellprobe::spectra::Field;
/// # fn main() -> cellprobe::Result<()> {
/// // The first block of an InChIKey: the structure without its stereochemistry.
/// let structure: Field = "INCHIKEY:14".parse()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    characters: Option<usize>,
}

impl Field {
    /// The first block of the `InChIKey`: the structure without its stereochemistry.
    #[must_use]
    pub fn inchikey() -> Self {
        Field { name: "INCHIKEY".to_owned(), characters: Some(14) }
    }

    /// What a spectrum says; `None` where it says nothing.
    #[must_use]
    pub fn of<'a>(&self, spectrum: &'a Spectrum) -> Option<&'a str> {
        let value = spectrum.field(&self.name)?;
        let end = self.characters.and_then(|characters| value.char_indices().nth(characters));
        Some(&value[..end.map_or(value.len(), |(end, _)| end)])
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.characters {
            Some(characters) => write!(f, "{}:{characters}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Field {
    type Err = Error;

    /// `NAME` or `NAME:N`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, characters) = match text.rsplit_once(':') {
            Some((name, number)) => (name, number.parse().ok().filter(|&number: &usize| number > 0).map(Some)),
            None => (text, Some(None)),
        };
        match characters {
            Some(characters) if !name.is_empty() => Ok(Field { name: name.to_owned(), characters }),
            _ => Err(Error::parameter(
                "field",
                format!("\"{text}\""),
                "a field, or a field and a number of characters, like INCHIKEY:14",
            )),
        }
    }
}
