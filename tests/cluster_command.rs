//! `cellprobe spectra cluster` writes what it says, whole or not at all, and clusters into earlier clusters.
#![cfg(all(feature = "cli", feature = "spectra"))]

mod spectra_common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cellprobe::spectra::{MgfReader, Spectrum};
use serde_json::Value;
use spectra_common::{
    data,
    folder::{Folder, Result, run},
};

/// Ten runs of plant extracts, 1,191 spectra.
const RUNS: std::ops::RangeInclusive<usize> = 1..=10;

const CLUSTER: &[&str] = &["spectra", "cluster"];

fn runs(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(run).collect::<Vec<_>>().join(" ")
}

/// A row of clusters.tsv.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    file: String,
    id: String,
    cluster: usize,
    size: usize,
    representative: bool,
}

fn table(folder: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(folder.join("clusters.tsv"))?;
    let mut lines = text.lines().skip_while(|line| line.starts_with('#'));
    assert_eq!(lines.next(), Some("file\tid\tcluster\tsize\trepresentative"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [file, id, cluster, size, representative] = cells[..] else { return Err(line.to_owned().into()) };
        let representative = match representative {
            "yes" => true,
            "no" => false,
            other => return Err(other.to_owned().into()),
        };
        Ok(Row { file: file.into(), id: id.into(), cluster: cluster.parse()?, size: size.parse()?, representative })
    });
    rows.collect()
}

fn spectra(file: &Path) -> Result<Vec<Spectrum>> {
    let mut reader = MgfReader::open(file)?;
    let spectra = reader.by_ref().collect::<cellprobe::Result<Vec<_>>>()?;
    assert!(reader.rejected().total() == 0 && reader.rejected().flaws.is_empty(), "{:?}", reader.rejected());
    Ok(spectra)
}

/// Checks that a table has whole clusters, numbered from 0, each with one representative.
fn check(rows: &[Row]) -> BTreeMap<usize, Vec<&Row>> {
    let mut clusters = BTreeMap::<usize, Vec<&Row>>::new();
    for row in rows {
        clusters.entry(row.cluster).or_default().push(row);
    }
    assert!(clusters.keys().copied().eq(0..clusters.len()));
    for members in clusters.values() {
        assert!(members.iter().all(|row| row.size == members.len()), "{members:?}");
        assert_eq!(members.iter().filter(|row| row.representative).count(), 1, "{members:?}");
    }
    clusters
}

#[test]
fn runs_are_clustered_whole() -> Result {
    let folder = Folder::new(CLUSTER)?;
    let summary = folder.json(&format!("{} -o out --truth FEATURE_ID:3", runs(RUNS)))?;
    for key in ["spectra", "kept"] {
        assert_eq!(summary[key], 1191, "{key}");
    }
    for key in ["clustered_ratio", "incorrectly_clustered_ratio", "completeness", "nmi", "ari", "seconds"] {
        assert!(summary[key].is_f64(), "{key}");
    }
    let rows = table(&folder.path("out"))?;
    let clusters = check(&rows);
    let named: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.file.as_str(), row.id.as_str())).collect();
    assert_eq!((rows.len(), named.len()), (1191, 1191));
    assert_eq!(summary["clusters"], clusters.len());
    let clustered = rows.iter().filter(|row| row.size > 1).count();
    assert!((summary["clustered_ratio"].as_f64().unwrap_or(0.0) - clustered as f64 / 1191.0).abs() < 1e-12);
    assert!(clustered > 700, "few plant metabolites are in one run only: {clustered}");

    let written: Value = serde_json::from_slice(&fs::read(folder.path("out/summary.json"))?)?;
    assert_eq!(written, summary);
    assert_eq!(fs::read_to_string(folder.path("out/rejected.tsv"))?.lines().filter(|l| !l.starts_with('#')).count(), 1);
    for name in ["clusters.tsv", "representatives.mgf", "consensus.mgf", "rejected.tsv", "network.graphml"] {
        let text = fs::read_to_string(folder.path("out").join(name))?;
        for said in [concat!("cellprobe ", env!("CARGO_PKG_VERSION")), "cpu", "10ppm", "average"] {
            assert!(text.contains(said), "{name} does not say {said}");
        }
    }
    Ok(())
}

