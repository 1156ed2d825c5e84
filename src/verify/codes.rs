//! Operations on product-quantizer codes.

use std::sync::Arc;

use futures::FutureExt;

use super::{
    EXACT, Planned, Verifier,
    compare::{codes, neighbors, numbers, rounding, unequal, unequal_neighbors},
    data::{Filed, Random, Values},
};
use crate::{
    Device, Result, Work,
    ops::{
        self, Codebook, Places, PqCodes, Ranked, Table,
        reference::{self, Codewords, ProbedLists},
    },
};

/// Sub-quantizers, bits, dimension of a subvector, entries, lists, k.
const SHAPES: [(usize, usize, usize, usize, usize, usize); 10] = [
    (1, 4, 1, 1, 1, 1),
    (4, 8, 3, 60, 9, 10),
    (3, 5, 12, 500, 4, 300),
    (7, 6, 20, 90, 40, 200),
    (9, 4, 5, 300, 1, 5),
    (33, 7, 1, 30, 3, 20),
    // Look-ups by sixteens, with and without others; tables that fit no workgroup memory at once.
    (16, 8, 1, 6000, 4, 300),
    (41, 4, 16, 200, 9, 20),
    (21, 8, 2, 90, 5, 10),
    (128, 8, 8, 40, 3, 5),
];

/// Those of codes that many queries are scanned side by side for: four, or two where workgroup memory is small, and in parts.
const LONG_LISTS: [(usize, usize, usize, usize, usize, usize); 2] =
    [(16, 8, 1, 33_000, 1, 100), (48, 6, 1, 33_000, 1, 60)];

const VALUES: [Values; 4] = [Values::Uniform, Values::Integers, Values::Far, Values::Duplicates];

const QUERIES: usize = 3;

/// Queries of a long list.
const MANY_QUERIES: usize = 33;

/// Codes in lists, and queries.
struct Data {
    values: Values,
    m: usize,
    nbits: usize,
    k: usize,
    nlist: usize,
    codewords: Vec<f32>,
    centroids: Vec<f32>,
    origin: Vec<f32>,
    queries: Vec<f32>,
    rows: Vec<f32>,
    codes: Vec<u32>,
    filed: Filed,
}

impl Data {
    fn new(shape: (usize, usize, usize, usize, usize, usize), values: Values) -> Self {
        Self::with_queries(shape, values, QUERIES)
    }

    fn with_queries(
        (m, nbits, dsub, entries, nlist, k): (usize, usize, usize, usize, usize, usize),
        values: Values,
        count: usize,
    ) -> Self {
        let mut random = Random::new((m + nbits) as u64);
        let dimension = m * dsub;
        // Residuals are small wherever the rows lie.
        let small = if values.exact() { values } else { Values::Uniform };
        let codewords = random.numbers((m << nbits) * dsub, small);
        let book = Codewords { centroids: &codewords, m, nbits };
        let numbers: Vec<u32> = random.below(entries * m, 1 << nbits);
        let pack = |numbers: &[u32]| book.pack(&numbers.iter().map(|&number| number as usize).collect::<Vec<_>>());
        let codes = numbers.chunks(m).flat_map(pack).collect();
        Data {
            centroids: random.numbers(nlist * dimension, values),
            origin: random.numbers(dimension, values),
            queries: random.numbers(count * dimension, values),
            rows: random.numbers(entries * dimension, values),
            filed: Filed::new(&mut random, entries, nlist),
            values,
            m,
            nbits,
            k,
            nlist,
            codewords,
            codes,
        }
    }

    fn words(&self) -> String {
        let Data { m, nbits, k, nlist, values, .. } = self;
        let (entries, dimension) = (self.filed.ids.len(), self.book().dimension());
        format!("{entries} codes of PQ{m}x{nbits} in {nlist} lists, dimension {dimension}, k = {k}, {values}")
    }

