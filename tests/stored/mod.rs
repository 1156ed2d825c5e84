//! Small indexes with arbitrary contents.

use cellprobe::{
    Metric,
    storage::faiss::{
        Codebook, DirectMap, Flat, Header, IdMap, Ivf, IvfFlat, IvfPq, Lists, Pca, Pq, PqLayout, Stored, Transform,
        TransformKind, Transformed, write,
    },
};
use proptest::prelude::*;
use rand_mt::Mt64;

/// Any index of any kind within any wrappers.
pub fn any_stored() -> impl Strategy<Value = Stored> {
    let shape = (1..4usize, 1..5usize, 1..8usize, 0..80usize, 1..7usize);
    (shape, 0..5u8, any::<[bool; 5]>(), 0..3u8, any::<u64>()).prop_map(
        |((width, m, nbits, rows, nlist), kind, [ip, residual, map, normalized, transformed], direct_map, seed)| {
            let metric = if ip { Metric::InnerProduct } else { Metric::L2 };
            let header = Header { dimension: width * m, ntotal: rows, is_trained: true, metric };
            let mut contents = Contents::new(seed);
            let index = match kind {
                0 => Stored::Flat(Flat { header, vectors: contents.floats(rows * header.dimension) }),
                1 => contents.pq(header, m, nbits, false),
                2 => contents.pq(header, m, 4, true),
                3 => contents.ivf_flat(header, nlist, direct_map),
                _ => contents.ivf_pq(header, m, nbits, nlist, residual, direct_map),
            };
            let index = if map {
                Stored::IdMap(IdMap { ids: contents.ids(rows), index: Box::new(index), two_way: residual })
            } else {
                index
            };
            if transformed {
                let transform = contents.transform(nlist, header.dimension, residual);
                return Stored::Transformed(Transformed { normalized, transform, index: Box::new(index) });
            }
            if normalized { Stored::Normalized(Box::new(index)) } else { index }
        },
    )
}

/// The bytes of an index file.
pub fn bytes_of(stored: &Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(stored, &mut bytes).expect("the contents fit together");
    bytes
}

/// The golden index files of `index` or of `variants`: name and contents.
pub fn goldens(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/tests/golden/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("the golden files are there");
    let mut goldens: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "faiss"))
        .map(|path| {
            (path.file_stem().expect("named").to_string_lossy().into_owned(), std::fs::read(path).expect("readable"))
        })
        .collect();
    goldens.sort();
    goldens
}

/// Numbers out of nowhere.
pub struct Contents(Mt64);

impl Contents {
    pub fn new(seed: u64) -> Self {
        Contents(Mt64::new(seed))
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.0.next_u64() as i16).map(|number| f32::from(number) / 256.0).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.next_u64() as u8).collect()
    }

    pub fn ids(&mut self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.0.next_u64() as i64).collect()
    }

    /// A map from `dimension` columns, with everything that a file can say of one or with as little as it can.
    fn transform(&mut self, dimension: usize, output_dimension: usize, is_pca: bool) -> Transform {
        let kind = if is_pca {
            TransformKind::Pca(Pca {
                eigen_power: -0.5,
                epsilon: 0.25,
                random_rotation: true,
                balanced_bins: 3,
                mean: self.floats(dimension),
                eigenvalues: self.floats(2),
                components: self.floats(2 * dimension),
            })
        } else if dimension.is_multiple_of(2) {
            TransformKind::RandomRotation
        } else {
            TransformKind::Linear
        };
        let matrix = self.floats(output_dimension * dimension);
        let bias = is_pca.then(|| self.floats(output_dimension));
        Transform { kind, is_trained: true, dimension, output_dimension, matrix, bias }
    }

    fn codebook(&mut self, dimension: usize, m: usize, nbits: usize) -> Codebook {
        Codebook { dimension, m, nbits, centroids: self.floats(dimension << nbits) }
    }

    pub fn pq(&mut self, header: Header, m: usize, nbits: usize, fast_scan: bool) -> Stored {
        let codebook = self.codebook(header.dimension, m, nbits);
        let layout = if fast_scan { PqLayout::fast_scan() } else { PqLayout::plain(&codebook) };
        let codes = self.bytes(header.ntotal * codebook.code_size());
        Stored::Pq(Pq { header, codebook, codes, layout })
    }

    pub fn ivf_flat(&mut self, header: Header, nlist: usize, direct_map: u8) -> Stored {
        let entries = self.floats(header.ntotal * header.dimension);
        let (ivf, lists) = self.ivf(header, nlist, direct_map, entries);
        Stored::IvfFlat(IvfFlat { ivf, lists })
    }

    pub fn ivf_pq(
        &mut self,
        header: Header,
        m: usize,
        nbits: usize,
        nlist: usize,
        by_residual: bool,
        direct_map: u8,
    ) -> Stored {
        let codebook = self.codebook(header.dimension, m, nbits);
        let codes = self.bytes(header.ntotal * codebook.code_size());
        let (ivf, lists) = self.ivf(header, nlist, direct_map, codes);
        Stored::IvfPq(IvfPq { ivf, by_residual, codebook, lists })
    }

    /// Everything in a random half of the lists, so that both forms of list sizes occur.
    fn ivf<T>(&mut self, header: Header, nlist: usize, direct_map: u8, entries: Vec<T>) -> (Ivf, Lists<T>) {
        let mut sizes = vec![0; nlist];
        let mut places = Vec::new();
        for _ in 0..header.ntotal {
            let list = (self.0.next_u64() as usize % nlist) & !1;
            places.push((list as i64) << 32 | sizes[list]);
            sizes[list] += 1;
        }
        let direct_map = match direct_map {
            0 => DirectMap::None,
            1 => DirectMap::Array(places),
            _ => DirectMap::Hashtable(self.ids(places.len()).into_iter().zip(places).collect()),
        };
        let quantizer = Header { ntotal: nlist, ..header };
        let quantizer = Flat { header: quantizer, vectors: self.floats(nlist * header.dimension) };
        let ivf = Ivf { header, nprobe: 3, quantizer: Box::new(Stored::Flat(quantizer)), direct_map };
        let sizes = sizes.into_iter().map(|size| size as usize).collect();
        (ivf, Lists { sizes, entries, ids: self.ids(header.ntotal) })
    }
}
