//! Clustering: which spectra show the same molecule.
//!
//! Spectra are put into buckets of one polarity, one charge (where it is known) and precursors that chain within the
//! tolerance. Within a bucket exact scores make a sparse graph. Clusters are made of the graph's components and cut where
//! precursors leave the tolerance; spectra without company stay, alone. The outcome does not depend on the number of
//! threads, nor on the order of the spectra.
//!
//! All pairs are scored where spectra have few others within the precursor tolerance
//! ([`ClusterOptions::exact_neighbours`]). Where they crowd, spectra within a quarter of the largest distance of an earlier
//! one join it, and it stands for them, with their number for a weight, in all that follows; if even those crowd, each is
//! compared with its nearest vectors only. So a molecule that was measured a thousand times stays one cluster, and the
//! work grows with the number of spectra rather than with that of their pairs.
//!
//! # How well it does
//! 16,350 spectra from `MassBank` (10 ppm), by method, largest distance and score; the truth is the structure without
//! stereochemistry, a cluster has two or more. Completeness cannot reach 1: many compounds are there in both polarities.
//!
//! | method | clustered | incorrectly clustered | completeness | NMI | ARI |
//! | --- | --- | --- | --- | --- | --- |
//! | `average` 0.5, entropy | 0.924 | 0.027 | 0.908 | 0.949 | 0.658 |
//! | `average` 0.6, entropy (default) | 0.939 | 0.031 | 0.925 | 0.958 | 0.754 |
//! | `average` 0.7, entropy | 0.951 | 0.036 | 0.940 | 0.965 | 0.811 |
//! | `average` 0.6, cosine | 0.940 | 0.032 | 0.925 | 0.957 | 0.750 |
//! | `complete` 0.6, entropy | 0.932 | 0.028 | 0.886 | 0.937 | 0.521 |
//! | `complete` 0.6, cosine | 0.932 | 0.029 | 0.888 | 0.938 | 0.532 |
//! | `dbscan` 0.2, cosine | 0.845 | 0.026 | 0.915 | 0.953 | 0.785 |
//! | `dbscan` 0.3, cosine | 0.904 | 0.030 | 0.938 | 0.965 | 0.834 |
//! | `dbscan` 0.3, entropy | 0.882 | 0.029 | 0.930 | 0.961 | 0.815 |
//! | `dbscan` 0.4, entropy | 0.925 | 0.035 | 0.946 | 0.968 | 0.844 |
//! | `kmeans`, 2,000 centroids | 0.850 | 0.028 | 0.861 | 0.923 | 0.389 |
//! | `kmeans`, 4,000 centroids | 0.825 | 0.022 | 0.838 | 0.910 | 0.275 |
//!
//! The default was chosen on half of the formulas, as the largest distance that leaves 3 % incorrect there (0.936,
//! 0.028, 0.920); the other half gives 0.941, 0.033 and 0.917. `benches/spectra/cluster.py` prints all of this.
//!
//! [falcon](https://doi.org/10.1002/rcm.9153) 0.1.3 (with faiss 1.7.4 and numpy 1.23.5) on the same spectra, 160 settings
//! of it tried and 48 of this one. Both were chosen on half of the formulas, as those of the highest completeness with 3 %
//! incorrect; falcon's defaults are for peptides, so its limits for cleaning were those of the metabolomics preset here.
//!
//! | on everything | clustered | incorrectly clustered | completeness | NMI | ARI | seconds, two cores |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | falcon, eps 0.35, root, bins of 0.02, 0.5 Da around the precursor removed | 0.913 | 0.035 | 0.939 | 0.965 | 0.784 | 39.1 |
//! | `dbscan` 0.35, cosine | 0.920 | 0.034 | 0.944 | 0.967 | 0.843 | 0.5 |
//! | `average` 0.6, entropy (default) | 0.939 | 0.031 | 0.925 | 0.958 | 0.754 | 0.5 |
//!
//! On the half that nothing was chosen on these are 0.913, 0.039 and 0.934 for falcon, 0.924, 0.038 and 0.937 for
//! `dbscan`. `benches/spectra/falcon_beside.py` repeats it.
//!
//! # How it grows
//! Synthetic copies of 10,000 spectra, jittered, on two cores, all reading and writing included. The third column is the
//! time over that of `n log n`, from the first row on.
//!
//! | spectra | seconds | over `n log n` | MiB | clusters | incorrectly clustered | completeness |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 10,000 | 0.28 | 1 | 55 | 2,525 | 0.019 | 0.916 |
//! | 100,000 | 2.0 | 0.57 | 102 | 2,669 | 0.020 | 0.916 |
//! | 1,000,000 | 13.5 | 0.32 | 520 | 2,971 | 0.018 | 0.916 |
//!
//! Before one of nearly the same spectra stood for them the last row was 61 s, 706 MiB and a completeness of 0.879: there
//! are a hundred copies of each spectrum then, and a component had to be cut at a thousand spectra.