    fn book(&self) -> Codewords<'_> {
        Codewords { centroids: &self.codewords, m: self.m, nbits: self.nbits }
    }

    fn codebook(&self, device: &Device) -> Result<Codebook> {
        Codebook::new(device.upload(self.codewords.clone(), self.book().dsub())?, self.m, self.nbits)
    }

    fn interleaved(&self, device: &Device, work: &mut Work, codebook: &Codebook) -> Result<PqCodes> {
        ops::pq_interleave(work, &device.upload(self.codes.clone(), codebook.words())?, codebook)
    }

    fn upload(&self, device: &Device, rows: &[f32]) -> Result<crate::DeviceArray<f32>> {
        device.upload(rows.to_vec(), self.book().dimension())
    }

    /// How wrong numbers are whose sums have the terms `terms`.
    fn error<I: Iterator<Item = f64>>(&self, found: &[f32], expected: &[f64], terms: impl Fn(usize) -> I) -> f64 {
        if self.values.exact() {
            let expected: Vec<f32> = expected.iter().map(|&value| value as f32).collect();
            return unequal(found, &expected);
        }
        let bounds: Vec<f64> = (0..expected.len()).map(|index| rounding(terms(index))).collect();
        numbers(found, expected, &bounds)
    }

    /// How wrong the neighbours found are, if distances have the terms `terms`.
    fn neighbor_error<I: Iterator<Item = f64>>(
        &self,
        found: &[Ranked],
        k: usize,
        ranked: &[Vec<(u32, f64)>],
        terms: impl Fn(usize, u32) -> I,
    ) -> f64 {
        if self.values.exact() {
            return unequal_neighbors(found, k, ranked);
        }
        neighbors(found, k, ranked, |query, id| rounding(terms(query, id)))
    }
}

pub(super) async fn check(verifier: &mut Verifier<'_>) -> Result<()> {
    let device = &verifier.device.clone();
    for shape in SHAPES {
        for values in VALUES {
            verifier.run(checks(device, Data::new(shape, values))).await?;
        }
    }
    for shape in LONG_LISTS {
        for values in [Values::Uniform, Values::Duplicates] {
            verifier.run(vec![scan_of_long_list(device, shape, values)]).await?;
        }
    }
    Ok(())
}

/// Codes of 8 and of 4 bits.
pub(super) fn brief(device: &Device) -> Vec<Planned<'_>> {
    let data = [Data::new((16, 8, 4, 700, 4, 30), Values::Uniform), Data::new((9, 4, 5, 300, 3, 5), Values::Integers)];
    let long = scan_of_long_list(device, LONG_LISTS[0], Values::Uniform);
    data.into_iter().flat_map(|data| checks(device, data)).chain([long]).collect()
}

/// Many queries' scan of a list.
fn scan_of_long_list(
    device: &Device,
    shape: (usize, usize, usize, usize, usize, usize),
    values: Values,
) -> Planned<'_> {
    let data = Arc::new(Data::with_queries(shape, values, MANY_QUERIES));
    let (shape, tolerance) = (format!("{} for {MANY_QUERIES} queries", data.words()), values.tolerance());
    Planned { operation: "pq_scan", shape, tolerance, worst_error: pq_scan(device, data, false, false).boxed() }
}

fn checks(device: &Device, data: Data) -> Vec<Planned<'_>> {
    let data = Arc::new(data);
    let (words, tolerance) = (data.words(), data.values.tolerance());
    let planned = |operation, more: &str, worst_error| {
        let tolerance = if operation == "pq_interleave" { EXACT } else { tolerance };
        Planned { operation, shape: words.clone() + more, tolerance, worst_error }
    };
    let shared = || Arc::clone(&data);
    vec![
        planned("pq_encode", "", pq_encode(device, shared(), false).boxed()),
        planned("pq_encode", ", of residuals", pq_encode(device, shared(), true).boxed()),
        planned("pq_interleave", "", pq_interleave(device, shared()).boxed()),
        planned("pq_terms", "", pq_terms(device, shared()).boxed()),
        planned("pq_tables", ", l2", pq_tables(device, shared(), Kind::L2).boxed()),
        planned("pq_tables", ", ip", pq_tables(device, shared(), Kind::InnerProduct).boxed()),
        planned("pq_tables", ", of residuals", pq_tables(device, shared(), Kind::Residual).boxed()),
        planned("pq_scan", "", pq_scan(device, shared(), false, false).boxed()),
        planned("pq_scan", ", masked", pq_scan(device, shared(), false, true).boxed()),
        planned("pq_scan", ", of residuals", pq_scan(device, shared(), true, false).boxed()),
        planned("pq_scan", ", of residuals, masked", pq_scan(device, shared(), true, true).boxed()),
        planned("pq_rerank", "", pq_rerank(device, shared()).boxed()),
    ]
}

