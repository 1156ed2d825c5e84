//! Where spectra crowd, one of those that are nearly the same stands for all of them.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::comparable::Comparable;

/// Spectra are nearly the same if their distance is within this share of the threshold.
const NEARLY: f64 = 0.25;

/// Groups that a spectrum is compared with before it founds one of its own.
const GROUPS_COMPARED: usize = 512;

/// Spectra that are compared together with the groups that were there before them.
const COMPARED_TOGETHER: usize = 64;

/// Groups of spectra of a bucket that are nearly the same, in the order of their first spectra, which stand for them.
/// Where spectra do not crowd, each is a group of its own.
pub(super) struct Groups<'a> {
    pub(super) bucket: &'a Comparable<'a>,
    /// The group of each spectrum, and how similar it is to the first one there.
    group_of: Vec<(u32, f32)>,
    /// The first and the last spectrum of each group.
    ends: Vec<(u32, u32)>,
    sizes: Vec<u32>,
}

impl<'a> Groups<'a> {
    /// Follows the spectra in the order of their precursors: each joins a group whose first spectrum it is nearly the same
    /// as, or founds one (leader clustering, Hartigan 1975, chapter 3). Of the groups within the precursor tolerance those
    /// that grew last are compared first, and no more than a constant number, so that time grows with the number of spectra
    /// and not with its square. Only spectra with more than
    /// [`ClusterOptions::exact_neighbours`](super::ClusterOptions::exact_neighbours) others around them are grouped.
    pub(super) fn new(bucket: &'a Comparable<'a>) -> Self {
        let mut groups = Groups { bucket, group_of: Vec::new(), ends: Vec::new(), sizes: Vec::new() };
        let crowded = crowded(bucket);
        let mut open: Vec<u32> = Vec::new();
        for start in (0..bucket.len()).step_by(COMPARED_TOGETHER) {
            let places = start..bucket.len().min(start + COMPARED_TOGETHER);
            open.retain(|&group| bucket.may_share(groups.first(group), start as u32));
            open.sort_unstable_by_key(|&group| Reverse(groups.ends[group as usize].1));
            let compared = &open[..open.len().min(GROUPS_COMPARED)];
            let join = |place: usize| crowded[place].then(|| groups.joined(compared, place as u32)).flatten();
            let joined: Vec<Option<(u32, f32)>> = places.clone().into_par_iter().map(join).collect();
            let mut founded = Vec::new();
            for (place, joined) in places.zip(joined) {
                if !crowded[place] {
                    groups.push(place as u32, None);
                    continue;
                }
                let joined = joined.or_else(|| groups.joined(&founded, place as u32));
                if joined.is_none() {
                    founded.push(groups.len() as u32);
                }
                groups.push(place as u32, joined);
            }
            open.extend(founded);
        }
        groups
    }

    /// The first of some groups that a spectrum can join, and how similar they are.
    fn joined(&self, groups: &[u32], place: u32) -> Option<(u32, f32)> {
        let reachable = groups.iter().filter(|&&group| self.bucket.may_share(self.first(group), place));
        let mut scored = reachable.map(|&group| (group, self.bucket.score(self.first(group), place)));
        let nearly = NEARLY * self.bucket.options.threshold;
        scored.find(|(_, score)| 1.0 - score <= nearly).map(|(group, score)| (group, score as f32))
    }

    fn push(&mut self, place: u32, joined: Option<(u32, f32)>) {
        if let Some((group, score)) = joined {
            self.group_of.push((group, score));
            self.ends[group as usize].1 = place;
            self.sizes[group as usize] += 1;
        } else {
            self.group_of.push((self.ends.len() as u32, 1.0));
            self.ends.push((place, place));
            self.sizes.push(1);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of spectra of each group.
    pub(super) fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The spectrum that stands for a group.
    pub(super) fn first(&self, group: u32) -> u32 {
        self.ends[group as usize].0
    }

    /// The score of the spectra that stand for two groups.
    pub(super) fn score(&self, a: u32, b: u32) -> f64 {
        self.bucket.score(self.first(a), self.first(b))
    }

    /// Whether the precursors of all spectra of two groups are near enough for one cluster.
    pub(super) fn may_share(&self, a: u32, b: u32) -> bool {
        let last = self.ends[a as usize].1.max(self.ends[b as usize].1);
        self.bucket.may_share(self.first(a.min(b)), last)
    }

    /// The spectra of groups that were put together, ascending.
    pub(super) fn spectra_of(&self, clusters: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut cluster_of = vec![0; self.len()];
        for (cluster, groups) in clusters.iter().enumerate() {
            for &group in groups {
                cluster_of[group as usize] = cluster;
            }
        }
        let mut spectra = vec![Vec::new(); clusters.len()];
        for (place, &(group, _)) in self.group_of.iter().enumerate() {
            spectra[cluster_of[group as usize]].push(place as u32);
        }
        spectra
    }

    /// Those of some spectra that stand for a group; the first one if none of them does.
    pub(super) fn firsts_among(&self, spectra: &[u32]) -> Vec<u32> {
        let stands = |&place: &u32| self.first(self.group_of[place as usize].0) == place;
        let firsts: Vec<u32> = spectra.iter().copied().filter(stands).collect();
        if firsts.is_empty() { spectra[..1].to_vec() } else { firsts }
    }

    /// Each spectrum that another one stands for, after that one, with the score of the two.
    pub(super) fn followers(&self) -> impl Iterator<Item = (u32, u32, f32)> {
        let followers = self.group_of.iter().enumerate();
        followers.filter_map(|(place, &(group, score))| {
            let first = self.first(group);
            (first != place as u32).then_some((first, place as u32, score))
        })
    }
}

/// Which spectra have too many others within the precursor tolerance to be compared with all of them.
fn crowded(bucket: &Comparable) -> Vec<bool> {
    let ends = bucket.window_ends(0..bucket.len() as u32);
    let mut low = 0;
    let crowded = (0..bucket.len()).map(|place| {
        while ends[low] <= place {
            low += 1;
        }
        ends[place] - low - 1 > bucket.options.exact_neighbours
    });
    crowded.collect()
}
