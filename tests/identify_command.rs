//! `cellprobe spectra index` and `identify` write what they say, whole or not at all.
#![cfg(all(feature = "cli", feature = "spectra"))]

mod spectra_common;

use std::{collections::BTreeMap, fs};

use cellprobe::{Device, Index};
use serde_json::Value;
use spectra_common::folder::{Folder, Result, run};

const SPECTRA: &[&str] = &["spectra"];

#[test]
fn a_file_of_spectra_is_a_library() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let (library, query) = (run(1), run(2));
    let summary = folder.json(&format!("identify {library} {query} -o out -k 3"))?;
    assert_eq!(summary["library"], 139);
    assert_eq!(summary["parameters"]["precursor-tolerance"], "10ppm");
    assert!(summary["top1"].is_null());
    let written: Value = serde_json::from_slice(&fs::read(folder.path("out/summary.json"))?)?;
    assert_eq!(written, summary);
    let rows = folder.matches("out")?;
    let first = |row: &&BTreeMap<String, String>| ["0", "1"].contains(&row["rank"].as_str());
    assert_eq!(rows.iter().filter(first).count() as u64, summary["queries"].as_u64().ok_or("no count")?);
    let accepted = rows.iter().filter(|row| row["accepted"] == "yes");
    assert_eq!(accepted.count() as u64, summary["accepted"].as_u64().ok_or("no count")?);
    for row in &rows {
        if row["rank"] == "0" {
            assert_eq!(row["library_id"], "no match");
        } else {
            assert!((0.0..=1.0).contains(&row["score"].parse::<f64>()?));
            assert!(row["precursor_error_ppm"].parse::<f64>()?.abs() <= 10.001);
        }
    }
    let text = fs::read_to_string(folder.path("out/matches.tsv"))?;
    for word in ["# program: cellprobe ", "# device: cpu", "# score: entropy", "# seed: 1234"] {
        assert!(text.contains(word), "{word}");
    }
    Ok(())
}

#[test]
fn what_index_writes_is_a_library() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let files = format!("{} {}", run(1), run(2));
    let summary =
        folder.json(&format!("index {files} -o runs.index --index IVF4,Flat --bin-width 0.1 --dimension 400"))?;
    assert_eq!(summary["index"], "IVF4,Flat");
    let index = Index::read_file(folder.path("runs.index"), &Device::cpu())?;
    assert_eq!((index.ntotal() as u64, index.dimension()), (summary["kept"].as_u64().ok_or("no count")?, 400));
    let query = run(3);
    let open = "--precursor-tolerance open --decoys spectrum";
    let found = folder.json(&format!("identify runs.index {query} -o out {open} --truth FEATURE_ID"))?;
    assert_eq!(found["library"], summary["kept"]);
    assert!(found["top1"].is_number() && found["precision"].is_number() && found["recall"].is_number());
    // All lists, exact vectors: as without an index.
    fs::create_dir(folder.path("runs"))?;
    for number in [1, 2] {
        fs::copy(run(number), folder.path("runs").join(format!("{number}.mgf")))?;
    }
    folder.json(&format!("identify runs {query} -o plain --precursor-tolerance open"))?;
    folder.json(&format!("index {files} -o same.index --index IVF4,Flat"))?;
    folder.json(&format!("identify same.index {query} -o indexed --precursor-tolerance open --nprobe 4"))?;
    assert_eq!(folder.column("plain", "score")?, folder.column("indexed", "score")?);
    Ok(())
}

#[test]
fn what_is_written_does_not_depend_on_the_memory() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let identify = format!("identify {} {} {}", run(1), run(2), run(3));
    let options = "--precursor-tolerance 2ppm --cascade open --decoys spectrum --max-q-value 0.5 --truth FEATURE_ID";
    for (out, memory) in [("none", "--memory 0"), ("plenty", "")] {
        folder.json(&format!("{identify} -o {out} {options} {memory}"))?;
    }
    for file in ["matches.tsv", "matches.mztab", "rejected.tsv", "report.html"] {
        let read = |out: &str| fs::read(folder.path(out).join(file));
        assert!(read("none")? == read("plenty")?, "{file}");
    }
    let searches = folder.column("none", "search")?;
    assert!(searches.contains(&"first".to_owned()) && searches.contains(&"second".to_owned()));
    Ok(())
}

#[test]
fn peptides_have_decoys() -> Result {
    let folder = Folder::new(SPECTRA)?;
    // b and y ions of two peptides.
    let spectra = "BEGIN IONS\nTITLE=a\nPEPMASS=464.75\nCHARGE=2+\nSEQ=PEPTIDEK\n147.1128 5\n227.1026 9\n276.1554 4\n391.1823 6\n702.3668 8\nEND IONS\n";
    fs::write(folder.path("peptides.mgf"), spectra)?;
    let arguments = "identify peptides.mgf peptides.mgf -o out --preset proteomics --structure SEQ --decoys peptide";
    folder.json(arguments)?;
    let rows = folder.matches("out")?;
    assert_eq!((rows[0]["library_name"].as_str(), rows[0]["q_value"].as_str()), ("PEPTIDEK", "1.000000"));
    Ok(())
}

