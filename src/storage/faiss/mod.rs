//! FAISS index files, as faiss 1.15 writes and reads them.
//!
//! Everything is little-endian, without padding, version or checksum. A `bool` is a byte of 0 or 1, `vec<T>` a `u64`
//! count followed by that many `T`. Every index begins with four characters that name its kind:
//!
//! | kind | is | contents |
//! | --- | --- | --- |
//! | `IxF2` `IxFI` `IxFl` | [`Flat`] (squared L2, inner product, either) | header, `vec<f32>` |
//! | `IxPq` | [`Pq`], [`PqLayout::Plain`] | header, codebook, `vec<u8>` codes, `i32` search type, `bool` encode signs, `i32` polysemous threshold |
//! | `IPfs` | [`Pq`], [`PqLayout::FastScan`] | header, codebook, `i32` implementation, `i32` block size, `i32` query blocks, `u64` ntotal rounded up to whole blocks, `u64` m rounded up to even, `vec<u8>` blocks |
//! | `IwFl` | [`IvfFlat`] | ivf, lists |
//! | `IwPQ` | [`IvfPq`] | ivf, `bool` by residual, `u64` code size, codebook, lists |
//! | `IxMp` `IxM2` | [`IdMap`] (without, with the way back) | header, index, `vec<i64>` |
//! | `IxPT` | [`Stored::Normalized`] | header, `i32` 1, normalisation, index |
//! | `IxPT` | [`Transformed`] | header, `i32` 1 or 2, normalisation if 2, transform, index |
//!
//! - header: `i32` d, `i64` ntotal, two `i64` that nobody reads, `bool` is trained, `i32` metric (0 inner product, 1 L2)
//! - normalisation: `VNrm`, `f32` norm 2, `i32` d, `i32` d, `bool` 1
//! - transform: `LTra`, `rrot`, or `Pcam` with `f32` eigen power, `f32` epsilon, `bool` random rotation, `i32` balanced bins,
//!   `vec<f32>` mean, eigenvalues and components; then `bool` has bias, `vec<f32>` matrix of shape (d out, d in) and bias,
//!   `i32` d in, `i32` d out, `bool` is trained
//! - codebook: `u64` d, `u64` m, `u64` nbits, `vec<f32>` centroids of shape (m, 2^nbits, d/m)
//! - ivf: header, `u64` nlist, `u64` nprobe, coarse quantizer (an index), direct map: `u8` type, `vec<i64>`, and for type
//!   2 a `vec<(i64, i64)>`
//! - lists: `ilar`, `u64` nlist, `u64` code size, then `full` and `vec<u64>` sizes, or where at most half of the lists
//!   hold anything `sprs` and a `vec<u64>` of (list, size) pairs; then of each list its codes, then its `i64` ids
//! - a code: the m sub-codes of nbits each, least significant bit first, in ceil(m nbits / 8) bytes
//! - a block of fast-scan codes: for each pair of sub-quantizers and each 32 rows 32 bytes. Byte `2 r + h` (r < 8, h < 2)
//!   of the first 16 holds the even sub-quantizer's codes of row `r + 8 h` (low half) and of the row 16 further (high
//!   half), the second 16 those of the odd one. Rows past ntotal are zero.
//!
//! Reading a file of these kinds that faiss wrote and writing it again gives the same bytes. A cosine index has no
//! metric of its own here: it is an inner-product index behind a normalisation.

mod fast_scan;
mod read;
mod transform;
mod validate;
mod write;

pub use read::{read, read_file};
pub use transform::{Pca, Transform, TransformKind};
pub use write::{write, write_file};

use crate::{Metric, Result};

/// How deep an index may stand inside others (an id map, a transform, a coarse quantizer).
const MAX_DEPTH: usize = 16;
/// The largest dimension that faiss admits.
const MAX_DIMENSION: usize = 1 << 20;
/// The most bits of a sub-code that faiss admits.
const MAX_NBITS: usize = 24;
/// The most lists of an inverted file that is not trained: there is no coarse quantizer to bound them yet.
const MAX_UNTRAINED_NLIST: usize = 1 << 20;

/// What an index file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Vectors as they are.
    Flat(Flat),
    /// Vectors as product-quantized codes.
    Pq(Pq),
    /// Vectors in inverted lists.
    IvfFlat(IvfFlat),
    /// Product-quantized codes in inverted lists.
    IvfPq(IvfPq),
    /// An index whose rows carry the caller's identifiers.
    IdMap(IdMap),
    /// An index of vectors scaled to Euclidean length 1, queries too: cosine, where its metric is the inner product.
    Normalized(Box<Stored>),
    /// An index of what a linear map makes of vectors.
    Transformed(Transformed),
}

