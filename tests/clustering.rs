//! Clusters of spectra are what their definitions say, whatever the order of the input and the number of threads.
#![cfg(feature = "spectra")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cellprobe::{
    Device, Error,
    spectra::{
        Collection, Peak, Polarity, Scaling, Score, Source, Spectrum, Spool, Tolerance,
        cluster::{ClusterOptions, Clusters, Method, cluster},
    },
};
use proptest::prelude::*;

const PRECURSOR: Tolerance = Tolerance::Ppm(10.0);
const FRAGMENT: Tolerance = Tolerance::Dalton(0.02);

/// A spectrum of the `index`th place of a file.
fn spectrum(index: usize, mz: f64, charge: i32, peaks: &[(f64, f32)]) -> Spectrum {
    let file: Arc<Path> = Path::new("made.mgf").into();
    let mut spectrum = Spectrum::new(Source { file, index, line: index as u64 + 1 });
    spectrum.precursor_mz = Some(mz);
    spectrum.charges = vec![charge];
    spectrum.polarity = Some(if charge < 0 { Polarity::Negative } else { Polarity::Positive });
    spectrum.peaks = peaks.iter().map(|&(mz, intensity)| Peak { mz, intensity }).collect();
    spectrum
}

/// Spectra of a few precursors, chains of them among those, with few peaks at few places, so that scores of every size
/// are frequent.
fn spectra(most: usize) -> impl Strategy<Value = Vec<Spectrum>> {
    let peak = (0..12_u32, 1..20_u32, 0..3_u32);
    let one = (0..3_u32, 0..6_u32, prop::sample::select(vec![1, 2, -1]), prop::collection::vec(peak, 1..6));
    prop::collection::vec(one, 0..most).prop_map(|all| {
        let made = all.into_iter().enumerate().map(|(index, (mass, step, charge, peaks))| {
            // Steps of 4 ppm: two are within the tolerance, three are not.
            let mz = 200.0 * f64::from(mass + 1) * (1.0 + 4e-6 * f64::from(step));
            let peaks: BTreeMap<u32, (f64, f32)> = peaks
                .into_iter()
                .map(|(place, high, shift)| {
                    (place, (50.0 + 10.0 * f64::from(place) + 0.004 * f64::from(shift), high as f32))
                })
                .collect();
            spectrum(index, mz, charge, &peaks.into_values().collect::<Vec<_>>())
        });
        made.collect()
    })
}

/// Scores of whole spectra as they are, so that they can be computed here too.
fn plain(method: Method, threshold: f64) -> ClusterOptions {
    ClusterOptions {
        method,
        threshold,
        score: Score::Cosine,
        precursor_tolerance: Some(PRECURSOR),
        fragment_tolerance: FRAGMENT,
        precursor_window: None,
        scaling: Some(Scaling::Off),
        ..ClusterOptions::default()
    }
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        (1..5_usize).prop_map(|min_samples| Method::Dbscan { min_samples }),
        Just(Method::Average),
        Just(Method::Complete),
        Just(Method::KMeans { clusters: 1 }),
    ]
}

/// How many others around a spectrum are still no crowd: few, or more than any test has.
fn crowds() -> impl Strategy<Value = usize> {
    prop_oneof![0..4_usize, Just(10_000)]
}

fn clustered(spectra: &[Spectrum], options: &ClusterOptions) -> Clusters {
    cluster(&Device::cpu(), spectra, options).expect("these options are possible")
}

/// The partition as sets of places in the file, whatever the order of the spectra and the numbers of the clusters.
fn partition(spectra: &[Spectrum], clusters: &Clusters) -> Vec<Vec<usize>> {
    let all = 0..clusters.len();
    let mut sets: Vec<Vec<usize>> = all
        .map(|cluster| {
            let places = clusters.members(cluster).iter().map(|&number| spectra[number as usize].source.index);
            let mut places: Vec<usize> = places.collect();
            places.sort_unstable();
            places
        })
        .collect();
    sets.sort();
    sets
}

