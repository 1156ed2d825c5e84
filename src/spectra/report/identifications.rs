//! The report of an identification.

use std::{collections::HashSet, fmt::Write as _};

use super::{
    Figure, Page, grouped, matching_peaks, percent,
    plots::{FIRST, REST, SECOND, around_zero, histogram, mirror},
    spread,
};
use crate::{
    Result,
    spectra::{
        Collection, Field, Spectrum, Tolerance,
        identify::{Found, Library, Match, Outcome, Quality, all, for_each, name_of},
    },
};

/// Matches of each kind that are drawn.
const DRAWN: usize = 6;

/// Matching peaks from which on a picture tells more than a number.
const TELLING: usize = 6;

/// What was identified, to be shown on one page.
pub struct IdentificationsReport<'a, C: ?Sized, F: ?Sized> {
    /// What was searched.
    pub library: &'a Library,
    /// The cleaned queries.
    pub queries: &'a C,
    /// What was found for each.
    pub found: &'a F,
    /// How near fragments must be to match.
    pub fragment_tolerance: Tolerance,
    /// What is known of the queries, if anything.
    pub truth: Option<&'a Field>,
    /// Program, device and parameters.
    pub heading: &'a [(String, String)],
}

/// What the page needs of each query's best match.
#[derive(Clone, Copy)]
struct Best {
    query: u32,
    library: u32,
    score: f64,
    delta: Option<f64>,
    precursor_error: Option<f64>,
    matched: u32,
    accepted: bool,
    outcome: Option<Outcome>,
}

impl<C: Collection + ?Sized, F: Found + ?Sized> IdentificationsReport<'_, C, F> {
    /// The page, complete in itself: scores, margins and precursor errors of all best matches, quality where the truth
    /// is known, and mirror plots of the best, of those at the border of what is accepted, and of some evenly apart.
    ///
    /// # Errors
    /// Those of fetching queries and identifications.
    pub fn html(&self) -> Result<String> {
        let best = self.best()?;
        let (accepted, rest): (Vec<_>, Vec<_>) = best.iter().partition(|best| best.accepted);
        let mut page = Page::new("Identified spectra", "What each query spectrum may be, by the library's spectra.");
        page.tiles(&[
            ("queries", grouped(self.queries.len())),
            ("library spectra", grouped(self.library.spectra().len())),
            ("with any match", grouped(best.len())),
            ("accepted", grouped(accepted.len())),
            ("of the queries accepted", percent(accepted.len() as f64 / self.queries.len().max(1) as f64)),
        ]);
        self.quality(&mut page, &best)?;
        page.section("All best matches", "Each query counts once.");
        page.key(&[("accepted", FIRST), ("not accepted", REST)]);
        page.overview(distributions(&[(accepted, FIRST), (rest, REST)]));
        self.mirrors(&mut page, best)?;
        page.section("Parameters", "");
        page.table(self.heading);
        Ok(page.finish())
    }

    fn best(&self) -> Result<Vec<Best>> {
        let mut all_best = Vec::new();
        for_each(self.queries, self.found, all(self.queries, self.found), |number, query, found| {
            let best = found.matches.first().map(|best| Best {
                query: number,
                library: best.library as u32,
                score: best.score,
                delta: best.delta,
                precursor_error: best.precursor_error,
                matched: best.matched as u32,
                accepted: best.accepted,
                outcome: self.outcome(query, best),
            });
            all_best.extend(best);
            Ok(())
        })?;
        Ok(all_best)
    }

    fn outcome(&self, query: &Spectrum, matched: &Match) -> Option<Outcome> {
        self.truth.and_then(|truth| Outcome::of(query, &self.library.spectra()[matched.library], truth))
    }

    fn quality(&self, page: &mut Page, best: &[Best]) -> Result<()> {
        let Some(truth) = self.truth else { return Ok(()) };
        let Some(quality) = Quality::of(self.library, self.queries, self.found, truth)? else { return Ok(()) };
        let note = format!("Queries whose field {truth} is known, compared with that of their best match.");
        page.section("Quality", &note);
        page.tiles(&[
            ("known queries", grouped(quality.known)),
            ("best match right", percent(quality.top1())),
            ("precision of the accepted", percent(quality.precision())),
            ("recall", percent(quality.recall())),
            ("isomers accepted", grouped(quality.accepted_isomer + quality.absent_accepted_isomer)),
            ("wrong accepted", grouped(quality.accepted_wrong + quality.absent_accepted_wrong)),
            ("absent from the library", grouped(quality.absent)),
        ]);
        // Plots of what best matches are like, by what became of them.
        let of = |wanted: Outcome| best.iter().filter(|best| best.outcome == Some(wanted)).collect();
        page.key(&[("right", FIRST), ("an isomer", REST), ("wrong", SECOND)]);
        page.overview(distributions(&[
            (of(Outcome::Right), FIRST),
            (of(Outcome::Isomer), REST),
            (of(Outcome::Wrong), SECOND),
        ]));
        Ok(())
    }

    fn mirrors(&self, page: &mut Page, mut best: Vec<Best>) -> Result<()> {
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        let note = format!("Of {TELLING} or more matching peaks, each spectrum of the library once.");
        page.section("The best matches", &note);
        page.key(&[("query", FIRST), ("library", SECOND), ("peaks of one alone", REST)]);
        let mut seen = HashSet::new();
        let telling = best.iter().filter(|best| best.matched as usize >= TELLING);
        page.figures(self.drawn(telling.filter(|best| seen.insert(best.library)).take(DRAWN))?);
        let (accepted, rest): (Vec<_>, Vec<_>) = best.iter().partition(|best| best.accepted);
        let low = accepted.into_iter().rev().take(DRAWN / 2);
        page.section(
            "At the border",
            "The accepted matches of the lowest scores, and the best that were not accepted.",
        );
        page.figures(self.drawn(low.chain(rest.into_iter().take(DRAWN / 2)))?);
        page.section("Some of all", "Evenly apart in the order of scores.");
        page.figures(self.drawn(spread(best.len(), DRAWN).map(|index| &best[index]))?);
        Ok(())
    }

    fn drawn<'b>(&self, best: impl Iterator<Item = &'b Best>) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for_each(self.queries, self.found, best.map(|best| best.query), |_, query, found| {
            figures.extend(found.matches.first().map(|best| self.mirror(query, best)));
            Ok(())
        })?;
        Ok(figures)
    }

    fn mirror(&self, query: &Spectrum, matched: &Match) -> Figure {
        let library = &self.library.spectra()[matched.library];
        let name = name_of(library).map_or_else(|| format!("Library {}", library.id()), str::to_owned);
        let mut text = format!("Query {}: score {:.3}, {}", query.id(), matched.score, matching_peaks(matched.matched));
        if let Some(delta) = matched.delta {
            let _ = write!(text, ", {delta:.3} above the next");
        }
        if let Some(error) = matched.precursor_error {
            let _ = write!(text, ", precursor {error:+.1} ppm");
        }
        text.push_str(if matched.accepted { "; accepted" } else { "; not accepted" });
        if let Some(outcome) = self.outcome(query, matched) {
            text.extend([", ", outcome.name()]);
        }
        Figure { title: format!("{name}."), text, svg: mirror(query, library, self.fragment_tolerance) }
    }
}