mod bucket;
mod comparable;
mod consensus;
mod dbscan;
mod earlier;
mod files;
mod gaps;
mod graph;
mod groups;
mod kmeans;
mod linkage;
mod neighbours;
mod options;
mod quality;
mod sets;

use std::ops::Range;

use rayon::prelude::*;

pub use bucket::Ion;
pub use consensus::consensus;
pub use earlier::{CLUSTERS_FILE, CONSENSUS_FILE, Earlier, EarlierRow, MEDOIDS_FILE};
pub use files::ClusterFiles;
pub use graph::Edge;
pub use options::{ClusterOptions, Method};
pub use quality::Quality;

use crate::{Device, Error, Result, spectra::Collection};
use bucket::Buckets;
use comparable::Comparable;
use groups::Groups;
use linkage::Linkage;

/// Buckets are worked on together until they hold so many spectra.
const SPECTRA_AT_ONCE: usize = 1 << 14;

/// Buckets of more spectra are worked on alone: they are parallel inside, and may use the device.
const LARGE_BUCKET: usize = 1 << 10;

/// Which spectra belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusters {
    labels: Vec<u32>,
    medoids: Vec<u32>,
    /// The spectra of all clusters, one cluster after the other.
    members: Vec<u32>,
    /// Where each cluster begins in `members`, and at last its length.
    starts: Vec<usize>,
    edges: Vec<Edge>,
}

impl Clusters {
    /// The number of clusters, those of one spectrum included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.medoids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.medoids.is_empty()
    }

    /// The cluster of each spectrum.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The medoid of each cluster: the spectrum that is most similar to the others on average.
    #[must_use]
    pub fn medoids(&self) -> &[u32] {
        &self.medoids
    }

    /// The spectra of a cluster in the order of their precursors; none of a cluster that there is not.
    #[must_use]
    pub fn members(&self, cluster: usize) -> &[u32] {
        match (self.starts.get(cluster), self.starts.get(cluster + 1)) {
            (Some(&start), Some(&end)) => &self.members[start..end],
            _ => &[],
        }
    }

    /// Pairs within the threshold that are among the [`ClusterOptions::links`] most similar ones of one of the two: the
    /// network. Where spectra crowd these are pairs of spectra that stand for groups, and each other spectrum has one pair,
    /// with the one that stands for it. Empty for k-means, which compares no pairs.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Share of the spectra that are in a cluster of two or more.
    #[must_use]
    pub fn clustered_ratio(&self) -> f64 {
        let sizes = self.starts.windows(2).map(|ends| ends[1] - ends[0]);
        let clustered: usize = sizes.filter(|&size| size > 1).sum();
        clustered as f64 / self.labels.len().max(1) as f64
    }

    /// Clusters given by their medoid and their members.
    fn new(spectra: usize, clusters: Vec<(u32, Vec<u32>)>, edges: Vec<Edge>) -> Self {
        let mut all = Clusters { labels: vec![0; spectra], starts: vec![0], edges, ..Clusters::default() };
        for (label, (medoid, members)) in clusters.into_iter().enumerate() {
            for &member in &members {
                all.labels[member as usize] = label as u32;
            }
            all.medoids.push(medoid);
            all.members.extend(members);
            all.starts.push(all.members.len());
        }
        all
    }
}

