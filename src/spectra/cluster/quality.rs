//! How well clusters agree with known identities.

use std::collections::BTreeMap;

/// How well clusters agree with known identities. A cluster has two spectra or more; a spectrum that is alone counts as
/// a cluster of one where all spectra count.
///
/// The measures are those by which [falcon](https://doi.org/10.1002/rcm.9153) and others are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Spectra whose identity is known; the others do not count.
    pub spectra: usize,
    /// Share of spectra that are in a cluster.
    pub clustered_ratio: f64,
    /// Share of the spectra in clusters that have not their cluster's most frequent identity.
    pub incorrectly_clustered_ratio: f64,
    /// How far spectra of one identity share a cluster: `1 - H(cluster | identity) / H(cluster)` over all spectra
    /// (Rosenberg and Hirschberg 2007), 1 if there is a single cluster.
    pub completeness: f64,
    /// Normalised mutual information of clusters and identities over all spectra: twice the mutual information by the
    /// sum of the entropies, 1 if both are zero.
    pub nmi: f64,
    /// Adjusted Rand index of clusters and identities over all spectra (Hubert and Arabie 1985), 1 for the same
    /// partition, 0 for what chance gives.
    pub ari: f64,
}

impl Quality {
    /// Compares the cluster of each spectrum with its identity, where that is known; `None` where none is, or where the
    /// two are not of the same length.
    #[must_use]
    pub fn of(clusters: &[u32], identities: &[Option<u32>]) -> Option<Quality> {
        if clusters.len() != identities.len() {
            return None;
        }
        let mut both = BTreeMap::<(u32, u32), u64>::new();
        for (&cluster, identity) in clusters.iter().zip(identities) {
            if let Some(identity) = *identity {
                *both.entry((cluster, identity)).or_default() += 1;
            }
        }
        let (mut cluster_sizes, mut identity_sizes) = (BTreeMap::<u32, u64>::new(), BTreeMap::<u32, u64>::new());
        let mut most_frequent = BTreeMap::<u32, u64>::new();
        for (&(cluster, identity), &count) in &both {
            *cluster_sizes.entry(cluster).or_default() += count;
            *identity_sizes.entry(identity).or_default() += count;
            let most = most_frequent.entry(cluster).or_default();
            *most = count.max(*most);
        }
        let total: u64 = both.values().sum();
        if total == 0 {
            return None;
        }
        let (mut clustered, mut incorrect) = (0, 0);
        for ((_, &size), (_, &most)) in cluster_sizes.iter().zip(&most_frequent).filter(|((_, size), _)| **size > 1) {
            clustered += size;
            incorrect += size - most;
        }
        let of_clusters = entropy(cluster_sizes.values(), total);
        let of_identities = entropy(identity_sizes.values(), total);
        let mutual = of_clusters + of_identities - entropy(both.values(), total);
        Some(Quality {
            spectra: total as usize,
            clustered_ratio: clustered as f64 / total as f64,
            incorrectly_clustered_ratio: incorrect as f64 / clustered.max(1) as f64,
            completeness: ratio(mutual, of_clusters),
            nmi: ratio(2.0 * mutual, of_clusters + of_identities),
            ari: adjusted_rand(
                pairs(both.values()),
                pairs(cluster_sizes.values()),
                pairs(identity_sizes.values()),
                pairs([&total]),
            ),
        })
    }
}

/// A share of an entropy, from 0 to 1; all of it where there is none.
fn ratio(part: f64, of: f64) -> f64 {
    if of > 0.0 { (part / of).clamp(0.0, 1.0) } else { 1.0 }
}

/// Entropy in nats.
fn entropy<'a>(sizes: impl IntoIterator<Item = &'a u64>, total: u64) -> f64 {
    let shares = sizes.into_iter().map(|&size| size as f64 / total as f64);
    shares.map(|share| -share * share.ln()).sum()
}

fn pairs<'a>(sizes: impl IntoIterator<Item = &'a u64>) -> f64 {
    sizes.into_iter().map(|&size| size as f64 * (size as f64 - 1.0) / 2.0).sum()
}

fn adjusted_rand(both: f64, clusters: f64, identities: f64, all: f64) -> f64 {
    let expected = if all > 0.0 { clusters * identities / all } else { 0.0 };
    let most = f64::midpoint(clusters, identities);
    if (most - expected).abs() <= f64::EPSILON * all { 1.0 } else { (both - expected) / (most - expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(clusters: &[u32], identities: &[u32]) -> Quality {
        let identities: Vec<_> = identities.iter().copied().map(Some).collect();
        Quality::of(clusters, &identities).unwrap()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// The figures of scikit-learn's `completeness`, `normalized_mutual_info` and `adjusted_rand` scores.
    #[test]
    fn figures_of_another_implementation() {
        let quality = of(&[0, 0, 0, 1, 1, 2, 3, 3], &[0, 0, 1, 1, 1, 1, 2, 3]);
        assert!(near(quality.clustered_ratio, 7.0 / 8.0));
        assert!(near(quality.incorrectly_clustered_ratio, 2.0 / 7.0));
        assert!(near(quality.completeness, 0.606_431_241_432_198_5), "{}", quality.completeness);
        assert!(near(quality.nmi, 0.632_250_089_550_550_2), "{}", quality.nmi);
        assert!(near(quality.ari, 0.157_894_736_842_105_26), "{}", quality.ari);
    }

    #[test]
    fn same_partitions_and_none() {
        for clusters in [vec![0, 0, 1, 2], vec![0, 0, 0], vec![0, 1, 2], vec![5]] {
            let quality = of(&clusters, &clusters);
            assert!(near(quality.completeness, 1.0) && near(quality.nmi, 1.0) && near(quality.ari, 1.0));
            assert!(near(quality.incorrectly_clustered_ratio, 0.0));
        }
        assert_eq!(Quality::of(&[0, 0], &[None, None]), None);
        assert_eq!(Quality::of(&[], &[]), None);
        assert_eq!(Quality::of(&[0], &[]), None);
    }

    #[test]
    fn unknown_identities_do_not_count() {
        let quality = Quality::of(&[0, 0, 1, 1], &[Some(0), None, Some(1), Some(1)]).unwrap();
        assert_eq!(quality.spectra, 3);
        assert!(near(quality.clustered_ratio, 2.0 / 3.0));
    }
}
