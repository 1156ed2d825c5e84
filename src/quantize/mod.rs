//! Quantizers: vectors as short codes.

mod product;

pub use product::{ProductQuantizer, Training};
