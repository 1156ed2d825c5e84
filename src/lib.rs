//! cellprobe

pub mod error;
pub mod metric;

pub use error::{Error, Result};
pub use metric::Metric;
