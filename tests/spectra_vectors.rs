//! Cleaning does what its options say, and vectors of spectra are of unit length and the same every time.
#![cfg(feature = "spectra")]

use std::{
    io::{self, Write},
    path::Path,
};

use cellprobe::{
    Error,
    spectra::{Cleaning, Losses, Peak, Reason, Scaling, Source, Spectrum, Vectorizer, read_files},
};
use ndarray::{Array2, Axis};
use proptest::prelude::*;

fn spectrum(peaks: &[(f64, f32)]) -> Spectrum {
    let source = Source { file: Path::new("test.mgf").into(), index: 0, line: 1 };
    Spectrum { peaks: peaks.iter().map(|&(mz, intensity)| Peak { mz, intensity }).collect(), ..Spectrum::new(source) }
}

/// Changes nothing but for peaks of no intensity.
fn nothing() -> Cleaning {
    Cleaning {
        mz_range: None,
        precursor_window: None,
        min_relative_intensity: 0.0,
        max_peaks: None,
        min_peaks: 1,
        min_span: 0.0,
        scaling: Scaling::Off,
    }
}

fn cleaned(cleaning: &Cleaning, spectrum: &Spectrum) -> Result<Vec<(f64, f32)>, Reason> {
    let spectrum = cleaning.clean(spectrum.clone())?;
    Ok(spectrum.peaks.iter().map(|peak| (peak.mz, peak.intensity)).collect())
}

const PEAKS: [(f64, f32); 5] = [(50.0, 4.0), (100.0, 100.0), (150.0, 9.0), (200.0, 9.0), (301.0, 1.0)];

#[test]
fn mz_range_includes_its_ends() {
    let cleaning = Cleaning { mz_range: Some((100.0, 200.0)), ..nothing() };
    assert_eq!(cleaned(&cleaning, &spectrum(&PEAKS)).unwrap(), &PEAKS[1..4]);
}

#[test]
fn peaks_of_no_intensity_go() {
    assert_eq!(cleaned(&nothing(), &spectrum(&[(50.0, 0.0), (60.0, 1.0)])).unwrap(), [(60.0, 1.0)]);
    assert_eq!(cleaned(&nothing(), &spectrum(&[(50.0, 0.0)])), Err(Reason::TooFewPeaks));
    assert_eq!(cleaned(&nothing(), &spectrum(&[])), Err(Reason::TooFewPeaks));
}

#[test]
fn precursor_goes_at_every_charge() {
    let cleaning = Cleaning { precursor_window: Some(1.5), ..nothing() };
    let mut spectrum = spectrum(&PEAKS);
    assert_eq!(cleaned(&cleaning, &spectrum).unwrap(), PEAKS);
    spectrum.precursor_mz = Some(151.2);
    assert_eq!(cleaned(&cleaning, &spectrum).unwrap(), [PEAKS[0], PEAKS[1], PEAKS[3], PEAKS[4]]);
    // 2 * 151.2 less one proton is 301.39; the negative ion is a proton heavier at 303.41.
    spectrum.charges = vec![2];
    assert_eq!(cleaned(&cleaning, &spectrum).unwrap(), [PEAKS[0], PEAKS[1], PEAKS[3]]);
    spectrum.charges = vec![-2];
    assert_eq!(cleaned(&cleaning, &spectrum).unwrap(), [PEAKS[0], PEAKS[1], PEAKS[3], PEAKS[4]]);
}

#[test]
fn weak_peaks_go_and_those_on_the_limit_stay() {
    let cleaning = Cleaning { min_relative_intensity: 0.04, ..nothing() };
    assert_eq!(cleaned(&cleaning, &spectrum(&PEAKS)).unwrap(), &PEAKS[..4]);
}

#[test]
fn strongest_peaks_stay_and_of_equals_the_lower_mz() {
    let cleaning = Cleaning { max_peaks: Some(2), ..nothing() };
    assert_eq!(cleaned(&cleaning, &spectrum(&PEAKS)).unwrap(), [PEAKS[1], PEAKS[2]]);
}

