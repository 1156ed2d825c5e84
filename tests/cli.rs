//! The command: what it prints, what it writes, and its exit status.
#![cfg(feature = "cli")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use cellprobe::{
    Device, Index, Metric,
    storage::{read_ids, read_vectors, write_ids, write_labels, write_vectors},
};
use ndarray::{Array1, Array2, ArrayView1, s};
use serde_json::Value;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const ROWS: usize = 600;
const QUERIES: usize = 20;
const DIMENSION: usize = 8;

/// A folder with base vectors, queries and the true neighbours.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self> {
        let folder = Folder(tempfile::tempdir()?);
        write_vectors(folder.path("base.fvecs"), base().view(), false)?;
        write_vectors(folder.path("queries.npy"), queries().view(), false)?;
        write_ids(folder.path("truth.ivecs"), truth(&base(), &queries(), 10).view(), false)?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the command in the folder, on the CPU.
    fn run(&self, arguments: &str) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
        command.current_dir(self.0.path()).env("CELLPROBE_DEVICE", "cpu").env_remove("RUST_LOG");
        Ok(command.args(arguments.split_whitespace()).output()?)
    }

    /// What a command that must succeed prints.
    fn text(&self, arguments: &str) -> Result<String> {
        let output = self.run(arguments)?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(0), "{arguments}: {stderr}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The one JSON object that a command prints, and its keys.
    fn json(&self, arguments: &str) -> Result<Value> {
        let text = self.text(&format!("{arguments} --json"))?;
        let value: Value = serde_json::from_str(&text)?;
        assert!(value.is_object(), "{text}");
        Ok(value)
    }

    /// The error line of a command that must fail with `status`; nothing else is printed.
    fn error(&self, arguments: &str, status: i32) -> Result<String> {
        let output = self.run(arguments)?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(status), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments}: something on stdout");
        assert!(stderr.starts_with("error: ") && stderr.trim_end().lines().count() == 1, "{arguments}: {stderr}");
        Ok(stderr)
    }

    /// Asserts that a command fails with a line that has all of `words`.
    fn fails(&self, arguments: &str, status: i32, words: &[&str]) -> Result {
        let error = self.error(arguments, status)?;
        for word in words {
            assert!(error.contains(word), "{arguments}: no \"{word}\" in {error}");
        }
        Ok(())
    }

    fn build(&self, factory: &str) -> Result<Value> {
        self.json(&format!("build base.fvecs --index {factory} -o {factory}.index"))
    }
}

fn noise(row: usize, column: usize) -> f32 {
    let mixed = (row * DIMENSION + column).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as f32 / (1 << 24) as f32
}

fn base() -> Array2<f32> {
    Array2::from_shape_fn((ROWS, DIMENSION), |(row, column)| noise(row, column))
}

fn queries() -> Array2<f32> {
    Array2::from_shape_fn((QUERIES, DIMENSION), |(row, column)| noise(row + 2 * ROWS, column))
}