#[test]
fn files_are_not_overwritten_unless_asked() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let (library, query) = (run(1), run(2));
    let identify = format!("identify {library} {query} -o out");
    folder.json(&identify)?;
    assert!(folder.error(&identify, 1)?.contains("--force"));
    folder.json(&format!("{identify} --force"))?;
    let index = format!("index {library} -o a.index");
    folder.json(&index)?;
    assert!(folder.error(&index, 1)?.contains("--force"));
    fs::remove_file(folder.path("a.index"))?;
    // The sidecar alone counts too.
    assert!(folder.error(&index, 1)?.contains("a.index.mgf.gz"));
    Ok(())
}

#[test]
fn what_is_read_is_not_written() -> Result {
    let folder = Folder::new(SPECTRA)?;
    fs::copy(run(1), folder.path("a.mgf"))?;
    assert!(folder.error("index a.mgf -o a.mgf --force", 2)?.contains("a.mgf"));
    assert!(folder.error("index a.mgf -o missing/a.index", 1)?.contains("missing/a.index"));
    folder.json("index a.mgf -o a.index")?;
    assert!(folder.error("index a.index.mgf.gz -o a.index --force", 2)?.contains("a.index.mgf.gz"));
    Ok(())
}

#[test]
fn nothing_is_no_library() -> Result {
    let folder = Folder::new(SPECTRA)?;
    fs::write(folder.path("empty.mgf"), "")?;
    assert!(folder.error("index empty.mgf -o a.index", 1)?.contains("nothing to index"));
    assert!(!folder.path("a.index").exists());
    let output = folder.run(&format!("identify {} empty.mgf -o out", run(1)))?;
    assert!(output.status.success() && String::from_utf8(output.stderr)?.contains("empty.mgf: no spectrum found"));
    Ok(())
}

#[test]
fn an_index_alone_is_no_library() -> Result {
    let folder = Folder::new(SPECTRA)?;
    folder.json(&format!("index {} -o a.index", run(1)))?;
    fs::remove_file(folder.path("a.index.mgf.gz"))?;
    assert!(folder.error(&format!("identify a.index {} -o out", run(2)), 1)?.contains("a.index.mgf.gz"));
    Ok(())
}

#[test]
fn spectra_of_another_library_are_refused() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let text = fs::read_to_string(run(1))?;
    let mut blocks: Vec<&str> = text.split_inclusive("END IONS\n").collect();
    blocks.reverse();
    fs::write(folder.path("reversed.mgf"), blocks.concat())?;
    for factory in ["Flat", "IVF4,Flat", "IVF4,PQ8x4"] {
        for (file, library) in [(run(1), "a.index"), ("reversed.mgf".to_owned(), "b.index")] {
            folder.json(&format!("index {file} -o {library} --index {factory} --force"))?;
        }
        folder.json(&format!("identify a.index {} -o out --force", run(2)))?;
        fs::copy(folder.path("b.index.mgf.gz"), folder.path("a.index.mgf.gz"))?;
        let error = folder.error(&format!("identify a.index {} -o out --force", run(2)), 1)?;
        assert!(error.contains("a.index.mgf.gz") && error.contains("not the spectra of a.index"), "{error}");
    }
    Ok(())
}

#[test]
fn bad_usage_is_said_in_a_line() -> Result {
    let folder = Folder::new(SPECTRA)?;
    let (library, query) = (run(1), run(2));
    for (options, status, word) in [
        ("--score cosin", 2, "cosine"),
        ("--precursor-tolerance 10", 2, "10ppm"),
        ("--rerank-candidates 0", 2, "rerank_candidates"),
        ("--rerank-candidates many", 2, "none"),
        ("--truth :3", 2, "INCHIKEY:14"),
        ("--decoys reversed", 2, "peptide"),
        ("--max-q-value 0.01", 2, "decoys"),
        ("--min-score 2", 2, "min_score"),
        ("-k 0", 2, "k = 0"),
    ] {
        let error = folder.error(&format!("identify {library} {query} -o out {options}"), status)?;
        assert!(error.contains(word), "{options}: {error}");
        assert!(!folder.path("out").exists(), "{options}");
    }
    folder.error(&format!("identify missing.mgf {query} -o out"), 1)?;
    folder.error(&format!("index {library} -o a.index --index HNSW32"), 2)?;
    assert!(!folder.path("a.index").exists() && !folder.path("a.index.mgf.gz").exists());
    Ok(())
}
