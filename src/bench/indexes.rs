//! k-means and the indexes as cases.

use std::rc::Rc;

use super::{Amount, Case, NEIGHBORS, Size, Unit, random};
use crate::{
    Device, Index, KMeans, Metric, Result,
    index::{Search, Training},
};

/// Number of cases: k-means, searches of four indexes, adding to one.
pub(super) const COUNT: usize = 6;

/// Iterations of k-means that are measured.
const ITERATIONS: usize = 5;

/// Training rows a centroid. How well an index is trained makes no difference to how fast it is.
const POINTS: usize = 39;

/// k-means and every index on `device`: `kmeans`, `search Flat`, ..., `add IVF64,PQ8`, indexes as factory strings.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) or [`Error::TooFewPoints`](crate::Error::TooFewPoints) for a size
/// that does not fit itself, [`Error::OutOfMemory`](crate::Error::OutOfMemory),
/// [`Error::DeviceLost`](crate::Error::DeviceLost).
pub fn indexes(device: &Device, size: Size) -> Result<Vec<Case>> {
    let Size { rows: n, dimension, nlist, m, nprobe, .. } = size;
    let rows = Rc::new(random(n, dimension, 1));
    let queries = Rc::new(random(size.queries, dimension, 2));

    let on_device = device.matrix(rows.view())?;
    let kmeans = KMeans::new(nlist).iterations(ITERATIONS).max_points_per_centroid(None);
    // Each iteration assigns every row, and so does the objective at the end.
    let amount = Amount::distances((ITERATIONS + 1) * n * nlist, dimension);
    let there = device.clone();
    let mut cases = vec![Case::new("kmeans", amount, move || kmeans.train_on_device(&there, &on_device).map(drop))];

    let codes = format!("PQ{m}");
    let last = format!("IVF{nlist},{codes}");
    for factory in ["Flat".to_owned(), codes, format!("IVF{nlist},Flat"), last.clone()] {
        // Trained on the CPU, so that every device has the same lists.
        let mut index = Index::new(&Device::cpu(), dimension, &factory, Metric::L2)?;
        index.train_with(rows.view(), &Training::default().iterations(2).max_points_per_centroid(POINTS))?;
        index.set_nprobe(nprobe)?;
        let empty = index.to_device(device)?;
        let mut full = empty.clone();
        full.add(rows.view())?;
        let queries = Rc::clone(&queries);
        cases.push(Case::new(format!("search {factory}"), Amount::new(size.queries, Unit::Query), move || {
            full.search_with(queries.view(), &Search::new(NEIGHBORS)).map(drop)
        }));
        if factory == last {
            let rows = Rc::clone(&rows);
            cases.push(Case::new(format!("add {factory}"), Amount::new(n, Unit::Row), move || {
                empty.clone().add(rows.view())
            }));
        }
    }
    Ok(cases)
}
