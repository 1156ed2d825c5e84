//! How to identify.

use super::{Decoys, Match};
use crate::{
    Error, Result,
    spectra::{Field, Scaling, Score, Scorer, Tolerance},
};

/// How to identify.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentifyOptions {
    /// How candidates are compared.
    pub score: Score,
    /// How intensities are scaled for the score; by default as [`Score::scaling`] says.
    pub scaling: Option<Scaling>,
    /// How far the precursors of candidates may be; `None` for any distance.
    pub precursor_tolerance: Option<Tolerance>,
    /// How far apart matching peaks may be.
    pub fragment_tolerance: Tolerance,
    /// In a search within a precursor window, peaks this near (m/z) to the precursor are left out of the comparison: all
    /// candidates have it, so it tells them not apart. Queries that show nothing else are compared whole.
    pub precursor_window: Option<f64>,
    /// A second search with another precursor tolerance, for the queries that the first leaves without an accepted match.
    pub cascade: Option<Option<Tolerance>>,
    /// Structures to report for each query.
    pub k: usize,
    /// Where any precursor will do: spectra with the most similar vectors that are compared exactly. `None` ranks by
    /// vectors alone, or by codes alone where the index has codes.
    pub rerank_candidates: Option<usize>,
    /// Lists that a search of the index visits; by default as many as the index says.
    pub nprobe: Option<usize>,
    /// What spectra of one structure share, so that each is reported once. Spectra that lack it stand for themselves.
    pub structure: Field,
    /// Least score of an accepted match; by default as [`Rule::within_window`] or [`Rule::open`] says.
    pub min_score: Option<f64>,
    /// Fewest matched peaks of an accepted match; by default as there.
    pub min_matched: Option<usize>,
    /// Least distance of the score of an accepted match to that of the next structure; by default as there.
    pub min_delta: Option<f64>,
    /// How far apart the precursors of query and accepted match may be; by default as there.
    pub accept_within: Option<Tolerance>,
    /// How decoys for q-values are made.
    pub decoys: Option<Decoys>,
    /// Largest q-value of an accepted match, where there are q-values.
    pub max_q_value: Option<f64>,
    /// Seed of the decoys.
    pub seed: u64,
}

impl Default for IdentifyOptions {
    /// Entropy within 10 ppm.
    fn default() -> Self {
        IdentifyOptions {
            score: Score::Entropy,
            scaling: None,
            precursor_tolerance: Some(Tolerance::Ppm(10.0)),
            fragment_tolerance: Tolerance::Dalton(0.02),
            precursor_window: Some(1.5),
            cascade: None,
            k: 5,
            rerank_candidates: Some(1000),
            nprobe: None,
            structure: Field::inchikey(),
            min_score: None,
            min_matched: None,
            min_delta: None,
            accept_within: None,
            decoys: None,
            max_q_value: None,
            seed: 1234,
        }
    }
}

impl IdentifyOptions {
    /// The rule of a search within a window of precursors, or for any.
    #[must_use]
    pub fn rule(&self, window: Option<Tolerance>) -> Rule {
        let default = window.map_or_else(Rule::open, Rule::within_window);
        Rule {
            tolerance: self.accept_within.or(default.tolerance),
            min_score: self.min_score.unwrap_or(default.min_score),
            min_matched: self.min_matched.unwrap_or(default.min_matched),
            min_delta: self.min_delta.unwrap_or(default.min_delta),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let text = |value: Option<f64>| value.unwrap_or_default().to_string();
        let in_range = |share: f64| (0.0..=1.0).contains(&share);
        let checks = [
            (self.k > 0, "k", self.k.to_string(), "at least 1"),
            (self.rerank_candidates != Some(0), "rerank_candidates", "0".into(), "at least 1, or none"),
            (self.nprobe != Some(0), "nprobe", "0".into(), "at least 1"),
            (
                self.precursor_window.is_none_or(|window| window >= 0.0),
                "precursor_window",
                text(self.precursor_window),
                "0 or more",
            ),
            (self.min_score.is_none_or(in_range), "min_score", text(self.min_score), "from 0 to 1"),
            (self.min_delta.is_none_or(in_range), "min_delta", text(self.min_delta), "from 0 to 1"),
            (self.max_q_value.is_none_or(in_range), "max_q_value", text(self.max_q_value), "from 0 to 1"),
        ];
        match checks.into_iter().find(|(possible, ..)| !possible) {
            Some((_, name, value, expected)) => Err(Error::parameter(name, value, expected)),
            None => Ok(()),
        }
    }

    pub(super) fn scorer(&self) -> Scorer {
        Scorer { score: self.score, tolerance: self.fragment_tolerance }
    }

    /// The options by the names of the command line, for the files that are written.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        fn or<T: ToString>(value: Option<T>, none: &str) -> String {
            value.map_or_else(|| none.to_owned(), |value| value.to_string())
        }
        let rule = self.rule(self.precursor_tolerance);
        let tolerance = |tolerance: Option<Tolerance>| or(tolerance, "open");
        vec![
            ("score", self.score.to_string()),
            ("scaling", format!("{:?}", self.scaling.unwrap_or(self.score.scaling())).to_lowercase()),
            ("precursor-tolerance", tolerance(self.precursor_tolerance)),
            ("fragment-tolerance", self.fragment_tolerance.to_string()),
            ("precursor-window", or(self.precursor_window, "none")),
            ("cascade", self.cascade.map_or_else(|| "none".to_owned(), tolerance)),
            ("k", self.k.to_string()),
            ("rerank-candidates", or(self.rerank_candidates, "none")),
            ("nprobe", or(self.nprobe, "of the index")),
            ("structure", self.structure.to_string()),
            ("min-score", rule.min_score.to_string()),
            ("min-matched", rule.min_matched.to_string()),
            ("min-delta", rule.min_delta.to_string()),
            ("accept-within", or(rule.tolerance, "any")),
            ("decoys", or(self.decoys, "none")),
            ("max-q-value", or(self.max_q_value, "none")),
            ("seed", self.seed.to_string()),
        ]
    }
}

/// What makes a match worth accepting, besides its q-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Least score.
    pub min_score: f64,
    /// Fewest matched peaks.
    pub min_matched: usize,
    /// Least distance to the score of the next structure; a match without a next one passes.
    pub min_delta: f64,
    /// How far apart the precursors may be; a match passes where one is unknown.
    pub tolerance: Option<Tolerance>,
}

impl Rule {
    /// For candidates that share the query's precursor. Chosen on spectra of half of the compounds of a split of `MassBank`,
    /// and measured on the other half: see [the module](super). Precursors of right matches lie close together, those of
    /// wrong ones anywhere in the window: it accepts within a fourth of it.
    #[must_use]
    pub fn within_window(window: Tolerance) -> Self {
        Rule { min_score: 0.35, min_matched: 1, min_delta: 0.2, tolerance: Some(window.times(0.25)) }
    }

    /// For candidates of any precursor, as is the custom in molecular networking.
    #[must_use]
    pub fn open() -> Self {
        Rule { min_score: 0.7, min_matched: 6, min_delta: 0.0, tolerance: None }
    }

    /// Whether it accepts a match of a query and a library's spectrum of these precursors.
    pub(super) fn accepts(&self, best: &Match, query_mz: Option<f64>, library_mz: Option<f64>) -> bool {
        let is_near = |(query, library)| self.tolerance.is_none_or(|tolerance| tolerance.accepts(query, library));
        query_mz.zip(library_mz).is_none_or(is_near)
            && best.score >= self.min_score
            && best.matched >= self.min_matched
            && best.delta.is_none_or(|delta| delta >= self.min_delta)
    }
}
