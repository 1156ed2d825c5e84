//! cellprobe

pub mod error;
pub mod metric;
pub mod storage;

pub use error::{Error, Result};
pub use metric::Metric;
