//! Folders and patterns stand for the files of spectra in them, in the same order every time.
#![cfg(feature = "spectra")]

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use cellprobe::{
    Error,
    spectra::{Format, SpectrumReader, find_files, read_files},
};

const MSP: &str = "Name: a\nNum Peaks: 1\n100 1\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("b.MSP", MSP);
    write("a.mgf", "BEGIN IONS\n100 1\nEND IONS\n");
    write("below/c.msp", MSP);
    write("below/record.txt", "ACCESSION: A\nPK$PEAK: m/z int.\n100 1\n//\n");
    write("below/readme.txt", "These are spectra.\n");
    write("below/picture.png", "");
    write("empty/notes.md", "");
    folder
}

fn names(folder: &Path, files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
    files.iter().map(name).collect()
}

#[test]
fn folders_patterns_and_files() {
    let folder = folder();
    let found = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| folder.path().join(path)).collect();
        names(folder.path(), &find_files(&paths).unwrap())
    };
    let everything = ["a.mgf", "b.MSP", "below/c.msp", "below/record.txt"];
    assert_eq!(found(&[""]), everything);
    assert_eq!(found(&["b.MSP", "below", "a.mgf", "", "*.mgf"]), everything);
    assert_eq!(found(&["**/*.msp"]), ["below/c.msp"]);
    assert_eq!(found(&["[ab].*"]), ["a.mgf", "b.MSP"]);
    assert_eq!(found(&["bel*"]), ["below/c.msp", "below/record.txt"]);
    // A file that is named is taken as it is.
    assert_eq!(found(&["below/readme.txt"]), ["below/readme.txt"]);
    let (spectra, rejected) = read_files(&find_files(&[folder.path()]).unwrap()).unwrap();
    assert_eq!((spectra.len(), rejected.total()), (4, 0));
}

#[test]
fn what_stands_for_nothing_is_an_error_with_its_name() {
    let folder = folder();
    for name in ["missing.mgf", "empty", "*.mzML", "below/[x]*"] {
        let path = folder.path().join(name);
        match find_files(&[folder.path().join("a.mgf"), path.clone()]) {
            Err(Error::Io { path: named, source }) => {
                assert_eq!((named, source.kind()), (path, ErrorKind::NotFound));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(find_files(&[folder.path().join("***")]), Err(Error::Parameter { .. })));
    assert_eq!(find_files::<PathBuf>(&[]).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn names_of_formats() {
    for (name, format) in [
        ("a.mgf", Some(Format::Mgf)),
        ("a.MGF.GZ", Some(Format::Mgf)),
        ("a.mzML.gz", Some(Format::Mzml)),
        ("a.msp", Some(Format::Msp)),
        ("a.mzlb.txt", Some(Format::MzSpecLib)),
        ("a.mzspeclib", Some(Format::MzSpecLib)),
        ("a.txt", Some(Format::MassBank)),
        ("a.mzXML", Some(Format::Mzxml)),
        ("a.mzData", None),
        ("mgf", None),
    ] {
        assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
    }
}

#[test]
fn contents_come_before_names() {
    let folder = folder();
    let path = folder.path().join("wrong.mgf");
    fs::write(&path, MSP).unwrap();
    let mut reader = SpectrumReader::open(&path).unwrap();
    assert_eq!((reader.format(), Format::of_file(&path).unwrap()), (Format::Msp, Some(Format::Msp)));
    assert!(reader.progress() > 0.0);
    assert_eq!(reader.by_ref().count(), 1);
    assert!((reader.progress() - 1.0).abs() < f64::EPSILON);
    let other = folder.path().join("below/picture.png");
    fs::write(&other, "\u{1}PNG").unwrap();
    let error = SpectrumReader::open(&other).unwrap_err().to_string();
    assert!(error.contains("none of MGF, MSP, mzML") && error.contains("picture.png"), "{error}");
}
