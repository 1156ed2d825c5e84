//! The examples print what they should, and the same neighbours on every device.

mod common;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// What an example prints on a device. `cargo test` builds examples too, next to the tests.
fn output(example: &str, device: &str) -> String {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples");
    let path: PathBuf = folder.join(example).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing: cargo build --example {example}", path.display());
    // From another folder, since the data is in the program.
    let output = Command::new(path).args(["--device", device]).current_dir(std::env::temp_dir()).output().unwrap();
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{example} --device {device}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The GPUs that the tests run on, as `--device` names them.
fn gpus() -> Vec<String> {
    // Warns if there are none.
    let tested: Vec<String> = common::gpus().iter().map(|gpu| gpu.name().to_owned()).collect();
    let adapters = cellprobe::device::adapters().into_iter();
    adapters
        .filter(|adapter| tested.contains(&format!("{} ({})", adapter.name, adapter.backend)))
        .map(|adapter| format!("gpu:{}", adapter.index))
        .collect()
}

/// The lines that must be the same everywhere: neighbours, counts, agreement.
fn answers(output: &str) -> Vec<&str> {
    let same =
        |line: &&str| ["|", " read from ", " queries have ", " peaks left "].iter().any(|part| line.contains(part));
    output.lines().filter(same).collect()
}

#[test]
fn spectra_are_identified_alike_on_every_device() {
    let cpu = output("identify_spectra", "cpu");
    println!("{cpu}");
    for part in [
        "Device: cpu (asked for)",
        "1191 read from 10 runs, 1191 kept, 0 rejected",
        "300 by spherical k-means",
        "sizes   1: ",
        "Run 010 identified in the other nine",
        "library of 1072 spectra",
        "... and 111 more queries",
        "of 119 queries have a neighbour of cosine 0.7 or more",
        "of 357 neighbours",
        "all together",
    ] {
        assert!(cpu.contains(part), "\"{part}\" is missing");
    }
    // Two lines of heading, three neighbours for each of eight queries.
    assert_eq!(cpu.lines().filter(|line| line.contains('|')).count(), 2 + 3 * 8);
    for gpu in gpus() {
        let output = output("identify_spectra", &gpu);
        assert_eq!(answers(&output), answers(&cpu), "{gpu}");
    }
}

#[test]
fn seed_programs_print_neighbours() {
    let similarity = output("seed_similarity", "cpu");
    assert_eq!(similarity.matches("Results of query ").count(), 5, "{similarity}");
    assert_eq!(similarity.matches(", similarity: 0.7").count(), 15, "{similarity}");
    assert_eq!(output("seed_similarity", "cpu"), similarity);

    // A cell holds one centroid: there is a first neighbour, and no second.
    let clusters = output("seed_clusters", "cpu");
    assert_eq!(clusters.matches("Query spectrum ").count(), 5, "{clusters}");
    assert_eq!(clusters.matches("  Neighbor 1: Cluster ").count(), 5, "{clusters}");
    assert!(!clusters.contains("Neighbor 2") && !clusters.contains("-1"), "{clusters}");
    assert_eq!(output("seed_clusters", "cpu"), clusters);
}