async fn pq_encode(device: &Device, data: Arc<Data>, residual: bool) -> Result<f64> {
    let labels = data.filed.labels();
    let centroids = data.upload(device, &data.centroids)?;
    let uploaded = device.upload(labels.clone(), 1)?;
    let mut work = device.work();
    let found = ops::pq_encode(
        &mut work,
        &data.upload(device, &data.rows)?,
        &data.codebook(device)?,
        residual.then_some((&centroids, &uploaded)),
    )?;
    let found = work.read(found).await?;
    let book = data.book();
    if data.values.exact() {
        let residual = residual.then_some((&data.centroids[..], &labels[..]));
        return Ok(unequal(&found, &reference::pq_encode(&data.rows, &book, residual)));
    }
    let (dimension, dsub) = (book.dimension(), book.dsub());
    let distance = |row: usize, sub: usize, code: usize| {
        let centroid = residual.then(|| &data.centroids[labels[row] as usize * dimension..][..dimension]);
        let pairs = book.centroid(sub, code).iter().enumerate().map(|(i, &y)| {
            let column = sub * dsub + i;
            let origin = centroid.map_or(0.0, |centroid| f64::from(centroid[column]));
            (f64::from(data.rows[row * dimension + column]) - origin, f64::from(y))
        });
        let terms = pairs.clone().map(|(x, y)| (x.abs() + y.abs()).powi(2));
        (pairs.map(|(x, y)| (x - y) * (x - y)).sum(), rounding(terms))
    };
    Ok(codes(&found, labels.len(), &book, distance))
}

/// Codes come back as they went in.
async fn pq_interleave(device: &Device, data: Arc<Data>) -> Result<f64> {
    let rows = device.upload(data.codes.clone(), data.book().words())?;
    let mut work = device.work();
    let codes = ops::pq_interleave(&mut work, &rows, &data.codebook(device)?)?;
    let rows = codes.rows(&mut work)?;
    Ok(unequal(&work.read(rows).await?, &data.codes))
}

async fn pq_terms(device: &Device, data: Arc<Data>) -> Result<f64> {
    let labels = data.filed.labels();
    let book = data.book();
    let mut work = device.work();
    let found = ops::pq_terms(
        &mut work,
        &device.upload(data.codes.clone(), book.words())?,
        &data.codebook(device)?,
        &data.upload(device, &data.centroids)?,
        &device.upload(labels.clone(), 1)?,
        &data.upload(device, &data.origin)?,
    )?;
    let found = work.read(found).await?;
    let expected = reference::pq_terms(&data.codes, &book, &data.centroids, &labels, &data.origin);
    let dimension = book.dimension();
    Ok(data.error(&found, &expected, |index| {
        let residual = book.decode(&data.codes[index * book.words()..][..book.words()]);
        let centroid = &data.centroids[labels[index] as usize * dimension..][..dimension];
        residual.into_iter().zip(centroid).zip(&data.origin).map(|((r, &c), &o)| {
            let (r, c, o) = (f64::from(r), f64::from(c), f64::from(o));
            r * r + 2.0 * ((c - o) * r).abs()
        })
    }))
}

#[derive(Clone, Copy)]
enum Kind {
    L2,
    InnerProduct,
    Residual,
}

async fn pq_tables(device: &Device, data: Arc<Data>, kind: Kind) -> Result<f64> {
    let data = &*data;
    let origin = data.upload(device, &data.origin)?;
    let (table, squared, reference_origin) = match kind {
        Kind::L2 => (Table::L2, true, None),
        Kind::InnerProduct => (Table::InnerProduct, false, None),
        Kind::Residual => (Table::Residual(&origin), false, Some(&data.origin[..])),
    };
    let mut work = device.work();
    let found = ops::pq_tables(&mut work, &data.upload(device, &data.queries)?, &data.codebook(device)?, table)?;
    let found = work.read(found).await?;
    let book = data.book();
    let expected = reference::pq_tables(&data.queries, &book, squared, reference_origin);
    let columns = book.m << book.nbits;
    Ok(data.error(&found, &expected, |index| {
        let (query, sub, code) = (index / columns, (index % columns) >> book.nbits, index % (1 << book.nbits));
        let first = sub * book.dsub();
        book.centroid(sub, code).iter().enumerate().map(move |(i, &y)| {
            let (q, y) = (f64::from(data.queries[query * book.dimension() + first + i]), f64::from(y));
            match kind {
                Kind::L2 => (q - y) * (q - y),
                Kind::InnerProduct => q * y,
                Kind::Residual => 2.0 * (q - f64::from(data.origin[first + i])) * y,
            }
        })
    }))
}

