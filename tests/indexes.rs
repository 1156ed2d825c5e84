//! Every kind of index finds what the plainest search in f64 finds, whatever the shapes, the values and the device.

mod common;

use std::collections::HashMap;

use cellprobe::{
    Device, FlatIndex, Index, IvfFlatIndex, IvfPqIndex, Metric, Neighbor, Neighbors, PqIndex, Search,
    ops::reference,
    storage::faiss::{self, Stored},
};
use common::devices;
use ndarray::{Array2, ArrayView2, Axis, s};
use proptest::prelude::*;
use rand_mt::Mt64;

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// What the values of a case are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    Normal,
    FarFromOrigin,
    SmallIntegers,
    FewDistinctRows,
}

#[derive(Clone, Copy, Debug)]
enum Naming {
    Numbers,
    Ascending,
    Descending,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
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
struct Case {
    kind: Kind,
    metric: Metric,
    values: Values,
    naming: Naming,
    m: usize,
    dsub: usize,
    nlist: usize,
    rows: usize,
    queries: usize,
    k: usize,
    nprobe: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
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

struct Random(Mt64);

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

    fn rows(&mut self, values: Values, rows: usize, columns: usize) -> Array2<f32> {
        if values == Values::FewDistinctRows {
            let distinct = Array2::from_shape_simple_fn((4, columns), || self.value(values));
            let chosen: Vec<usize> = (0..rows).map(|_| (self.0.next_u64() % 4) as usize).collect();
            return distinct.select(Axis(0), &chosen);
        }
        Array2::from_shape_simple_fn((rows, columns), || self.value(values))
    }
}

impl Case {
    fn dimension(&self) -> usize {
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

    fn search(&self) -> Search<'static> {
        Search::new(self.k).nprobe(self.nprobe)
    }

    /// Whether every sum is a whole number that f32 holds exactly.
    fn is_exact(&self) -> bool {
        let whole = matches!(self.values, Values::SmallIntegers | Values::FewDistinctRows);
        // The origin that residual distances are taken from is a mean: whole in binary for powers of two.
        whole && self.metric != Metric::Cosine && self.nlist.is_power_of_two()
    }
}

/// A case with its data.
struct Built {
    case: Case,
    empty: Stored,
    rows: Array2<f32>,
    ids: Option<Vec<i64>>,
    queries: Array2<f32>,
}

impl Built {
    fn new(case: Case) -> Self {
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

    fn index(&self, device: &Device) -> Index {
        let mut index = Index::from_stored(self.empty.clone(), device).unwrap();
        self.add(&mut index, 0, self.rows.nrows());
        index
    }

    fn add(&self, index: &mut Index, start: usize, end: usize) {
        let rows = self.rows.slice(s![start..end, ..]);
        match &self.ids {
            Some(ids) => index.add_with_ids(rows, &ids[start..end]).unwrap(),
            None => index.add(rows).unwrap(),
        }
    }
}

/// What stands in an index: the vectors that its entries stand for, by list.
struct Contents {
    centroids: Option<Array2<f32>>,
    /// List, identifier, vector.
    entries: Vec<(usize, i64, Vec<f64>)>,
    metric: Metric,
}

impl Contents {
    fn of(index: &Index) -> Self {
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
            Stored::IdMap(_) | Stored::Normalized(_) => panic!("it was unwrapped"),
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

    fn nlist(&self) -> usize {
        self.centroids.as_ref().map_or(1, Array2::nrows)
    }

    /// Fails unless `found` are the `k` nearest to `query`, in order.
    fn check(&self, query: &[f32], found: &[Neighbor], k: usize, nprobe: usize, exact: bool, what: &str) {
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

    fn check_all(&self, built: &Built, found: &Neighbors, exact: bool, what: &str) {
        assert_eq!(found.queries(), built.queries.nrows(), "{what}");
        for (query, row) in built.queries.outer_iter().zip(found.rows()) {
            self.check(query.as_slice().unwrap(), row, built.case.k, built.case.nprobe, exact, what);
        }
    }
}

/// The vector that a code of 4 bits a sub-quantizer stands for.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nearest_are_found(case in cases()) {
        let built = Built::new(case);
        let exact = built.case.is_exact();
        for device in &devices() {
            let index = built.index(device);
            prop_assert_eq!(index.ntotal(), built.rows.nrows());
            let found = index.search_with(built.queries.view(), &built.case.search()).unwrap();
            Contents::of(&index).check_all(&built, &found, exact, &format!("{device:?}"));
        }
    }

    #[test]
    fn an_index_keeps_its_answers_on_another_device(case in cases()) {
        let built = Built::new(case);
        let search = built.case.search();
        let index = built.index(&Device::cpu());
        let contents = Contents::of(&index);
        let before = index.search_with(built.queries.view(), &search).unwrap();
        for device in &devices()[1..] {
            let moved = index.to_device(device).unwrap();
            let found = moved.search_with(built.queries.view(), &search).unwrap();
            contents.check_all(&built, &found, built.case.is_exact(), &format!("{device:?}"));
            let back = moved.to_device(&Device::cpu()).unwrap();
            prop_assert_eq!(&back.search_with(built.queries.view(), &search).unwrap(), &before);
        }
    }