#[test]
fn representatives_carry_their_cluster() -> Result {
    let folder = Folder::new(CLUSTER)?;
    folder.json(&format!("{} -o out", runs(1..=3)))?;
    let rows = table(&folder.path("out"))?;
    let clusters = check(&rows);
    let measured: BTreeMap<(String, String), Spectrum> = (1..=3)
        .map(|number| Ok(spectra(Path::new(&run(number)))?.into_iter().map(move |s| ((run(number), s.id()), s))))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    for name in ["representatives.mgf", "consensus.mgf"] {
        let spectra = spectra(&folder.path("out").join(name))?;
        assert_eq!(spectra.len(), clusters.len());
        for (cluster, spectrum) in spectra.iter().enumerate() {
            assert_eq!(spectrum.field("CLUSTER_ID"), Some(cluster.to_string().as_str()), "{name}");
            assert_eq!(spectrum.field("CLUSTER_SIZE"), Some(clusters[&cluster].len().to_string().as_str()));
            let members: Vec<&Spectrum> =
                clusters[&cluster].iter().map(|row| &measured[&(row.file.clone(), row.id.clone())]).collect();
            let mzs = || members.iter().filter_map(|spectrum| spectrum.precursor_mz);
            let precursor = spectrum.precursor_mz.ok_or("no precursor")?;
            assert!(mzs().fold(f64::INFINITY, f64::min) <= precursor && precursor <= mzs().fold(0.0, f64::max));
            // Every peak of a representative was measured, with this intensity for medoids.
            for peak in &spectrum.peaks {
                let near = |other: &&cellprobe::spectra::Peak| (other.mz - peak.mz).abs() <= 0.02;
                assert!(members.iter().any(|member| member.peaks.iter().any(|other| near(&other))));
            }
            if name == "representatives.mgf" {
                let medoid = members[clusters[&cluster].iter().position(|row| row.representative).unwrap_or(0)];
                assert_eq!((spectrum.id(), spectrum.precursor_mz), (medoid.id(), medoid.precursor_mz));
                assert!(spectrum.peaks.iter().all(|peak| medoid.peaks.contains(peak)));
            }
        }
    }
    Ok(())
}

#[test]
fn the_network_has_each_spectrum_and_edges_between_them() -> Result {
    let folder = Folder::new(CLUSTER)?;
    folder.json(&format!("{} -o out", runs(1..=3)))?;
    let rows = table(&folder.path("out"))?;
    let text = fs::read_to_string(folder.path("out/network.graphml"))?;
    let between = |line: &str, start: &str, end: &str| -> Option<String> {
        Some(line.split_once(start)?.1.split_once(end)?.0.to_owned())
    };
    let nodes: BTreeSet<String> = text.lines().filter_map(|line| between(line, "<node id=\"", "\"")).collect();
    assert_eq!(nodes.len(), rows.len());
    let mut edges = 0;
    for line in text.lines().filter(|line| line.trim_start().starts_with("<edge ")) {
        for end in ["source=\"", "target=\""] {
            assert!(nodes.contains(&between(line, end, "\"").ok_or("an edge without an end")?));
        }
        let score: f64 = between(line, "<data key=\"score\">", "<").ok_or("an edge without a score")?.parse()?;
        assert!((0.4..=1.0).contains(&score), "{score} is not within the threshold of 0.6");
        edges += 1;
    }
    assert!(edges > 50, "{edges}");
    assert_eq!(text.matches('<').count(), text.matches('>').count());
    Ok(())
}

#[test]
fn nothing_is_overwritten_and_nothing_left_behind() -> Result {
    let folder = Folder::new(CLUSTER)?;
    let arguments = format!("{} -o out", run(1));
    let first = folder.json(&arguments)?;
    let before = fs::read(folder.path("out/clusters.tsv"))?;
    assert!(folder.error(&arguments, 1)?.contains("--force"));
    assert!(folder.error(&format!("{} -o out --method dbscan", run(2)), 1)?.contains("exists already"));
    assert_eq!(fs::read(folder.path("out/clusters.tsv"))?, before);
    let again = folder.json(&format!("{arguments} --force"))?;
    assert_eq!(again["clusters"], first["clusters"]);
    assert_eq!(fs::read(folder.path("out/clusters.tsv"))?, before);
    let mut files: Vec<_> =
        fs::read_dir(folder.path("out"))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    files.sort();
    assert_eq!(
        files,
        [
            "clusters.tsv",
            "consensus.mgf",
            "network.graphml",
            "rejected.tsv",
            "report.html",
            "representatives.mgf",
            "summary.json"
        ]
    );
    assert!(folder.error("missing.mgf -o other", 1)?.contains("missing.mgf"));
    assert!(!folder.path("other").exists());
    Ok(())
}

