//! Exact distances to decoded residual codes on the CPU.

use rayon::prelude::*;

use crate::{
    Metric,
    ops::{
        Codebook, Ranked,
        pq_interleave::cpu::{Codes, number_at},
        row,
        simd::distances,
    },
};

/// What is read beside queries and candidates.
pub(super) struct Rerank<'a> {
    pub codebook: &'a Codebook,
    pub codewords: &'a [f32],
    pub codes: Codes<'a>,
    pub offsets: &'a [u32],
    pub places: Places<'a>,
    pub centroids: &'a [f32],
}

/// Where the entries of candidates are found.
pub(super) enum Places<'a> {
    Known(&'a [u32]),
    Visited { ids: &'a [u32], probes: &'a [Ranked], nprobe: usize },
}

pub(super) fn pq_rerank(queries: &[f32], rerank: &Rerank<'_>, candidates: &[Ranked], per_query: usize) -> Vec<Ranked> {
    let dimension = rerank.codebook.dimension();
    let mut found = candidates.to_vec();
    let rows = found.par_chunks_mut(per_query.max(1)).zip(queries.par_chunks(dimension)).enumerate();
    rows.for_each_init(Default::default, |(places, residuals): &mut (Found, Residuals), (index, (found, query))| {
        rerank.find(index, found, places);
        for (candidate, entry) in found.iter_mut().zip(&places.entries) {
            let id = candidate.id();
            *candidate = Ranked::NONE;
            if entry.is_some_and(|entry| rerank.decode(entry, query, residuals)) {
                let row = std::iter::once((id, &residuals.of_code[..]));
                let query = &residuals.of_query;
                distances(query, row, Metric::L2, |distance, id| *candidate = Ranked::new(distance, id));
            }
        }
        found.sort_unstable();
    });
    found
}

impl Rerank<'_> {
    /// The entries of a query's candidates.
    fn find(&self, query: usize, candidates: &[Ranked], Found { names, entries }: &mut Found) {
        entries.clear();
        let (ids, probes) = match self.places {
            Places::Known(positions) => {
                entries.extend(candidates.iter().map(|candidate| positions.get(candidate.id() as usize).copied()));
                return;
            }
            Places::Visited { ids, probes, nprobe } => (ids, row(probes, nprobe, query)),
        };
        entries.resize(candidates.len(), None);
        names.clear();
        names.extend(candidates.iter().map(|candidate| candidate.id()).zip(0..));
        names.sort_unstable();
        for probe in probes {
            let list = probe.id() as usize;
            let (Some(&start), Some(&end)) = (self.offsets.get(list), self.offsets.get(list.saturating_add(1))) else {
                continue;
            };
            let list = ids.get(start as usize..end as usize).unwrap_or_default();
            in_both(names, list, |candidate, place| entries[candidate] = Some(start + place as u32));
        }
    }

    /// The residuals of a query and of what the code of an entry stands for, if there is one.
    fn decode(&self, entry: u32, query: &[f32], residuals: &mut Residuals) -> bool {
        let (dsub, nbits) = (self.codebook.dsub(), self.codebook.nbits());
        let Residuals { of_query, of_code } = residuals;
        of_query.clear();
        of_code.clear();
        let list = self.offsets.partition_point(|&offset| offset <= entry).checked_sub(1);
        let centroid = list.map_or(&[][..], |list| row(self.centroids, self.codebook.dimension(), list));
        let code = self.codes.code(entry as usize);
        if code.is_empty() || centroid.is_empty() {
            return false;
        }
        of_query.extend(query.iter().zip(centroid).map(|(query, centroid)| query - centroid));
        for sub in 0..self.codebook.m() {
            of_code.extend_from_slice(row(self.codewords, dsub, (sub << nbits) + number_at(code, sub, nbits)));
        }
        true
    }
}

/// The candidates among `names`, which ascend, whose names are among `ids`, which ascend, with their place there: each of
/// the fewer is looked for among the more.
fn in_both(names: &[(u32, usize)], ids: &[u32], mut found: impl FnMut(usize, usize)) {
    if names.len() < ids.len() {
        for (name, candidate) in names {
            if let Ok(place) = ids.binary_search(name) {
                found(*candidate, place);
            }
        }
    } else {
        for (place, id) in ids.iter().enumerate() {
            if let Ok(name) = names.binary_search_by_key(id, |&(name, _)| name) {
                found(names[name].1, place);
            }
        }
    }
}

/// Differences to a list's centroid: what is far from the origin is near it once that is taken away.
#[derive(Default)]
struct Residuals {
    of_query: Vec<f32>,
    of_code: Vec<f32>,
}

#[derive(Default)]
struct Found {
    /// The candidates' names in ascending order, and which candidate each is of.
    names: Vec<(u32, usize)>,
    /// The candidates' entries.
    entries: Vec<Option<u32>>,
}