    #[test]
    fn neither_batches_nor_pieces_nor_repetition_change_a_bit(case in cases(), cut in 0.0..1.0_f64) {
        let built = Built::new(case);
        let search = built.case.search();
        for device in &devices() {
            let index = built.index(device);
            let found = index.search_with(built.queries.view(), &search).unwrap();
            prop_assert_eq!(&index.search_with(built.queries.view(), &search).unwrap(), &found, "again on {:?}", device);

            for (number, query) in built.queries.axis_chunks_iter(Axis(0), 1).enumerate() {
                let alone = index.search_with(query, &search).unwrap();
                prop_assert_eq!(alone.row(0), found.row(number), "query {} alone on {:?}", number, device);
            }

            let mut in_pieces = Index::from_stored(built.empty.clone(), device).unwrap();
            let middle = (built.rows.nrows() as f64 * cut) as usize;
            built.add(&mut in_pieces, 0, middle);
            built.add(&mut in_pieces, middle, middle);
            built.add(&mut in_pieces, middle, built.rows.nrows());
            prop_assert_eq!(in_pieces.to_stored().unwrap(), index.to_stored().unwrap(), "in pieces on {:?}", device);
            prop_assert_eq!(in_pieces.search_with(built.queries.view(), &search).unwrap(), found, "{:?}", device);
        }
    }