/// Clusters cleaned spectra.
///
/// # Errors
/// [`Error::Parameter`] for an option that cannot be, [`Error::Limit`] for 2^32 spectra or more, [`Error::TooFewPoints`]
/// for more centroids than spectra; what fetching the spectra, vectors or the device fail with.
pub fn cluster<C: Collection + ?Sized>(device: &Device, spectra: &C, options: &ClusterOptions) -> Result<Clusters> {
    cluster_into(device, spectra, &[], options, &|_, _| {})
}

/// Clusters new spectra into old clusters: incremental clustering.
///
/// `old` are the numbers of the spectra that represent the old clusters, cluster 0 first. Each other spectrum joins the
/// cluster of the representative that is most similar to it, if that is within the threshold and the precursor tolerance;
/// the rest are clustered among themselves, and their clusters numbered after the old ones. Old clusters keep their number
/// and their representative, and are never joined or split. `progress` is told how many of how many spectra are done.
///
/// # Errors
/// As [`cluster`], and [`Error::Parameter`] for k-means with old clusters, or for a representative that there is not.
pub fn cluster_into<C: Collection + ?Sized>(
    device: &Device,
    spectra: &C,
    old: &[u32],
    options: &ClusterOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Clusters> {
    options.check()?;
    let count = spectra.len();
    if count >= u32::MAX as usize {
        return Err(Error::Limit { limit: "spectra", allowed: u64::from(u32::MAX) - 1, asked: count as u64 });
    }
    if let Some(number) = old.iter().find(|&&number| number as usize >= count) {
        return Err(Error::parameter("representative", number, format!("one of {count} spectra")));
    }
    let ion = |number| spectra.ion(number);
    let buckets = bucket::buckets(count, ion, |number| spectra.source(number), options.precursor_tolerance);
    if let Method::KMeans { clusters } = options.method {
        return kmeans::cluster(device, spectra, &buckets, clusters, old, options, progress);
    }
    let mut whole: Vec<(u32, Vec<u32>)> = old.iter().map(|&medoid| (medoid, vec![medoid])).collect();
    let mut cluster_of_old = vec![None; count];
    for (cluster, &number) in old.iter().enumerate() {
        cluster_of_old[number as usize] = Some(cluster as u32);
    }
    let mut edges = Vec::new();
    let mut done = 0;
    for batch in batches(&buckets.ranges) {
        let found = work_on(device, spectra, &buckets, &buckets.ranges[batch], &cluster_of_old, options)?;
        for (range, part) in found {
            for (cluster, member) in part.joined {
                whole[cluster as usize].1.push(member);
            }
            whole.extend(part.clusters);
            edges.extend(part.edges);
            done += range.len();
        }
        progress(done, count);
    }
    Ok(Clusters::new(count, whole, edges))
}

/// Ranges of buckets to work on together.
fn batches(buckets: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut spectra) = (0, 0);
    for (number, bucket) in buckets.iter().enumerate() {
        if number > start && (bucket.len() > LARGE_BUCKET || spectra + bucket.len() > SPECTRA_AT_ONCE) {
            batches.push(start..number);
            (start, spectra) = (number, 0);
        }
        spectra += bucket.len();
        if bucket.len() > LARGE_BUCKET {
            batches.push(start..number + 1);
            (start, spectra) = (number + 1, 0);
        }
    }
    if start < buckets.len() {
        batches.push(start..buckets.len());
    }
    batches
}

/// What is found in a bucket, by the numbers of the spectra in the collection.
struct Part {
    /// Medoid and members of each new cluster.
    clusters: Vec<(u32, Vec<u32>)>,
    /// Old clusters and the spectra that joined them.
    joined: Vec<(u32, u32)>,
    edges: Vec<Edge>,
}

/// Fetches the spectra of some buckets and clusters each bucket.
fn work_on<C: Collection + ?Sized>(
    device: &Device,
    spectra: &C,
    buckets: &Buckets,
    ranges: &[Range<usize>],
    old: &[Option<u32>],
    options: &ClusterOptions,
) -> Result<Vec<(Range<usize>, Part)>> {
    let mut fetched = Vec::with_capacity(ranges.len());
    for range in ranges {
        fetched.push((range.clone(), spectra.fetch(&buckets.order[range.clone()])?));
    }
    let parts = fetched.into_par_iter().map(|(range, fetched)| {
        let numbers = &buckets.order[range.clone()];
        let mut bucket = Comparable::new(fetched, options);
        bucket.vectors = spectra.vectors(numbers);
        let part = cluster_bucket(device, bucket, numbers, old)?;
        Ok((range, part))
    });
    parts.collect()
}

