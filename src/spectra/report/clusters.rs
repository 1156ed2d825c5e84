//! The report of a clustering.

use std::collections::BTreeMap;

use super::{
    Figure, Page, grouped,
    map::principal,
    matching_peaks, percent,
    plots::{FIRST, REST, SECOND, around_zero, bars, histogram, mirror, scatter},
    spread,
};
use crate::{
    Result,
    spectra::{
        Cleaning, Collection,
        cluster::{ClusterFiles, Quality},
    },
};

/// Clusters of which the medoid is drawn against a member.
const DRAWN: usize = 9;

/// Most spectra on the map.
const MAPPED: usize = 2000;

/// Clusters that have a colour of their own on the map.
const COLOURS: usize = 12;

/// Clusters, to be shown on one page.
pub struct ClustersReport<'a, C: ?Sized> {
    /// The clusters and their spectra.
    pub files: &'a ClusterFiles<'a, C>,
    /// How they agree with what is known, if anything is.
    pub quality: Option<Quality>,
}

impl<C: Collection + ?Sized> ClustersReport<'_, C> {
    /// The page, complete in itself: sizes, scores and precursor errors within clusters, quality where the truth is
    /// known, a map, and mirror plots of medoids and the members least like them.
    ///
    /// # Errors
    /// Those of fetching the spectra.
    pub fn html(&self) -> Result<String> {
        let sizes: Vec<usize> = (0..self.files.clusters.len()).map(|cluster| self.files.size(cluster)).collect();
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let mut page = Page::new("Clusters of spectra", "Which spectra show the same molecule.");
        page.tiles(&[
            ("spectra", grouped(sizes.iter().sum())),
            ("clusters of two or more", grouped(sizes.iter().filter(|&&size| size > 1).count())),
            ("spectra alone", grouped(sizes.iter().filter(|&&size| size == 1).count())),
            ("clustered", percent(self.files.clustered_ratio())),
            ("in the largest cluster", grouped(largest)),
        ]);
        self.quality(&mut page);
        self.distributions(&mut page, &sizes)?;
        self.mirrors(&mut page, &sizes)?;
        page.section("Parameters", "");
        page.table(self.files.heading);
        Ok(page.finish())
    }

    fn quality(&self, page: &mut Page) {
        let Some(quality) = &self.quality else { return };
        page.section("Quality", "Against what is known of the spectra.");
        page.tiles(&[
            ("known spectra", grouped(quality.spectra)),
            ("incorrectly clustered", percent(quality.incorrectly_clustered_ratio)),
            ("completeness", format!("{:.3}", quality.completeness)),
            ("normalised mutual information", format!("{:.3}", quality.nmi)),
            ("adjusted Rand index", format!("{:.3}", quality.ari)),
        ]);
    }

    fn distributions(&self, page: &mut Page, sizes: &[usize]) -> Result<()> {
        let clusters = self.files.clusters;
        let scores: Vec<f64> = clusters.edges().iter().map(|edge| f64::from(edge.score)).collect();
        let mut errors = vec![];
        for (cluster, _) in sizes.iter().enumerate().filter(|(_, size)| **size > 1) {
            let mz = |number: u32| self.files.spectra.ion(number).mz;
            let Some(centre) = mz(clusters.medoids()[cluster]).filter(|&centre| centre > 0.0) else { continue };
            let members = clusters.members(cluster).iter().filter(|&&member| member != clusters.medoids()[cluster]);
            errors.extend(members.filter_map(|&member| Some((mz(member)? - centre) / centre * 1e6)));
        }
        page.section("All clusters", "");
        let figure = |title: &str, text: &str, svg| Figure { title: title.to_owned(), text: text.to_owned(), svg };
        page.overview([
            figure("Sizes", "of clusters of two or more.", bars(&by_size(sizes), "spectra")),
            figure("Scores", "of similar pairs of spectra.", histogram(&[(&scores, FIRST)], (0.0, 1.0), "score")),
            figure(
                "Precursors",
                "of members against the medoid; what is further off counts at the ends.",
                histogram(&[(&errors, FIRST)], around_zero(&errors), "ppm"),
            ),
            self.map()?,
        ]);
        Ok(())
    }

    /// Spectra evenly apart, by the principal components of their vectors.
    fn map(&self) -> Result<Figure> {
        let numbers: Vec<u32> = spread(self.files.spectra.len(), MAPPED).map(|number| number as u32).collect();
        let vectors = if let Some(vectors) = self.files.spectra.vectors(&numbers) {
            vectors
        } else {
            let cleaning = Cleaning::metabolomics();
            // As they were cleaned, but on a scale on which they can be compared.
            let spectra = self.files.spectra.fetch(&numbers)?.into_iter();
            let spectra: Vec<_> =
                spectra.map(|spectrum| cleaning.clean(spectrum.clone()).unwrap_or(spectrum)).collect();
            self.files.options.vectorizer.vectors(&spectra)?
        };
        let places = principal(&vectors);
        let labels = self.files.clusters.labels();
        let mut counts = BTreeMap::<u32, usize>::new();
        for &number in &numbers {
            *counts.entry(labels[number as usize]).or_default() += 1;
        }
        let mut largest: Vec<(u32, usize)> = counts.into_iter().filter(|&(_, count)| count > 1).collect();
        largest.sort_by_key(|&(label, count)| (std::cmp::Reverse(count), label));
        largest.truncate(COLOURS);
        let rank = |number: u32| largest.iter().position(|&(label, _)| label == labels[number as usize]);
        let mut points: Vec<_> =
            places.into_iter().zip(&numbers).map(|(place, &number)| (place, rank(number))).collect();
        // Those with a colour lie above the others.
        points.sort_by_key(|(_, rank)| rank.is_some());
        let text = format!(
            "of {} spectra: two principal components of their vectors, the {} largest clusters coloured.",
            grouped(numbers.len()),
            largest.len()
        );
        Ok(Figure { title: "Map".to_owned(), text, svg: scatter(&points, COLOURS) })
    }

    fn mirrors(&self, page: &mut Page, sizes: &[usize]) -> Result<()> {
        let clusters = self.files.clusters;
        // Of an earlier cluster that nothing joined, there is but the medoid.
        let mut several: Vec<usize> =
            (0..clusters.len()).filter(|&cluster| clusters.members(cluster).len() > 1).collect();
        several.sort_by_key(|&cluster| (std::cmp::Reverse(sizes[cluster]), cluster));
        let options = self.files.options;
        let mut figures = vec![];
        for index in spread(several.len(), DRAWN) {
            let cluster = several[index];
            let medoid = clusters.medoids()[cluster];
            let others: Vec<u32> =
                clusters.members(cluster).iter().copied().filter(|&member| member != medoid).take(100).collect();
            let medoid = self.files.spectra.fetch(&[medoid])?;
            let (Some(medoid), others) = (medoid.first(), self.files.spectra.fetch(&others)?) else { continue };
            let scored =
                others.iter().map(|other| (options.score.of(medoid, other, options.fragment_tolerance), other));
            let Some((scored, other)) = scored.min_by(|a, b| a.0.score.total_cmp(&b.0.score)) else { continue };
            let precursor = medoid.precursor_mz.map_or_else(String::new, |mz| format!(", m/z {mz:.4}"));
            figures.push(Figure {
                title: format!("Cluster {cluster}: {} spectra{precursor}.", sizes[cluster]),
                text: format!(
                    "Above {}, below {}: score {:.3}, {}.",
                    medoid.id(),
                    other.id(),
                    scored.score,
                    matching_peaks(scored.matched)
                ),
                svg: mirror(medoid, other, options.fragment_tolerance),
            });
        }
        let note =
            "The medoid, and below it the member that is least like it, of clusters from the largest to the smallest.";
        page.section("Clusters", note);
        page.key(&[("medoid", FIRST), ("member", SECOND), ("peaks of one alone", REST)]);
        page.figures(figures);
        Ok(())
    }
}

