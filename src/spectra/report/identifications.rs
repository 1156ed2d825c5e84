//! The report of an identification.

use super::{
    Figure, Page, grouped, or_dash, percent,
    plots::{FIRST, REST, SECOND, around_zero, histogram, mirror},
    spread,
};
use crate::spectra::{
    Field, Spectrum, Tolerance,
    identify::{Identification, Library, Match, Outcome, Quality},
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
        self.quality(&mut page);
        self.distributions(&mut page, &accepted, &rest);
        self.mirrors(&mut page, best);
        page.section("Parameters", "");
        page.table(self.heading);
        page.finish()
    }

    fn best(&self) -> Vec<Best<'a>> {
        let all = self.queries.iter().zip(self.found);
        all.filter_map(|(query, found)| Some(Best { query, matched: found.matches.first()? })).collect()
    }

    fn quality(&self, page: &mut Page) {
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
    }

    fn distributions(&self, page: &mut Page, accepted: &[&Best<'_>], rest: &[&Best<'_>]) {
        page.section("All best matches", "Each query counts once.");
        page.key(&[("accepted", FIRST), ("not accepted", REST)]);
        let of = |which: &[&Best<'_>], value: fn(&Match) -> Option<f64>| -> Vec<f64> {
            which.iter().filter_map(|best| value(best.matched)).collect()
        };
        let plot = |value: fn(&Match) -> Option<f64>, range, label, decimals| {
            let (accepted, rest) = (of(accepted, value), of(rest, value));
            histogram(&[(&accepted[..], FIRST), (&rest[..], REST)], range, label, decimals)
        };
        let errors = of(accepted, |best| best.precursor_error);
        let figure = |title: &str, text: &str, svg| Figure { title: title.to_owned(), text: text.to_owned(), svg };
        let mut figures = vec![
            figure("Score", "of the best match.", plot(|best| Some(best.score), (0.0, 1.0), "score", 2)),
            figure(
                "Margin",
                "by which the best match is above the next structure, where there is one.",
                plot(|best| best.delta, (0.0, 1.0), "delta", 2),
            ),
            figure(
                "Precursor error",
                "of the query against the library; what is further off counts at the ends.",
                plot(|best| best.precursor_error, around_zero(&errors), "ppm", 1),
            ),
            figure(
                "Matching peaks",
                "of the best match; 40 and more count as 40.",
                plot(|best| Some(best.matched as f64), (0.0, 40.0), "peaks", 0),
            ),
        ];
        if let Some(truth) = self.truth {
            figures.push(self.outcomes(truth, accepted, rest));
        }
        page.figures(figures);
    }

    /// Scores by what became of the matches.
    fn outcomes(&self, truth: &Field, accepted: &[&Best<'_>], rest: &[&Best<'_>]) -> Figure {
        let scores = |wanted: Outcome| -> Vec<f64> {
            let all = accepted.iter().chain(rest);
            let outcome =
                |best: &Best<'_>| Outcome::of(best.query, &self.library.spectra()[best.matched.library], truth);
            all.filter(|best| outcome(best) == Some(wanted)).map(|best| best.matched.score).collect()
        };
        let [right, isomer, wrong] = [Outcome::Right, Outcome::Isomer, Outcome::Wrong].map(scores);
        let series = [(&right[..], FIRST), (&isomer[..], REST), (&wrong[..], SECOND)];
        Figure {
            title: "Score by truth".to_owned(),
            text: "blue: right, grey: an isomer, red: wrong.".to_owned(),
            svg: histogram(&series, (0.0, 1.0), "score", 2),
        }
    }

    fn mirrors(&self, page: &mut Page, mut best: Vec<Best<'_>>) {
        best.sort_by(|a, b| b.matched.score.total_cmp(&a.matched.score));
        let drawn = |best: &Best<'_>| self.mirror(best);
        let note = "Above the query, below the library's spectrum; peaks that are in both are coloured.";
        page.section("The best matches", &format!("Of {TELLING} or more matching peaks. {note}"));
        page.figures(best.iter().filter(|best| best.matched.matched >= TELLING).take(DRAWN).map(drawn));
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
        let name = library.field("NAME").map_or_else(|| library.id(), str::to_owned);
        let outcome = self.truth.and_then(|truth| Outcome::of(query, library, truth));
        let text = format!(
            "{}: score {:.3}, {} matching peaks, delta {}, precursor error {} ppm, {}{}",
            query.id(),
            matched.score,
            matched.matched,
            or_dash(matched.delta.map(|delta| format!("{delta:.3}"))),
            or_dash(matched.precursor_error.map(|error| format!("{error:.1}"))),
            if matched.accepted { "accepted" } else { "not accepted" },
            outcome.map_or_else(String::new, |outcome| format!(", {}", outcome.name())),
        );
        Figure { title: name, text, svg: mirror(query, library, self.fragment_tolerance) }
    }
}