async fn pq_scan(device: &Device, data: Arc<Data>, residual: bool, masked: bool) -> Result<f64> {
    let book = data.book();
    let columns = book.m << book.nbits;
    let mut random = Random::new(11);
    let count = data.queries.len() / book.dimension();
    let tables = random.numbers(count * columns, data.values);
    let terms = residual.then(|| random.numbers(data.filed.ids.len(), data.values));
    let nprobe = data.nlist.min(6);
    let probes = random.candidates(count, nprobe, data.nlist, data.values);
    let uploaded = terms.clone().map(|terms| device.upload(terms, 1)).transpose()?;
    let mut work = device.work();
    let codebook = data.codebook(device)?;
    let codes = data.interleaved(device, &mut work, &codebook)?;
    let mask = masked.then(|| data.filed.mask());
    let found = ops::pq_scan(
        &mut work,
        &device.upload(tables.clone(), columns)?,
        &codebook,
        &codes,
        &data.filed.masked(device, mask.as_deref())?,
        uploaded.as_ref(),
        &device.upload(probes.clone(), nprobe + 1)?,
        residual,
        data.k,
    )?;
    let found = work.read(found).await?;
    let lists = ProbedLists {
        offsets: &data.filed.offsets,
        ids: &data.filed.ids,
        probes: &probes,
        nprobe: nprobe + 1,
        mask: mask.as_deref(),
    };
    let terms = terms.as_deref();
    let ranked = reference::pq_scan(&tables, &book, &data.codes, terms, &lists, residual, usize::MAX);
    let (positions, labels) = (data.filed.positions(), data.filed.labels());
    Ok(data.neighbor_error(&found, data.k, &ranked, |query, id| {
        let entry = positions[id as usize] as usize;
        let numbers = book.unpack(&data.codes[entry * book.words()..][..book.words()]);
        let table = &tables[query * columns..][..columns];
        let parts = numbers.into_iter().enumerate().map(|(sub, code)| f64::from(table[(sub << book.nbits) + code]));
        let probes = &probes[query * (nprobe + 1)..][..nprobe];
        let base = probes.iter().find(|probe| probe.id() == labels[entry]).map_or(0.0, |probe| probe.distance());
        let term = terms.map_or(0.0, |terms| terms[entry]);
        parts.chain([f64::from(base), f64::from(term)])
    }))
}

async fn pq_rerank(device: &Device, data: Arc<Data>) -> Result<f64> {
    let book = data.book();
    let entries = data.filed.ids.len();
    let per_query = data.k.min(entries) + 1;
    let candidates = Random::new(12).candidates(QUERIES, per_query - 1, entries, data.values);
    let positions = data.filed.positions();
    let mut work = device.work();
    let codebook = data.codebook(device)?;
    let codes = data.interleaved(device, &mut work, &codebook)?;
    let found = ops::pq_rerank(
        &mut work,
        &data.upload(device, &data.queries)?,
        &codebook,
        &codes,
        &data.filed.on(device)?,
        Places::Known(&device.upload(positions.clone(), 1)?),
        &data.upload(device, &data.centroids)?,
        &device.upload(candidates.clone(), per_query)?,
    )?;
    let found = work.read(found).await?;
    let ranked = reference::pq_rerank(
        &data.queries,
        &book,
        &data.codes,
        &data.filed.offsets,
        &positions,
        &data.centroids,
        &candidates,
        per_query,
    );
    let (labels, dimension) = (data.filed.labels(), book.dimension());
    Ok(data.neighbor_error(&found, per_query, &ranked, |query, id| {
        let entry = positions[id as usize] as usize;
        let residual = book.decode(&data.codes[entry * book.words()..][..book.words()]);
        let query = &data.queries[query * dimension..][..dimension];
        let centroid = &data.centroids[labels[entry] as usize * dimension..][..dimension];
        residual.into_iter().zip(query).zip(centroid).map(|((r, &q), &c)| {
            let (r, q, c) = (f64::from(r), f64::from(q), f64::from(c));
            ((q - c).abs() + r.abs()).powi(2)
        })
    }))
}
