//! Random indexes, and what must be found in them.

use std::collections::HashMap;

use cellprobe::{
    Device, Index, Metric, Neighbor, Neighbors, Search,
    ops::reference,
    storage::faiss::{self, Stored},
};
use ndarray::{Array2, Axis, s};
use proptest::prelude::*;
use rand_mt::Mt64;

use crate::common::devices;

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// What the values of a case are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    Normal,
    FarFromOrigin,
    SmallIntegers,
    FewDistinctRows,
}

#[derive(Clone, Copy, Debug)]
pub enum Naming {
    Numbers,
    Ascending,
    Descending,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Flat,
    Pq,
    IvfFlat,
    IvfPq { by_residual: bool },
}

const KINDS: [Kind; 5] =
    [Kind::Flat, Kind::Pq, Kind::IvfFlat, Kind::IvfPq { by_residual: true }, Kind::IvfPq { by_residual: false }];
const VALUES: [Values; 4] = [Values::Normal, Values::FarFromOrigin, Values::SmallIntegers, Values::FewDistinctRows];
const NAMINGS: [Naming; 4] = [Naming::Numbers, Naming::Ascending, Naming::Descending, Naming::Random];

/// An index to be and what it is asked for.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    pub metric: Metric,
    pub values: Values,
    pub naming: Naming,
    pub m: usize,
    pub dsub: usize,
    pub nlist: usize,
    pub rows: usize,
    pub queries: usize,
    pub k: usize,
    pub nprobe: usize,
    pub seed: u64,
}

pub fn cases() -> impl Strategy<Value = Case> {
    let what = (
        prop::sample::select(&KINDS[..]),
        prop::sample::select(&METRICS[..]),
        prop::sample::select(&VALUES[..]),
        prop::sample::select(&NAMINGS[..]),
    );
    let rows = prop_oneof![1 => Just(0_usize), 1 => Just(1_usize), 3 => 2..30_usize, 5 => 30..400_usize];
    let k = prop_oneof![6 => 1..20_usize, 2 => 20..500_usize];
    let shape = ((1..5_usize, 1..9_usize), prop::sample::select(vec![1_usize, 2, 3, 8, 16, 21]), rows);
    (what, shape, (1..5_usize, k, 1..25_usize), any::<u64>()).prop_map(
        |((kind, metric, values, naming), ((m, dsub), nlist, rows), (queries, k, nprobe), seed)| Case {
            kind,
            metric,
            values,
            naming,
            m,
            dsub,
            nlist,
            rows,
            queries,
            k,
            nprobe,
            seed,
        },
    )
}

pub struct Random(pub Mt64);

impl Random {
    fn uniform(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1 << 24) as f32
    }

    fn value(&mut self, values: Values) -> f32 {
        let normal = |random: &mut Self| (0..12).map(|_| random.uniform()).sum::<f32>() - 6.0;
        match values {
            Values::Normal => normal(self),
            Values::FarFromOrigin => 1000.0 + normal(self),
            Values::SmallIntegers | Values::FewDistinctRows => (self.uniform() * 9.0).floor() - 4.0,
        }
    }

    pub fn rows(&mut self, values: Values, rows: usize, columns: usize) -> Array2<f32> {
        if values == Values::FewDistinctRows {
            let distinct = Array2::from_shape_simple_fn((4, columns), || self.value(values));
            let chosen: Vec<usize> = (0..rows).map(|_| (self.0.next_u64() % 4) as usize).collect();
            return distinct.select(Axis(0), &chosen);
        }
        Array2::from_shape_simple_fn((rows, columns), || self.value(values))
    }
}

impl Case {
    pub fn dimension(&self) -> usize {
        self.m * self.dsub
    }

