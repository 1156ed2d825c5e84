//! Quantizers: vectors as short codes.

mod product;

pub use product::{ProductQuantizer, Training};

use crate::{Error, Result};

/// Fails unless a product quantizer can cut vectors of `dimension` into `m` codes of `nbits` bits.
pub(crate) fn check(dimension: usize, m: usize, nbits: usize) -> Result<()> {
    if m == 0 || !dimension.is_multiple_of(m) {
        return Err(Error::parameter("M", m, format!("a divisor of the dimension, {dimension}")));
    }
    if !(4..=8).contains(&nbits) {
        return Err(Error::parameter("nbits", nbits, "4 to 8"));
    }
    Ok(())
}