fn score(spectra: &[Spectrum], a: usize, b: usize) -> f64 {
    Score::Cosine.of(&spectra[a], &spectra[b], FRAGMENT).score
}

/// Whether two spectra may share a cluster.
fn may_share(a: &Spectrum, b: &Spectrum) -> bool {
    let same = a.polarity == b.polarity && a.charges == b.charges;
    same && PRECURSOR.accepts(a.precursor_mz.unwrap(), b.precursor_mz.unwrap())
}

/// The sets of numbers that are joined.
fn joined(count: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut label: Vec<usize> = (0..count).collect();
    for (a, b) in pairs {
        let (keep, lose) = (label[a].min(label[b]), label[a].max(label[b]));
        label.iter_mut().filter(|label| **label == lose).for_each(|label| *label = keep);
    }
    let mut sets = BTreeMap::<usize, Vec<usize>>::new();
    label.into_iter().enumerate().for_each(|(number, label)| sets.entry(label).or_default().push(number));
    sets.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_spectrum_is_in_one_cluster(
        all in spectra(60),
        method in methods(),
        threshold in 0.0..=1.0,
        exact_neighbours in crowds(),
    ) {
        let method = if all.is_empty() { Method::Average } else { method };
        let clusters = clustered(&all, &ClusterOptions { exact_neighbours, ..plain(method, threshold) });
        prop_assert_eq!(clusters.labels().len(), all.len());
        let mut seen = vec![0; all.len()];
        for cluster in 0..clusters.len() {
            prop_assert!(clusters.members(cluster).contains(&clusters.medoids()[cluster]));
            for &member in clusters.members(cluster) {
                seen[member as usize] += 1;
                prop_assert_eq!(clusters.labels()[member as usize] as usize, cluster);
            }
        }
        prop_assert!(seen.into_iter().all(|times| times == 1));
    }

    #[test]
    fn order_of_the_input_does_not_matter(
        (all, shuffled) in spectra(60).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        method in methods(),
        threshold in 0.0..=1.0,
        exact_neighbours in crowds(),
    ) {
        let method = if all.is_empty() { Method::Average } else { method };
        let options = ClusterOptions { exact_neighbours, ..plain(method, threshold) };
        let (one, other) = (clustered(&all, &options), clustered(&shuffled, &options));
        prop_assert_eq!(partition(&all, &one), partition(&shuffled, &other));
        let places = |spectra: &[Spectrum], clusters: &Clusters| -> Vec<usize> {
            clusters.medoids().iter().map(|&medoid| spectra[medoid as usize].source.index).collect()
        };
        prop_assert_eq!(places(&all, &one), places(&shuffled, &other));
    }

    #[test]
    fn clusters_keep_to_one_ion(
        all in spectra(60),
        method in methods(),
        threshold in 0.0..=1.0,
        exact_neighbours in crowds(),
    ) {
        let method = if all.is_empty() { Method::Average } else { method };
        let clusters = clustered(&all, &ClusterOptions { exact_neighbours, ..plain(method, threshold) });
        for cluster in 0..clusters.len() {
            for &a in clusters.members(cluster) {
                for &b in clusters.members(cluster) {
                    prop_assert!(may_share(&all[a as usize], &all[b as usize]));
                }
            }
        }
    }

    #[test]
    fn complete_linkage_holds_no_pair_beyond_the_threshold(all in spectra(60), threshold in 0.0..=1.0) {
        let clusters = clustered(&all, &plain(Method::Complete, threshold));
        for cluster in 0..clusters.len() {
            for (place, &a) in clusters.members(cluster).iter().enumerate() {
                for &b in &clusters.members(cluster)[place + 1..] {
                    prop_assert!(1.0 - score(&all, a as usize, b as usize) <= threshold + 1e-12);
                }
            }
        }
    }

    #[test]
    fn dbscan_is_the_plain_one(all in spectra(40), threshold in 0.0..=1.0, min_samples in 1..5_usize) {
        // One precursor and one charge, so that nothing is cut afterwards.
        let all: Vec<_> = all.into_iter().map(|mut spectrum| {
            (spectrum.precursor_mz, spectrum.charges, spectrum.polarity) = (Some(300.0), vec![1], None);
            spectrum
        }).collect();
        let clusters = clustered(&all, &plain(Method::Dbscan { min_samples }, threshold));
        let near = |a: usize, b: usize| a == b || 1.0 - score(&all, a.min(b), a.max(b)) <= threshold;
        let core: Vec<bool> =
            (0..all.len()).map(|a| (0..all.len()).filter(|&b| near(a, b)).count() >= min_samples).collect();
        let places = 0..all.len();
        let cores = places.clone().flat_map(|a| (0..a).map(move |b| (b, a)));
        let cores: Vec<_> = cores.filter(|&(a, b)| core[a] && core[b] && near(a, b)).collect();
        let border = places.filter(|&a| !core[a]).filter_map(|a| {
            let near = (0..all.len()).filter(|&b| core[b] && near(a, b));
            let most_similar = |&b: &usize| (score(&all, a.min(b), a.max(b)) as f32, std::cmp::Reverse(b));
            Some((a, near.max_by(|x, y| most_similar(x).partial_cmp(&most_similar(y)).unwrap())?))
        });
        let mut expected = joined(all.len(), cores.into_iter().chain(border));
        expected.sort();
        prop_assert_eq!(partition(&all, &clusters), expected);
    }

    #[test]
    fn spooled_spectra_cluster_as_those_in_memory(all in spectra(40), threshold in 0.0..=1.0, memory in 0..4000_usize) {
        let options = ClusterOptions { threshold, ..ClusterOptions::default() };
        let mut spool = Spool::new(memory);
        for spectrum in &all {
            spool.push(spectrum.clone()).unwrap();
        }
        let numbers: Vec<u32> = (0..all.len() as u32).collect();
        prop_assert_eq!(&spool.fetch(&numbers).unwrap(), &all);
        prop_assert_eq!(cluster(&Device::cpu(), &spool, &options).unwrap(), clustered(&all, &options));
    }
}

