//! cellprobe

pub mod error;
pub mod metric;
#[cfg(feature = "spectra")]
pub mod spectra;

pub use error::{Error, Result};
pub use metric::Metric;
