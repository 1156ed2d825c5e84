//! Candidates: the library's spectra that are worth an exact comparison.

use ndarray::ArrayView2;

use super::{Library, ion};
use crate::{
    Device, Index, Result, Search,
    spectra::{Spectrum, Tolerance, identify::ion::Ion},
};

/// Finds candidates among the library's spectra and their decoys. Decoys are numbered on from the spectra.
pub(super) struct Finder<'a> {
    library: &'a Library,
    ions: Vec<Ion>,
    /// Precursors in ascending order, with the numbers of their spectra.
    by_precursor: Vec<(f64, u32)>,
    groups: Vec<(Ion, Index)>,
}

/// A candidate, with its vector's inner product with that of the query where vectors were compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) number: u32,
    pub(super) similarity: Option<f32>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(library: &'a Library, decoys: &[Option<Spectrum>]) -> Self {
        let count = library.spectra.len();
        let numbered = library.spectra.iter().enumerate();
        let decoys = decoys.iter().enumerate().filter_map(|(number, decoy)| Some((count + number, decoy.as_ref()?)));
        let precursors =
            numbered.chain(decoys).filter_map(|(number, spectrum)| Some((spectrum.precursor_mz?, number as u32)));
        let mut by_precursor: Vec<_> = precursors.collect();
        by_precursor.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Finder { library, ions: library.spectra.iter().map(Ion::of).collect(), by_precursor, groups: Vec::new() }
    }

    /// Makes an index of each polarity and charge, for [`Finder::similar`].
    pub(super) fn open(&mut self, device: &Device, decoys: &[Option<Spectrum>], nprobe: Option<usize>) -> Result<()> {
        if !self.groups.is_empty() {
            return Ok(());
        }
        for (ion, numbers) in ion::groups(&self.library.spectra) {
            let mut index = self.library.index_of(device, &numbers)?;
            if let Some(nprobe) = nprobe {
                index.set_nprobe(nprobe)?;
            }
            let decoys = numbers.iter().filter_map(|&number| Some((number, decoys.get(number as usize)?.clone()?)));
            let (numbers, spectra): (Vec<_>, Vec<_>) = decoys.unzip();
            if !numbers.is_empty() {
                let count = self.library.spectra.len() as i64;
                let ids: Vec<i64> = numbers.iter().map(|&number| count + i64::from(number)).collect();
                index.add_with_ids(self.library.vectors_of(&spectra)?.view(), &ids)?;
            }
            self.groups.push((ion, index));
        }
        Ok(())
    }

    /// Everything whose precursor is within the tolerance and whose ion can be the query's.
    pub(super) fn within(&self, query: &Spectrum, tolerance: Tolerance) -> Vec<Candidate> {
        let Some(mz) = query.precursor_mz else { return Vec::new() };
        let (low, high) = tolerance.range(mz);
        let first = self.by_precursor.partition_point(|&(other, _)| other < low);
        let ion = Ion::of(query);
        let near = self.by_precursor[first..].iter().take_while(|&&(other, _)| other <= high);
        near.filter(|&&(other, number)| tolerance.accepts(mz, other) && ion.agrees(self.ion(number)))
            .map(|&(_, number)| Candidate { number, similarity: None })
            .collect()
    }

    /// Of each query those whose vectors are most like its own, at most `count`, whatever their precursors.
    pub(super) fn similar(
        &self,
        queries: &[Spectrum],
        vectors: ArrayView2<'_, f32>,
        count: usize,
    ) -> Result<Vec<Vec<Candidate>>> {
        let mut found = vec![Vec::new(); queries.len()];
        let ions: Vec<_> = queries.iter().map(Ion::of).collect();
        for (ion, index) in &self.groups {
            let agreeing: Vec<usize> = (0..queries.len()).filter(|&query| ions[query].agrees(ion)).collect();
            let rows = vectors.select(ndarray::Axis(0), &agreeing);
            for (query, hits) in agreeing.into_iter().zip(search(index, rows.view(), count)?) {
                found[query].extend(hits);
            }
        }
        for candidates in &mut found {
            candidates.sort_by(|a, b| b.order().total_cmp(&a.order()).then(a.number.cmp(&b.number)));
            candidates.truncate(count);
        }
        Ok(found)
    }

    /// The ion of a spectrum, which is also that of its decoy.
    fn ion(&self, number: u32) -> &Ion {
        &self.ions[number as usize % self.ions.len()]
    }
}

impl Candidate {
    fn order(&self) -> f32 {
        self.similarity.unwrap_or_default()
    }
}

fn search(index: &Index, queries: ArrayView2<'_, f32>, count: usize) -> Result<Vec<Vec<Candidate>>> {
    if queries.nrows() == 0 {
        return Ok(Vec::new());
    }
    let found = index.search_with(queries, &Search::new(count))?;
    let candidate = |hit: &crate::Neighbor| Candidate { number: hit.id as u32, similarity: Some(hit.score) };
    Ok(found.rows().map(|row| row.iter().map(candidate).collect()).collect())
}