#[test]
fn too_few_peaks_and_too_narrow() {
    let few = Cleaning { min_peaks: 6, ..nothing() };
    assert_eq!(cleaned(&few, &spectrum(&PEAKS)), Err(Reason::TooFewPeaks));
    assert!(cleaned(&Cleaning { min_peaks: 5, ..few }, &spectrum(&PEAKS)).is_ok());
    let narrow = Cleaning { min_span: 251.1, ..nothing() };
    assert_eq!(cleaned(&narrow, &spectrum(&PEAKS)), Err(Reason::NarrowSpan));
    assert!(cleaned(&Cleaning { min_span: 251.0, ..narrow }, &spectrum(&PEAKS)).is_ok());
}

#[test]
fn survey_spectra_go() {
    let survey = Spectrum { ms_level: Some(1), ..spectrum(&PEAKS) };
    assert_eq!(cleaned(&nothing(), &survey), Err(Reason::SurveySpectrum));
}

#[test]
fn intensities_are_scaled() {
    let scaled = |scaling, max_peaks| {
        let cleaning = Cleaning { scaling, max_peaks, ..nothing() };
        let peaks = cleaned(&cleaning, &spectrum(&PEAKS)).unwrap();
        peaks.into_iter().map(|(_, intensity)| intensity).collect::<Vec<_>>()
    };
    assert_eq!(scaled(Scaling::Off, None), [4.0, 100.0, 9.0, 9.0, 1.0]);
    assert_eq!(scaled(Scaling::Root, None), [2.0, 10.0, 3.0, 3.0, 1.0]);
    assert_eq!(scaled(Scaling::Rank, None), [2.0, 5.0, 4.0, 3.0, 1.0]);
    assert_eq!(scaled(Scaling::Rank, Some(10)), [7.0, 10.0, 9.0, 8.0, 6.0]);
    for (found, intensity) in scaled(Scaling::Log, None).into_iter().zip([4.0, 100.0, 9.0, 9.0, 1.0f32]) {
        assert!((found - (1.0 + intensity).ln()).abs() < 1e-6);
    }
}

#[test]
fn metabolomics_loses_no_small_molecule() {
    let single = spectrum(&[(91.05, 1e4)]);
    assert_eq!(cleaned(&Cleaning::metabolomics(), &single).unwrap(), [(91.05, 100.0)]);
    assert_eq!(cleaned(&Cleaning::proteomics(), &single), Err(Reason::TooFewPeaks));
}

#[test]
fn many_are_cleaned_in_order_and_counted() {
    let all = vec![spectrum(&PEAKS), spectrum(&[]), spectrum(&PEAKS[..2])];
    let (kept, rejected) = Cleaning::metabolomics().clean_all(all).unwrap();
    assert_eq!(kept.iter().map(|spectrum| spectrum.peaks.len()).collect::<Vec<_>>(), [5, 2]);
    assert_eq!(rejected.reasons.into_iter().collect::<Vec<_>>(), [(Reason::TooFewPeaks, 1)]);
}

#[test]
fn impossible_options_are_errors() {
    for cleaning in [
        Cleaning { mz_range: Some((200.0, 100.0)), ..nothing() },
        Cleaning { mz_range: Some((f64::NAN, 100.0)), ..nothing() },
        Cleaning { precursor_window: Some(-1.0), ..nothing() },
        Cleaning { min_relative_intensity: 1.5, ..nothing() },
        Cleaning { min_relative_intensity: f32::NAN, ..nothing() },
        Cleaning { max_peaks: Some(0), ..nothing() },
        Cleaning { max_peaks: Some(3), min_peaks: 4, ..nothing() },
        Cleaning { min_span: f64::NAN, ..nothing() },
    ] {
        assert!(matches!(cleaning.clean_all(vec![]), Err(Error::Parameter { .. })), "{cleaning:?}");
    }
    for vectorizer in [
        Vectorizer { bin_width: 0.0, ..Vectorizer::default() },
        Vectorizer { bin_width: f64::NAN, ..Vectorizer::default() },
        Vectorizer { bin_width: f64::INFINITY, ..Vectorizer::default() },
        Vectorizer { dimension: 0, ..Vectorizer::default() },
        Vectorizer { losses: Losses::Appended(0), ..Vectorizer::default() },
    ] {
        assert!(matches!(vectorizer.vectors(&[]), Err(Error::Parameter { .. })), "{vectorizer:?}");
    }
    let huge = Vectorizer { dimension: usize::MAX / 2, ..Vectorizer::default() };
    assert!(matches!(huge.vectors(&[spectrum(&PEAKS)]), Err(Error::OutOfMemory { .. })));
}

