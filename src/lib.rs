//! k-means, product quantization, IVF-PQ and exact nearest neighbours on any GPU that wgpu reaches (Vulkan, Metal,
//! DX12, GL), and on the CPU with the same answers.
//!
//! ```
//! use cellprobe::{Device, IvfFlatIndex, Metric};
//! use ndarray::{Array2, s};
//! # fn main() -> cellprobe::Result<()> {
//! // The best real GPU, or else the CPU.
//! let device = Device::auto();
//! let vectors = Array2::from_shape_fn((1000, 8), |(row, column)| ((row * 7 + column * 13) % 101) as f32);
//! let mut index = IvfFlatIndex::new(&device, 8, 16, Metric::L2)?;
//! index.train(vectors.view())?;
//! index.add(vectors.view())?;
//! let neighbors = index.search(vectors.slice(s![..2, ..]), 3)?;
//! assert_eq!(neighbors.row(0)[0].id, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//! - [`device`]: where work runs, and arrays there.
//! - [`ops`]: the operations that everything else is made of, each with a WGSL kernel, a CPU twin and a reference in f64.
//! - [`kmeans`], [`quantize`], [`index`]: algorithms, written once over the operations.
//! - [`transform`]: OPQ, PCA and rotations, which vectors go through before an index keeps them.
//! - [`storage`]: FAISS index files, fvecs, bvecs, ivecs, npy.
//! - `spectra`: mass spectra: reading, vectors, identification, clustering, reports (feature `spectra`).
//!
//! # Features
//! - `cli` (default): the `cellprobe` command. A library user does without: `default-features = false`.
//! - `spectra` (default): mass spectra.
//!
//! # The same answers
//! Neighbours are ordered by (distance, identifier), everywhere. The same call with the same seed on the same device
//! gives the same bits; devices differ by rounding alone. Distances are accurate to f32 far from the origin too.
//!
#![doc = include_str!("embedding.md")]
//!
//! # Unsafe code
//! Kernels are compiled without bounds checks and loop guards unless [`device::Options::checked`] asks for them. Beside that
//! wgpu is asked for what it calls experimental (cooperative matrices), a Vulkan driver for what wgpu does not tell of it
//! (these and packed integers), and the driver is given the compiled pipelines that it gave before; a reference to mapped
//! memory goes to other threads. On the CPU a few kernels call instructions by name, where the machine was found to have
//! them. There is no other `unsafe`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cli")]
pub mod bench;
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
pub mod transform;
pub mod verify;

pub use device::{Device, DeviceArray, Work};
pub use error::{Error, Result};
pub use index::{FlatIndex, Index, IvfFlatIndex, IvfPqIndex, MultiDeviceIndex, PqIndex, Search, StreamedIndex};
pub use kmeans::{Clustering, KMeans};
pub use metric::Metric;
pub use neighbors::{Neighbor, Neighbors};
pub use quantize::ProductQuantizer;
pub use transform::Transform;
pub use wgpu;

/// The README's example, so that it is compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
