//! Operations on rows: distances, scans and selection.

use futures::FutureExt;

use super::{
    EXACT, Planned, Verifier,
    compare::{distance_rounding, neighbors, unequal_neighbors},
    data::{Filed, METRICS, Random, Values},
};
use crate::{
    Device, Metric, Result,
    ops::{
        self, Ranked,
        reference::{self, ProbedLists},
    },
};

/// Queries and the rows they meet.
#[derive(Clone, Copy)]
struct Case {
    queries: usize,
    rows: usize,
    dimension: usize,
    k: usize,
    values: Values,
    metric: Metric,
}

impl Case {
    fn words(self) -> String {
        let Case { queries, rows, dimension, k, values, metric } = self;
        format!("{queries} x {rows} rows of {dimension}, k = {k}, {metric}, {values}")
    }

    fn data(self) -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new((self.rows + self.dimension) as u64);
        let rows = random.numbers(self.rows * self.dimension, self.values);
        (random.numbers(self.queries * self.dimension, self.values), rows)
    }

    /// How wrong `found` are; row `place(id)` is the one that a neighbour names.
    fn error(
        self,
        found: &[Ranked],
        k: usize,
        ranked: &[Vec<(u32, f64)>],
        place: impl Fn(u32) -> u32,
        (queries, rows): (&[f32], &[f32]),
    ) -> f64 {
        if self.values.exact() {
            return unequal_neighbors(found, k, ranked);
        }
        let row = |data: &[f32], index: usize| data[index * self.dimension..][..self.dimension].to_vec();
        neighbors(found, k, ranked, |query, id| {
            distance_rounding(&row(queries, query), &row(rows, place(id) as usize), self.metric)
        })
    }
}

/// Shapes: queries, rows, dimension, k, values.
const SHAPES: [(usize, usize, usize, usize, Values); 10] = [
    (1, 1, 1, 1, Values::Uniform),
    (5, 3, 2, 10, Values::Integers),
    (3, 700, 33, 10, Values::Uniform),
    (2, 600, 7, 300, Values::Integers),
    (70, 90, 100, 5, Values::Far),
    (9, 130, 3, 40, Values::Duplicates),
    (4, 257, 129, 1, Values::Uniform),
    (130, 190, 8, 12, Values::Duplicates),
    (68, 400, 65, 9, Values::Uniform),
    (3, 5000, 2, 300, Values::Duplicates),
];

/// Shapes of which cooperative matrices choose the candidates, where a device has them.
const MATRIX_SHAPES: [(usize, usize, usize, usize, Values); 3] =
    [(66, 8193, 33, 10, Values::Uniform), (130, 8500, 64, 3, Values::Far), (70, 9000, 40, 100, Values::Duplicates)];

fn matrix_checks(device: &Device) -> impl Iterator<Item = Planned<'_>> {
    MATRIX_SHAPES.into_iter().flat_map(|(queries, rows, dimension, k, values)| {
        let knn_case = Case { queries, rows, dimension, k, values, metric: Metric::L2 };
        let nearest_case = Case { queries: rows, rows: queries, k: 1, ..knn_case };
        let planned = |operation, case: Case, worst_error| Planned {
            operation,
            shape: case.words(),
            tolerance: values.tolerance(),
            worst_error,
        };
        let product_case = Case { metric: Metric::InnerProduct, ..knn_case };
        [
            planned("knn", knn_case, knn(device, knn_case).boxed()),
            planned("knn", product_case, knn(device, product_case).boxed()),
            planned("nearest", nearest_case, nearest(device, nearest_case).boxed()),
        ]
    })
}

fn cases() -> impl Iterator<Item = Case> {
    SHAPES.into_iter().flat_map(|(queries, rows, dimension, k, values)| {
        METRICS.into_iter().map(move |metric| Case { queries, rows, dimension, k, values, metric })
    })
}