#[test]
fn small_case_by_hand() {
    // Bins of 1: the peaks lie in bins 0, 0 and 2271560481 = 0x87654321, which MurmurHash3 with seed 0 takes to
    // 0x2362F9DE = 593689054 and 0xF55B516B = 4116402539; modulo 10 that is dimensions 4 and 9.
    let vectorizer = Vectorizer { bin_width: 1.0, dimension: 10, ..Vectorizer::default() };
    let vectors = vectorizer.vectors(&[spectrum(&[(0.25, 1.0), (0.75, 2.0), (2_271_560_481.5, 4.0)])]).unwrap();
    let mut expected = [0.0; 10];
    expected[4] = 0.6;
    expected[9] = 0.8;
    for (found, expected) in vectors.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{vectors}");
    }
}

#[test]
fn seed_moves_the_bins() {
    let spectra = [spectrum(&PEAKS)];
    let vectors = |seed| Vectorizer { seed, ..Vectorizer::default() }.vectors(&spectra).unwrap();
    assert_eq!(vectors(7), vectors(7));
    assert_ne!(vectors(7), vectors(8));
}

#[test]
fn losses_show_what_two_spectra_have_lost_alike() {
    // Two molecules 100 apart whose fragments are all 100 apart too: no peak is shared and every loss is.
    let peaks = [(60.0, 1.0), (133.0, 3.0), (180.0, 2.0)];
    let shifted = peaks.map(|(mz, intensity)| (mz + 100.0, intensity));
    let one = Spectrum { precursor_mz: Some(200.0), ..spectrum(&peaks) };
    let other = Spectrum { precursor_mz: Some(300.0), ..spectrum(&shifted) };
    let spectra = [one, other, spectrum(&peaks)];
    let product = |losses, a: usize, b: usize| {
        let vectorizer = Vectorizer { bin_width: 0.5, dimension: 4000, losses, ..Vectorizer::default() };
        let vectors = vectorizer.vectors(&spectra).unwrap();
        assert_eq!(vectors.ncols(), if losses == Losses::Appended(3000) { 7000 } else { 4000 });
        vectors.row(a).dot(&vectors.row(b))
    };
    assert!(product(Losses::Off, 0, 1) < 1e-6);
    for losses in [Losses::Shared, Losses::Appended(3000)] {
        assert!((product(losses, 0, 0) - 1.0).abs() < 1e-6);
        assert!((product(losses, 0, 1) - 0.5).abs() < 1e-6, "{losses:?}: {}", product(losses, 0, 1));
        // Without a precursor there are peaks alone, which are one of two halves of the other.
        assert!((product(losses, 0, 2) - 0.5f32.sqrt()).abs() < 1e-6, "{losses:?}: {}", product(losses, 0, 2));
    }
}

#[test]
fn spectra_without_intensity_are_errors() {
    for peaks in [&[][..], &[(100.0, 0.0)]] {
        let error = Vectorizer::default().vectors(&[spectrum(&PEAKS), spectrum(peaks)]).unwrap_err();
        assert!(matches!(&error, Error::Parameter { name: "spectrum", .. }), "{error}");
        assert!(error.to_string().contains("test.mgf:1"), "{error}");
    }
    for peak in [(100.0, f32::NAN), (100.0, f32::INFINITY), (f64::NAN, 1.0)] {
        let error = Vectorizer::default().vectors(&[spectrum(&PEAKS), spectrum(&[peak])]).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 1, column: 0, .. }), "{error}");
    }
    assert_eq!(Vectorizer::default().vectors(&[]).unwrap().dim(), (0, 800));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/dbgi/20220513_PMA_DBGI_01_04_006.mgf");
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (spectra, _) = read_files(&[&file]).unwrap();
            let (spectra, rejected) = Cleaning::metabolomics().clean_all(spectra).unwrap();
            assert_eq!((spectra.len(), rejected.total()), (290, 0));
            Vectorizer::default().vectors(&spectra).unwrap()
        })
    };
    let bits = |vectors: &Array2<f32>| vectors.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let single = with(1);
    for threads in [2, 5] {
        assert!(bits(&with(threads)) == bits(&single), "{threads} threads");
    }
}