impl Stored {
    /// What every index has; a wrapper has that of what it wraps.
    #[must_use]
    pub fn header(&self) -> Header {
        match self {
            Stored::Flat(flat) => flat.header,
            Stored::Pq(pq) => pq.header,
            Stored::IvfFlat(index) => index.ivf.header,
            Stored::IvfPq(index) => index.ivf.header,
            Stored::IdMap(map) => map.index.header(),
            Stored::Normalized(index) => index.header(),
            Stored::Transformed(Transformed { transform, index, .. }) => {
                let inner = index.header();
                let is_trained = inner.is_trained && transform.is_trained;
                Header { dimension: transform.dimension, is_trained, ..inner }
            }
        }
    }
}

/// What every index has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Columns of a vector.
    pub dimension: usize,
    /// Vectors in the index.
    pub ntotal: usize,
    /// Whether vectors can be added.
    pub is_trained: bool,
    /// [`Metric::L2`] or [`Metric::InnerProduct`].
    pub metric: Metric,
}

/// Vectors as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Flat {
    /// Dimension, size, metric.
    pub header: Header,
    /// Shape (ntotal, dimension).
    pub vectors: Vec<f32>,
}

/// The centroids of a product quantizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// Columns of a vector.
    pub dimension: usize,
    /// Sub-quantizers; divides the dimension.
    pub m: usize,
    /// Bits of a sub-code, 1 to 24.
    pub nbits: usize,
    /// Shape (m, 2^nbits, dimension / m).
    pub centroids: Vec<f32>,
}

impl Codebook {
    /// Bytes of a code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        self.m.saturating_mul(self.nbits).div_ceil(8)
    }
}

/// Vectors as product-quantized codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pq {
    /// Dimension, size, metric.
    pub header: Header,
    /// What the codes mean.
    pub codebook: Codebook,
    /// Shape (ntotal, code size), row by row whatever the layout in the file.
    pub codes: Vec<u8>,
    /// How the file holds the codes.
    pub layout: PqLayout,
}

/// How a file holds the codes of a [`Pq`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PqLayout {
    /// Row by row (`IndexPQ`).
    Plain {
        /// faiss's `IndexPQ::Search_type_t`, 0 to 5; 0 is the asymmetric distance.
        search_type: i32,
        /// Codes are signs in faiss's Hamming searches.
        encode_signs: bool,
        /// Threshold of faiss's polysemous search, m nbits + 1 unless set.
        polysemous_ht: i32,
    },
    /// Permuted in blocks for SIMD (`IndexPQFastScan`); only where nbits is 4.
    FastScan {
        /// faiss's choice of kernel, 0 for automatic.
        implementation: i32,
        /// Rows in a block, a multiple of 32.
        block_size: i32,
        /// faiss's blocking of queries, 0 for automatic.
        query_blocks: i32,
    },
}

impl PqLayout {
    /// Row by row, searched by asymmetric distance.
    #[must_use]
    pub fn plain(codebook: &Codebook) -> Self {
        let bits = i32::try_from(codebook.m.saturating_mul(codebook.nbits)).unwrap_or(i32::MAX);
        PqLayout::Plain { search_type: 0, encode_signs: false, polysemous_ht: bits.saturating_add(1) }
    }

    /// In blocks of 32 rows, faiss choosing the kernel.
    #[must_use]
    pub fn fast_scan() -> Self {
        PqLayout::FastScan { implementation: 0, block_size: 32, query_blocks: 0 }
    }
}

/// What every inverted file has. Its nlist is the number of its lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Ivf {
    /// Dimension, size, metric.
    pub header: Header,
    /// Lists that a search visits unless told otherwise.
    pub nprobe: usize,
    /// The coarse quantizer: the centroid of each list.
    pub quantizer: Box<Stored>,
    /// Where each identifier stands.
    pub direct_map: DirectMap,
}

/// Where each identifier of an inverted file stands: its list in the high 32 bits, its place in that list in the low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectMap {
    /// Not recorded.
    None,
    /// One entry for each identifier from 0 to ntotal - 1, -1 for none.
    Array(Vec<i64>),
    /// Pairs of an identifier and its entry, in any order.
    Hashtable(Vec<(i64, i64)>),
}

/// Vectors in inverted lists.
#[derive(Clone, Debug, PartialEq)]
pub struct IvfFlat {
    /// Dimension, size, metric, coarse quantizer.
    pub ivf: Ivf,
    /// Entries are vectors.
    pub lists: Lists<f32>,
}

/// Product-quantized codes in inverted lists.
#[derive(Clone, Debug, PartialEq)]
pub struct IvfPq {
    /// Dimension, size, metric, coarse quantizer.
    pub ivf: Ivf,
    /// Whether codes are of the difference to the list's centroid rather than of the vector.
    pub by_residual: bool,
    /// What the codes mean.
    pub codebook: Codebook,
    /// Entries are codes.
    pub lists: Lists<u8>,
}

/// Inverted lists, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists<T> {
    /// Entries in each list.
    pub sizes: Vec<usize>,
    /// Shape (ntotal, items in an entry).
    pub entries: Vec<T>,
    /// Shape (ntotal).
    pub ids: Vec<i64>,
}

