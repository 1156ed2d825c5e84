//! Lookup tables on the CPU.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::Simd;
use rayon::prelude::*;

use crate::ops::{
    Codebook,
    panels::{Form, Groups, Keep, Panels, VECTORS},
    simd::{Product, Square},
};

/// Vectors that a thread takes at a time.
const BLOCK: usize = 12;

/// Of squared distances, or of minus inner products: of the query, or of twice the query minus `origin`.
pub(super) fn pq_tables(
    queries: &[f32],
    codebook: &Codebook,
    codewords: &[f32],
    squared: bool,
    origin: Option<&[f32]>,
) -> Vec<f32> {
    let (dimension, dsub, columns) = (codebook.dimension(), codebook.dsub(), codebook.m() * codebook.ksub());
    let codewords = codewords.par_chunks(dsub * codebook.ksub());
    let subs: Vec<_> = codewords.map(|codewords| Panels::pack(codewords, dsub)).collect();
    let mut tables = vec![0.0; queries.len() / dimension * columns];
    let blocks = tables.par_chunks_mut(BLOCK * columns).zip(queries.par_chunks(BLOCK * dimension));
    blocks.for_each(|(tables, queries)| {
        let mut queries = queries.to_vec();
        if let Some(origin) = origin {
            let pairs = queries.chunks_mut(dimension).flat_map(|query| query.iter_mut().zip(origin));
            pairs.for_each(|(value, origin)| *value = 2.0 * (*value - origin));
        }
        for (sub, codewords) in subs.iter().enumerate() {
            let entries =
                tables.chunks_mut(columns).map(|table| Entries(&mut table[sub * codebook.ksub()..][..codebook.ksub()]));
            let mut entries: Vec<_> = entries.collect();
            let subvectors = queries.chunks(dimension).map(|query| &query[sub * dsub..][..dsub]);
            let subvectors = Groups::pack(subvectors, dsub, Form::Plain);
            if squared {
                codewords.offer(0, &subvectors, 0, Square, &mut entries);
            } else {
                codewords.offer(0, &subvectors, 0, Product, &mut entries);
            }
        }
    });
    tables
}

/// Keeps every distance.
struct Entries<'a>(&'a mut [f32]);

impl Keep for Entries<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, _: S, first: u32, distances: [S::f32s; VECTORS]) {
        let entries = self.0.iter_mut().skip(first as usize);
        entries.zip(bytemuck::cast_slice(&distances)).for_each(|(entry, &distance)| *entry = distance);
    }
}