fn cluster_bucket(device: &Device, bucket: Comparable, numbers: &[u32], old: &[Option<u32>]) -> Result<Part> {
    let (joined, rest) = join_old(&bucket, numbers, old);
    let (bucket, numbers) = if rest.len() < numbers.len() {
        (bucket.only(&rest), rest.iter().map(|&place| numbers[place as usize]).collect::<Vec<_>>())
    } else {
        (bucket, numbers.to_vec())
    };
    let options = bucket.options;
    let groups = Groups::new(&bucket);
    let edges = neighbours::edges(device, &groups)?;
    let linked = |kind| {
        let distance = |a, b| if groups.may_share(a, b) { 1.0 - groups.score(a, b) } else { linkage::APART };
        linkage::linkage(groups.sizes(), &edges, kind, options.threshold, options.largest_component, distance)
    };
    let clusters = match options.method {
        Method::Dbscan { min_samples } => {
            let found = groups.spectra_of(&dbscan::dbscan(groups.sizes(), &edges, min_samples)).into_iter();
            found.flat_map(|cluster| bucket.split_by_precursor(cluster)).collect()
        }
        Method::Average => groups.spectra_of(&linked(Linkage::Average)?),
        Method::Complete => groups.spectra_of(&linked(Linkage::Complete)?),
        Method::KMeans { .. } => Vec::new(),
    };
    let number = |place: u32| numbers[place as usize];
    let clusters = clusters.into_par_iter().map(|members| {
        let medoid = bucket.medoid(&groups.firsts_among(&members), &members);
        (number(medoid), members.into_iter().map(number).collect())
    });
    Ok(Part { clusters: clusters.collect(), joined, edges: links(&groups, &edges, &numbers) })
}

/// The strongest edges of the network, by the numbers of the spectra: those between the spectra that stand for groups, and
/// from these to the others of their groups.
fn links(groups: &Groups, edges: &[Edge], numbers: &[u32]) -> Vec<Edge> {
    let strongest = graph::strongest(groups.len(), edges, groups.bucket.options.links).into_iter();
    let between = strongest.map(|edge| (groups.first(edge.a), groups.first(edge.b), edge.score));
    let mut links: Vec<_> = between.chain(groups.followers()).collect();
    links.sort_unstable_by_key(|&(a, b, _)| (a, b));
    let link = |(a, b, score): (u32, u32, f32)| Edge { a: numbers[a as usize], b: numbers[b as usize], score };
    links.into_iter().map(link).collect()
}

/// Spectra that join an old cluster, and the places of those that neither do nor stand for one.
fn join_old(bucket: &Comparable, numbers: &[u32], old: &[Option<u32>]) -> (Vec<(u32, u32)>, Vec<u32>) {
    let old_of = |place: u32| old[numbers[place as usize] as usize];
    let places = || 0..bucket.len() as u32;
    let anchors: Vec<(u32, u32)> = places().filter_map(|place| Some((place, old_of(place)?))).collect();
    if anchors.is_empty() {
        return (Vec::new(), places().collect());
    }
    let new: Vec<u32> = places().filter(|&place| old_of(place).is_none()).collect();
    let best = |place: u32| {
        let near = anchors.iter().filter(|&&(anchor, _)| bucket.may_share(place, anchor));
        let scored = near.map(|&(anchor, cluster)| (bucket.score(place, anchor), cluster));
        let similar = scored.filter(|(score, _)| 1.0 - score <= bucket.options.threshold);
        similar.max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1)))
    };
    let found: Vec<_> = new.into_par_iter().map(|place| (place, best(place))).collect();
    let joined = found.iter().filter_map(|&(place, best)| Some((best?.1, numbers[place as usize])));
    let rest = found.iter().filter(|(_, best)| best.is_none()).map(|&(place, _)| place);
    (joined.collect(), rest.collect())
}