    #[test]
    fn reranking_all_candidates_is_exact_search(case in cases()) {
        let built = Built::new(Case { nprobe: 25, ..case });
        let flat = Built::new(Case { kind: Kind::Flat, ..built.case.clone() });
        let flat = Built { rows: built.rows.clone(), queries: built.queries.clone(), ids: built.ids.clone(), ..flat };
        let contents = Contents::of(&flat.index(&Device::cpu()));
        let exact = built.case.is_exact();
        for device in &devices() {
            let index = built.index(device);
            let rows = index.exact_rows(built.rows.view()).unwrap();
            let search = Search::new(built.case.k).nprobe(25).rerank(&rows, 500);
            let found = index.search_with(built.queries.view(), &search).unwrap();
            contents.check_all(&built, &found, exact, &format!("{device:?}"));
        }
    }
}

/// Rows around some centres.
fn clustered(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    let mut random = Random(Mt64::new(seed));
    let centres = random.rows(Values::Normal, 20, columns) * 4.0;
    let noise = random.rows(Values::Normal, rows, columns);
    Array2::from_shape_fn((rows, columns), |(row, column)| centres[[row % 20, column]] + noise[[row, column]])
}

#[test]
fn trained_indexes_of_every_kind_and_metric_find_the_nearest() {
    let rows = clustered(1, 600, 12);
    let queries = clustered(2, 8, 12);
    for metric in METRICS {
        let mut flat = FlatIndex::new(&Device::cpu(), 12, metric).unwrap();
        flat.add(rows.view()).unwrap();
        let truth = flat.search(queries.view(), 10).unwrap();
        for (factory, least) in [("Flat", 1.0), ("IVF10,Flat", 1.0), ("PQ6x4", 0.8), ("IVF10,PQ6x4", 0.8)] {
            for device in &devices() {
                let what = format!("{factory}, {metric} on {device:?}");
                let mut index = Index::new(device, 12, factory, metric).unwrap();
                index.train(rows.view()).unwrap();
                index.add(rows.view()).unwrap();
                index.set_nprobe(10).unwrap();

                let found = index.search(queries.view(), 10).unwrap();
                let contents = Contents::of(&index);
                for (query, row) in queries.outer_iter().zip(found.rows()) {
                    contents.check(query.as_slice().unwrap(), row, 10, 10, false, &what);
                }

                let exact = index.exact_rows(rows.view()).unwrap();
                let found = index.search_with(queries.view(), &Search::new(10).rerank(&exact, 8)).unwrap();
                let shared: usize = found
                    .rows()
                    .zip(truth.rows())
                    .map(|(found, truth)| found.iter().filter(|one| truth.iter().any(|two| two.id == one.id)).count())
                    .sum();
                assert!(shared as f64 >= least * 80.0, "{what}: {shared} of 80");

                let mut again = Index::new(device, 12, factory, metric).unwrap();
                again.train(rows.view()).unwrap();
                again.add(rows.view()).unwrap();
                again.set_nprobe(10).unwrap();
                assert_eq!(again.to_stored().unwrap(), index.to_stored().unwrap(), "{what}: trained again");
            }
        }
    }
}

#[test]
fn a_cosine_index_scores_by_the_cosine_and_leaves_the_rows_alone() {
    let mut rows = clustered(3, 50, 7);
    rows.row_mut(49).fill(0.0);
    let queries = clustered(4, 3, 7);
    let before = (rows.clone(), queries.clone());
    for device in &devices() {
        let mut index = FlatIndex::new(device, 7, Metric::Cosine).unwrap();
        index.add(rows.view()).unwrap();
        let found = index.search(queries.view(), 50).unwrap();
        assert_eq!((&rows, &queries), (&before.0, &before.1), "{device:?}");
        for (query, neighbors) in queries.outer_iter().zip(found.rows()) {
            for neighbor in neighbors {
                let row = rows.row(neighbor.id as usize);
                let product = |a: ndarray::ArrayView1<'_, f32>, b: ndarray::ArrayView1<'_, f32>| {
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
                };
                let norms = (product(query, query) * product(row, row)).sqrt();
                let cosine = if norms > 0.0 { product(query, row) / norms } else { 0.0 };
                assert!((f64::from(neighbor.score) - cosine).abs() < 1e-6, "{device:?}: {neighbor:?}, not {cosine}");
            }
        }
    }
}

#[test]
fn a_clone_goes_its_own_way() {
    let rows = clustered(5, 60, 4);
    for device in &devices() {
        for factory in ["Flat", "PQ2x4", "IVF3,Flat", "IVF3,PQ2x4"] {
            let mut index = Index::new(device, 4, factory, Metric::L2).unwrap();
            index.train(rows.view()).unwrap();
            index.add(rows.slice(s![..30, ..])).unwrap();
            let before = index.to_stored().unwrap();
            let mut clone = index.clone();
            clone.add(rows.slice(s![30.., ..])).unwrap();
            clone.set_nprobe(3).unwrap();
            assert_eq!((index.ntotal(), clone.ntotal()), (30, 60), "{factory} on {device:?}");
            assert_eq!(index.to_stored().unwrap(), before, "{factory} on {device:?}");
        }
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn the_async_forms_give_the_same_and_can_move_between_threads() {
    let rows = clustered(6, 80, 6);
    let queries = clustered(7, 4, 6);
    for device in &devices() {
        let mut flat = FlatIndex::new(device, 6, Metric::L2).unwrap();
        pollster::block_on(is_send(flat.add_async(rows.view(), None))).unwrap();
        let mut pq = PqIndex::new(device, 6, 3, 4, Metric::L2).unwrap();
        pollster::block_on(is_send(pq.train_async(rows.view(), &cellprobe::index::Training::default()))).unwrap();
        pq.add(rows.view()).unwrap();
        let mut lists = IvfFlatIndex::new(device, 6, 4, Metric::L2).unwrap();
        lists.train(rows.view()).unwrap();
        lists.add(rows.view()).unwrap();
        let mut codes = IvfPqIndex::new(device, 6, 4, 3, 4, Metric::L2).unwrap();
        codes.train(rows.view()).unwrap();
        codes.add(rows.view()).unwrap();

        assert_eq!(
            pollster::block_on(is_send(flat.search_async(queries.view(), 5))).unwrap(),
            flat.search(queries.view(), 5).unwrap()
        );
        assert_eq!(
            pollster::block_on(is_send(pq.search_async(queries.view(), 5))).unwrap(),
            pq.search(queries.view(), 5).unwrap()
        );
        assert_eq!(
            pollster::block_on(is_send(lists.search_async(queries.view(), 5))).unwrap(),
            lists.search(queries.view(), 5).unwrap()
        );
        let exact = codes.exact_rows(rows.view()).unwrap();
        let search = Search::new(5).nprobe(2).rerank(&exact, 3);
        let expected = codes.search_with(queries.view(), &search).unwrap();
        let future = is_send(codes.search_with_async(queries.view(), &search));
        let found = std::thread::scope(|scope| scope.spawn(|| pollster::block_on(future)).join()).unwrap().unwrap();
        assert_eq!(found, expected);
        let moved = pollster::block_on(is_send(codes.to_device_async(&Device::cpu()))).unwrap();
        assert_eq!(moved.search(queries.view(), 5).unwrap().ids(), codes.search(queries.view(), 5).unwrap().ids());
        let everywhere: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| codes.search_with(queries.view(), &search))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(everywhere.iter().all(|found| *found == expected), "four threads on {device:?}");
    }
}

#[test]
fn rows_and_queries_may_be_views_of_any_layout() {
    let rows = clustered(8, 40, 5);
    let turned = rows.t().as_standard_layout().into_owned();
    let transposed: ArrayView2<'_, f32> = turned.t();
    for device in &devices() {
        let mut index = FlatIndex::new(device, 5, Metric::Cosine).unwrap();
        index.add(transposed).unwrap();
        let mut plain = FlatIndex::new(device, 5, Metric::Cosine).unwrap();
        plain.add(rows.view()).unwrap();
        let every_other = rows.slice(s![..;2, ..]);
        assert_eq!(index.search(every_other, 3).unwrap(), plain.search(every_other.to_owned().view(), 3).unwrap());
    }
}