#[test]
fn nearest_vectors_name_the_compound_as_often_as_measured() {
    let Some(folder) = std::env::var_os("CELLPROBE_TEST_DATA") else {
        // Unlike eprintln!, this is shown for tests that pass.
        writeln!(io::stderr(), "SKIPPED: CELLPROBE_TEST_DATA does not name the folder of test data").unwrap();
        return;
    };
    let load = |name: &str| {
        let (spectra, rejected) = read_files(&[Path::new(&folder).join("spectra").join(name)]).unwrap();
        let (spectra, unclean) = Cleaning::metabolomics().clean_all(spectra).unwrap();
        assert_eq!((rejected.total(), unclean.total()), (0, 0), "{name}");
        let names: Vec<_> = spectra.iter().map(|s| s.field("INCHIKEY").unwrap()[..14].to_owned()).collect();
        (Vectorizer::default().vectors(&spectra).unwrap(), names)
    };
    let (library, compounds) = load("massbank_library.mgf.gz");
    let (queries, truth) = load("massbank_query_known.mgf.gz");
    let scores = queries.dot(&library.t());
    let hits = scores.axis_iter(Axis(0)).zip(&truth).filter(|(scores, truth)| {
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        compounds[best] == **truth
    });
    let top1 = hits.count() as f64 / truth.len() as f64;
    eprintln!("top-1 over the whole library: {top1:.3}");
    // The same recipe in numpy gives .688; equal scores may fall either way.
    assert!((top1 - 0.688).abs() < 0.006, "{top1}");
}

proptest! {
    #[test]
    fn rows_have_unit_length(
        all in prop::collection::vec(
            prop::collection::vec((1.0..2000.0f64, prop_oneof![0.0..1e6f32, Just(f32::MAX), Just(1e-45f32)]), 1..40),
            1..20,
        ),
        bin_width in 0.001..2.0f64,
        dimension in 1..1000usize,
        seed: u32,
        losses in prop_oneof![Just(Losses::Off), Just(Losses::Shared), (1..500usize).prop_map(Losses::Appended)],
        precursor in prop::option::of(1.0..2000.0f64),
    ) {
        let spectrum = |peaks: &Vec<_>| Spectrum { precursor_mz: precursor, ..spectrum(peaks) };
        let (spectra, _) = nothing().clean_all(all.iter().map(spectrum).collect()).unwrap();
        let vectorizer = Vectorizer { bin_width, dimension, seed, losses };
        let vectors = vectorizer.vectors(&spectra).unwrap();
        prop_assert_eq!(vectors.dim(), (spectra.len(), vectorizer.length()));
        for row in vectors.rows() {
            let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
            prop_assert!((norm - 1.0).abs() < 1e-5, "{}", norm);
            prop_assert!(row.iter().all(|&value| value >= 0.0));
        }
    }

    #[test]
    fn cleaning_keeps_its_promises(
        peaks in prop::collection::vec((1.0..2000.0f64, 0.0..1e6f32), 0..200),
        precursor in prop::option::of(50.0..1500.0f64),
        charge in -3..4i32,
    ) {
        let cleaning = Cleaning::proteomics();
        let mut dirty = spectrum(&peaks);
        dirty.precursor_mz = precursor;
        dirty.charges = if charge == 0 { vec![] } else { vec![charge] };
        if let Ok(clean) = cleaning.clean(dirty) {
            let strongest = clean.peaks.iter().map(|peak| peak.intensity).fold(0.0, f32::max);
            prop_assert!((5..=50).contains(&clean.peaks.len()));
            prop_assert!(clean.peaks.is_sorted_by(|a, b| a.mz <= b.mz));
            for peak in &clean.peaks {
                prop_assert!((101.0..=1500.0).contains(&peak.mz));
                prop_assert!(precursor.is_none_or(|mz| (peak.mz - mz).abs() > 1.5));
                // The limit of 1 % holds before the root is taken.
                prop_assert!(peak.intensity >= 0.0999 * strongest);
            }
        }
    }
}
