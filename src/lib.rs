//! cellprobe

pub mod device;
pub mod error;
pub mod kmeans;
pub mod metric;
pub mod ops;
pub mod quantize;
mod rows;

pub use device::{Device, DeviceArray, Work};
pub use error::{Error, Result};
pub use kmeans::{Clustering, KMeans};
pub use metric::Metric;
pub use quantize::ProductQuantizer;
pub use wgpu;
