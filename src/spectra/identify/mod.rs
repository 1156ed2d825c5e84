//! Identification: unknown spectra named by the most similar ones of a library.
//!
//! Candidates are the library's spectra whose precursor is within a window, all of them, or, where any precursor will do,
//! those with the most similar vectors, found by an index. An exact [`Score`](super::Score) ranks them, and each structure
//! is reported once. Only ions that can be the same are compared: see [`Library`] and the table.
//!
//! | query | is compared with |
//! | --- | --- |
//! | polarity known | spectra of that polarity and of unknown polarity |
//! | charge known | spectra of that charge and of unknown charge |
//! | several charges possible | spectra of any of them and of unknown charge |
//! | polarity or charge unknown | spectra of all |
//! | precursor unknown | nothing within a window, everything in an open search |
//!
//! # How well it does
//! 14,997 spectra of 2,234 compounds from `MassBank`; 1,353 queries of compounds that are in the library, by other
//! laboratories, of which 1,305 have a spectrum of their compound within 10 ppm. Right is the structure without its
//! stereochemistry. The accepting rule was chosen on half of the compounds; the figures are of the other half, with 95
//! queries of compounds that are not in the library nor have an isomer there, and 40 that have an isomer there alone.
//!
//! | within 10 ppm | top-1, all queries | precision | with isomer queries | recall | absent accepted | isomers accepted |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | cosine, modified cosine | 0.934 | 0.969 | 0.956 | 0.823 | 0 of 95 | 8 of 40 |
//! | entropy | 0.936 | 0.984 | 0.967 | 0.803 | 0 of 95 | 10 of 40 |
//!
//! Isomers often have the same fragments: of what is accepted and wrong nearly all is an isomer of the right structure.
//! Rules chosen on twenty random halves of the compounds have, on the other halves, a precision of 0.981 ± 0.006 (0.969 ±
//! 0.008 with isomer queries) and a recall of 0.822 ± 0.032 (from 0.766 to 0.867), and accept no absent query on any of
//! them (entropy).
//!
//! ## How the rule was chosen
//! A hundred absent queries, of which four have any candidate, are too few to choose a rule by: one more or less is a
//! per cent. So spectra of the library stand in for them, each with its precursor displaced by 20 to 100 ppm up and down:
//! what is found there has nearly the same mass and another formula, and is wrong. Of the rules that keep a recall of 0.82
//! on the compounds where it is chosen, that one is taken which accepts the fewest of these. For the entropy it is the
//! default: a score of 0.35, 0.2 above the next structure, the precursor within 2.5 ppm of the
//! library's, a fourth of the window ([`Rule::within_window`]). The nearness of the precursor is what makes the difference:
//! 95 in a hundred right matches have it where the rule was chosen, wrong ones lie anywhere in the window. An instrument
//! that measures less exactly wants more: [`IdentifyOptions::accept_within`].
//!
//! Other ways to tell right from wrong were tried on the library alone and gave no more: more matching peaks, the share of
//! the intensity that matches, how rare the matching fragments are, the entropy of the query, scores less those of unrelated
//! spectra, and a logistic regression on all of these. At the recall of the rule the best of them accept a seventh fewer of
//! the displaced spectra than the score alone, most as many or more.
//!
//! The rule was also tried on the 14,997 spectra of the library, each with all of its own formula taken away. 734 have
//! another formula within 10 ppm; of all, 23 (0.15 %) are accepted by entropy, 26 (0.17 %) by the
//! cosine. Most of these are no chance: ions of the same composition, such as `[M-2H]-` of an anthocyanin and `[M-H]-` of a
//! flavonol, and fragments of a larger molecule that are recorded without their adduct.
//!
//! # What q-values are worth
//! What they say at scores from some score on, by [`Decoys::Spectrum`], and what is true of the 1,623 queries above:
//!
//! | search, entropy | score | matches | q-value | of a wrong formula | of a wrong structure |
//! | --- | --- | --- | --- | --- | --- |
//! | 10 ppm | 0.8 | 732 | 0.003 | 0.006 | 0.038 |
//! | 10 ppm | 0.6 | 1,094 | 0.003 | 0.004 | 0.037 |
//! | 10 ppm | 0.4 | 1,217 | 0.004 | 0.005 | 0.042 |
//! | 10 ppm | any | 1,300 | 0.020 | 0.006 | 0.048 |
//! | 0.5 Da | 0.8 | 736 | 0.003 | 0.010 | 0.042 |
//! | 0.5 Da | 0.6 | 1,108 | 0.004 | 0.012 | 0.045 |
//! | 0.5 Da | 0.4 | 1,243 | 0.009 | 0.027 | 0.062 |
//! | 0.5 Da | any | 1,373 | 0.102 | 0.074 | 0.111 |
//! | any precursor | 0.8 | 832 | 0.007 | 0.145 | 0.173 |
//! | any precursor | 0.6 | 1,284 | 0.023 | 0.217 | 0.245 |
//! | any precursor | any | 1,503 | 0.078 | 0.296 | 0.321 |
//!
//! So within a narrow window they are about right for the formula, and three to four points too low for the structure,
//! since no decoy is like an isomer. In a window of 0.5 Da they are two to three times too low at high scores, and without
//! a precursor they do not hold: relatives of the right molecule share its fragments, which chance does not bring about,
//! and the decoys know chance alone. There they say that two spectra have something to do with each other, no more.
//!
//! # Any precursor
//! | top-1 | vectors or codes alone | cosine of 1,000 candidates | entropy of 1,000 candidates |
//! | --- | --- | --- | --- |
//! | exact vectors | 0.708 | 0.7332 (992) | 0.7664 (1,037) |
//! | `PQ8` | 0.636 | 0.7324 (991) | 0.7657 (1,036) |
//! | `IVF128,PQ8` | 0.579 | 0.7302 (988) | 0.7635 (1,033) |
//! | `IVF128,PQ16` | 0.645 | 0.7310 (989) | 0.7642 (1,034) |
//!
//! Of the four queries that `IVF128,PQ8` loses the codes lose one, and the half of the lists that is not visited three.
//! The modified cosine is for finding relatives and not for this: it gives 0.62 there.
//!
//! # Size
//! [`identify_spooled`] holds queries and what is found for them up to a bound, beside which a query needs some 150 bytes,
//! and writes the same whatever the bound. Jittered copies of the library's spectra as queries, on two cores:
//!
//! | queries | bound, MiB | peak memory with the library, MiB | seconds |
//! | --- | --- | --- | --- |
//! | 100,000 | 64 | 125 | 2.8 |
//! | 1,000,000 | 64 | 286 | 35.7 |
//! | 1,000,000 | 8,192 | 670 | 29.2 |
//!
//! # Beside ANN-SoLo
//! 2,253 peptide spectra as the library, 564 others of the same peptide ions as queries, the limits of
//! [`Cleaning::proteomics`](super::Cleaning::proteomics) for both; ANN-SoLo 0.3.3 without decoys, so that it accepts all it
//! finds, on two cores with its start and its indexing.
//!
//! | precursors | program | queries named right | seconds |
//! | --- | --- | --- | --- |
//! | 10 ppm | cosine, entropy | 476, 476 | 0.13 |
//! | 10 ppm | ANN-SoLo | 479 | 11.8 |
//! | any | cosine, entropy | 423, 430 | 0.3 |
//! | any | ANN-SoLo | 439 | 10.7 |
//!
//! # Example
//! ```
//! use cellprobe::{
//!     Device,
//!     spectra::{Cleaning, Vectorizer, identify::{IdentifyOptions, Library, identify}, read_files},
//! };
//!
//! # fn main() -> cellprobe::Result<()> {
//! let run = |number| format!("examples/data/dbgi/20220513_PMA_DBGI_01_04_{number:03}.mgf");
//! let (known, _) = read_files(&[run(1), run(2)])?;
//! let (unknown, _) = read_files(&[run(3)])?;
//! let (library, _) = Library::new(known, Cleaning::metabolomics(), Vectorizer::default())?;
//! let (queries, _) = library.clean(unknown)?;
//! let found = identify(&Device::cpu(), &library, &queries, &IdentifyOptions::default(), &|_, _, _| ())?;
//! for (query, found) in queries.iter().zip(&found) {
//!     if let Some(best) = found.matches.first().filter(|best| best.accepted) {
//!         println!("{} is like {}: {:.3}", query.id(), library.spectra()[best.library].id(), best.score);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod checksum;
mod decoy;
mod fdr;
mod finder;
mod found;
mod ion;
mod library;
mod mztab;
mod options;
mod part;
mod peptide;
mod quality;
mod ranking;
mod stored;
mod table;