#[test]
fn what_is_read_is_not_written() -> Result {
    let folder = Folder::new(CLUSTER)?;
    folder.json(&format!("{} -o out", run(1)))?;
    let before = fs::read(folder.path("out/representatives.mgf"))?;
    for files in ["out", "out/representatives.mgf"] {
        assert!(folder.error(&format!("{files} -o out --force"), 2)?.contains("representatives.mgf"));
    }
    assert_eq!(fs::read(folder.path("out/representatives.mgf"))?, before);
    assert!(folder.error(&format!("{} -o out/summary.json/more", run(1)), 1)?.contains("out/summary.json/more"));
    Ok(())
}

#[test]
fn a_truth_that_nothing_has_is_warned_of() -> Result {
    let folder = Folder::new(CLUSTER)?;
    for (field, warned) in [("NOFIELD", true), ("FEATURE_ID", false)] {
        let output = folder.run(&format!("{} -o {field} --truth {field}", run(1)))?;
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stderr)?.contains("warning: no spectrum has the field NOFIELD"), warned);
    }
    Ok(())
}

#[test]
fn a_file_without_spectra_is_warned_of() -> Result {
    let folder = Folder::new(CLUSTER)?;
    fs::write(folder.path("empty.mgf"), "")?;
    fs::write(
        folder.path("cut.mzML"),
        r#"<?xml version="1.0"?><mzML xmlns="http://psi.hupo.org/ms/mzml"><run><spectr"#,
    )?;
    let output = folder.run(&format!("empty.mgf cut.mzML {} -o out", run(1)))?;
    assert!(output.status.success());
    let warnings = String::from_utf8(output.stderr)?;
    for file in ["empty.mgf", "cut.mzML"] {
        assert!(warnings.contains(&format!("warning: {file}: no spectrum found")), "{warnings}");
    }
    assert_eq!(warnings.lines().count(), 2);
    Ok(())
}

#[test]
fn what_is_not_used_is_listed() -> Result {
    let folder = Folder::new(CLUSTER)?;
    fs::write(
        folder.path("some.mgf"),
        "BEGIN IONS\nTITLE=whole\nPEPMASS=200\n100 1\n150 2\nEND IONS\n\
         BEGIN IONS\nTITLE=no peaks\nPEPMASS=200\nEND IONS\n\
         BEGIN IONS\nTITLE=survey\nPEPMASS=200\nMSLEVEL=1\n100 1\nEND IONS\n",
    )?;
    let summary = folder.json("some.mgf -o out")?;
    assert_eq!((summary["spectra"].as_u64(), summary["kept"].as_u64()), (Some(3), Some(1)));
    assert_eq!(summary["rejected"]["no peaks"], 1);
    let listed = fs::read_to_string(folder.path("out/rejected.tsv"))?;
    assert!(listed.contains("no peaks") && listed.contains("survey"), "{listed}");
    assert_eq!(table(&folder.path("out"))?.len(), 1);
    Ok(())
}

#[test]
fn every_method_and_no_spectrum_at_all() -> Result {
    let folder = Folder::new(CLUSTER)?;
    for method in ["dbscan", "average", "complete", "kmeans"] {
        folder.json(&format!("{} -o {method} --method {method}", runs(1..=2)))?;
        check(&table(&folder.path(method))?);
        fs::write(folder.path("empty.mgf"), "")?;
        let summary = folder.json(&format!("empty.mgf -o {method}-empty --method {method}"))?;
        assert_eq!(
            (summary["clusters"].as_u64(), table(&folder.path(&format!("{method}-empty")))?.len()),
            (Some(0), 0)
        );
    }
    folder.error(&format!("{} -o bad --threshold 2", run(1)), 2)?;
    folder.error(&format!("{} -o bad --method single", run(1)), 2)?;
    Ok(())
}