    /// An index without rows whose centroids are of the case's values. Nothing is trained, so that k-means has no part
    /// in what these tests find.
    fn empty(&self, random: &mut Random) -> Stored {
        let (dimension, m, nlist) = (self.dimension(), self.m, self.nlist);
        let metric = if self.metric == Metric::L2 { Metric::L2 } else { Metric::InnerProduct };
        let header = faiss::Header { dimension, ntotal: 0, is_trained: true, metric };
        let centroids = random.rows(self.values, nlist, dimension).into_iter().collect();
        // Residuals lie around the origin wherever the vectors lie.
        let residuals = self.kind == Kind::IvfPq { by_residual: true } && self.values == Values::FarFromOrigin;
        let of_codes = if residuals { Values::Normal } else { self.values };
        let codewords = random.rows(of_codes, m << 4, self.dsub).into_iter().collect();
        let codebook = faiss::Codebook { dimension, m, nbits: 4, centroids: codewords };
        let quantizer = faiss::Flat { header: faiss::Header { ntotal: nlist, ..header }, vectors: centroids };
        let quantizer = Box::new(Stored::Flat(quantizer));
        let ivf = faiss::Ivf { header, nprobe: 1, quantizer, direct_map: faiss::DirectMap::None };
        let sizes = vec![0; nlist];
        let stored = match self.kind {
            Kind::Flat => Stored::Flat(faiss::Flat { header, vectors: vec![] }),
            Kind::Pq => {
                let layout = faiss::PqLayout::plain(&codebook);
                Stored::Pq(faiss::Pq { header, codebook, codes: vec![], layout })
            }
            Kind::IvfFlat => {
                let lists = faiss::Lists { sizes, entries: vec![], ids: vec![] };
                Stored::IvfFlat(faiss::IvfFlat { ivf, lists })
            }
            Kind::IvfPq { by_residual } => {
                let lists = faiss::Lists { sizes, entries: vec![], ids: vec![] };
                Stored::IvfPq(faiss::IvfPq { ivf, by_residual, codebook, lists })
            }
        };
        if self.metric == Metric::Cosine { Stored::Normalized(Box::new(stored)) } else { stored }
    }

    fn ids(&self, random: &mut Random) -> Option<Vec<i64>> {
        let ascending = (0..self.rows as i64).map(|row| 7 * row + 1_000_000_000_000);
        match self.naming {
            Naming::Numbers => None,
            Naming::Ascending => Some(ascending.collect()),
            Naming::Descending => Some(ascending.rev().collect()),
            Naming::Random => {
                let mut ids: Vec<i64> = ascending.collect();
                ids.sort_by_cached_key(|_| random.0.next_u64());
                Some(ids)
            }
        }
    }

    pub fn search(&self) -> Search<'static> {
        Search::new(self.k).nprobe(self.nprobe)
    }

    /// The CPU, and every fourth time the GPUs, because software ones are slow.
    pub fn devices(&self) -> Vec<Device> {
        if self.seed.is_multiple_of(4) { devices() } else { vec![Device::cpu()] }
    }

    /// Whether every sum is a whole number that f32 holds exactly.
    pub fn is_exact(&self) -> bool {
        let whole = matches!(self.values, Values::SmallIntegers | Values::FewDistinctRows);
        // The origin that residual distances are taken from is a mean: whole in binary for powers of two.
        whole && self.metric != Metric::Cosine && self.nlist.is_power_of_two()
    }
}

/// A case with its data.
pub struct Built {
    pub case: Case,
    pub empty: Stored,
    pub rows: Array2<f32>,
    pub ids: Option<Vec<i64>>,
    pub queries: Array2<f32>,
}

impl Built {
    pub fn new(case: Case) -> Self {
        let mut random = Random(Mt64::new(case.seed));
        let empty = case.empty(&mut random);
        let rows = random.rows(case.values, case.rows, case.dimension());
        let ids = case.ids(&mut random);
        let mut queries = random.rows(case.values, case.queries, case.dimension());
        if let Some(row) = rows.outer_iter().next() {
            queries.row_mut(0).assign(&row);
        }
        Built { case, empty, rows, ids, queries }
    }

    pub fn index(&self, device: &Device) -> Index {
        let mut index = Index::from_stored(self.empty.clone(), device).unwrap();
        self.add(&mut index, 0, self.rows.nrows());
        index
    }

    pub fn add(&self, index: &mut Index, start: usize, end: usize) {
        let rows = self.rows.slice(s![start..end, ..]);
        match &self.ids {
            Some(ids) => index.add_with_ids(rows, &ids[start..end]).unwrap(),
            None => index.add(rows).unwrap(),
        }
    }
}