pub use decoy::Decoys;
pub use fdr::q_values;
pub use found::{Found, Identifications};
pub(super) use found::{all, for_each};
pub use library::Library;
pub use mztab::MzTab;
pub use options::{IdentifyOptions, Rule};
pub use quality::{Outcome, Quality};
pub use stored::{read_library, sidecar, write_library};
pub(super) use table::name_of;
pub use table::write_matches;

use ndarray::Array2;

use crate::{
    Device, Error, Result,
    spectra::{Collection, Spectrum, Tolerance, WithVectors},
};
use finder::Finder;
use ranking::Ranking;

/// Queries that are worked on together.
const QUERIES_AT_ONCE: usize = 512;

/// Candidates of an open search that is not followed by an exact comparison.
const UNRANKED: usize = 200;

/// One structure of the library that a query may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The number of the structure's best spectrum in the library.
    pub library: usize,
    /// How alike the spectra are, from 0 to 1.
    pub score: f64,
    /// Matching peaks.
    pub matched: usize,
    /// How far the score is above that of the next structure; `None` if there is no other.
    pub delta: Option<f64>,
    /// How far the query's precursor is above the library's, in ppm; `None` where one is unknown.
    pub precursor_error: Option<f64>,
    /// The q-value of a query's best match, where there are decoys.
    pub q_value: Option<f64>,
    /// Whether the match passes the accepting rule. Only a query's best match can.
    pub accepted: bool,
}