/// Different spectra of one precursor, whose scores are all different.
fn unlike(count: usize) -> Vec<Spectrum> {
    let one = |index: usize| {
        let peaks: Vec<_> = (0..8_usize)
            .map(|place| {
                let mixed = (index * 8 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                (60.0 + 10.0 * place as f64, 1.0 + (mixed % 997) as f32)
            })
            .collect();
        spectrum(index, 300.0, 1, &peaks)
    };
    (0..count).map(one).collect()
}

/// Joins the two nearest clusters again and again, distances computed anew each time.
fn plain_linkage(all: &[Spectrum], threshold: f64, distance: impl Fn(&[f64]) -> f64) -> Vec<Vec<usize>> {
    let mut clusters: Vec<Vec<usize>> = (0..all.len()).map(|number| vec![number]).collect();
    loop {
        let mut nearest = (f64::INFINITY, 0, 0);
        for a in 0..clusters.len() {
            for b in a + 1..clusters.len() {
                let pairs = clusters[a].iter().flat_map(|&x| clusters[b].iter().map(move |&y| (x.min(y), x.max(y))));
                let distances: Vec<f64> = pairs.map(|(x, y)| 1.0 - score(all, x, y)).collect();
                let found = distance(&distances);
                if found < nearest.0 {
                    nearest = (found, a, b);
                }
            }
        }
        if nearest.0 > threshold {
            for cluster in &mut clusters {
                cluster.sort_unstable();
            }
            clusters.sort();
            return clusters;
        }
        let moved = clusters.remove(nearest.2);
        clusters[nearest.1].extend(moved);
    }
}

#[test]
fn linkage_is_the_plain_one() {
    let all = unlike(30);
    for threshold in [0.02, 0.05, 0.1, 0.15, 0.2, 0.3] {
        let average =
            plain_linkage(&all, threshold, |distances| distances.iter().sum::<f64>() / distances.len() as f64);
        assert_eq!(partition(&all, &clustered(&all, &plain(Method::Average, threshold))), average, "{threshold}");
        let complete = plain_linkage(&all, threshold, |distances| distances.iter().copied().fold(0.0, f64::max));
        assert_eq!(partition(&all, &clustered(&all, &plain(Method::Complete, threshold))), complete, "{threshold}");
        assert!(average.len() > 1 && complete.len() >= average.len(), "{threshold} parts nothing");
    }
}

#[test]
fn threads_do_not_matter() {
    let mut all = unlike(700);
    for (index, spectrum) in all.iter_mut().enumerate() {
        spectrum.precursor_mz = Some(300.0 + f64::from(index as u32 % 40) * 1e-3);
    }
    for method in [
        Method::Dbscan { min_samples: 2 },
        Method::Dbscan { min_samples: 4 },
        Method::Average,
        Method::Complete,
        Method::KMeans { clusters: 9 },
    ] {
        for exact_neighbours in [0, 100, 10_000] {
            let options = ClusterOptions { exact_neighbours, largest_component: 50, ..plain(method, 0.1) };
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| clustered(&all, &options))
            };
            let one = with(1);
            assert!(one.len() > 1 && one.len() < all.len(), "{method:?}: nothing to compare");
            assert_eq!(one, with(2), "{method:?}");
            assert_eq!(one, with(5), "{method:?}");
        }
    }
}

