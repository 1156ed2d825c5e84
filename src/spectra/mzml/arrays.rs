//! The arrays of numbers in a spectrum.

use super::numpress::Numpress;
use crate::spectra::{
    Peak, Rejected,
    binary::{self, numbers},
};

/// The arrays of a spectrum that are of use.
#[derive(Default)]
pub(super) struct Arrays {
    open: Option<Array>,
    /// Whether text is that of the array.
    pub binary: bool,
    mzs: Option<Array>,
    intensities: Option<Array>,
}

#[derive(Default)]
struct Array {
    kind: Option<Kind>,
    /// Bytes of a number, and whether it is a float.
    number: Option<(usize, bool)>,
    zlib: bool,
    numpress: Option<Numpress>,
    /// Encoded in a way that is not read.
    unknown: bool,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mz,
    Intensity,
}

impl Arrays {
    pub fn begin(&mut self) {
        self.open = Some(Array::default());
    }

    pub fn push_text(&mut self, text: &str) {
        if let Some(array) = &mut self.open
            && self.binary
        {
            array.text.push_str(text);
        }
    }

    /// Whether an array is open, to which the term belongs.
    pub fn take_term(&mut self, accession: &str) -> bool {
        let Some(array) = &mut self.open else { return false };
        let numpress = |array: &mut Array, way, zlib| {
            array.numpress = Some(way);
            array.zlib |= zlib;
        };
        match accession {
            "MS:1000514" => array.kind = Some(Kind::Mz),
            "MS:1000515" => array.kind = Some(Kind::Intensity),
            "MS:1000519" => array.number = Some((4, false)),
            "MS:1000521" => array.number = Some((4, true)),
            "MS:1000522" => array.number = Some((8, false)),
            "MS:1000523" => array.number = Some((8, true)),
            "MS:1000574" => array.zlib = true,
            "MS:1002312" => numpress(array, Numpress::Linear, false),
            "MS:1002313" => numpress(array, Numpress::Positive, false),
            "MS:1002314" => numpress(array, Numpress::Logarithmic, false),
            "MS:1002746" => numpress(array, Numpress::Linear, true),
            "MS:1002747" => numpress(array, Numpress::Positive, true),
            "MS:1002748" => numpress(array, Numpress::Logarithmic, true),
            // Half floats and strings; zlib after differences or shuffling, and zstd in its forms.
            "MS:1000520" | "MS:1001479" | "MS:1003088" | "MS:1003089" | "MS:1003090" => array.unknown = true,
            other if ("MS:1003780".."MS:1003787").contains(&other) => array.unknown = true,
            _ => {}
        }
        true
    }

    pub fn end(&mut self) {
        let Some(array) = self.open.take() else { return };
        match array.kind {
            Some(Kind::Mz) => self.mzs = Some(array),
            Some(Kind::Intensity) => self.intensities = Some(array),
            None => {}
        }
    }

    /// The peaks, none without arrays; `None` if the arrays cannot be read or do not go together.
    pub fn peaks(self, rejected: &mut Rejected) -> Option<Vec<Peak>> {
        let (mzs, intensities) = match (self.mzs, self.intensities) {
            (None, None) => return Some(Vec::new()),
            (mzs, intensities) => (mzs?.numbers()?, intensities?.numbers()?),
        };
        if mzs.len() != intensities.len() {
            return None;
        }
        Some(binary::peaks(mzs.into_iter().zip(intensities), rejected))
    }
}

impl Array {
    fn numbers(&self) -> Option<Vec<f64>> {
        if self.unknown {
            return None;
        }
        let bytes = binary::decode(&self.text, self.zlib)?;
        if let Some(numpress) = self.numpress {
            return numpress.decode(&bytes);
        }
        match self.number? {
            (4, true) => numbers(&bytes, |bytes| f32::from_le_bytes(bytes).into()),
            (4, false) => numbers(&bytes, |bytes| i32::from_le_bytes(bytes).into()),
            (_, true) => numbers(&bytes, f64::from_le_bytes),
            (_, false) => numbers(&bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        }
    }
}