/// What a query may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identification {
    /// The best structures, the most alike first.
    pub matches: Vec<Match>,
    /// Spectra of the library that were compared.
    pub candidates: usize,
    /// Other structures among the candidates with the formula (field `FORMULA`) of the best match. Fragments often do not
    /// tell such isomers apart: the more there are, the more a match names the formula rather than the structure.
    pub isomers: usize,
    /// The score of the best decoy.
    pub best_decoy: Option<f64>,
    /// Whether this is from the second search of a cascade.
    pub second_search: bool,
}

impl Identification {
    /// Whether the best match is accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.matches.first().is_some_and(|best| best.accepted)
    }
}

/// Identifies cleaned queries ([`Library::clean`]), in their order; the same on any number of threads.
///
/// `progress` is told the stage, the steps done and all steps.
///
/// # Errors
/// [`Error::Parameter`] for options that are not possible, or for a search without a precursor where the library's vectors
/// were made elsewhere, and whatever the search of the index fails with.
pub fn identify(
    device: &Device,
    library: &Library,
    queries: &[Spectrum],
    options: &IdentifyOptions,
    progress: &(dyn Fn(&'static str, usize, usize) + Sync),
) -> Result<Vec<Identification>> {
    in_memory(&identify_spooled(device, library, queries, options, usize::MAX, progress)?)
}

/// Identifies cleaned queries by vectors that were made elsewhere, one row a query, as those of the library were
/// ([`Library::with_vectors`]). They find the candidates of a search without a precursor; otherwise this is [`identify`].
///
/// # Errors
/// As [`identify_spooled`], and as [`WithVectors::new`].
pub fn identify_with_vectors(
    device: &Device,
    library: &Library,
    queries: &[Spectrum],
    vectors: Array2<f32>,
    options: &IdentifyOptions,
    progress: &(dyn Fn(&'static str, usize, usize) + Sync),
) -> Result<Vec<Identification>> {
    let queries = WithVectors::new(queries, vectors)?;
    in_memory(&identify_spooled(device, library, &queries, options, usize::MAX, progress)?)
}

fn in_memory(found: &Identifications) -> Result<Vec<Identification>> {
    found.fetch(&(0..found.len() as u32).collect::<Vec<_>>())
}

/// Identifies cleaned queries that need not be in memory, and keeps what is found in a temporary file where it needs more
/// than `memory` bytes; otherwise [`identify`]. Queries [`WithVectors`] are searched by these vectors.
///
/// # Errors
/// As [`identify`], and what fetching the queries fails with. Of queries with vectors [`Error::Dimension`] for rows of
/// another length than the library's, [`Error::Parameter`] where the library's vectors were not made elsewhere, and for
/// decoys in a search without a precursor, which have no vectors. [`Error::Limit`] for 2^32 queries or more.
pub fn identify_spooled<C: Collection + ?Sized>(
    device: &Device,
    library: &Library,
    queries: &C,
    options: &IdentifyOptions,
    memory: usize,
    progress: &(dyn Fn(&'static str, usize, usize) + Sync),
) -> Result<Identifications> {
    options.check()?;
    check_vectors(library, queries, options)?;
    let count = u32::try_from(queries.len()).map_err(|_| Error::Limit {
        limit: "queries",
        allowed: u32::MAX.into(),
        asked: queries.len() as u64,
    })?;
    progress("preparing", 0, 1);
    let make = |decoys: Decoys| decoys.of(library.spectra(), options.fragment_tolerance, options.seed);
    let decoys = options.decoys.map(make).unwrap_or_default();
    let finder = Finder::new(library, &decoys);
    let mut search = Searching { device, options, finder, library, queries, memory, decoys: &decoys, progress };
    let all: Vec<u32> = (0..count).collect();
    let mut found = search.run("identifying", &all, options.precursor_tolerance)?;
    if let Some(tolerance) = options.cascade {
        let open: Vec<u32> = all.into_iter().filter(|&query| !found.is_accepted(query)).collect();
        let second = search.run("identifying the rest", &open, tolerance)?;
        let places: Vec<u32> = (0..open.len() as u32).collect();
        let better = |place: &u32| second.is_accepted(*place) || !found.has_match(open[*place as usize]);
        let better: Vec<u32> = places.into_iter().filter(better).collect();
        for some in better.chunks(QUERIES_AT_ONCE) {
            for (&place, second) in some.iter().zip(second.fetch(some)?) {
                found.replace(open[place as usize], &Identification { second_search: true, ..second })?;
            }
        }
    }
    Ok(found)
}

/// Whether queries and library can be compared by their vectors.
fn check_vectors<C: Collection + ?Sized>(library: &Library, queries: &C, options: &IdentifyOptions) -> Result<()> {
    let elsewhere = library.vectorizer().is_none();
    if let Some(vectors) = queries.vectors(&[]) {
        if !elsewhere {
            let expected = "a library whose vectors were made elsewhere too";
            return Err(Error::parameter("vectors", "those of the queries alone", expected));
        }
        let (expected, found) = (library.vector_length(), vectors.ncols());
        if found != expected {
            return Err(Error::Dimension { what: "the vectors of the queries", expected, found });
        }
    }
    let open = options.precursor_tolerance.is_none() || options.cascade == Some(None);
    if let (Some(decoys), true, true) = (options.decoys, elsewhere, open) {
        let expected = "none: where vectors were made elsewhere there are none of decoys, which an open search needs";
        return Err(Error::parameter("decoys", decoys, expected));
    }
    Ok(())
}

/// A library ready to be searched for queries.
struct Searching<'a, C: ?Sized> {
    device: &'a Device,
    options: &'a IdentifyOptions,
    finder: Finder<'a>,
    library: &'a Library,
    queries: &'a C,
    /// Bytes of what is found that stay in memory.
    memory: usize,
    decoys: &'a [Option<Spectrum>],
    progress: &'a (dyn Fn(&'static str, usize, usize) + Sync),
}

impl<C: Collection + ?Sized> Searching<'_, C> {
    /// Searches for the queries of these numbers. Each search has q-values of its own: wide windows have more wrong
    /// candidates than narrow ones.
    fn run(&mut self, stage: &'static str, numbers: &[u32], tolerance: Option<Tolerance>) -> Result<Identifications> {
        if tolerance.is_none() {
            self.finder.open(self.device, self.decoys, self.options.nprobe)?;
        }
        let rule = self.options.rule(tolerance);
        let ranking = Ranking::new(self.library, self.decoys, self.options, tolerance.is_some());
        let mut found = Identifications::new(self.memory);
        for some in numbers.chunks(QUERIES_AT_ONCE) {
            (self.progress)(stage, found.len(), numbers.len());
            let queries = self.queries.fetch(some)?;
            let candidates = if let Some(tolerance) = tolerance {
                queries.iter().map(|query| self.finder.within(query, tolerance)).collect()
            } else {
                let vectors = self.queries.vectors(some).map_or_else(|| self.library.vectors_of(&queries), Ok)?;
                let count = self.options.rerank_candidates.unwrap_or(UNRANKED);
                self.finder.similar(&queries, vectors.view(), count)?
            };
            for (query, mut identification) in queries.iter().zip(ranking.rank(&queries, &candidates)) {
                if let Some(best) = identification.matches.first_mut() {
                    let library_mz = self.library.spectra()[best.library].precursor_mz;
                    best.accepted = rule.accepts(best, query.precursor_mz, library_mz);
                }
                found.push(&identification)?;
            }
        }
        (self.progress)(stage, numbers.len(), numbers.len());
        if self.decoys.iter().any(Option::is_some) {
            found.set_q_values(&q_values(&found.best()), self.options.max_q_value.unwrap_or(1.0));
        }
        Ok(found)
    }
}