fn truth(base: &Array2<f32>, queries: &Array2<f32>, k: usize) -> Array2<i64> {
    let mut truth = Array2::zeros((queries.nrows(), k));
    for (query, mut nearest) in queries.outer_iter().zip(truth.outer_iter_mut()) {
        let distance = |row: usize| (&base.row(row) - &query).mapv(|difference| difference * difference).sum();
        let mut order: Vec<usize> = (0..base.nrows()).collect();
        order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        nearest.assign(&Array1::from_iter(order[..k].iter().map(|&row| row as i64)));
    }
    truth
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn devices_lists_the_cpu_and_what_auto_takes() -> Result {
    let folder = Folder::new()?;
    let devices = folder.json("devices")?;
    assert_eq!(keys(&devices), ["adapters", "auto", "cpu"]);
    assert!(devices["cpu"]["threads"].as_u64() > Some(0) && devices["auto"]["reason"].is_string());
    assert!(folder.text("devices")?.contains("auto takes"));
    Ok(())
}

#[test]
fn verify_reports_every_check() -> Result {
    let folder = Folder::new()?;
    let report = folder.json("verify")?;
    assert_eq!((report["device"].as_str(), report["ok"].as_bool()), (Some("cpu"), Some(true)));
    let checks = report["checks"].as_array().ok_or("no checks")?;
    assert!(checks.len() > 100);
    for check in checks {
        assert!(check["operation"].is_string() && check["variant"].is_string() && check["ok"] == true);
        assert!(check["worst_error"].as_f64() <= check["tolerance"].as_f64());
    }
    assert_eq!(folder.text("verify -q")?.lines().count(), 1);
    Ok(())
}

#[test]
fn shaders_are_written_once() -> Result {
    let folder = Folder::new()?;
    let shaders = folder.json("shaders --dump wgsl")?;
    let paths = shaders["shaders"].as_array().ok_or("no shaders")?;
    assert_eq!(fs::read_dir(folder.path("wgsl"))?.count(), paths.len());
    for path in paths {
        let text = fs::read_to_string(folder.path(path.as_str().ok_or("no path")?))?;
        assert!(text.contains("@compute") && !text.contains("{{"), "{path}");
    }
    folder.fails("shaders --dump wgsl", 1, &["exists", "--force"])?;
    folder.text("shaders --dump wgsl --force")?;
    Ok(())
}

#[test]
fn kmeans_writes_centroids_and_labels() -> Result {
    let folder = Folder::new()?;
    let command = "kmeans base.fvecs -k 4 --iterations 7 -o centroids.npy --labels labels.ivecs";
    let report = folder.json(command)?;
    assert_eq!(keys(&report), ["device", "empty_clusters", "iterations", "objective", "seconds"]);
    assert_eq!((report["device"].as_str(), report["iterations"].as_u64()), (Some("cpu"), Some(7)));
    let (centroids, labels) = (read_vectors(folder.path("centroids.npy"))?, read_ids(folder.path("labels.ivecs"))?);
    assert_eq!((centroids.dim(), labels.dim()), ((4, DIMENSION), (ROWS, 1)));
    let nearest = truth(&centroids, &base(), 1);
    assert_eq!(nearest, labels);
    let cost = |(row, label): (usize, &i64)| {
        let difference = &base().row(row) - &centroids.row(*label as usize);
        difference.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
    };
    let objective: f64 = labels.iter().enumerate().map(cost).sum();
    assert!((objective - report["objective"].as_f64().ok_or("no objective")?).abs() < 1e-3 * objective);

    folder.fails(command, 1, &["centroids.npy", "exists", "--force"])?;
    let again = folder.json(&format!("{command} --force"))?;
    assert_eq!(again["objective"], report["objective"]);
    let other = folder.json("kmeans base.fvecs -k 4 --iterations 7 --seed 7")?;
    assert_ne!(other["objective"], report["objective"]);
    let given = folder.json("kmeans base.fvecs -k 4 --iterations 1 --init centroids.npy --restarts 3")?;
    assert!(given["objective"].as_f64() <= report["objective"].as_f64());
    for rows in ["all", "20"] {
        let options = format!("--init kmeans++ --spherical --max-points-per-centroid {rows} --threads 1");
        let report = folder.json(&format!("kmeans base.fvecs -k 3 {options} -o spherical.npy --force"))?;
        let centroids = read_vectors(folder.path("spherical.npy"))?;
        let nearest = |row: ArrayView1<f32>| {
            let distance = |centroid: ArrayView1<f32>| (&row - &centroid).mapv(|difference| difference.powi(2)).sum();
            centroids.outer_iter().map(distance).fold(f32::INFINITY, f32::min)
        };
        let expected = base().outer_iter().map(nearest).sum::<f32>();
        let objective = report["objective"].as_f64().ok_or("no objective")? as f32;
        // A sample of 60 of the 600 rows.
        let (expected, tolerance) = if rows == "all" { (expected, 1e-4) } else { (expected / 10.0, 0.3) };
        assert!((objective - expected).abs() < tolerance * expected, "{objective}, expected {expected}");
    }
    Ok(())
}

#[test]
fn a_flat_index_has_perfect_recall() -> Result {
    let folder = Folder::new()?;
    let built = folder.build("Flat")?;
    assert_eq!(keys(&built), ["add_seconds", "bytes_per_vector", "device", "ntotal", "train_seconds"]);
    assert_eq!((built["ntotal"].as_u64(), built["bytes_per_vector"].as_u64()), (Some(600), Some(32)));
    let command = "search Flat.index queries.npy -k 10 --truth truth.ivecs --repeat 2 -o ids.npy --distances d.fvecs";
    let found = folder.json(command)?;
    assert_eq!(keys(&found), ["device", "qps", "recall", "search_seconds", "warmup_seconds"]);
    assert_eq!(found["recall"], serde_json::json!({ "1": 1.0, "10": 1.0 }));
    assert!(found["qps"].as_f64() > Some(0.0));
    assert_eq!(read_ids(folder.path("ids.npy"))?, read_ids(folder.path("truth.ivecs"))?);
    let distances = read_vectors(folder.path("d.fvecs"))?;
    assert!(distances.outer_iter().all(|row| row.to_vec().is_sorted()));
    folder.fails(command, 1, &["ids.npy", "exists", "--force"])?;
    assert_eq!(
        keys(&folder.json("search Flat.index queries.npy -k 3")?),
        ["device", "qps", "search_seconds", "warmup_seconds"]
    );
    Ok(())
}

#[test]
fn kmeans_in_pieces_gives_the_same() -> Result {
    let folder = Folder::new()?;
    // 3 MiB.
    let rows = Array2::from_shape_fn((24_000, 32), |(row, column)| ((row * 31 + column * 17) % 97) as f32);
    write_vectors(folder.path("rows.npy"), rows.view(), false)?;
    let kmeans = "kmeans rows.npy -k 5 --iterations 3 --max-points-per-centroid all";
    let whole = folder.json(&format!("{kmeans} -o c.npy --labels l.npy"))?;
    let pieces = folder.json(&format!("{kmeans} -o pieces.npy --labels labels.npy --memory 1"))?;
    assert_eq!(pieces["objective"], whole["objective"]);
    assert_eq!(read_vectors(folder.path("pieces.npy"))?, read_vectors(folder.path("c.npy"))?);
    assert_eq!(read_ids(folder.path("labels.npy"))?, read_ids(folder.path("l.npy"))?);
    folder.fails("kmeans rows.npy -k 5 --memory 0", 2, &["--memory"])?;
    Ok(())
}

#[test]
fn a_list_of_devices_finds_what_one_finds() -> Result {
    let folder = Folder::new()?;
    folder.build("IVF4,Flat")?;
    let search = "search IVF4,Flat.index queries.npy -k 10 --nprobe 2 --rerank base.fvecs --rerank-factor 2";
    folder.json(&format!("{search} -o one.ivecs --distances one.fvecs"))?;
    for placement in ["", "--placement sharded", "--placement replicated"] {
        let found = folder
            .json(&format!("{search} -o ids.ivecs --distances d.fvecs --force --device cpu,cpu,cpu {placement}"))?;
        assert_eq!(found["device"], "cpu, cpu, cpu");
        assert_eq!(read_ids(folder.path("ids.ivecs"))?, read_ids(folder.path("one.ivecs"))?);
        assert_eq!(read_vectors(folder.path("d.fvecs"))?, read_vectors(folder.path("one.fvecs"))?);
    }
    folder.fails(&format!("{search} --device cpu,cpu --placement both"), 2, &["both", "replicated"])?;
    folder.fails(&format!("{search} --device cpu,none"), 2, &["none"])?;
    folder.fails("kmeans base.fvecs -k 4 --device cpu,cpu", 2, &["cpu,cpu", "gpu"])?;
    Ok(())
}

#[test]
fn an_index_goes_from_build_to_add_to_search_to_info() -> Result {
    let folder = Folder::new()?;
    write_vectors(folder.path("half.npy"), base().slice(s![..ROWS / 2, ..]), false)?;
    write_vectors(folder.path("rest.npy"), base().slice(s![ROWS / 2.., ..]), false)?;
    let ids = |from: usize, to: usize| Array1::from_iter((from..to).map(|row| 1000 + row as i64));
    write_labels(folder.path("half_ids.npy"), ids(0, ROWS / 2).view(), false)?;
    write_labels(folder.path("rest_ids.ivecs"), ids(ROWS / 2, ROWS).view(), false)?;
    folder.json("build half.npy --index IVF4,PQ4x4 --train 300 --ids half_ids.npy -o half.index")?;
    let added = folder.json("add half.index rest.npy --ids rest_ids.ivecs -o all.index")?;
    assert_eq!((keys(&added), added["ntotal"].as_u64()), (vec!["add_seconds", "device", "ntotal"], Some(600)));
    folder.fails("add half.index rest.npy -o all.index", 1, &["all.index", "exists", "--force"])?;

    let info = folder.json("info all.index")?;
    let expected = serde_json::json!({
        "index": "IVF4,PQ4x4", "metric": "l2", "dimension": 8, "ntotal": 600, "is_trained": true, "nlist": 4,
        "nprobe": 1, "imbalance": info["imbalance"], "m": 4, "nbits": 4, "by_residual": true, "bytes_per_vector": 10,
        "bytes": fs::metadata(folder.path("all.index"))?.len(),
    });
    assert_eq!(info, expected);
    assert!(info["imbalance"].as_f64() >= Some(1.0));
    assert!(folder.text("info all.index")?.contains("IVF4,PQ4x4"));

    let truth = read_ids(folder.path("truth.ivecs"))?.mapv(|id| id + 1000);
    write_ids(folder.path("truth.npy"), truth.view(), false)?;
    let recall = |arguments: &str| -> Result<f64> {
        let found = folder.json(&format!("search all.index queries.npy -k 10 --truth truth.npy {arguments}"))?;
        found["recall"]["10"].as_f64().ok_or_else(|| "no recall".into())
    };
    let (one, all) = (recall("")?, recall("--nprobe 4")?);
    let exact = recall("--nprobe 4 --rerank base.fvecs --rerank-factor 60")?;
    assert!(one <= all && all < exact && exact >= 1.0, "{one} {all} {exact}");
    Ok(())
}

#[test]
fn vectors_with_identifiers_rerank_what_a_file_holds() -> Result {
    let folder = Folder::new()?;
    let ids = Array1::from_iter((0..ROWS as i64).map(|row| 5000 - row));
    write_labels(folder.path("ids.npy"), ids.view(), false)?;
    folder.json("build base.fvecs --index IVF4,PQ4x4 --ids ids.npy -o codes.index")?;
    write_ids(folder.path("named.npy"), truth(&base(), &queries(), 10).mapv(|row| 5000 - row).view(), false)?;
    let search = "search codes.index queries.npy -k 10 --nprobe 4 --rerank base.fvecs --rerank-factor 60";
    for devices in ["cpu", "cpu,cpu"] {
        folder.fails(&format!("{search} --device {devices}"), 2, &["--rerank-ids"])?;
        let found = folder.json(&format!("{search} --rerank-ids ids.npy --truth named.npy --device {devices}"))?;
        assert_eq!(found["recall"]["10"], 1.0, "{devices}");
    }
    folder.fails("search codes.index queries.npy -k 1 --rerank-ids ids.npy", 2, &["--rerank"])?;
    // From the file, as candidates need them, and the index in pieces if it is large.
    folder.json(&format!("{search} --rerank-ids ids.npy -o whole.npy"))?;
    folder.json(&format!("{search} --rerank-ids ids.npy --memory 1 -o pieces.npy"))?;
    assert_eq!(read_ids(folder.path("pieces.npy"))?, read_ids(folder.path("whole.npy"))?);
    folder.fails(&format!("{search} --memory 1"), 2, &["--rerank-ids"])?;
    folder.fails(&format!("{search} --memory 1 --device cpu,cpu"), 2, &["--memory"])?;
    folder.fails(&format!("{search} --rerank-ids named.npy"), 1, &["ids of rows"])?;
    Ok(())
}

#[test]
fn identifiers_that_a_file_cannot_hold_are_refused_before_the_search() -> Result {
    let folder = Folder::new()?;
    write_labels(folder.path("ids.npy"), Array1::from_iter((0..ROWS as i64).map(|row| row << 23)).view(), false)?;
    folder.json("build base.fvecs --index Flat --ids ids.npy -o flat.index")?;
    // A search for none would be refused as well.
    folder.fails("search flat.index queries.npy -k 0 -o found.ivecs", 1, &["found.ivecs", "write .npy"])?;
    folder.json("search flat.index queries.npy -k 3 -o found.npy")?;
    Ok(())
}

#[test]
fn only_what_is_allowed_is_found() -> Result {
    let folder = Folder::new()?;
    folder.build("IVF4,Flat")?;
    let truth = truth(&base(), &queries(), ROWS);
    let listed = Array1::from_iter((0..ROWS as i64).filter(|id| id % 3 == 0));
    write_labels(folder.path("thirds.npy"), listed.view(), false)?;
    for (option, allowed) in [("--allow", true), ("--deny", false)] {
        for devices in ["cpu", "cpu,cpu"] {
            let search = "search IVF4,Flat.index queries.npy -k 10 --nprobe 4 -o found.npy --force";
            folder.json(&format!("{search} {option} thirds.npy --device {devices}"))?;
            let found = read_ids(folder.path("found.npy"))?;
            for (found, truth) in found.outer_iter().zip(truth.outer_iter()) {
                let expected: Vec<i64> = truth.iter().copied().filter(|id| (id % 3 == 0) == allowed).take(10).collect();
                assert_eq!(found.to_vec(), expected, "{option}, {devices}");
            }
        }
    }
    let removed = folder.json("remove IVF4,Flat.index --ids thirds.npy -o fewer.index")?;
    assert_eq!(removed, serde_json::json!({ "device": "cpu", "removed": ROWS / 3, "ntotal": ROWS - ROWS / 3 }));
    folder.json("search fewer.index queries.npy -k 10 --nprobe 4 -o left.npy")?;
    assert_eq!(read_ids(folder.path("left.npy"))?, read_ids(folder.path("found.npy"))?);
    folder.fails("remove fewer.index --ids thirds.npy -o fewer.index", 1, &["fewer.index", "exists", "--force"])?;
    assert_eq!(folder.json("remove fewer.index --ids thirds.npy -o fewer.index --force")?["removed"], 0);
    folder.json("add fewer.index queries.npy -o more.index")?;
    folder.json("search more.index queries.npy -k 1 --nprobe 4 -o themselves.npy")?;
    let added = Array1::from_iter((0..QUERIES).map(|query| (ROWS + query) as i64));
    assert_eq!(read_ids(folder.path("themselves.npy"))?.column(0), added);
    folder.fails("search IVF4,Flat.index queries.npy -k 1 --allow thirds.npy --deny thirds.npy", 2, &["--deny"])?;
    folder.fails("search IVF4,Flat.index queries.npy -k 1 --allow missing.npy", 1, &["missing.npy"])?;
    Ok(())
}

#[test]
fn all_within_a_radius_are_found() -> Result {
    let folder = Folder::new()?;
    folder.build("Flat")?;
    write_labels(folder.path("first.npy"), Array1::from_iter(0..300).view(), false)?;
    for (options, ids) in [("", ROWS), ("--allow first.npy", 300)] {
        let summary =
            folder.json(&format!("range Flat.index queries.npy --radius 2 -o found.tsv --force {options}"))?;
        let distance = |query: usize, row: usize| {
            (&base().row(row) - &queries().row(query)).mapv(|difference| difference * difference).sum()
        };
        let mut expected: Vec<(usize, usize)> =
            (0..QUERIES).flat_map(|query| (0..ids).map(move |row| (query, row))).collect();
        expected.retain(|&(query, row)| distance(query, row) < 2.0);
        assert!(expected.len() > 128 * QUERIES, "{}", expected.len());
        assert_eq!(summary["found"], expected.len());
        let text = fs::read_to_string(folder.path("found.tsv"))?;
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0], ["query", "id", "score"]);
        let mut found = vec![];
        let mut last = (0, 0.0);
        for line in &lines[1..] {
            let (query, row, score): (usize, usize, f32) = (line[0].parse()?, line[1].parse()?, line[2].parse()?);
            assert!((score - distance(query, row)).abs() < 1e-5, "{line:?}");
            assert!((query, score) >= last, "{line:?}");
            last = (query, score);
            found.push((query, row));
        }
        found.sort_unstable();
        assert_eq!(found, expected);
    }
    folder.fails("range Flat.index queries.npy", 2, &["--radius"])?;
    folder.fails("range Flat.index queries.npy --radius NaN", 2, &["radius"])?;
    folder.fails("range Flat.index queries.npy --radius 1 -o found.tsv", 1, &["found.tsv", "exists", "--force"])?;
    Ok(())
}