/// An index whose rows carry the caller's identifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct IdMap {
    /// The index, whose own identifiers are row numbers.
    pub index: Box<Stored>,
    /// The identifier of each row, shape (ntotal).
    pub ids: Vec<i64>,
    /// Whether faiss keeps the way back from identifiers to rows (`IndexIDMap2`).
    pub two_way: bool,
}

/// An index of what a linear map makes of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformed {
    /// Whether vectors are scaled to Euclidean length 1 first.
    pub normalized: bool,
    /// The map.
    pub transform: Transform,
    /// The index, of the dimension that comes out.
    pub index: Box<Stored>,
}

/// Fails unless the contents fit together.
pub(crate) fn check(stored: &Stored) -> Result<()> {
    validate::check(stored, 0)
}

/// faiss's number for a metric; none for one that faiss expresses by a transform.
fn metric_number(metric: Metric) -> Option<i32> {
    match metric {
        Metric::InnerProduct => Some(0),
        Metric::L2 => Some(1),
        Metric::Cosine => None,
    }
}

/// Whether faiss writes the sizes of lists as pairs: when at most half of the lists hold anything.
fn is_sparse(sizes: &[usize]) -> bool {
    sizes.iter().filter(|&&size| size > 0).count() <= sizes.len() / 2
}

/// The kinds that faiss has and this crate does not read.
const OTHER_KINDS: [(&str, &str); 46] = [
    ("null", "no index"),
    ("IxPQ", "IndexPQ in an outdated format"),
    ("IxPo", "IndexPQ in an outdated format"),
    ("IvFl", "IndexIVFFlat in an outdated format"),
    ("IvFL", "IndexIVFFlat in an outdated format"),
    ("IvPQ", "IndexIVFPQ in an outdated format"),
    ("IvQR", "IndexIVFPQR in an outdated format"),
    ("IvSQ", "IndexIVFScalarQuantizer in an outdated format"),
    ("IxFP", "IndexFlatPanorama"),
    ("IxFp", "IndexFlatPanorama"),
    ("IxHE", "IndexLSH in an outdated format"),
    ("IxHe", "IndexLSH"),
    ("IxRq", "IndexResidualQuantizer"),
    ("IxLS", "IndexLocalSearchQuantizer"),
    ("IxPR", "IndexProductResidualQuantizer"),
    ("IxPL", "IndexProductLocalSearchQuantizer"),
    ("ImRQ", "ResidualCoarseQuantizer"),
    ("IxSQ", "IndexScalarQuantizer"),
    ("IxLa", "IndexLattice"),
    ("IwFd", "IndexIVFFlatDedup"),
    ("IwPn", "IndexIVFFlatPanorama"),
    ("IwP2", "IndexIVFFlatPanorama"),
    ("IwSQ", "IndexIVFScalarQuantizer"),
    ("IwSq", "IndexIVFScalarQuantizer"),
    ("IwSh", "IndexIVFSpectralHash"),
    ("IwQR", "IndexIVFPQR"),
    ("IwPf", "IndexIVFPQFastScan"),
    ("IwIQ", "IndexIVFIndependentQuantizer"),
    ("IwRQ", "IndexIVFResidualQuantizer"),
    ("IwLS", "IndexIVFLocalSearchQuantizer"),
    ("Imiq", "MultiIndexQuantizer"),
    ("IxRF", "IndexRefine"),
    ("IxRP", "IndexRefinePanorama"),
    ("Ix2L", "Index2Layer"),
    ("IHNf", "IndexHNSWFlat"),
    ("IHNp", "IndexHNSWPQ"),
    ("IHNs", "IndexHNSWSQ"),
    ("IHNc", "IndexHNSWCagra"),
    ("IHc2", "IndexHNSWCagra"),
    ("INSf", "IndexNSGFlat"),
    ("INNf", "IndexNNDescentFlat"),
    ("Ixrq", "IndexRaBitQ"),
    ("Iwrq", "IndexIVFRaBitQ"),
    ("IBxF", "IndexBinaryFlat"),
    ("IBwF", "IndexBinaryIVF"),
    ("IBHf", "IndexBinaryHNSW"),
];

/// The vector transforms that faiss has and this crate does not read.
const OTHER_TRANSFORMS: [(&str, &str); 8] = [
    ("VNrm", "a normalisation that does not come first"),
    ("PCAm", "a PCA in an outdated format"),
    ("PcAm", "a PCA in an outdated format"),
    ("Viqm", "an ITQ matrix"),
    ("Viqt", "an ITQ transform"),
    ("RmDT", "a selection of dimensions"),
    ("VCnt", "a centring"),
    ("HRot", "a Hadamard rotation"),
];

/// faiss's metrics that this crate lacks.
const OTHER_METRICS: [(i32, &str); 9] = [
    (2, "L1"),
    (3, "Linf"),
    (4, "Lp"),
    (20, "Canberra"),
    (21, "Bray-Curtis"),
    (22, "Jensen-Shannon"),
    (23, "Jaccard"),
    (24, "NaN-Euclidean"),
    (25, "Gower"),
];