#[test]
fn none_one_and_all_alike() {
    let one = spectrum(0, 300.0, 1, &[(100.0, 5.0), (150.0, 10.0)]);
    for method in [Method::Dbscan { min_samples: 2 }, Method::Average, Method::Complete, Method::KMeans { clusters: 1 }]
    {
        let options = plain(method, 0.0);
        assert_eq!(clustered(&[], &options).len(), 0);
        assert_eq!(partition(std::slice::from_ref(&one), &clustered(std::slice::from_ref(&one), &options)), [[0]]);
        let alike: Vec<_> = (0..300).map(|index| spectrum(index, 300.0, 1, &[(100.0, 5.0), (150.0, 10.0)])).collect();
        let all = clustered(&alike, &options);
        assert_eq!((all.len(), all.clustered_ratio()), (1, 1.0), "{method:?}");
    }
}

#[test]
fn large_components_are_taken_apart_into_parts_that_fit() {
    let alike: Vec<_> = (0..300).map(|index| spectrum(index, 300.0, 1, &[(100.0, 5.0), (150.0, 10.0)])).collect();
    for method in [Method::Average, Method::Complete] {
        let options = ClusterOptions { largest_component: 40, exact_neighbours: 1000, ..plain(method, 0.1) };
        let sizes: Vec<usize> = partition(&alike, &clustered(&alike, &options)).iter().map(Vec::len).collect();
        assert!(sizes.iter().all(|&size| size <= 40) && sizes.len() < 20, "{sizes:?}");
    }
}

/// Molecules whose spectra are alike among themselves and unlike all others, all of one precursor.
fn molecules(molecules: usize, spectra_each: usize) -> Vec<Spectrum> {
    let made = (0..molecules * spectra_each).map(|index| {
        let molecule = index % molecules;
        let peaks: Vec<_> = (0..10)
            .map(|peak| {
                let mixed = (index * 10 + peak).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                (60.0 + (molecule * 10 + peak) as f64, 50.0 + (mixed % 100) as f32)
            })
            .collect();
        spectrum(index, 300.0, 1, &peaks)
    });
    made.collect()
}