#[test]
fn fewer_than_k_are_padded() -> Result {
    let folder = Folder::new()?;
    write_vectors(folder.path("few.npy"), base().slice(s![..3, ..]), false)?;
    folder.json("build few.npy --index Flat --metric cosine -o few.index")?;
    folder.json("search few.index queries.npy -k 5 -o ids.ivecs --truth truth.ivecs")?;
    let ids = read_ids(folder.path("ids.ivecs"))?;
    assert!(ids.outer_iter().all(|row| row.iter().filter(|&&id| id == -1).count() == 2));
    for k in [100_000_000, usize::MAX] {
        for output in ["-o many.npy", "--distances many.npy"] {
            let error = folder.error(&format!("search few.index queries.npy -k {k} {output}"), 2)?;
            assert!(error.contains("at most 6710889 to write") && error.contains("has 3 vectors"), "{error}");
        }
        folder.json(&format!("search few.index queries.npy -k {k}"))?;
    }
    Ok(())
}

#[test]
fn warnings_are_on_stderr_alone() -> Result {
    let folder = Folder::new()?;
    let output = folder.run("build base.fvecs --index IVF100,Flat -o a.index --json")?;
    assert!(String::from_utf8(output.stderr)?.starts_with("warning: 100 centroids were trained on 600 points"));
    serde_json::from_slice::<Value>(&output.stdout)?;
    let output = folder.run("build base.fvecs --index IVF100,Flat -o b.index -q")?;
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty());
    Ok(())
}

