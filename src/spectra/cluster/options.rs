//! How spectra are clustered.

use crate::{
    Error, Result,
    spectra::{Scaling, Score, Tolerance, Vectorizer},
};

/// How a cluster is made from similar pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Chains of similar spectra ([DBSCAN](https://doi.org/10.5555/3001460.3001507)), cut at their widest gaps where
    /// precursors are too far apart. A spectrum with `min_samples` within the threshold, itself included, joins what is
    /// around it; with 2, as in falcon, clusters are the connected components.
    Dbscan {
        /// Spectra that make a core, at least 1.
        min_samples: usize,
    },
    /// Clusters whose spectra are within the threshold on average (average linkage, UPGMA).
    Average,
    /// Clusters whose spectra are all within the threshold of each other (complete linkage); where spectra crowd, those that
    /// stand for groups are.
    Complete,
    /// Spherical k-means over the vectors of all spectra, cut by polarity, charge and precursor afterwards.
    KMeans {
        /// Number of centroids.
        clusters: usize,
    },
}

/// How spectra are clustered. The spectra are to be cleaned, their intensities not yet scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterOptions {
    /// How a cluster is made.
    pub method: Method,
    /// The largest distance, which is 1 minus the score, of similar spectra, from 0 to 1. Without meaning for k-means.
    pub threshold: f64,
    /// The score.
    pub score: Score,
    /// Precursors of a cluster are no farther apart than this; `None` for any distance.
    pub precursor_tolerance: Option<Tolerance>,
    /// Peaks no farther apart than this can be the same.
    pub fragment_tolerance: Tolerance,
    /// Peaks this near (m/z) to the precursor are not compared, unless a spectrum has no others.
    pub precursor_window: Option<f64>,
    /// How intensities are scaled; `None` for what suits the score: square roots for cosines, as they are for entropy.
    pub scaling: Option<Scaling>,
    /// Where a spectrum has more others than this within the precursor tolerance, it is compared with the first spectra of
    /// groups that are nearly the same, and one of each group stands for all: see [the module](super). Where these have
    /// more others than this themselves, on average over those that are within the tolerance of each other, candidates
    /// are found by vectors.
    pub exact_neighbours: usize,
    /// Candidates for each spectrum where they are found by vectors.
    pub candidates: usize,
    /// Components of more spectra, those that stand for groups, are taken apart along their weakest edges before average or complete linkage.
    pub largest_component: usize,
    /// The most similar pairs of each spectrum to report, see [`Clusters::edges`](super::Clusters::edges).
    pub links: usize,
    /// The vectors for candidates and for k-means.
    pub vectorizer: Vectorizer,
    /// Seed of k-means and of the cells in which candidates are looked for.
    pub seed: u64,
}

impl Default for ClusterOptions {
    /// See [the module](super) for where the defaults come from.
    fn default() -> Self {
        ClusterOptions {
            method: Method::Average,
            threshold: 0.6,
            score: Score::Entropy,
            precursor_tolerance: Some(Tolerance::Ppm(10.0)),
            fragment_tolerance: Tolerance::Dalton(0.02),
            precursor_window: Some(0.5),
            scaling: None,
            exact_neighbours: 128,
            candidates: 64,
            largest_component: 1000,
            links: 10,
            vectorizer: Vectorizer::default(),
            seed: 1234,
        }
    }
}

impl ClusterOptions {
    /// The options by name, for files to say how they came about.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        let method = match self.method {
            Method::Dbscan { min_samples } => format!("dbscan, min_samples {min_samples}"),
            Method::Average => "average".to_owned(),
            Method::Complete => "complete".to_owned(),
            Method::KMeans { clusters } => format!("kmeans, {clusters} centroids"),
        };
        vec![
            ("method", method),
            ("threshold", self.threshold.to_string()),
            ("score", self.score.to_string()),
            ("precursor_tolerance", self.precursor_tolerance.map_or("open".to_owned(), |t| t.to_string())),
            ("fragment_tolerance", self.fragment_tolerance.to_string()),
            ("precursor_window", or_none(self.precursor_window.map(|window| window.to_string()))),
            ("scaling", format!("{:?}", self.scaling()).to_lowercase()),
            ("exact_neighbours", self.exact_neighbours.to_string()),
            ("candidates", self.candidates.to_string()),
            ("largest_component", self.largest_component.to_string()),
            ("links", self.links.to_string()),
            ("bin_width", self.vectorizer.bin_width.to_string()),
            ("dimension", self.vectorizer.dimension.to_string()),
            ("hash_seed", self.vectorizer.seed.to_string()),
            ("losses", self.vectorizer.losses.to_string()),
            ("seed", self.seed.to_string()),
        ]
    }

    pub(super) fn check(&self) -> Result<()> {
        let window = self.precursor_window.unwrap_or_default();
        let at_least_1 = |number: usize| (number > 0, number.to_string(), "at least 1");
        let (smallest, smallest_name) = match self.method {
            Method::Dbscan { min_samples } => (min_samples, "min_samples"),
            Method::KMeans { clusters } => (clusters, "clusters"),
            Method::Average | Method::Complete => (1, "method"),
        };
        let checks = [
            ("threshold", ((0.0..=1.0).contains(&self.threshold), self.threshold.to_string(), "from 0 to 1")),
            ("precursor_window", (window >= 0.0, window.to_string(), "0 or more")),
            ("candidates", at_least_1(self.candidates)),
            ("largest_component", at_least_1(self.largest_component)),
            (smallest_name, at_least_1(smallest)),
        ];
        match checks.into_iter().find(|(_, (possible, ..))| !possible) {
            Some((name, (_, value, expected))) => Err(Error::parameter(name, value, expected)),
            None => Ok(()),
        }
    }
}
