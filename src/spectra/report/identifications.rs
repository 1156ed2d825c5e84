//! The report of an identification.

use std::{collections::HashSet, fmt::Write as _};

use super::{
    Figure, Page, grouped, matching_peaks, percent,
    plots::{FIRST, REST, SECOND, around_zero, histogram, mirror},
    spread,
};
use crate::spectra::{
    Field, Spectrum, Tolerance,
    identify::{Identification, Library, Match, Outcome, Quality, name_of},
};

/// Matches of each kind that are drawn.
const DRAWN: usize = 6;

/// Matching peaks from which on a picture tells more than a number.
const TELLING: usize = 6;

/// What was identified, to be shown on one page.
#[derive(Clone, Copy, Debug)]
pub struct IdentificationsReport<'a> {
    /// What was searched.
    pub library: &'a Library,
    /// The cleaned queries.
    pub queries: &'a [Spectrum],
    /// What was found for each.
    pub found: &'a [Identification],
    /// How near fragments must be to match.
    pub fragment_tolerance: Tolerance,
    /// What is known of the queries, if anything.
    pub truth: Option<&'a Field>,
    /// Program, device and parameters.
    pub heading: &'a [(String, String)],
}

/// A query's best match.
#[derive(Clone, Copy)]
struct Best<'a> {
    query: &'a Spectrum,
    matched: &'a Match,
}

impl<'a> IdentificationsReport<'a> {
    /// The page, complete in itself: scores, margins and precursor errors of all best matches, quality where the truth
    /// is known, and mirror plots of the best, of those at the border of what is accepted, and of some evenly apart.
    #[must_use]
    pub fn html(&self) -> String {
        let best: Vec<Best<'a>> = self.best();
        let (accepted, rest): (Vec<_>, Vec<_>) = best.iter().partition(|best| best.matched.accepted);
        let mut page = Page::new("Identified spectra", "What each query spectrum may be, by the library's spectra.");
        page.tiles(&[
            ("queries", grouped(self.queries.len())),
            ("library spectra", grouped(self.library.spectra().len())),
            ("with any match", grouped(best.len())),
            ("accepted", grouped(accepted.len())),
            ("of the queries accepted", percent(accepted.len() as f64 / self.queries.len().max(1) as f64)),
        ]);
        self.quality(&mut page, &best);
        page.section("All best matches", "Each query counts once.");
        page.key(&[("accepted", FIRST), ("not accepted", REST)]);
        let matches = |of: &[&Best<'a>]| of.iter().map(|best| best.matched).collect();
        page.overview(distributions(&[(matches(&accepted), FIRST), (matches(&rest), REST)]));
        self.mirrors(&mut page, best);
        page.section("Parameters", "");
        page.table(self.heading);
        page.finish()
    }

    fn best(&self) -> Vec<Best<'a>> {
        let all = self.queries.iter().zip(self.found);
        all.filter_map(|(query, found)| Some(Best { query, matched: found.matches.first()? })).collect()
    }

    fn quality(&self, page: &mut Page, best: &[Best<'_>]) {
        let quality = |truth| Some((truth, Quality::of(self.library, self.queries, self.found, truth)?));
        let Some((truth, quality)) = self.truth.and_then(quality) else { return };
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
        self.outcomes(page, truth, best);
    }

    /// Plots of what best matches are like, by what became of them.
    fn outcomes(&self, page: &mut Page, truth: &Field, best: &[Best<'_>]) {
        let of = |wanted: Outcome| -> Vec<&Match> {
            let outcome =
                |best: &&Best<'_>| Outcome::of(best.query, &self.library.spectra()[best.matched.library], truth);
            best.iter().filter(|best| outcome(best) == Some(wanted)).map(|best| best.matched).collect()
        };
        page.key(&[("right", FIRST), ("an isomer", REST), ("wrong", SECOND)]);
        page.overview(distributions(&[
            (of(Outcome::Right), FIRST),
            (of(Outcome::Isomer), REST),
            (of(Outcome::Wrong), SECOND),
        ]));
    }

    fn mirrors(&self, page: &mut Page, mut best: Vec<Best<'_>>) {
        best.sort_by(|a, b| b.matched.score.total_cmp(&a.matched.score));
        let drawn = |best: &Best<'_>| self.mirror(best);
        let note = format!("Of {TELLING} or more matching peaks, each spectrum of the library once.");
        page.section("The best matches", &note);
        page.key(&[("query", FIRST), ("library", SECOND), ("peaks of one alone", REST)]);
        let mut seen = HashSet::new();
        let telling = best.iter().filter(|best| best.matched.matched >= TELLING);
        page.figures(telling.filter(|best| seen.insert(best.matched.library)).take(DRAWN).map(drawn));
        let (accepted, rest): (Vec<_>, Vec<_>) = best.iter().partition(|best| best.matched.accepted);
        let low = accepted.iter().rev().take(DRAWN / 2);
        page.section(
            "At the border",
            "The accepted matches of the lowest scores, and the best that were not accepted.",
        );
        page.figures(low.chain(rest.iter().take(DRAWN / 2)).map(drawn));
        page.section("Some of all", "Evenly apart in the order of scores.");
        page.figures(spread(best.len(), DRAWN).map(|index| drawn(&best[index])));
    }

    fn mirror(&self, Best { query, matched }: &Best<'_>) -> Figure {
        let library = &self.library.spectra()[matched.library];
        let name = name_of(library).map_or_else(|| format!("Library {}", library.id()), str::to_owned);
        let outcome = self.truth.and_then(|truth| Outcome::of(query, library, truth));
        let mut text = format!("Query {}: score {:.3}, {}", query.id(), matched.score, matching_peaks(matched.matched));
        if let Some(delta) = matched.delta {
            let _ = write!(text, ", {delta:.3} above the next");
        }
        if let Some(error) = matched.precursor_error {
            let _ = write!(text, ", precursor {error:+.1} ppm");
        }
        text.push_str(if matched.accepted { "; accepted" } else { "; not accepted" });
        if let Some(outcome) = outcome {
            text.extend([", ", outcome.name()]);
        }
        Figure { title: format!("{name}."), text, svg: mirror(query, library, self.fragment_tolerance) }
    }
}

/// Plots of what groups of matches are like, each in its colour; the first group sets the range of precursor errors.
fn distributions(groups: &[(Vec<&Match>, &str)]) -> [Figure; 4] {
    let values = |value: fn(&Match) -> Option<f64>| -> Vec<(Vec<f64>, &str)> {
        let of = |matches: &[&Match]| matches.iter().filter_map(|matched| value(matched)).collect();
        groups.iter().map(|(matches, class)| (of(matches), *class)).collect()
    };
    let plot = |value: fn(&Match) -> Option<f64>, range, label| {
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
            plot(|best| Some(best.matched as f64), (0.0, 40.0), "peaks"),
        ),
    ]
}
