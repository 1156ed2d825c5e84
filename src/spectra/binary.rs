//! Numbers as text in XML: base64, compressed or not.

use std::{borrow::Cow, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64};
use flate2::read::ZlibDecoder;

use super::{Flaw, Peak, Rejected};

/// More bytes than this do not come out of an array: it is damaged, or made to fill the memory.
const LARGEST_ARRAY: u64 = 1 << 27;

/// The bytes that a text stands for; `None` if it is damaged, or stands for too many.
pub(super) fn decode(text: &str, zlib: bool) -> Option<Vec<u8>> {
    let text: Cow<[u8]> = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect()
    } else {
        text.as_bytes().into()
    };
    let mut bytes = BASE64.decode(text).ok()?;
    if zlib && !bytes.is_empty() {
        let mut whole = Vec::new();
        ZlibDecoder::new(&bytes[..]).take(LARGEST_ARRAY + 1).read_to_end(&mut whole).ok()?;
        bytes = whole;
    }
    (bytes.len() as u64 <= LARGEST_ARRAY).then_some(bytes)
}

/// Numbers of `N` bytes each; `None` if some are left over.
pub(super) fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
    let (numbers, []) = bytes.as_chunks::<N>() else { return None };
    Some(numbers.iter().map(|&bytes| number(bytes)).collect())
}

/// Peaks of these m/z and intensities; what can be none is a flaw.
pub(super) fn peaks(pairs: impl Iterator<Item = (f64, f64)>, rejected: &mut Rejected) -> Vec<Peak> {
    let mut peaks = Vec::with_capacity(pairs.size_hint().0);
    for (mz, intensity) in pairs {
        let intensity = intensity as f32;
        if mz > 0.0 && mz.is_finite() && intensity >= 0.0 && intensity.is_finite() {
            peaks.push(Peak { mz, intensity });
        } else {
            rejected.flaw(Flaw::Peak);
        }
    }
    peaks
}
