//! Every option of the commands on spectra does what its help says.
#![cfg(all(feature = "cli", feature = "spectra"))]

mod spectra_common;

use std::{collections::BTreeMap, fs, io::Read};

use cellprobe::{
    spectra::{Losses, MgfReader, Vectorizer, identify::read_library},
    storage::write_vectors,
};
use flate2::read::MultiGzDecoder;
use ndarray::{Array2, array};
use spectra_common::folder::{Folder, Result, run};

const SPECTRA: &[&str] = &["spectra"];

/// One spectrum: its precursor at charge 2 and at charge 1, weak peaks, and peaks far out.
const ONE: &str = "BEGIN IONS\nTITLE=one\nPEPMASS=500\nCHARGE=2+\n60 5\n120 100\n250 0.5\n400 50\n499.5 80\n998.99 70\n\
                   1600 20\nEND IONS\n";

#[test]
fn options_of_cleaning() -> Result {
    let folder = Folder::new(SPECTRA)?;
    fs::write(folder.path("one.mgf"), ONE)?;
    let bare = "--preset proteomics --min-peaks 1 --min-span 0";
    for (number, (options, kept)) in [
        ("", &[60.0, 120.0, 400.0, 499.5, 998.99, 1600.0][..]),
        ("--preset metabolomics", &[60.0, 120.0, 400.0, 499.5, 998.99, 1600.0]),
        (bare, &[120.0, 400.0]),
        (&format!("{bare} --remove-precursor none"), &[120.0, 400.0, 499.5, 998.99]),
        ("--remove-precursor 1.5", &[60.0, 120.0, 400.0, 1600.0]),
        ("--mz-range 100-1000", &[120.0, 400.0, 499.5, 998.99]),
        ("--min-relative-intensity 0", &[60.0, 120.0, 250.0, 400.0, 499.5, 998.99, 1600.0]),
        ("--min-relative-intensity 0.6", &[120.0, 499.5, 998.99]),
        ("--max-peaks 2", &[120.0, 499.5]),
        ("--min-peaks 6 --min-span 1540", &[60.0, 120.0, 400.0, 499.5, 998.99, 1600.0]),
    ]
    .into_iter()
    .enumerate()
    {
        let summary = folder.json(&format!("cluster one.mgf -o {number} {options}"))?;
        assert_eq!(summary["kept"], 1, "{options}");
        let spectra: Vec<_> = MgfReader::open(folder.path(&format!("{number}/representatives.mgf")))?
            .collect::<cellprobe::Result<_>>()?;
        let mzs: Vec<f64> = spectra[0].peaks.iter().map(|peak| peak.mz).collect();
        assert_eq!(mzs, kept, "{options}");
        // Queries are cleaned in the same way.
        let summary =
            folder.json(&format!("identify one.mgf one.mgf -o i{number} --precursor-window none {options}"))?;
        assert_eq!(summary["accepted"], 1, "{options}");
        assert_eq!(folder.column(&format!("i{number}"), "matched_peaks")?, [kept.len().to_string()], "{options}");
    }
    for (number, (options, reason)) in [
        ("--preset proteomics", "too few peaks"),
        ("--min-peaks 7", "too few peaks"),
        ("--min-span 1600", "m/z span too narrow"),
    ]
    .into_iter()
    .enumerate()
    {
        for command in ["cluster one.mgf -o c-bad", "index one.mgf -o l", "identify one.mgf one.mgf -o i-bad"] {
            let summary = folder.json(&format!("{command}{number} {options}"))?;
            assert_eq!((&summary["kept"], &summary["rejected"][reason]), (&0.into(), &1.into()), "{options}");
        }
    }
    for (options, word) in [
        ("--mz-range 50", "50-1500"),
        ("--mz-range 90-80", "mz_range"),
        ("--remove-precursor near", "none"),
        ("--min-relative-intensity 2", "min_relative_intensity"),
        ("--max-peaks 0", "max_peaks"),
        ("--scaling square", "off, root, log or rank"),
        ("--losses some", "shared"),
        ("--preset lipids", "metabolomics"),
    ] {
        let error = folder.error(&format!("cluster one.mgf -o bad {options}"), 2)?;
        assert!(error.contains(word) && !folder.path("bad").exists(), "{options}: {error}");
    }
    Ok(())
}

