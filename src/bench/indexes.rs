//! k-means and the indexes as cases.

use std::rc::Rc;

use ndarray::{Array2, s};

use super::{Amount, Case, NBITS, NEIGHBORS, Needed, Size, Unit, vectors};
use crate::{
    Device, Index, KMeans, Metric, ProductQuantizer, Result,
    index::{Search, Training},
    quantize,
};

/// Number of cases: two trainings, five indexes searched with many and one with few queries, adding to one and
/// building it.
pub(super) const COUNT: usize = 10;

/// Queries of a search with few.
const FEW: usize = 5;

/// Iterations of k-means that are measured.
const ITERATIONS: usize = 5;

/// Training rows a centroid. How well an index is trained makes no difference to how fast it is.
const POINTS: usize = 39;

/// k-means and every index on `device`: `kmeans`, `train PQ8`, `search Flat`, `search Flat, 5 queries`, ...,
/// `add IVF64,PQ8`, `build IVF64,PQ8`, indexes as factory strings.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) or [`Error::TooFewPoints`](crate::Error::TooFewPoints) for a size
/// that does not fit itself, [`Error::OutOfMemory`](crate::Error::OutOfMemory),
/// [`Error::DeviceLost`](crate::Error::DeviceLost).
pub fn indexes(device: &Device, size: Size) -> Result<Vec<Case>> {
    let Size { rows: n, dimension, nlist, m, nprobe, .. } = size;
    let (rows, queries) = vectors(size);
    let (rows, queries) = (Rc::new(rows), Rc::new(queries));

    let on_device = device.matrix(rows.view())?;
    let kmeans = KMeans::new(nlist).iterations(ITERATIONS).max_points_per_centroid(None);
    // Each iteration assigns every row, and so does the objective at the end.
    let needed = Needed::new((ITERATIONS + 1) * n * nlist, dimension, (2 * ITERATIONS + 1) * n * dimension);
    let there = device.clone();
    let mut cases = vec![Case::new("kmeans", needed.amount(), needed, move || {
        kmeans.train_on_device(&there, &on_device).map(drop)
    })];

    let (there, sample) = (device.clone(), Rc::clone(&rows));
    let options = quantize::Training::default().iterations(ITERATIONS);
    let trained = n.min(256 << NBITS);
    let needed =
        Needed::new(((ITERATIONS + 1) * trained) << NBITS, dimension, (2 * ITERATIONS + 1) * trained * dimension);
    cases.push(Case::new(format!("train PQ{m}"), Amount::new(trained, Unit::Row), needed, move || {
        ProductQuantizer::train(&there, sample.view(), m, NBITS, &options).map(drop)
    }));

    let few = Rc::new(queries.slice(s![..FEW.min(queries.nrows()), ..]).to_owned());
    let (codes, lists) = (format!("PQ{m}"), format!("IVF{nlist},PQ{m}"));
    let short = Training::default().iterations(2).max_points_per_centroid(POINTS);
    for factory in ["Flat".to_owned(), codes, format!("PQ{m}x4"), format!("IVF{nlist},Flat"), lists.clone()] {
        // Trained on the CPU, so that every device has the same lists.
        let mut index = Index::new(&Device::cpu(), dimension, &factory, Metric::L2)?;
        index.train_with(rows.view(), &short)?;
        index.set_nprobe(nprobe)?;
        let empty = index.to_device(device)?;
        let mut full = empty.clone();
        full.add(rows.view())?;
        let full = Rc::new(full);
        let search = |name: String, queries: &Rc<Array2<f32>>| {
            let (full, queries) = (Rc::clone(&full), Rc::clone(queries));
            let needed = search_needs(&factory, size, queries.nrows());
            Case::new(name, Amount::new(queries.nrows(), Unit::Query), needed, move || {
                full.search_with(queries.view(), &Search::new(NEIGHBORS)).map(drop)
            })
        };
        cases.push(search(format!("search {factory}"), &queries));
        if factory == "Flat" {
            cases.push(search(format!("search Flat, {} queries", few.nrows()), &few));
        }
        if factory == lists {
            let rows = Rc::clone(&rows);
            let needed = Needed::new(n * (nlist + (1 << NBITS)), dimension, n * dimension);
            cases.push(Case::new(format!("add {factory}"), Amount::new(n, Unit::Row), needed, move || {
                empty.clone().add(rows.view())
            }));
        }
    }
    let there = device.clone();
    cases.push(Case::new(format!("build {lists}"), Amount::new(n, Unit::Row), Needed::default(), move || {
        let mut index = Index::new(&there, dimension, &lists, Metric::L2)?;
        index.train_with(rows.view(), &short)?;
        index.add(rows.view())
    }));
    Ok(cases)
}

/// What a search needs: distances to what it visits, if lists are of one length, and reading every vector or a query's
/// codes once.
fn search_needs(factory: &str, size: Size, queries: usize) -> Needed {
    let Size { rows, dimension, nlist, m, nprobe, .. } = size;
    let visited = if factory.starts_with("IVF") { rows * nprobe.min(nlist) / nlist.max(1) } else { rows };
    let probing = if factory.starts_with("IVF") { queries * nlist } else { 0 };
    let bits = if factory.ends_with("x4") { 4 } else { NBITS };
    if factory.ends_with("Flat") {
        Needed::new(queries * visited + probing, dimension, rows.min(queries * visited) * dimension)
    } else {
        let tables = queries << bits;
        Needed::new(tables + probing, dimension, queries * visited * m * bits / 32)
    }
}