/// What stands in an index: the vectors that its entries stand for, by list.
pub struct Contents {
    centroids: Option<Array2<f32>>,
    /// List, identifier, vector.
    entries: Vec<(usize, i64, Vec<f64>)>,
    metric: Metric,
}

#[allow(dead_code, reason = "each test file takes what it needs")]
impl Contents {
    pub fn of(index: &Index) -> Self {
        let mut stored = index.to_stored().unwrap();
        let mut names = None;
        loop {
            stored = match stored {
                Stored::IdMap(map) => {
                    names = Some(map.ids);
                    *map.index
                }
                Stored::Normalized(inner) => *inner,
                stored => break Self::inner(&stored, names, index.metric()),
            }
        }
    }

    fn inner(stored: &Stored, names: Option<Vec<i64>>, metric: Metric) -> Self {
        let header = stored.header();
        let wide = |vector: &[f32]| vector.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let names = names.unwrap_or_else(|| (0..header.ntotal as i64).collect());
        let in_lists = |sizes: &[usize], ids: &[i64]| -> Vec<(usize, i64)> {
            let lists = sizes.iter().enumerate().flat_map(|(list, &size)| std::iter::repeat_n(list, size));
            lists.zip(ids.iter().copied()).collect()
        };
        let centroids = |ivf: &faiss::Ivf| {
            let Stored::Flat(flat) = &*ivf.quantizer else { panic!("its quantizer is flat") };
            Array2::from_shape_vec((flat.header.ntotal, header.dimension), flat.vectors.clone()).unwrap()
        };
        match stored {
            Stored::Flat(flat) => {
                let vectors = flat.vectors.chunks_exact(header.dimension).map(wide);
                let entries = names.into_iter().zip(vectors).map(|(id, vector)| (0, id, vector)).collect();
                Contents { centroids: None, entries, metric }
            }
            Stored::Pq(pq) => {
                let vectors = pq.codes.chunks_exact(pq.codebook.code_size()).map(|code| decode(&pq.codebook, code));
                let entries = names.into_iter().zip(vectors).map(|(id, vector)| (0, id, vector)).collect();
                Contents { centroids: None, entries, metric }
            }
            Stored::IvfFlat(index) => {
                let vectors = index.lists.entries.chunks_exact(header.dimension).map(wide);
                let places = in_lists(&index.lists.sizes, &index.lists.ids);
                let entries = places.into_iter().zip(vectors).map(|((list, id), vector)| (list, id, vector)).collect();
                Contents { centroids: Some(centroids(&index.ivf)), entries, metric }
            }
            Stored::IvfPq(index) => {
                let centroids = centroids(&index.ivf);
                let codes = index.lists.entries.chunks_exact(index.codebook.code_size());
                let places = in_lists(&index.lists.sizes, &index.lists.ids);
                let vector = |list: usize, code| {
                    let mut vector = decode(&index.codebook, code);
                    if index.by_residual {
                        let centroid = centroids.row(list);
                        vector.iter_mut().zip(centroid).for_each(|(value, &part)| *value += f64::from(part));
                    }
                    vector
                };
                let entries = places.into_iter().zip(codes).map(|((list, id), code)| (list, id, vector(list, code)));
                Contents { entries: entries.collect(), centroids: Some(centroids), metric }
            }
            Stored::IdMap(_) | Stored::Normalized(_) | Stored::Transformed(_) => panic!("it was unwrapped"),
        }
    }

    /// The lists that a query visits; none where rounding may decide otherwise.
    fn probed(&self, query: &[f32], nprobe: usize, exact: bool) -> Option<Vec<usize>> {
        let Some(centroids) = &self.centroids else { return Some(vec![0]) };
        let centroids = centroids.as_slice().unwrap();
        let metric = if self.metric == Metric::L2 { Metric::L2 } else { Metric::InnerProduct };
        let order = reference::knn(query, centroids, query.len(), self.nlist(), metric).remove(0);
        if let (false, Some(last), Some(next)) = (exact, order.get(nprobe - 1), order.get(nprobe))
            && (next.1 - last.1).abs() <= 1e-5 * (1.0 + last.1.abs())
        {
            return None;
        }
        Some(order.into_iter().take(nprobe).map(|(list, _)| list as usize).collect())
    }

