//! cellprobe

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod device;
pub mod error;
pub mod index;
pub mod kmeans;
pub mod metric;
mod neighbors;
pub mod ops;
pub mod quantize;
mod rows;
#[cfg(feature = "spectra")]
pub mod spectra;
pub mod storage;
pub mod verify;

pub use device::{Device, DeviceArray, Work};
pub use error::{Error, Result};
pub use index::{FlatIndex, Index, IvfFlatIndex, IvfPqIndex, PqIndex, Search};
pub use kmeans::{Clustering, KMeans};
pub use metric::Metric;
pub use neighbors::{Neighbor, Neighbors};
pub use quantize::ProductQuantizer;
pub use wgpu;