#[test]
fn candidates_by_vectors_find_what_all_pairs_do() {
    let all = molecules(40, 20);
    for method in [Method::Dbscan { min_samples: 2 }, Method::Average, Method::Complete] {
        let options = plain(method, 0.5);
        let every_pair = clustered(&all, &ClusterOptions { exact_neighbours: 10_000, ..options.clone() });
        let by_vectors = clustered(&all, &ClusterOptions { exact_neighbours: 1, ..options });
        assert_eq!(every_pair.len(), 40);
        assert_eq!(partition(&all, &every_pair), partition(&all, &by_vectors));
    }
}

#[test]
fn crowds_are_clustered_whole_and_linked() {
    let all = molecules(3, 500);
    for method in [Method::Dbscan { min_samples: 400 }, Method::Average, Method::Complete] {
        // Far fewer comparisons and smaller components than the molecules have spectra.
        let options =
            ClusterOptions { exact_neighbours: 10, candidates: 4, largest_component: 100, ..plain(method, 0.5) };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| clustered(&all, &options))
        };
        let clusters = with(1);
        assert_eq!(clusters, with(3), "{method:?}");
        let molecules: Vec<Vec<usize>> = (0..3).map(|molecule| (molecule..1500).step_by(3).collect()).collect();
        assert_eq!(partition(&all, &clusters), molecules, "{method:?}");
        let edges = clusters.edges().iter().map(|edge| (edge.a as usize, edge.b as usize));
        assert_eq!(joined(all.len(), edges).len(), 3, "the network of {method:?}");
        for edge in clusters.edges() {
            assert!((f64::from(edge.score) - score(&all, edge.a as usize, edge.b as usize)).abs() < 1e-6);
        }
    }
}

#[test]
fn unknown_precursors_are_compared_among_themselves() {
    let peaks = [(100.0, 5.0), (150.0, 10.0)];
    let mut all: Vec<_> = (0..4).map(|index| spectrum(index, 300.0, 1, &peaks)).collect();
    (all[1].precursor_mz, all[3].precursor_mz) = (None, Some(f64::NAN));
    let clusters = clustered(&all, &plain(Method::Average, 0.1));
    assert_eq!(partition(&all, &clusters), [[0, 2], [1, 3]]);
    let open = ClusterOptions { precursor_tolerance: None, ..plain(Method::Average, 0.1) };
    assert_eq!(partition(&all, &clustered(&all, &open)), [[0, 1, 2, 3]]);
}

#[test]
fn the_precursor_peak_is_not_compared_unless_it_is_all_there_is() {
    let shared = (300.0, 100.0);
    let all = [
        spectrum(0, 300.0, 1, &[(100.0, 10.0), shared]),
        spectrum(1, 300.0, 1, &[(200.0, 10.0), shared]),
        spectrum(2, 300.0, 1, &[shared]),
        spectrum(3, 300.0, 1, &[shared]),
    ];
    let clusters = clustered(&all, &ClusterOptions { threshold: 0.5, ..ClusterOptions::default() });
    assert_eq!(partition(&all, &clusters), [vec![0], vec![1], vec![2, 3]]);
}

#[test]
fn impossible_options_are_refused() {
    let options = ClusterOptions::default();
    for impossible in [
        ClusterOptions { threshold: 1.5, ..options.clone() },
        ClusterOptions { threshold: f64::NAN, ..options.clone() },
        ClusterOptions { candidates: 0, ..options.clone() },
        ClusterOptions { largest_component: 0, ..options.clone() },
        ClusterOptions { precursor_window: Some(-1.0), ..options.clone() },
        ClusterOptions { method: Method::Dbscan { min_samples: 0 }, ..options.clone() },
        ClusterOptions { method: Method::KMeans { clusters: 0 }, ..options.clone() },
    ] {
        let refused = cluster(&Device::cpu(), &molecules(2, 2)[..], &impossible);
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{impossible:?}");
    }
    let many = ClusterOptions { method: Method::KMeans { clusters: 5 }, ..options };
    assert!(matches!(cluster(&Device::cpu(), &molecules(2, 2)[..], &many), Err(Error::TooFewPoints { .. })));
}
