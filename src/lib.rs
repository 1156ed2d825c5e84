//! cellprobe

pub mod device;
pub mod error;
pub mod kmeans;
pub mod metric;
mod neighbors;
pub mod ops;
pub mod quantize;
mod rows;
#[cfg(feature = "spectra")]
pub mod spectra;
pub mod storage;

pub use device::{Device, DeviceArray, Work};
pub use error::{Error, Result};
pub use kmeans::{Clustering, KMeans};
pub use metric::Metric;
pub use quantize::ProductQuantizer;
pub use wgpu;