#[test]
fn scaling_of_intensities() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let spectrum = |name: &str, a: u32, b: u32| {
        format!("BEGIN IONS\nTITLE={name}\nPEPMASS=500\nCHARGE=1+\n100 {a}\n200 {b}\nEND IONS\n")
    };
    fs::write(folder.path("a.mgf"), spectrum("a", 1, 4))?;
    fs::write(folder.path("b.mgf"), spectrum("b", 4, 1))?;
    let logs = 2.0 * 2.0_f64.ln() * 5.0_f64.ln() / (2.0_f64.ln().powi(2) + 5.0_f64.ln().powi(2));
    for (scaling, cosine) in [("off", 8.0 / 17.0), ("root", 0.8), ("log", logs), ("rank", 19_800.0 / 19_801.0)] {
        // The score of spectra, and that of vectors alone.
        for (number, options) in ["", "--precursor-tolerance open --rerank-candidates none"].into_iter().enumerate() {
            let out = format!("{scaling}{number}");
            folder.json(&format!("identify a.mgf b.mgf -o {out} --score cosine --scaling {scaling} {options}"))?;
            let score: f64 = folder.column(&out, "score")?[0].parse()?;
            assert!((score - cosine).abs() < 1e-6, "{scaling} {options}: {score}, expected {cosine}");
        }
        let clusters = folder.json(&format!(
            "cluster a.mgf b.mgf -o c{scaling} --score cosine --scaling {scaling} --method complete --threshold 0.3"
        ))?;
        assert_eq!(clusters["clusters"], if cosine >= 0.7 { 1 } else { 2 }, "{scaling}");
        assert_eq!(clusters["parameters"]["scaling"], scaling);
    }
    Ok(())
}

#[test]
fn how_vectors_are_made_is_kept_with_an_index() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let options = "--bin-width 0.1 --dimension 96 --hash-seed 7 --losses 32";
    folder.json(&format!("index {} -o runs.index --scaling log {options}", run(1)))?;
    let library = read_library(folder.path("runs.index"))?;
    let expected = Vectorizer { bin_width: 0.1, dimension: 96, seed: 7, losses: Losses::Appended(32) };
    assert_eq!((library.vectorizer(), library.cleaning().scaling.to_string()), (Some(expected), "log".into()));

    let mut sidecar = String::new();
    MultiGzDecoder::new(fs::File::open(folder.path("runs.index.mgf.gz"))?).read_to_string(&mut sidecar)?;
    let header = sidecar.lines().next().ok_or("no header")?;
    for said in ["\"device\":\"cpu\"", concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\""), "\"max_peaks\":100"]
    {
        assert!(header.contains(said), "{said}: {header}");
    }

    // Vectors alone tell how they were made: as without an index of the same options, unlike others.
    let alone = "--precursor-tolerance open --rerank-candidates none";
    let query = run(2);
    let scores = |library: &str, out: &str, options: &str| {
        folder.json(&format!("identify {library} {query} -o {out} {alone} {options}"))?;
        folder.column(out, "score")
    };
    let indexed = scores("runs.index", "indexed", "")?;
    assert_eq!(scores(&run(1), "plain", &format!("--scaling log {options}"))?, indexed);
    for (number, other) in ["--hash-seed 8", "--losses shared", "--bin-width 0.05"].into_iter().enumerate() {
        let (name, _) = other.split_once(' ').ok_or("no value")?;
        let words: Vec<_> = options.split(' ').collect();
        let rest = words.chunks(2).filter(|pair| pair[0] != name).map(|pair| pair.join(" "));
        let options = format!("--scaling log {other} {}", rest.collect::<Vec<_>>().join(" "));
        assert_ne!(scores(&run(1), &format!("other{number}"), &options)?, indexed, "{other}");
    }
    // What an index fixes cannot be asked for.
    let warned = |out: &str, options: &str| -> Result<bool> {
        let output = folder.run(&format!("identify runs.index {query} -o {out} {options}"))?;
        assert!(output.status.success());
        Ok(String::from_utf8(output.stderr)?.contains("indexed with other options"))
    };
    assert!(!warned("w0", "")? && !warned("w1", &format!("--preset metabolomics {options}"))?);
    assert!(warned("w2", "--preset proteomics")? && warned("w3", "--hash-seed 8")?);
    let text = fs::read_to_string(folder.path("w0/matches.tsv"))?;
    for line in ["# hash-seed: 7", "# losses: 32", "# vector-scaling: log", "# max-peaks: 100"] {
        assert!(text.contains(line), "{line}");
    }
    Ok(())
}