    /// Whether there are no lists to choose among.
    pub fn is_flat(&self) -> bool {
        self.centroids.is_none()
    }

    fn nlist(&self) -> usize {
        self.centroids.as_ref().map_or(1, Array2::nrows)
    }

    /// Fails unless `found` are the `k` nearest to `query`, in order.
    pub fn check(&self, query: &[f32], found: &[Neighbor], k: usize, nprobe: usize, exact: bool, what: &str) {
        let norm = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        let mut wide: Vec<f64> = query.iter().copied().map(f64::from).collect();
        let length = norm(&wide);
        let mut narrow = query.to_vec();
        if self.metric == Metric::Cosine && length > 0.0 {
            for value in &mut wide {
                *value /= length;
            }
            narrow = wide.iter().map(|&value| value as f32).collect();
        }
        let Some(lists) = self.probed(&narrow, nprobe, exact) else { return };
        let entries: Vec<_> = self.entries.iter().filter(|(list, ..)| lists.contains(list)).collect();
        let scores: HashMap<i64, (f64, f64)> = entries
            .iter()
            .map(|(_, id, vector)| {
                let pairs = || wide.iter().zip(vector);
                let score = match self.metric {
                    Metric::L2 => pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>(),
                    Metric::InnerProduct | Metric::Cosine => pairs().map(|(a, b)| a * b).sum(),
                };
                // Of the sum of the magnitudes of what is summed.
                let size = if self.metric == Metric::L2 { score } else { norm(&wide) * norm(vector) };
                (*id, (score, 1e-5 * size + 1e-9))
            })
            .collect();
        assert_eq!(scores.len(), entries.len(), "{what}: identifiers occur once");
        let sign = if self.metric.larger_is_nearer() { -1.0 } else { 1.0 };
        let mut order: Vec<(f64, i64, f64)> =
            // Adding zero turns -0 into +0.
            scores.iter().map(|(&id, &(score, allowed))| (sign * score + 0.0, id, allowed)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(k);
        assert_eq!(found.len(), order.len(), "{what}: as many as there are");
        for (neighbor, (distance, id, allowed)) in found.iter().zip(&order) {
            let score = f64::from(neighbor.score);
            let own = scores.get(&neighbor.id).unwrap_or_else(|| panic!("{what}: no row {}", neighbor.id));
            assert!((score - own.0).abs() <= own.1, "{what}: {neighbor:?} is {} away", own.0);
            assert!((sign * score - distance).abs() <= allowed + own.1, "{what}: {neighbor:?} for {id} at {distance}");
            assert!(
                !exact || (neighbor.id == *id && (sign * score + 0.0).total_cmp(distance).is_eq()),
                "{what}: {neighbor:?} for {id}"
            );
        }
        for pair in found.windows(2) {
            let place = |neighbor: &Neighbor| (sign * f64::from(neighbor.score) + 0.0, neighbor.id);
            assert!(place(&pair[0]) < place(&pair[1]), "{what}: {pair:?}");
        }
    }

    pub fn check_all(&self, built: &Built, found: &Neighbors, exact: bool, what: &str) {
        assert_eq!(found.queries(), built.queries.nrows(), "{what}");
        for (query, row) in built.queries.outer_iter().zip(found.rows()) {
            self.check(query.as_slice().unwrap(), row, built.case.k, built.case.nprobe, exact, what);
        }
    }
}

/// The vector that a code of 4 bits a sub-quantizer stands for.
#[allow(dead_code, reason = "each test file takes what it needs")]
fn decode(codebook: &faiss::Codebook, code: &[u8]) -> Vec<f64> {
    let dsub = codebook.dimension / codebook.m;
    assert!(codebook.nbits == 4 || codebook.nbits == 8);
    let number = |sub: usize| match codebook.nbits {
        4 => usize::from(code[sub / 2] >> (4 * (sub % 2)) & 15),
        _ => usize::from(code[sub]),
    };
    let codeword = |sub: usize| &codebook.centroids[((sub << codebook.nbits) + number(sub)) * dsub..][..dsub];
    (0..codebook.m).flat_map(codeword).copied().map(f64::from).collect()
}