pub(super) async fn check(verifier: &mut Verifier<'_>) -> Result<()> {
    let device = &verifier.device.clone();
    for case in cases() {
        verifier.run(checks(device, case)).await?;
    }
    verifier.run(matrix_checks(device).collect()).await?;
    for shape in [(1, 1, 3), (3, 1000, 10), (2, 700, 300), (40, 5, 8), (2, 5000, 2), (2, 9000, 700)] {
        for values in [Values::Uniform, Values::Duplicates] {
            verifier.run(vec![selection(device, shape, values)]).await?;
        }
    }
    Ok(())
}

/// Every kernel once, more or less: by products and by differences, few and many to select, more than queues hold.
pub(super) fn brief(device: &Device) -> Vec<Planned<'_>> {
    let shapes =
        [(3, 700, 33, 10, Values::Uniform), (130, 190, 8, 12, Values::Duplicates), (68, 400, 65, 1, Values::Uniform)];
    let cases = shapes.into_iter().flat_map(|(queries, rows, dimension, k, values)| {
        METRICS.map(|metric| Case { queries, rows, dimension, k, values, metric })
    });
    let (queries, rows, dimension, k, values) = SHAPES[SHAPES.len() - 1];
    let many = Case { queries, rows, dimension, k, values, metric: Metric::L2 };
    let selections =
        [selection(device, (2, 5000, 300), Values::Duplicates), selection(device, (2, 5000, 2), Values::Uniform)];
    // Of the first shape.
    let by_matrices = matrix_checks(device).take(3).filter(|_| device.multiplies_matrices());
    cases.chain([many]).flat_map(|case| checks(device, case)).chain(selections).chain(by_matrices).collect()
}

fn checks(device: &Device, case: Case) -> Vec<Planned<'_>> {
    let planned = |operation, words: &str, worst_error| Planned {
        operation,
        shape: case.words() + words,
        tolerance: case.values.tolerance(),
        worst_error,
    };
    vec![
        planned("nearest", "", nearest(device, case).boxed()),
        planned("knn", "", knn(device, case).boxed()),
        planned("knn_among", "", knn_among(device, case).boxed()),
        planned("flat_scan", "", flat_scan(device, case, false, false).boxed()),
        planned("flat_scan", ", masked", flat_scan(device, case, false, true).boxed()),
        planned("flat_scan", ", rounded first", flat_scan(device, case, true, false).boxed()),
        planned("flat_scan", ", rounded first, masked", flat_scan(device, case, true, true).boxed()),
        planned("rerank", "", rerank(device, case, false).boxed()),
        planned("rerank", ", rows out of order", rerank(device, case, true).boxed()),
    ]
}

fn selection(device: &Device, (rows, columns, k): (usize, usize, usize), values: Values) -> Planned<'_> {
    Planned {
        operation: "select",
        shape: format!("{k} of {rows} rows of {columns}, {values}"),
        tolerance: EXACT,
        worst_error: select(device, rows, columns, k, values).boxed(),
    }
}

async fn nearest(device: &Device, case: Case) -> Result<f64> {
    let (rows, centroids) = case.data();
    let mut work = device.work();
    let uploaded = device.upload(rows.clone(), case.dimension)?;
    let nearest = ops::nearest(&mut work, &uploaded, &device.upload(centroids.clone(), case.dimension)?, case.metric)?;
    let labels = work.read(nearest.labels).await?;
    let distances = device.work().read(nearest.distances).await?;
    let found: Vec<_> =
        distances.into_iter().zip(labels).map(|(distance, label)| Ranked::new(distance, label)).collect();
    let ranked = reference::knn(&rows, &centroids, case.dimension, usize::MAX, case.metric);
    Ok(case.error(&found, 1, &ranked, |id| id, (&rows, &centroids)))
}

async fn knn(device: &Device, case: Case) -> Result<f64> {
    let (queries, rows) = case.data();
    let mut work = device.work();
    let uploaded = device.upload(queries.clone(), case.dimension)?;
    let base = device.upload(rows.clone(), case.dimension)?;
    let found = ops::knn(&mut work, &uploaded, &base, case.k, case.metric)?;
    let found = work.read(found).await?;
    let ranked = reference::knn(&queries, &rows, case.dimension, usize::MAX, case.metric);
    Ok(case.error(&found, case.k, &ranked, |id| id, (&queries, &rows)))
}

