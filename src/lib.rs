//! cellprobe

pub mod device;
pub mod error;
pub mod metric;
pub mod ops;
mod rows;
#[cfg(feature = "spectra")]
pub mod spectra;

pub use device::{Device, DeviceArray, Work};
pub use error::{Error, Result};
pub use metric::Metric;
pub use wgpu;