/// Plots of what groups of matches are like, each in its colour; the first group sets the range of precursor errors.
fn distributions(groups: &[(Vec<&Best>, &str)]) -> [Figure; 4] {
    let values = |value: fn(&Best) -> Option<f64>| -> Vec<(Vec<f64>, &str)> {
        let of = |matches: &[&Best]| matches.iter().filter_map(|matched| value(matched)).collect();
        groups.iter().map(|(matches, class)| (of(matches), *class)).collect()
    };
    let plot = |value: fn(&Best) -> Option<f64>, range, label| {
        let values = values(value);
        let series: Vec<_> = values.iter().map(|(values, class)| (&values[..], *class)).collect();
        histogram(&series, range, label)
    };
    let errors = values(|best| best.precursor_error);
    let widest = around_zero(errors.first().map_or(&[], |(errors, _)| errors));
    let figure = |title: &str, text: &str, svg| Figure { title: title.to_owned(), text: text.to_owned(), svg };
    [
        figure("Score", "of the best match.", plot(|best| Some(best.score), (0.0, 1.0), "score")),
        figure(
            "Margin",
            "by which the best match is above the next structure, where there is one.",
            plot(|best| best.delta, (0.0, 1.0), "delta"),
        ),
        figure(
            "Precursor error",
            "of the query against the library; what is further off counts at the ends.",
            plot(|best| best.precursor_error, widest, "ppm"),
        ),
        figure(
            "Matching peaks",
            "of the best match; 40 and more count as 40.",
            plot(|best| Some(f64::from(best.matched)), (0.0, 40.0), "peaks"),
        ),
    ]
}
