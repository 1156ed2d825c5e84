//! Scores of spectra are symmetric, 1 for a spectrum with itself, and those of the best assignment of peaks.
#![cfg(feature = "spectra")]

use std::path::Path;

use cellprobe::spectra::{Peak, Score, Scored, Scorer, Scratch, Source, Spectrum, Tolerance};
use proptest::prelude::*;

const SCORES: [Score; 3] = [Score::Cosine, Score::ModifiedCosine, Score::Entropy];

fn spectrum(precursor_mz: Option<f64>, peaks: &[(f64, f32)]) -> Spectrum {
    let source = Source { file: Path::new("test.mgf").into(), index: 0, line: 1 };
    let mut peaks: Vec<_> = peaks.iter().map(|&(mz, intensity)| Peak { mz, intensity }).collect();
    peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
    Spectrum { precursor_mz, peaks, ..Spectrum::new(source) }
}

/// Every pair of peaks that can meet, by its weight.
fn pairs(a: &Spectrum, b: &Spectrum, tolerance: Tolerance, modified: bool) -> Vec<(usize, usize, f64)> {
    let length = |s: &Spectrum| s.peaks.iter().map(|peak| f64::from(peak.intensity).powi(2)).sum::<f64>().sqrt();
    let (of_a, of_b) = (length(a), length(b));
    let shift = a.precursor_mz.zip(b.precursor_mz).map_or(0.0, |(a, b)| a - b);
    let mut pairs = vec![];
    for (i, p) in a.peaks.iter().enumerate() {
        for (j, q) in b.peaks.iter().enumerate() {
            // As wide as it is for the peaks as measured, whichever of them is moved.
            let (moved, width) = (q.mz + shift, tolerance.width(p.mz.max(q.mz)));
            if tolerance.accepts(p.mz, q.mz) || modified && p.mz.min(moved) >= p.mz.max(moved) - width {
                pairs.push((i, j, f64::from(p.intensity) / of_a * f64::from(q.intensity) / of_b));
            }
        }
    }
    pairs
}

/// The best assignment, by trying all.
fn brute_force(pairs: &[(usize, usize, f64)], used: &mut Vec<(usize, usize)>) -> f64 {
    let Some((&(i, j, weight), rest)) = pairs.split_first() else { return 0.0 };
    let without = brute_force(rest, used);
    if used.iter().any(|&(a, b)| a == i || b == j) {
        return without;
    }
    used.push((i, j));
    let with = weight + brute_force(rest, used);
    used.pop();
    with.max(without)
}

fn greedy(mut pairs: Vec<(usize, usize, f64)>) -> f64 {
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut used: Vec<(usize, usize)> = vec![];
    let mut sum = 0.0;
    for (i, j, weight) in pairs {
        if used.iter().all(|&(a, b)| a != i && b != j) {
            used.push((i, j));
            sum += weight;
        }
    }
    sum
}

#[test]
fn best_assignment_beats_the_greedy_one() {
    // 100.00 can meet both, 100.03 only the second: the greedy takes 10 x 10 and leaves 9 x 9 without partners.
    let a = spectrum(None, &[(100.00, 10.0), (100.03, 9.0)]);
    let b = spectrum(None, &[(99.98, 9.0), (100.015, 10.0)]);
    let scored = Score::Cosine.of(&a, &b, Tolerance::Dalton(0.021));
    assert!((scored.score - 180.0 / 181.0).abs() < 1e-12, "{scored:?}");
    assert_eq!(scored.matched, 2);
}

#[test]
fn modified_cosine_matches_what_moved_with_the_precursor() {
    let a = spectrum(Some(300.0), &[(100.0, 3.0), (200.0, 4.0)]);
    let b = spectrum(Some(314.0), &[(100.0, 3.0), (214.0, 4.0)]);
    let tolerance = Tolerance::Dalton(0.01);
    let cosine = Score::Cosine.of(&a, &b, tolerance);
    assert!((cosine.score - 9.0 / 25.0).abs() < 1e-12 && cosine.matched == 1);
    let modified = Score::ModifiedCosine.of(&a, &b, tolerance);
    assert!((modified.score - 1.0).abs() < 1e-12 && modified.matched == 2);
    // Without a precursor nothing is known to have moved.
    let unknown = Spectrum { precursor_mz: None, ..b };
    assert_eq!(Score::ModifiedCosine.of(&a, &unknown, tolerance), cosine);
}

