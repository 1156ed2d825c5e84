//! Candidates in the order of their scores.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{Identification, IdentifyOptions, Library, Match, finder::Candidate};
use crate::spectra::{Prepared, Scored, Scorer, Scratch, Spectrum};

/// Ranks candidates.
pub(super) struct Ranking<'a> {
    library: &'a Library,
    decoys: &'a [Option<Spectrum>],
    options: &'a IdentifyOptions,
    scorer: Scorer,
    /// How near to the precursor peaks are left out.
    precursor_window: Option<f64>,
    /// The library's spectra, then the decoys.
    prepared: Vec<Prepared>,
    /// A number for the structure of each of the library's spectra.
    structures: Vec<u32>,
}

/// A candidate that was compared.
#[derive(Clone, Copy)]
struct Ranked {
    number: usize,
    scored: Scored,
}

impl<'a> Ranking<'a> {
    /// Prepares the library, without the peaks of precursors if all candidates share that of the query.
    pub(super) fn new(
        library: &'a Library,
        decoys: &'a [Option<Spectrum>],
        options: &'a IdentifyOptions,
        share_precursor: bool,
    ) -> Self {
        let mut known = HashMap::new();
        let structure = |(number, spectrum): (usize, &'a Spectrum)| match options.structure.of(spectrum) {
            Some(name) => *known.entry(name).or_insert(number as u32),
            None => number as u32,
        };
        let structures = library.spectra().iter().enumerate().map(structure).collect();
        let precursor_window = options.precursor_window.filter(|_| share_precursor);
        let scorer = options.scorer();
        let mut ranking =
            Ranking { library, decoys, options, scorer, precursor_window, prepared: Vec::new(), structures };
        let all = (0..library.spectra().len() + decoys.len()).into_par_iter();
        ranking.prepared = all.map(|number| ranking.prepare(number, precursor_window)).collect();
        ranking
    }

    /// Prepares a spectrum of the library or a decoy.
    fn prepare(&self, number: usize, precursor_window: Option<f64>) -> Prepared {
        let count = self.library.spectra().len();
        let spectrum = match number.checked_sub(count) {
            Some(decoy) => self.decoys[decoy].as_ref(),
            None => self.library.spectra().get(number),
        };
        spectrum.map(|spectrum| self.prepare_spectrum(spectrum, precursor_window)).unwrap_or_default()
    }

    fn prepare_spectrum(&self, spectrum: &Spectrum, precursor_window: Option<f64>) -> Prepared {
        let scaling = self.options.scaling.unwrap_or(self.options.score.scaling());
        let mut scaled = self.library.scaled(spectrum, scaling);
        if let (Some(mz), Some(window)) = (spectrum.precursor_mz, precursor_window) {
            scaled.peaks.retain(|peak| (peak.mz - mz).abs() > window);
        }
        self.scorer.prepare(&scaled)
    }

    /// Compares each query with its candidates.
    pub(super) fn rank(&self, queries: &[Spectrum], candidates: &[Vec<Candidate>]) -> Vec<Identification> {
        let pairs = queries.par_iter().zip(candidates);
        pairs
            .map_init(Scratch::default, |scratch, (query, candidates)| self.identify(query, candidates, scratch))
            .collect()
    }

    fn identify(&self, query: &Spectrum, candidates: &[Candidate], scratch: &mut Scratch) -> Identification {
        let fragments = self.prepare_spectrum(query, self.precursor_window);
        let whole = fragments.is_empty().then(|| self.prepare_spectrum(query, None));
        let count = self.library.spectra().len();
        let mut targets = Vec::with_capacity(candidates.len());
        let mut best_decoy = None;
        for candidate in candidates {
            let number = candidate.number as usize;
            let mut scored = match &whole {
                Some(whole) => self.scorer.score(whole, &self.prepare(number, None), scratch),
                None => self.scorer.score(&fragments, &self.prepared[number], scratch),
            };
            if let (None, Some(similarity)) = (self.options.rerank_candidates, candidate.similarity) {
                scored.score = f64::from(similarity).clamp(0.0, 1.0);
            }
            if number < count {
                targets.push(Ranked { number, scored });
            } else {
                best_decoy = Some(scored.score.max(best_decoy.unwrap_or(0.0)));
            }
        }
        targets.sort_by(|a, b| {
            let (first, second) = (a.scored, b.scored);
            let order = second.score.total_cmp(&first.score).then(second.matched.cmp(&first.matched));
            order.then(a.number.cmp(&b.number))
        });
        let compared = targets.len();
        let isomers = self.isomers(&targets);
        let mut seen = Vec::new();
        targets.retain(|target| {
            let structure = self.structures[target.number];
            // One more than asked for, to tell how far the last is above the next.
            let new = seen.len() <= self.options.k && !seen.contains(&structure);
            if new {
                seen.push(structure);
            }
            new
        });
        let matches = (0..targets.len().min(self.options.k)).map(|rank| self.found(query, &targets, rank)).collect();
        Identification { matches, candidates: compared, isomers, best_decoy, second_search: false }
    }

    fn found(&self, query: &Spectrum, targets: &[Ranked], rank: usize) -> Match {
        let Ranked { number, scored } = targets[rank];
        let precursors = query.precursor_mz.zip(self.library.spectra()[number].precursor_mz);
        Match {
            library: number,
            score: scored.score,
            matched: scored.matched,
            delta: targets.get(rank + 1).map(|next| scored.score - next.scored.score),
            precursor_error: precursors.map(|(query, library)| (query - library) / library * 1e6),
            q_value: None,
            accepted: false,
        }
    }

    /// Other structures with the formula of the best candidate.
    fn isomers(&self, targets: &[Ranked]) -> usize {
        let spectra = self.library.spectra();
        let Some(best) = targets.first() else { return 0 };
        let Some(formula) = spectra[best.number].field("FORMULA") else { return 0 };
        let isomers = targets.iter().filter(|target| spectra[target.number].field("FORMULA") == Some(formula));
        let mut structures: Vec<u32> = isomers.map(|target| self.structures[target.number]).collect();
        structures.sort_unstable();
        structures.dedup();
        structures.len().saturating_sub(1)
    }
}