#[test]
fn new_runs_join_earlier_clusters() -> Result {
    let folder = Folder::new(CLUSTER)?;
    folder.json(&format!("{} -o at-once", runs(RUNS)))?;
    folder.json(&format!("{} -o sunday", runs(1..=6)))?;
    let joined = folder.json(&format!("{} -o week --into sunday", runs(7..=10)))?;
    let (earlier, later) = (table(&folder.path("sunday"))?, table(&folder.path("week"))?);
    let (before, after) = (check(&earlier), check(&later));
    assert_eq!((later.len(), joined["clusters"].as_u64()), (1191, Some(after.len() as u64)));
    let clustered = later.iter().filter(|row| row.size > 1).count() as f64;
    assert!((joined["clustered_ratio"].as_f64().unwrap_or(0.0) - clustered / 1191.0).abs() < 1e-12, "{joined}");
    let shown = fs::read_to_string(folder.path("week/report.html"))?;
    assert!(shown.contains(&format!("{:.1} %", 100.0 * clustered / 1191.0)), "the report has another share");
    // What was there keeps its cluster and its representative.
    for (cluster, members) in &before {
        let now = &after[cluster];
        let kept = |row: &&Row| {
            now.iter().any(|n| (&n.file, &n.id, n.representative) == (&row.file, &row.id, row.representative))
        };
        assert!(members.iter().all(kept), "cluster {cluster}");
    }
    assert!(
        after.len() > before.len() && later.iter().filter(|row| row.cluster < before.len()).count() > earlier.len()
    );
    // Nearly the partition of all at once, as far as pairs of spectra tell.
    let (pairs, of) = agreement(&table(&folder.path("at-once"))?, &later);
    assert!(pairs > 0.9 * of, "{pairs} of {of} pairs");

    let representatives = spectra(&folder.path("week/representatives.mgf"))?;
    assert_eq!(representatives.len(), after.len());
    // And once more into the result.
    assert!(folder.error(&format!("{} -o again --into week", run(7)), 2)?.contains("not yet in the clusters"));
    fs::copy(run(7), folder.path("copy.mgf"))?;
    let summary = folder.json("copy.mgf -o again --into week")?;
    assert_eq!(check(&table(&folder.path("again"))?).len() as u64, summary["clusters"].as_u64().unwrap_or(0));
    let damaged = fs::read_to_string(folder.path("week/clusters.tsv"))?.replace("\tyes", "");
    fs::write(folder.path("week/clusters.tsv"), damaged)?;
    assert!(folder.error("copy.mgf -o damaged --into week", 1)?.contains("clusters.tsv"));
    Ok(())
}

/// Pairs of spectra that share a cluster in both tables, and the mean of what share one in each.
fn agreement(a: &[Row], b: &[Row]) -> (f64, f64) {
    let of = |rows: &[Row]| -> BTreeMap<(String, String), usize> {
        rows.iter().map(|row| ((row.file.clone(), row.id.clone()), row.cluster)).collect()
    };
    let (a, b) = (of(a), of(b));
    assert!(a.keys().eq(b.keys()));
    let labels: Vec<(usize, usize)> = a.values().copied().zip(b.values().copied()).collect();
    let (mut both, mut of) = (0.0, 0.0);
    for (place, one) in labels.iter().enumerate() {
        for other in &labels[place + 1..] {
            let (in_a, in_b) = (one.0 == other.0, one.1 == other.1);
            both += f64::from(u8::from(in_a && in_b));
            of += f64::midpoint(f64::from(u8::from(in_a)), f64::from(u8::from(in_b)));
        }
    }
    (both, of)
}

#[test]
fn known_identities_are_found_together() -> Result {
    let Some(data) = data() else { return Ok(()) };
    let file = |name: &str| data.join(name).display().to_string();
    let (library, queries) = (file("massbank_library.mgf.gz"), file("massbank_query_known.mgf.gz"));
    let folder = Folder::new(CLUSTER)?;
    let summary = folder.json(&format!("{library} {queries} -o out --truth INCHIKEY:14"))?;
    let number = |key: &str| summary[key].as_f64().unwrap_or(f64::NAN);
    assert_eq!(summary["kept"], 16_350);
    assert!(number("clustered_ratio") >= 0.925, "{summary}");
    assert!(number("incorrectly_clustered_ratio") <= 0.035, "{summary}");
    assert!(number("completeness") >= 0.91, "{summary}");
    Ok(())
}
