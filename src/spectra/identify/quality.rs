//! How many identifications are right, where what the queries show is known.

use std::collections::HashSet;

use super::{Found, Library, all, for_each};
use crate::{
    Result,
    spectra::{Collection, Field, Spectrum},
};

/// What became of a match whose truth is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The structure is right.
    Right,
    /// The structure is another one of the same formula (field `FORMULA`): an isomer.
    Isomer,
    /// Neither structure nor formula is right.
    Wrong,
}

impl Outcome {
    /// What a match of a query with a spectrum of the library is; `None` where the query does not say what it shows.
    #[must_use]
    pub fn of(query: &Spectrum, library: &Spectrum, truth: &Field) -> Option<Self> {
        let shown = truth.of(query)?;
        let formula = query.field("FORMULA");
        Some(match truth.of(library) {
            Some(named) if named == shown => Outcome::Right,
            _ if formula.is_some() && formula == library.field("FORMULA") => Outcome::Isomer,
            _ => Outcome::Wrong,
        })
    }

    /// `right`, `isomer`, `wrong`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Right => "right",
            Outcome::Isomer => "isomer",
            Outcome::Wrong => "wrong",
        }
    }
}

/// How many identifications are right. Only queries that say what they show are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Queries whose structure is in the library.
    pub known: usize,
    /// Queries whose structure is not.
    pub absent: usize,
    /// Known queries whose best match is right, accepted or not.
    pub right: usize,
    /// Known queries whose best match is right and accepted.
    pub accepted_right: usize,
    /// Known queries whose best match is accepted, and an isomer.
    pub accepted_isomer: usize,
    /// Known queries whose best match is accepted, and wrong.
    pub accepted_wrong: usize,
    /// Absent queries with an accepted match that is an isomer.
    pub absent_accepted_isomer: usize,
    /// Absent queries with an accepted match that is wrong.
    pub absent_accepted_wrong: usize,
}

impl Quality {
    /// Counts; `None` where no query says what it shows.
    ///
    /// # Errors
    /// Those of fetching queries and identifications.
    pub fn of<C: Collection + ?Sized, F: Found + ?Sized>(
        library: &Library,
        queries: &C,
        found: &F,
        truth: &Field,
    ) -> Result<Option<Self>> {
        let structures: HashSet<&str> = library.spectra().iter().filter_map(|spectrum| truth.of(spectrum)).collect();
        let mut quality = Quality::default();
        for_each(queries, found, all(queries, found), |_, query, found| {
            let Some(shown) = truth.of(query) else { return Ok(()) };
            let best = found.matches.first();
            let outcome = best.and_then(|best| Outcome::of(query, &library.spectra()[best.library], truth));
            let accepted = found.is_accepted();
            let counts = if structures.contains(shown) {
                quality.known += 1;
                quality.right += usize::from(outcome == Some(Outcome::Right));
                [&mut quality.accepted_right, &mut quality.accepted_isomer, &mut quality.accepted_wrong]
            } else {
                quality.absent += 1;
                // Nothing can be right here.
                let [isomer, wrong] = [&mut quality.absent_accepted_isomer, &mut quality.absent_accepted_wrong];
                [&mut quality.accepted_right, isomer, wrong]
            };
            if let Some(outcome) = outcome.filter(|_| accepted) {
                *counts[outcome as usize] += 1;
            }
            Ok(())
        })?;
        Ok((quality.known + quality.absent > 0).then_some(quality))
    }

    /// Share of the known queries whose best match is right.
    #[must_use]
    pub fn top1(&self) -> f64 {
        self.right as f64 / self.known.max(1) as f64
    }

    /// Share of the accepted matches that are right, those of absent queries included. 1 where nothing is accepted.
    #[must_use]
    pub fn precision(&self) -> f64 {
        let wrong =
            self.accepted_isomer + self.accepted_wrong + self.absent_accepted_isomer + self.absent_accepted_wrong;
        let accepted = self.accepted_right + wrong;
        if accepted == 0 { 1.0 } else { self.accepted_right as f64 / accepted as f64 }
    }

    /// Share of the known queries whose best match is right and accepted.
    #[must_use]
    pub fn recall(&self) -> f64 {
        self.accepted_right as f64 / self.known.max(1) as f64
    }
}
