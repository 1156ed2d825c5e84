//! Some rows of an index that was stored.

use crate::{
    Error, Result,
    storage::faiss::{DirectMap, Flat, Header, IdMap, Ivf, IvfFlat, IvfPq, Lists, Pq, Stored, Transformed},
};

/// The index of the rows of these numbers, in ascending order; they keep their numbers as identifiers. Centroids and
/// codebooks stay those of the whole.
pub(super) fn part(stored: &Stored, numbers: &[u32]) -> Result<Stored> {
    let ids = || numbers.iter().map(|&number| i64::from(number)).collect();
    let mapped = |index| Stored::IdMap(IdMap { index: Box::new(index), ids: ids(), two_way: false });
    let ntotal = numbers.len();
    match stored {
        Stored::Flat(flat) => {
            let header = Header { ntotal, ..flat.header };
            let vectors = rows(&flat.vectors, header.dimension, numbers);
            Ok(mapped(Stored::Flat(Flat { header, vectors })))
        }
        Stored::Pq(pq) => {
            let header = Header { ntotal, ..pq.header };
            let codes = rows(&pq.codes, pq.codebook.code_size(), numbers);
            Ok(mapped(Stored::Pq(Pq { header, codes, ..pq.clone() })))
        }
        Stored::IvfFlat(index) => Ok(Stored::IvfFlat(IvfFlat {
            ivf: ivf(&index.ivf, ntotal),
            lists: lists(&index.lists, index.ivf.header.dimension, numbers),
        })),
        Stored::IvfPq(index) => Ok(Stored::IvfPq(IvfPq {
            ivf: ivf(&index.ivf, ntotal),
            by_residual: index.by_residual,
            codebook: index.codebook.clone(),
            lists: lists(&index.lists, index.codebook.code_size(), numbers),
        })),
        Stored::Transformed(whole) => {
            let (transform, index) = (whole.transform.clone(), Box::new(part(&whole.index, numbers)?));
            Ok(Stored::Transformed(Transformed { normalized: whole.normalized, transform, index }))
        }
        // Identifiers that are the rows' numbers say nothing.
        Stored::IdMap(map) if map.ids.iter().enumerate().all(|(row, &id)| id == row as i64) => {
            part(&map.index, numbers)
        }
        Stored::IdMap(_) | Stored::Normalized(_) => {
            let message = "an index of a library has neither identifiers nor a normalisation of its own".to_owned();
            Err(Error::Format { offset: 0, message })
        }
    }
}

fn ivf(whole: &Ivf, ntotal: usize) -> Ivf {
    let header = Header { ntotal, ..whole.header };
    Ivf { header, direct_map: DirectMap::None, ..whole.clone() }
}

fn rows<T: Copy>(all: &[T], columns: usize, numbers: &[u32]) -> Vec<T> {
    let row = |&number: &u32| all.get(number as usize * columns..(number as usize + 1) * columns).unwrap_or_default();
    numbers.iter().flat_map(row).copied().collect()
}

fn lists<T: Copy>(whole: &Lists<T>, columns: usize, numbers: &[u32]) -> Lists<T> {
    let mut part = Lists { sizes: Vec::new(), entries: Vec::new(), ids: Vec::new() };
    let mut start = 0;
    for &size in &whole.sizes {
        let before = part.ids.len();
        for place in start..start + size {
            let id = whole.ids[place];
            if u32::try_from(id).is_ok_and(|id| numbers.binary_search(&id).is_ok()) {
                part.ids.push(id);
                part.entries.extend(&whole.entries[place * columns..(place + 1) * columns]);
            }
        }
        part.sizes.push(part.ids.len() - before);
        start += size;
    }
    part
}
