//! Where identifications are that need not all be in memory.

use super::{Identification, Match, QUERIES_AT_ONCE};
use crate::{
    Result,
    spectra::{
        Collection, Spectrum,
        records::{Bytes, Place, Records, count, damaged},
    },
};

/// What was found for queries, at hand by their numbers: a slice, or [`Identifications`].
pub trait Found: Sync {
    /// How many queries there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was found for the queries of these numbers, in their order.
    ///
    /// # Errors
    /// What reading it fails with.
    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Identification>>;
}

impl Found for [Identification] {
    fn len(&self) -> usize {
        <[Identification]>::len(self)
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Identification>> {
        Ok(numbers.iter().map(|&number| self[number as usize].clone()).collect())
    }
}

/// Queries of these numbers and what was found for each, in their order, of which only some are in memory at once.
pub(in crate::spectra) fn for_each<C: Collection + ?Sized, F: Found + ?Sized>(
    queries: &C,
    found: &F,
    numbers: impl IntoIterator<Item = u32>,
    mut each: impl FnMut(u32, &Spectrum, &Identification) -> Result<()>,
) -> Result<()> {
    let mut numbers = numbers.into_iter();
    loop {
        let some: Vec<u32> = numbers.by_ref().take(QUERIES_AT_ONCE).collect();
        if some.is_empty() {
            return Ok(());
        }
        let (queries, found) = (queries.fetch(&some)?, found.fetch(&some)?);
        for ((&number, query), found) in some.iter().zip(&queries).zip(&found) {
            each(number, query, found)?;
        }
    }
}

/// The numbers of all queries for which something may have been found.
pub(in crate::spectra) fn all<C: Collection + ?Sized, F: Found + ?Sized>(
    queries: &C,
    found: &F,
) -> std::ops::Range<u32> {
    0..queries.len().min(found.len()) as u32
}

/// What was found for queries, in a temporary file, or in memory as long as it needs no more than a bound; fifty bytes a
/// query stay in memory in any case.
#[derive(Debug)]
pub struct Identifications {
    records: Records,
    known: Vec<Known>,
}

/// What is known of an identification without reading it, and what is found out once all are there. A number that is not
/// known is NaN.
#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    best: f64,
    best_decoy: f64,
    q_value: f64,
    accepted: bool,
}

impl Identifications {
    pub(super) fn new(memory: usize) -> Self {
        Identifications { records: Records::new(memory), known: Vec::new() }
    }

    /// How many queries have any match.
    #[must_use]
    pub fn matched(&self) -> usize {
        self.known.iter().filter(|known| !known.best.is_nan()).count()
    }

    /// How many queries have an accepted match.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.known.iter().filter(|known| known.accepted).count()
    }

    pub(super) fn is_accepted(&self, number: u32) -> bool {
        self.known[number as usize].accepted
    }

    pub(super) fn has_match(&self, number: u32) -> bool {
        !self.known[number as usize].best.is_nan()
    }

    /// Adds what was found for the next query.
    pub(super) fn push(&mut self, found: &Identification) -> Result<()> {
        let known = self.add(found)?;
        self.known.push(known);
        Ok(())
    }

    /// Takes this in place of what was found for a query.
    pub(super) fn replace(&mut self, number: u32, found: &Identification) -> Result<()> {
        self.known[number as usize] = self.add(found)?;
        Ok(())
    }

    fn add(&mut self, found: &Identification) -> Result<Known> {
        let mut bytes = Vec::new();
        write(found, &mut bytes);
        let best = found.matches.first();
        Ok(Known {
            place: self.records.push(&bytes)?,
            best: best.map_or(f64::NAN, |best| best.score),
            best_decoy: found.best_decoy.unwrap_or(f64::NAN),
            q_value: best.and_then(|best| best.q_value).unwrap_or(f64::NAN),
            accepted: found.is_accepted(),
        })
    }

    /// The scores of each query's best match and best decoy.
    pub(super) fn best(&self) -> Vec<(Option<f64>, Option<f64>)> {
        self.known.iter().map(|known| (known_number(known.best), known_number(known.best_decoy))).collect()
    }

    /// Sets the q-values, where there are any, and takes back the acceptance of matches of a higher one than `most`.
    pub(super) fn set_q_values(&mut self, q_values: &[Option<f64>], most: f64) {
        for (known, q_value) in self.known.iter_mut().zip(q_values) {
            known.q_value = q_value.unwrap_or(f64::NAN);
            known.accepted &= q_value.is_none_or(|q_value| q_value <= most);
        }
    }
}

impl Found for Identifications {
    fn len(&self) -> usize {
        self.known.len()
    }

    fn fetch(&self, numbers: &[u32]) -> Result<Vec<Identification>> {
        let known = || numbers.iter().map(|&number| &self.known[number as usize]);
        let read = self.records.read(known().map(|known| known.place))?;
        let found = read.iter().zip(known()).map(|(bytes, known)| {
            let mut found = read_one(&mut Bytes(bytes)).ok_or_else(|| damaged(known.place))?;
            if let Some(best) = found.matches.first_mut() {
                (best.q_value, best.accepted) = (known_number(known.q_value), known.accepted);
            }
            Ok(found)
        });
        found.collect()
    }
}

fn known_number(number: f64) -> Option<f64> {
    Some(number).filter(|number| !number.is_nan())
}

/// All but q-value and acceptance, which stay in memory.
fn write(found: &Identification, bytes: &mut Vec<u8>) {
    let Identification { matches, candidates, isomers, best_decoy, second_search } = found;
    count(*candidates, bytes);
    count(*isomers, bytes);
    optional(*best_decoy, bytes);
    bytes.push((*second_search).into());
    count(matches.len(), bytes);
    for Match { library, score, matched, delta, precursor_error, q_value: _, accepted: _ } in matches {
        count(*library, bytes);
        bytes.extend(score.to_le_bytes());
        count(*matched, bytes);
        optional(*delta, bytes);
        optional(*precursor_error, bytes);
    }
}

fn optional(number: Option<f64>, bytes: &mut Vec<u8>) {
    bytes.push(number.is_some().into());
    bytes.extend(number.unwrap_or_default().to_le_bytes());
}

/// Reads what [`write`] wrote; `None` if it is something else.
fn read_one(bytes: &mut Bytes) -> Option<Identification> {
    let optional = |bytes: &mut Bytes| {
        let [is_some] = bytes.take()?;
        let number = bytes.number()?;
        Some((is_some != 0).then_some(number))
    };
    let (candidates, isomers) = (bytes.count()? as usize, bytes.count()? as usize);
    let best_decoy = optional(bytes)?;
    let second_search = bytes.take()? != [0];
    let found = |bytes: &mut Bytes| {
        Some(Match {
            library: bytes.count()? as usize,
            score: bytes.number()?,
            matched: bytes.count()? as usize,
            delta: optional(bytes)?,
            precursor_error: optional(bytes)?,
            q_value: None,
            accepted: false,
        })
    };
    let matches = (0..bytes.count()?).map(|_| found(bytes)).collect::<Option<_>>()?;
    Some(Identification { matches, candidates, isomers, best_decoy, second_search })
}