#[test]
fn bad_values_are_usage_errors() -> Result {
    let folder = Folder::new()?;
    folder.build("IVF4,Flat")?;
    folder.fails("", 2, &["requires a subcommand", "kmeans", "--help"])?;
    folder.fails("search IVF4,Flat.index queries.npy", 2, &["-k", "--help"])?;
    folder.fails("kmeans base.fvecs -k 4 --frobnicate", 2, &["--frobnicate"])?;
    folder.fails("search IVF4,Flat.index queries.npy -k 0", 2, &["k = 0", "at least 1"])?;
    folder.fails("search IVF4,Flat.index queries.npy -k 1 --nprobe 0", 2, &["nprobe = 0", "at least 1"])?;
    folder.fails("search IVF4,Flat.index queries.npy -k 1 --rerank-factor 3", 2, &["--rerank"])?;
    folder.fails("search IVF4,Flat.index queries.txt -k 1", 2, &["queries.txt", ".fvecs"])?;
    folder.fails("search IVF4,Flat.index queries.npy -k 1 -o ids.fvecs", 2, &["ids.fvecs", ".ivecs"])?;
    folder.fails("kmeans base.fvecs -k 0", 2, &["clusters = 0"])?;
    folder.fails("build base.fvecs --index HNSW32 -o x.index", 2, &["HNSW32", "IVF<nlist>,PQ<M>"])?;
    folder.fails("build base.fvecs --index PQ3 -o x.index", 2, &["M = 3"])?;
    folder.fails("build base.fvecs --index Flat --metric l1 -o x.index", 2, &["l1", "cosine"])?;
    folder.fails("build base.fvecs --index Flat --train 601 -o x.index", 2, &["601", "600"])?;
    folder.fails("build base.fvecs --index Flat --train 0 -o x.index", 2, &["at least 1"])?;
    folder.fails("info IVF4,Flat.index --threads 0", 2, &["--threads"])?;
    folder.fails("info IVF4,Flat.index --threads 99999999999", 2, &["--threads", "1024"])?;
    folder.fails("kmeans base.fvecs -k 4 --device tpu", 2, &["tpu", "auto, cpu, gpu"])?;
    Ok(())
}

