//! Files that the command writes: whole, in folders that are there, and over nothing that is to be kept.
#![cfg(feature = "cli")]

#[allow(dead_code)]
#[path = "spectra_common/folder.rs"]
mod folder;

use std::{fs, process::Command};

use cellprobe::storage::{write_labels, write_vectors};
use folder::{Folder, Result};
use ndarray::{Array1, Array2};

const ROWS: usize = 600;

fn vectors(count: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, 8), |(row, column)| ((row * 31 + column * 17) % 97) as f32)
}

/// A folder with vectors, an index of them, and queries.
fn filled() -> Result<Folder> {
    let folder = Folder::new(&[])?;
    write_vectors(folder.path("base.fvecs"), vectors(ROWS).view(), false)?;
    write_vectors(folder.path("queries.npy"), vectors(20).view(), false)?;
    folder.json("build base.fvecs --index Flat -o Flat.index")?;
    Ok(folder)
}

/// Asserts that a command fails with a line that has all of `words`.
fn fails(folder: &Folder, arguments: &str, status: i32, words: &[&str]) -> Result {
    let error = folder.error(arguments, status)?;
    assert!(words.iter().all(|word| error.contains(word)), "{arguments}: {error}");
    Ok(())
}

#[test]
fn an_existing_index_is_kept() -> Result {
    let folder = filled()?;
    fs::write(folder.path("kept.index"), "precious")?;
    fails(&folder, "build base.fvecs --index Flat -o kept.index", 1, &["kept.index", "exists", "--force"])?;
    assert_eq!(fs::read_to_string(folder.path("kept.index"))?, "precious");
    folder.json("build base.fvecs --index Flat -o kept.index --force")?;
    assert!(fs::metadata(folder.path("kept.index"))?.len() > (ROWS * 8 * 4) as u64);
    Ok(())
}

#[test]
fn what_is_read_is_not_written() -> Result {
    let folder = filled()?;
    write_labels(folder.path("ids.npy"), Array1::from_iter(0..ROWS as i64).view(), false)?;
    let before = fs::read(folder.path("queries.npy"))?;
    for command in [
        "kmeans queries.npy -k 2 -o queries.npy",
        "kmeans base.fvecs -k 2 --init queries.npy -o ./queries.npy",
        "build base.fvecs --index Flat --ids ids.npy -o ids.npy",
        "add Flat.index queries.npy -o queries.npy",
        "remove Flat.index --ids ids.npy -o ids.npy",
        "search Flat.index queries.npy -k 1 -o queries.npy",
        "search Flat.index queries.npy -k 1 --allow ids.npy -o ids.npy",
        "search Flat.index queries.npy -k 1 -o same.npy --distances ./same.npy",
        "range Flat.index queries.npy --radius 1 -o Flat.index",
    ] {
        fails(&folder, command, 2, &["output = ", "read"])?;
        fails(&folder, &format!("{command} --force"), 2, &["output = ", "read"])?;
    }
    assert_eq!(fs::read(folder.path("queries.npy"))?, before);
    folder.json("add Flat.index queries.npy -o Flat.index --force")?;
    Ok(())
}

#[test]
fn a_folder_that_is_missing_is_found_before_the_work() -> Result {
    let folder = filled()?;
    fs::write(folder.path("file"), "")?;
    // What is to be read is not there either, and is not looked for.
    for (command, output) in [
        ("kmeans missing.npy -k 2 -o", "none/centroids.npy"),
        ("build missing.npy --index Flat -o", "none/a.index"),
        ("add missing.index missing.npy -o", "none/a.index"),
        ("search missing.index missing.npy -k 1 --distances", "none/d.npy"),
        ("range missing.index missing.npy --radius 1 -o", "file/found.tsv"),
        ("bench --plot", "none/plot.svg"),
    ] {
        fails(&folder, &format!("{command} {output}"), 1, &[output])?;
    }
    fails(&folder, "bench --vectors file", 1, &["file"])?;
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_nothing_half_written() -> Result {
    use std::{os::unix::process::ExitStatusExt, thread, time::Duration};
    let folder = filled()?;
    // Six million lines take long to write.
    write_vectors(folder.path("many.npy"), vectors(10_000).view(), false)?;
    fs::create_dir(folder.path("out"))?;
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let mut running = folder.command("range Flat.index many.npy --radius 1e9 -o out/found.tsv").spawn()?;
        while fs::read_dir(folder.path("out"))?.count() == 0 && running.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args(["-s", name, &running.id().to_string()]).status()?.success());
        assert_eq!(running.wait()?.signal(), Some(number));
        assert_eq!(fs::read_dir(folder.path("out"))?.count(), 0, "{name}");
    }
    Ok(())
}
