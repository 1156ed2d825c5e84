//! Whether contents fit together, asked before they are written.

use super::{
    Codebook, DirectMap, Header, Ivf, Lists, MAX_DEPTH, MAX_DIMENSION, MAX_NBITS, MAX_UNTRAINED_NLIST, PqLayout,
    Stored, Transformed, metric_number,
};
use crate::{Error, Metric, Result};

/// Fails where what would be written could not be read again. `depth` others stand around the index.
pub(super) fn check(stored: &Stored, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::Limit {
            limit: "the depth of nested indexes",
            allowed: MAX_DEPTH as u64,
            asked: depth as u64,
        });
    }
    let header = stored.header();
    match stored {
        Stored::Flat(flat) => {
            check_header(&header)?;
            check_floats("vectors", &flat.vectors, header.ntotal, header.dimension)
        }
        Stored::Pq(pq) => {
            check_header(&header)?;
            check_codebook(&pq.codebook, header.dimension)?;
            check_length("bytes of codes", header.ntotal.saturating_mul(pq.codebook.code_size()), pq.codes.len())?;
            check_layout(&pq.layout, &pq.codebook)
        }
        Stored::IvfFlat(index) => {
            check_ivf(&index.ivf, &index.lists, header.dimension, depth)?;
            check_floats("vectors", &index.lists.entries, header.ntotal, header.dimension)
        }
        Stored::IvfPq(index) => {
            check_codebook(&index.codebook, header.dimension)?;
            check_ivf(&index.ivf, &index.lists, index.codebook.code_size(), depth)
        }
        Stored::IdMap(map) => {
            check_length("identifiers", header.ntotal, map.ids.len())?;
            check(&map.index, depth + 1)
        }
        Stored::Normalized(index) => check(index, depth + 1),
        Stored::Transformed(Transformed { transform, index, .. }) => {
            transform.check()?;
            let (expected, found) = (transform.output_dimension, index.header().dimension);
            if expected != found {
                return Err(Error::Dimension { what: "the index behind a transform", expected, found });
            }
            check(index, depth + 1)
        }
    }
}

/// The first entry of a direct map that points at no place in the lists, and its number.
pub(super) fn stray_entry(map: &DirectMap, sizes: &[usize]) -> Option<(usize, i64)> {
    let strays = |entry: i64| {
        let place = u64::try_from(entry).ok().and_then(|entry| {
            let size = sizes.get(usize::try_from(entry >> 32).ok()?)?;
            Some((entry & u64::from(u32::MAX)) < *size as u64)
        });
        place != Some(true)
    };
    match map {
        DirectMap::None => None,
        DirectMap::Array(entries) => {
            entries.iter().copied().enumerate().find(|&(_, entry)| entry != -1 && strays(entry))
        }
        DirectMap::Hashtable(pairs) => {
            pairs.iter().map(|&(_, entry)| entry).enumerate().find(|&(_, entry)| strays(entry))
        }
    }
}

fn check_header(header: &Header) -> Result<()> {
    if !(1..=MAX_DIMENSION).contains(&header.dimension) {
        return Err(Error::parameter("dimension", header.dimension, format!("1 to {MAX_DIMENSION}")));
    }
    match metric_number(header.metric) {
        Some(_) => Ok(()),
        None => Err(Error::parameter(
            "metric",
            Metric::Cosine,
            "l2 or ip: a cosine index is an inner-product index behind Stored::Normalized",
        )),
    }
}

fn check_codebook(codebook: &Codebook, dimension: usize) -> Result<()> {
    if codebook.dimension != dimension {
        return Err(Error::Dimension { what: "the codebook", expected: dimension, found: codebook.dimension });
    }
    if codebook.m == 0 || !dimension.is_multiple_of(codebook.m) {
        return Err(Error::parameter("m", codebook.m, format!("a divisor of the dimension {dimension}")));
    }
    if !(1..=MAX_NBITS).contains(&codebook.nbits) {
        return Err(Error::parameter("nbits", codebook.nbits, format!("1 to {MAX_NBITS}")));
    }
    check_floats("the codebook", &codebook.centroids, codebook.m << codebook.nbits, dimension / codebook.m)
}

fn check_layout(layout: &PqLayout, codebook: &Codebook) -> Result<()> {
    match *layout {
        PqLayout::Plain { search_type, .. } if !(0..=5).contains(&search_type) => {
            Err(Error::parameter("search_type", search_type, "0 to 5"))
        }
        PqLayout::FastScan { .. } if codebook.nbits != 4 => {
            Err(Error::parameter("nbits", codebook.nbits, "4 for fast scan"))
        }
        PqLayout::FastScan { block_size, .. } if block_size <= 0 || block_size % 32 != 0 => {
            Err(Error::parameter("block_size", block_size, "a multiple of 32"))
        }
        PqLayout::FastScan { query_blocks, .. } if query_blocks < 0 => {
            Err(Error::parameter("query_blocks", query_blocks, "0 or more"))
        }
        PqLayout::Plain { .. } | PqLayout::FastScan { .. } => Ok(()),
    }
}

fn check_ivf<T>(ivf: &Ivf, lists: &Lists<T>, width: usize, depth: usize) -> Result<()> {
    let header = &ivf.header;
    check_header(header)?;
    check(&ivf.quantizer, depth + 1)?;
    let coarse = ivf.quantizer.header();
    if coarse.dimension != header.dimension {
        return Err(Error::Dimension {
            what: "the coarse quantizer",
            expected: header.dimension,
            found: coarse.dimension,
        });
    }
    let nlist = lists.sizes.len();
    let untrained = !header.is_trained && header.ntotal == 0 && coarse.ntotal == 0 && nlist <= MAX_UNTRAINED_NLIST;
    if !untrained {
        check_length("inverted lists", coarse.ntotal, nlist)?;
    }
    let entries = lists.sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    check_length("entries of the inverted lists", header.ntotal, entries)?;
    check_length("items in the inverted lists", header.ntotal.saturating_mul(width), lists.entries.len())?;
    check_length("identifiers in the inverted lists", header.ntotal, lists.ids.len())?;
    if let DirectMap::Array(map) = &ivf.direct_map {
        check_length("entries of the direct map", header.ntotal, map.len())?;
    }
    match stray_entry(&ivf.direct_map, &lists.sizes) {
        None => Ok(()),
        Some((_, entry)) => Err(Error::parameter("direct_map", entry, "places in the lists")),
    }
}

fn check_length(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

/// Finite floats of shape (`rows`, `columns`).
fn check_floats(what: &'static str, floats: &[f32], rows: usize, columns: usize) -> Result<()> {
    check_length(what, rows.saturating_mul(columns), floats.len())?;
    match floats.iter().enumerate().find(|(_, float)| !float.is_finite()) {
        None => Ok(()),
        Some((i, &value)) => Err(Error::NotFinite { what, row: i / columns, column: i % columns, value }),
    }
}
