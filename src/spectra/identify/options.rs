//! How to identify.

use super::Decoys;
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
    /// Least score of an accepted match.
    pub min_score: f64,
    /// Fewest matched peaks of an accepted match.
    pub min_matched: usize,
    /// Least distance of the score to that of the next structure of an accepted match.
    pub min_delta: f64,
    /// How decoys for q-values are made.
    pub decoys: Option<Decoys>,
    /// Largest q-value of an accepted match, where there are q-values.
    pub max_q_value: Option<f64>,
    /// Seed of the decoys.
    pub seed: u64,
}

impl Default for IdentifyOptions {
    /// Entropy within 10 ppm, with the accepting rule of [`IdentifyOptions::accepting`].
    fn default() -> Self {
        let (min_score, min_matched) = Self::accepting(Score::Entropy);
        IdentifyOptions {
            score: Score::Entropy,
            scaling: None,
            precursor_tolerance: Some(Tolerance::Ppm(10.0)),
            fragment_tolerance: Tolerance::Dalton(0.02),
            cascade: None,
            k: 5,
            rerank_candidates: Some(500),
            nprobe: None,
            structure: Field::inchikey(),
            min_score,
            min_matched,
            min_delta: 0.0,
            decoys: None,
            max_q_value: None,
            seed: 1234,
        }
    }
}

impl IdentifyOptions {
    /// The least score and the fewest matched peaks that make a match worth accepting.
    #[must_use]
    pub fn accepting(score: Score) -> (f64, usize) {
        match score {
            Score::Cosine | Score::ModifiedCosine => (0.5, 1),
            Score::Entropy => (0.5, 1),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let in_range = |share: f64| (0.0..=1.0).contains(&share);
        let checks = [
            (self.k > 0, "k", self.k.to_string(), "at least 1"),
            (self.rerank_candidates != Some(0), "rerank_candidates", "0".into(), "at least 1, or none"),
            (self.nprobe != Some(0), "nprobe", "0".into(), "at least 1"),
            (in_range(self.min_score), "min_score", self.min_score.to_string(), "from 0 to 1"),
            (in_range(self.min_delta), "min_delta", self.min_delta.to_string(), "from 0 to 1"),
            (
                self.max_q_value.is_none_or(in_range),
                "max_q_value",
                self.max_q_value.unwrap_or_default().to_string(),
                "from 0 to 1",
            ),
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
        let tolerance = |tolerance: Option<Tolerance>| or(tolerance, "open");
        vec![
            ("score", self.score.to_string()),
            ("scaling", format!("{:?}", self.scaling.unwrap_or(self.score.scaling())).to_lowercase()),
            ("precursor-tolerance", tolerance(self.precursor_tolerance)),
            ("fragment-tolerance", self.fragment_tolerance.to_string()),
            ("cascade", self.cascade.map_or_else(|| "none".to_owned(), tolerance)),
            ("k", self.k.to_string()),
            ("rerank-candidates", or(self.rerank_candidates, "none")),
            ("nprobe", or(self.nprobe, "of the index")),
            ("structure", self.structure.to_string()),
            ("min-score", self.min_score.to_string()),
            ("min-matched", self.min_matched.to_string()),
            ("min-delta", self.min_delta.to_string()),
            ("decoys", or(self.decoys, "none")),
            ("max-q-value", or(self.max_q_value, "none")),
            ("seed", self.seed.to_string()),
        ]
    }
}