async fn knn_among(device: &Device, case: Case) -> Result<f64> {
    let (queries, rows) = case.data();
    let is_chosen = |row: usize| !row.is_multiple_of(3);
    let mut work = device.work();
    let uploaded = device.upload(queries.clone(), case.dimension)?;
    let base = device.upload(rows.clone(), case.dimension)?;
    let among = ops::Subset::new(device, case.rows, is_chosen)?;
    let found = ops::knn_among(&mut work, &uploaded, &base, &among, case.k, case.metric)?;
    let found = work.read(found).await?;
    let mut ranked = reference::knn(&queries, &rows, case.dimension, usize::MAX, case.metric);
    for ranked in &mut ranked {
        ranked.retain(|&(row, _)| is_chosen(row as usize));
    }
    Ok(case.error(&found, case.k, &ranked, |id| id, (&queries, &rows)))
}

async fn flat_scan(device: &Device, case: Case, rounded_first: bool, masked: bool) -> Result<f64> {
    let (queries, rows) = case.data();
    let mut random = Random::new(2);
    // Few lists, where more are wanted than a few lists have of many.
    let nlist = if case.k > 256 { 5 } else { case.rows.div_ceil(50) + 2 };
    let filed = Filed::new(&mut random, case.rows, nlist);
    let nprobe = nlist.min(7);
    let probes = random.candidates(case.queries, nprobe, nlist, case.values);
    let uploaded = device.upload(rows.clone(), case.dimension)?;
    let mut work = device.work();
    let rounded = if rounded_first { Some(ops::round(&mut work, &uploaded, case.metric)?) } else { None };
    let mask = masked.then(|| filed.mask());
    let found = ops::flat_scan(
        &mut work,
        &device.upload(queries.clone(), case.dimension)?,
        &uploaded,
        rounded.as_ref(),
        &filed.masked(device, mask.as_deref())?,
        &device.upload(probes.clone(), nprobe + 1)?,
        case.k,
        case.metric,
    )?;
    let found = work.read(found).await?;
    let lists = ProbedLists {
        offsets: &filed.offsets,
        ids: &filed.ids,
        probes: &probes,
        nprobe: nprobe + 1,
        mask: mask.as_deref(),
    };
    let ranked = reference::flat_scan(&queries, &rows, case.dimension, &lists, usize::MAX, case.metric);
    let positions = filed.positions();
    Ok(case.error(&found, case.k, &ranked, |id| positions[id as usize], (&queries, &rows)))
}

async fn rerank(device: &Device, case: Case, out_of_order: bool) -> Result<f64> {
    let (queries, rows) = case.data();
    let mut random = Random::new(3);
    let per_query = (case.rows / 2).max(1);
    let candidates = random.candidates(case.queries, per_query, case.rows, Values::Uniform);
    let places = out_of_order.then(|| random.distinct(case.rows, case.rows));
    let uploaded = places.clone().map(|places| device.upload(places, 1)).transpose()?;
    let mut work = device.work();
    let found = ops::rerank(
        &mut work,
        &device.upload(queries.clone(), case.dimension)?,
        &device.upload(rows.clone(), case.dimension)?,
        uploaded.as_ref(),
        &device.upload(candidates.clone(), per_query + 1)?,
        case.k,
        case.metric,
    )?;
    let found = work.read(found).await?;
    let places = places.as_deref();
    let (dimension, metric) = (case.dimension, case.metric);
    let ranked = reference::rerank(&queries, &rows, dimension, places, &candidates, per_query + 1, usize::MAX, metric);
    let place = |id: u32| places.map_or(id, |places| places[id as usize]);
    Ok(case.error(&found, case.k, &ranked, place, (&queries, &rows)))
}

async fn select(device: &Device, rows: usize, columns: usize, k: usize, values: Values) -> Result<f64> {
    let data = Random::new(columns as u64).numbers(rows * columns, values);
    let mut work = device.work();
    let found = ops::select(&mut work, &device.upload(data.clone(), columns)?, k)?;
    let found = work.read(found).await?;
    Ok(unequal_neighbors(&found, k, &reference::select(&data, columns, k)))
}