/// Three spectra of which vectors say other things than peaks do; the second is not kept.
fn three(folder: &Folder) -> Result {
    let spectrum = |name: &str, peaks: &str| format!("BEGIN IONS\nTITLE={name}\nPEPMASS=500\n{peaks}\nEND IONS\n");
    let all = [spectrum("a", "100 1\n200 2"), spectrum("none", ""), spectrum("b", "300 1"), spectrum("c", "400 1")];
    fs::write(folder.path("all.mgf"), all.concat())?;
    let vectors = array![[2.0_f32, 0.0, 0.0, 0.0], [0.0, 3.0, 4.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    write_vectors(folder.path("vectors.npy"), vectors.view(), false)?;
    fs::write(folder.path("query.mgf"), spectrum("q", "100 1\n200 2"))?;
    write_vectors(folder.path("query.npy"), array![[0.0_f32, 0.8, 0.6, 0.0]].view(), false)?;
    write_vectors(folder.path("short.npy"), array![[1.0_f32, 0.0]].view(), false)?;
    write_vectors(folder.path("zeros.npy"), Array2::<f32>::zeros((3, 4)).view(), false)?;
    Ok(())
}

#[test]
fn vectors_made_elsewhere_are_searched() -> Result {
    let folder = Folder::new(SPECTRA)?;
    three(&folder)?;
    let open = "--precursor-tolerance open --rerank-candidates none -k 3";
    folder.json("index all.mgf -o all.index --vectors vectors.npy")?;
    for (out, library) in [("plain", "all.mgf --library-vectors vectors.npy"), ("indexed", "all.index")] {
        folder.json(&format!("identify {library} query.mgf --vectors query.npy -o {out} {open}"))?;
        assert_eq!(folder.column(out, "library_id")?, ["b", "c", "a"]);
        let scores = folder.column(out, "score")?;
        for (score, cosine) in scores.iter().zip([0.96, 0.6, 0.0]) {
            assert!((score.parse::<f64>()? - cosine).abs() < 1e-6, "{scores:?}");
        }
        let text = fs::read_to_string(folder.path(out).join("matches.tsv"))?;
        assert!(text.contains("# vectors: made elsewhere, of length 4") && !text.contains("# bin-width"));
    }
    // Candidates by vectors, ranked by peaks.
    let reranked = "identify all.index query.mgf --vectors query.npy -o reranked --precursor-tolerance open -k 1";
    folder.json(reranked)?;
    assert_eq!(folder.column("reranked", "library_id")?, ["a"]);
    // Within a window nobody needs vectors.
    folder.json("identify all.index query.mgf -o window -k 1")?;
    assert_eq!(folder.column("window", "library_id")?, ["a"]);
    Ok(())
}

#[test]
fn vectors_that_do_not_fit_are_errors() -> Result {
    let folder = Folder::new(SPECTRA)?;
    three(&folder)?;
    folder.json("index all.mgf -o all.index --vectors vectors.npy")?;
    folder.json("index all.mgf -o hashed.index")?;
    let open = "--precursor-tolerance open";
    for (arguments, status, word) in [
        ("index all.mgf -o bad --vectors query.npy".to_owned(), 1, "expected 3, got 1"),
        ("index all.mgf -o bad --vectors zeros.npy".to_owned(), 2, "row 0"),
        ("index all.mgf -o bad --vectors missing.npy".to_owned(), 1, "missing.npy"),
        ("index all.mgf -o bad --vectors vectors.txt".to_owned(), 2, ".npy"),
        ("index all.mgf -o bad --vectors vectors.npy --dimension 4".to_owned(), 2, "--vectors"),
        ("cluster all.mgf -o bad --vectors query.npy".to_owned(), 1, "expected 3, got 1"),
        ("cluster all.mgf -o bad --vectors vectors.npy --into x".to_owned(), 2, "--into"),
        ("identify all.mgf query.mgf -o bad --library-vectors vectors.npy".to_owned(), 2, "--vectors"),
        ("identify all.mgf query.mgf -o bad --vectors query.npy".to_owned(), 2, "made elsewhere"),
        (format!("identify hashed.index query.mgf -o bad --vectors query.npy {open}"), 2, "made elsewhere"),
        (format!("identify all.index query.mgf -o bad {open}"), 2, "made elsewhere"),
        (format!("identify all.index query.mgf -o bad --vectors short.npy {open}"), 1, "dimension 2, expected 4"),
        (format!("identify all.index query.mgf -o bad --vectors vectors.npy {open}"), 1, "expected 1, got 3"),
        (format!("identify all.index query.mgf -o bad --vectors query.npy {open} --decoys spectrum"), 2, "decoys"),
        (
            "identify all.index query.mgf -o bad --vectors query.npy --library-vectors vectors.npy".to_owned(),
            2,
            "has its own",
        ),
    ] {
        let error = folder.error(&arguments, status)?;
        assert!(error.contains(word) && !folder.path("bad").exists(), "{arguments}: {error}");
    }
    Ok(())
}

#[test]
fn vectors_made_elsewhere_are_clustered() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let spectra: Vec<_> = (0..6).map(|n| format!("BEGIN IONS\nTITLE={n}\nPEPMASS=500\n100 1\nEND IONS\n")).collect();
    fs::write(folder.path("all.mgf"), spectra.concat())?;
    let vectors =
        Array2::from_shape_fn((6, 3), |(row, column)| if column == row % 2 { 1.0 + row as f32 } else { 0.01 });
    write_vectors(folder.path("vectors.npy"), vectors.view(), false)?;
    let summary = folder.json("cluster all.mgf -o out --method kmeans --centroids 2 --vectors vectors.npy")?;
    assert_eq!((&summary["clusters"], &summary["parameters"]["vectors"]), (&2.into(), &"vectors.npy".into()));
    assert!(summary["parameters"]["bin-width"].is_null());
    let text = fs::read_to_string(folder.path("out/clusters.tsv"))?;
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    for cells in rows.map(|line| line.split('\t').collect::<Vec<_>>()) {
        let (id, cluster): (usize, usize) = (cells[1].parse()?, cells[2].parse()?);
        assert_eq!(id % 2, cluster, "{text}");
    }
    Ok(())
}

#[test]
fn options_of_identification() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let (library, query) = (run(1), run(2));
    let found = |out: &str, options: &str| {
        folder.json(&format!("identify {library} {query} -o {out} {options}"))?;
        folder.matches(out)
    };
    let per_query = |rows: &[BTreeMap<String, String>]| {
        let mut counts = BTreeMap::<String, usize>::new();
        for row in rows.iter().filter(|row| row["rank"] != "0") {
            *counts.entry(row["query_id"].clone()).or_default() += 1;
        }
        counts.into_values().max().unwrap_or_default()
    };
    let open = "--precursor-tolerance open";
    assert_eq!(per_query(&found("k1", &format!("{open} -k 1"))?), 1);
    let seven = found("k7", &format!("{open} -k 7"))?;
    assert_eq!(per_query(&seven), 7);
    let accepted = |rows: &[BTreeMap<String, String>]| -> Vec<(f64, usize)> {
        let accepted = rows.iter().filter(|row| row["accepted"] == "yes");
        accepted.map(|row| (row["score"].parse().unwrap(), row["matched_peaks"].parse().unwrap())).collect()
    };
    let default = accepted(&found("default", "")?);
    let strict = accepted(&found("strict", "--min-score 0.8 --min-matched 4 --min-delta 0")?);
    assert!(strict.iter().all(|&(score, matched)| score >= 0.8 && matched >= 4) && !strict.is_empty());
    assert!(default.iter().any(|&(score, matched)| score < 0.8 || matched < 4));
    let mut all = vec![];
    for score in ["cosine", "modified-cosine", "entropy"] {
        let rows = found(score, &format!("{open} --score {score}"))?;
        all.push(rows.iter().map(|row| row["score"].clone()).collect::<Vec<_>>());
    }
    all.dedup();
    assert_eq!(all.len(), 3, "scores differ");
    assert_ne!(found("vectors", &format!("{open} -k 7 --rerank-candidates none"))?, seven);
    // Tolerances: what is found is within them, and wider ones find more.
    let narrow = found("ppm", "--precursor-tolerance 0.2ppm")?;
    let wide = found("dalton", "--precursor-tolerance 0.01Da")?;
    let matched = |rows: &[BTreeMap<String, String>]| rows.iter().filter(|row| row["rank"] != "0").count();
    assert!(matched(&narrow) < matched(&wide));
    for row in narrow.iter().filter(|row| row["rank"] != "0") {
        assert!(row["precursor_error_ppm"].parse::<f64>()?.abs() < 0.201);
    }
    let peaks = |rows: &[BTreeMap<String, String>]| -> usize {
        rows.iter().filter(|row| row["rank"] == "1").map(|row| row["matched_peaks"].parse::<usize>().unwrap()).sum()
    };
    assert!(
        peaks(&found("fine", "--fragment-tolerance 1ppm")?) < peaks(&found("coarse", "--fragment-tolerance 0.1Da")?)
    );
    // A second search names what the first left.
    let cascade = found("cascade", "--cascade open")?;
    assert!(cascade.iter().any(|row| row["search"] == "second") && cascade.iter().any(|row| row["search"] == "first"));
    Ok(())
}