#[test]
fn what_goes_wrong_is_a_failure() -> Result {
    let folder = Folder::new()?;
    folder.build("Flat")?;
    write_vectors(folder.path("narrow.npy"), base().slice(s![.., ..5]), false)?;
    fs::write(folder.path("damaged.index"), b"IxF2 and nothing that follows")?;
    folder.fails("search Flat.index missing.npy -k 1", 1, &["missing.npy"])?;
    folder.fails("search missing.index queries.npy -k 1", 1, &["missing.index"])?;
    folder.fails("info damaged.index", 1, &["damaged.index", "byte"])?;
    write_labels(folder.path("ids.npy"), Array1::from_iter([0, 1, 0]).view(), false)?;
    write_vectors(folder.path("three.npy"), base().slice(s![..3, ..]), false)?;
    let untrained = Index::new(&Device::cpu(), DIMENSION, "IVF4,Flat", Metric::L2)?;
    untrained.write_file(folder.path("untrained.index"), false)?;
    folder.fails("search Flat.index narrow.npy -k 1", 1, &["narrow.npy", "dimension 5", "expected 8"])?;
    folder.fails("range Flat.index narrow.npy --radius 1", 1, &["narrow.npy", "dimension 5", "expected 8"])?;
    folder.fails("add Flat.index narrow.npy -o wider.index", 1, &["narrow.npy", "dimension 5", "expected 8"])?;
    folder.fails("add Flat.index queries.npy --ids ids.npy -o wider.index", 1, &["ids.npy", "20", "3"])?;
    folder.fails("build three.npy --index Flat --ids ids.npy -o wider.index", 1, &["ids.npy", "id 0 occurs twice"])?;
    folder.fails("add untrained.index queries.npy -o wider.index", 1, &["untrained.index", "not trained"])?;
    folder.fails("search untrained.index queries.npy -k 1", 1, &["untrained.index", "not trained"])?;
    folder.fails("search Flat.index queries.npy -k 1 --rerank three.npy", 1, &["three.npy", "600", "3"])?;
    folder.fails("search Flat.index narrow.npy -k 1 --truth truth.ivecs", 1, &["truth.ivecs", "600", "20"])?;
    folder.fails("kmeans base.fvecs -k 2 --init three.npy", 1, &["three.npy", "2", "3"])?;
    folder.fails("build base.fvecs --index IVF700,Flat -o x.index", 1, &["700 centroids", "600"])?;
    folder.fails("build base.fvecs --index Flat -o no/such/folder/x.index", 1, &["no/such/folder"])?;
    assert!(!folder.path("wider.index").exists() && !folder.path("x.index").exists());
    Ok(())
}

#[test]
fn help_has_examples_and_completions_complete() -> Result {
    let folder = Folder::new()?;
    for command in ["", "shaders", "kmeans", "build", "add", "search", "info", "completions"] {
        let help = folder.text(&format!("{command} --help"))?;
        assert!(help.contains("Example") && help.contains("cellprobe "), "{help}");
    }
    assert_eq!(folder.text("--version")?.trim(), concat!("cellprobe ", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        assert!(folder.text(&format!("completions {shell}"))?.contains("kmeans"), "{shell}");
    }
    Ok(())
}