/// How many clusters are of two, three and four spectra, and of more by doubling sizes.
fn by_size(sizes: &[usize]) -> Vec<(String, usize)> {
    let largest = sizes.iter().copied().max().unwrap_or(0);
    let mut ranges: Vec<(usize, usize)> = vec![(2, 2), (3, 3), (4, 4)];
    while ranges.len() < 4 || ranges.last().is_some_and(|&(_, last)| last < largest) {
        let last = ranges.last().map_or(1, |&(_, last)| last);
        ranges.push((last + 1, 2 * last));
    }
    // Names of many have no room; the last is for all that are larger.
    ranges.truncate(6);
    let count = ranges.len();
    let named = ranges.into_iter().enumerate().map(|(place, (first, last))| {
        let (name, last) = match place + 1 {
            place if place == count && last < largest => (format!("{first}+"), largest),
            _ if first == last => (first.to_string(), last),
            _ => (format!("{first}–{last}"), last),
        };
        (name, sizes.iter().filter(|size| (first..=last).contains(*size)).count())
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::by_size;

    #[test]
    fn every_size_has_a_bar() {
        let bars = |sizes: &[usize]| {
            let all = by_size(sizes).into_iter();
            all.map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(bars(&[]), "2:0 3:0 4:0 5–8:0");
        assert_eq!(bars(&[1, 2, 2, 3, 8, 9]), "2:2 3:1 4:0 5–8:1 9–16:1");
        assert_eq!(bars(&[2, 64, 65, 1000]), "2:1 3:0 4:0 5–8:0 9–16:0 17+:3");
    }
}