#[test]
fn entropy_by_hand() {
    // One peak each: the same is 1, another is 0. Two against one: weights (3/4)^w and (1/4)^w over their sum.
    let tolerance = Tolerance::Dalton(0.02);
    let one = spectrum(None, &[(100.0, 5.0)]);
    assert_eq!(Score::Entropy.of(&one, &one, tolerance), Scored { score: 1.0, matched: 1 });
    assert_eq!(Score::Entropy.of(&one, &spectrum(None, &[(101.0, 5.0)]), tolerance), Scored::default());
    let two = spectrum(None, &[(100.01, 3.0), (150.0, 1.0)]);
    let entropy = -(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
    let power = 0.25 + 0.25 * entropy;
    let share = 0.75f64.powf(power) / (0.75f64.powf(power) + 0.25f64.powf(power));
    let part = |x: f64| x * x.log2();
    let expected = (part(1.0 + share) - part(share)) / 2.0;
    let scored = Score::Entropy.of(&one, &two, tolerance);
    assert!((scored.score - expected).abs() < 1e-12 && scored.matched == 1, "{scored:?} {expected}");
    // Peaks nearer than twice the tolerance are one.
    let split = spectrum(None, &[(99.99, 2.0), (100.01, 3.0)]);
    assert!((Score::Entropy.of(&one, &split, tolerance).score - 1.0).abs() < 1e-12);
}

#[test]
fn nothing_in_common_with_nothing() {
    let empty = spectrum(None, &[]);
    let zero = spectrum(None, &[(100.0, 0.0), (f64::NAN, 1.0), (120.0, f32::NAN)]);
    let some = spectrum(None, &[(100.0, 1.0)]);
    for score in SCORES {
        for other in [&empty, &zero, &some] {
            assert_eq!(score.of(&empty, other, Tolerance::Dalton(0.1)), Scored::default(), "{score}");
            assert_eq!(score.of(&zero, other, Tolerance::Dalton(0.1)), Scored::default(), "{score}");
        }
    }
}

#[test]
fn names_come_back() {
    for score in SCORES {
        assert_eq!(score.to_string().parse::<Score>().unwrap(), score);
    }
    assert!("cosin".parse::<Score>().is_err());
}

fn peaks() -> impl Strategy<Value = Vec<(f64, f32)>> {
    // Close together, so that there is much to choose from; whole steps, so that peaks fall on the limit.
    prop::collection::vec(((0..40u32).prop_map(|step| 100.0 + f64::from(step) * 0.01), 0.01..100.0f32), 1..7)
}

fn tolerances() -> impl Strategy<Value = Tolerance> {
    prop_oneof![(0.0..0.1f64).prop_map(Tolerance::Dalton), (0.0..500.0f64).prop_map(Tolerance::Ppm)]
}

#[test]
fn moved_peaks_meet_whichever_spectrum_is_named_first() {
    // 7.6 mDa apart once moved: 126 ppm of the one, 113 ppm of the other.
    let a = spectrum(Some(500.0), &[(59.745_63, 1.0)]);
    let b = spectrum(Some(506.921_51), &[(66.674_704, 1.0)]);
    for (parts, expected) in [(112.0, 0.0), (121.0, 1.0)] {
        for (a, b) in [(&a, &b), (&b, &a)] {
            let found = Score::ModifiedCosine.of(a, b, Tolerance::Ppm(parts)).score;
            assert!((found - expected).abs() < 1e-9, "{parts} ppm: {found}");
        }
    }
}

proptest! {
    #[test]
    fn cosines_are_those_of_the_best_assignment(
        a in peaks(),
        b in peaks(),
        shift in -0.2..0.2f64,
        tolerance in tolerances(),
        modified: bool,
    ) {
        let (a, b) = (spectrum(Some(500.0), &a), spectrum(Some(500.0 + shift), &b));
        let score = if modified { Score::ModifiedCosine } else { Score::Cosine };
        // Precursors that are the same have not moved.
        let modified = modified && !tolerance.accepts(500.0, 500.0 + shift);
        let pairs = pairs(&a, &b, tolerance, modified);
        prop_assume!(pairs.len() <= 18);
        let best = brute_force(&pairs, &mut vec![]);
        let scored = score.of(&a, &b, tolerance);
        prop_assert!((scored.score - best.min(1.0)).abs() < 1e-9, "{:?} {}", scored, best);
        prop_assert!(greedy(pairs) <= scored.score + 1e-9);
        prop_assert!(scored.matched <= a.peaks.len().min(b.peaks.len()));
    }

    #[test]
    fn scores_are_symmetric_and_1_with_itself(
        a in prop::collection::vec((50.0..900.0f64, 0.001..1e6f32), 1..60),
        b in prop::collection::vec((50.0..900.0f64, 0.001..1e6f32), 1..60),
        shift in -20.0..20.0f64,
        tolerance in prop_oneof![tolerances(), (0.0..50.0f64).prop_map(Tolerance::Dalton)],
    ) {
        let (a, b) = (spectrum(Some(500.0), &a), spectrum(Some(500.0 + shift), &b));
        for score in SCORES {
            let one = score.of(&a, &b, tolerance);
            let other = score.of(&b, &a, tolerance);
            prop_assert!((one.score - other.score).abs() < 1e-9, "{}: {:?} {:?}", score, one, other);
            prop_assert!((0.0..=1.0).contains(&one.score));
            prop_assert!((score.of(&a, &a, tolerance).score - 1.0).abs() < 1e-9, "{}", score);
        }
    }

    #[test]
    fn scratch_remembers_nothing(all in prop::collection::vec(peaks(), 2..6)) {
        let spectra: Vec<_> = all.iter().map(|peaks| spectrum(Some(300.0), peaks)).collect();
        for score in SCORES {
            let scorer = Scorer { score, tolerance: Tolerance::Dalton(0.03) };
            let prepared: Vec<_> = spectra.iter().map(|spectrum| scorer.prepare(spectrum)).collect();
            let mut scratch = Scratch::default();
            for a in &prepared {
                for b in &prepared {
                    prop_assert_eq!(scorer.score(a, b, &mut scratch), scorer.score(a, b, &mut Scratch::default()));
                }
            }
        }
    }
}
