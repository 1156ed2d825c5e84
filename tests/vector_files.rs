//! Vectors and identifiers come back from a file as they went in, and a file appears whole or not at all.

use std::{fs, io, path::PathBuf};

use cellprobe::{
    Error,
    storage::{
        VectorFormat, read_ids, read_vectors, read_vectors_from, write_ids, write_labels, write_vectors, write_whole,
    },
};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

/// An `.npy` file of two rows and three columns as numpy writes it.
fn npy(descr: &str, fortran_order: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': (2, 3), }}");
    [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes(), numbers].concat()
}

#[test]
fn every_number_type_of_numpy_becomes_the_same_vectors() {
    let expected = array![[0.0f32, 1.0, 2.0], [3.0, 4.0, 5.0]];
    let numbers: [(&str, Vec<u8>); 5] = [
        ("<f2", [0u16, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500].iter().flat_map(|bits| bits.to_le_bytes()).collect()),
        ("<f4", (0u8..6).flat_map(|number| f32::from(number).to_le_bytes()).collect()),
        ("<f8", (0u8..6).flat_map(|number| f64::from(number).to_le_bytes()).collect()),
        ("|u1", (0..6).collect()),
        ("|i1", (0..6).collect()),
    ];
    for (descr, numbers) in numbers {
        let read = read_vectors_from(&npy(descr, "False", &numbers)[..], None, VectorFormat::Npy).unwrap();
        assert_eq!(read, expected, "{descr}");
        let mut later = npy(descr, "False", &numbers);
        later.splice(6..10, [2, 0, 0x76, 0, 0, 0]);
        assert_eq!(read_vectors_from(&later[..], None, VectorFormat::Npy).unwrap(), expected, "{descr}, version 2");
    }
    let negative = read_vectors_from(&npy("|i1", "False", &[0xff; 6])[..], None, VectorFormat::Npy).unwrap();
    assert_eq!(negative, Array2::from_elem((2, 3), -1.0));
    let half = [0xbc01u16, 1, 0x7bff, 0x8000, 0x3555, 0x0400].map(u16::to_le_bytes).concat();
    let half = read_vectors_from(&npy("<f2", "False", &half)[..], None, VectorFormat::Npy).unwrap();
    let expected = array![[-1.000_976_6, 2f32.powi(-24), 65504.0], [-0.0, 0.333_251_95, 2f32.powi(-14)]];
    assert_eq!(half, expected);
}

#[test]
fn fortran_order_is_read_into_rows() {
    let columns = [0f32, 3.0, 1.0, 4.0, 2.0, 5.0].map(f32::to_le_bytes).concat();
    let read = read_vectors_from(&npy("<f4", "True", &columns)[..], None, VectorFormat::Npy).unwrap();
    assert!(read.is_standard_layout());
    assert_eq!(read, array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
}

#[test]
fn what_numpy_reads_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    write_vectors(&path, array![[0.0f32, 1.0, 2.0], [3.0, 4.0, 5.0]].view(), false).unwrap();
    let numbers: Vec<u8> = (0u8..6).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    assert_eq!(fs::read(&path).unwrap(), npy("<f4", "False", &numbers));
    write_labels(&path, array![7, 8].view(), true).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[10..].starts_with(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2,), } "));
    assert_eq!(bytes.len(), 128 + 16);
    assert_eq!(read_ids(&path).unwrap(), array![[7], [8]]);
}

#[test]
fn values_that_a_format_cannot_hold_are_refused_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let refused = |result: cellprobe::Result<()>| match result {
        Err(Error::File { source, .. }) => assert!(matches!(*source, Error::Parameter { .. }), "{source}"),
        other => panic!("{other:?}"),
    };
    for value in [0.5f32, -1.0, 256.0, f32::NAN] {
        refused(write_vectors(file("a.bvecs"), array![[1.0, value]].view(), false));
    }
    refused(write_ids(file("a.ivecs"), array![[1 << 31]].view(), false));
    refused(write_ids(file("a.fvecs"), array![[1]].view(), false));
    refused(write_vectors(file("a.ivecs"), array![[1.0]].view(), false));
    assert!(matches!(write_ids(file("a.txt"), array![[1]].view(), false), Err(Error::Parameter { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_existing_file_stays_unless_it_may_be_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.npy");
    write_labels(&path, array![1].view(), false).unwrap();
    let error = write_labels(&path, array![2].view(), false).unwrap_err();
    assert!(matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists), "{error}");
    assert_eq!(read_ids(&path).unwrap(), array![[1]]);
    write_labels(&path, array![2].view(), true).unwrap();
    assert_eq!(read_ids(&path).unwrap(), array![[2]]);
}

#[test]
fn a_file_whose_writing_fails_never_appears() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("half");
    let fail = |overwrite| {
        write_whole(&path, overwrite, |writer| {
            io::Write::write_all(writer, b"half").unwrap();
            Err(Error::Empty { what: "the other half" })
        })
    };
    assert!(matches!(fail(false), Err(Error::File { path: named, .. }) if named == path));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&path, "whole").unwrap();
    fail(true).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_new_file_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (ours, plain) = (folder.path().join("ours.npy"), folder.path().join("plain"));
    write_labels(&ours, array![1].view(), false).unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(ours), mode(plain));
}

#[cfg(unix)]
#[test]
fn what_is_overwritten_keeps_its_permissions_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let file = |name| folder.path().join(name);
    write_labels(file("kept.npy"), array![1].view(), false).unwrap();
    fs::set_permissions(file("kept.npy"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("kept.npy", file("link.npy")).unwrap();
    write_labels(file("link.npy"), array![1].view(), false).unwrap_err();
    write_labels(file("link.npy"), array![2].view(), true).unwrap();
    assert!(file("link.npy").is_symlink());
    assert_eq!(read_ids(file("kept.npy")).unwrap(), array![[2]]);
    assert_eq!(fs::metadata(file("kept.npy")).unwrap().permissions().mode() & 0o777, 0o640);
    symlink(file("new.npy"), file("dangling.npy")).unwrap();
    write_labels(file("dangling.npy"), array![3].view(), false).unwrap();
    assert_eq!(read_ids(file("new.npy")).unwrap(), array![[3]]);
    fs::create_dir(file("folder.npy")).unwrap();
    write_labels(file("folder.npy"), array![3].view(), true).unwrap_err();
}

#[cfg(unix)]
#[test]
fn a_pipe_is_written_into() {
    use std::{os::unix::fs::FileTypeExt, process::Command, thread};
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.npy");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for overwrite in [false, true] {
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || read_ids(pipe).unwrap()
        });
        write_labels(&pipe, array![4].view(), overwrite).unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap(), array![[4]]);
    }
}

proptest! {
    #[test]
    fn vectors_come_back(rows in 1..20usize, columns in 1..20usize, seed in any::<u32>(), transposed in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let bytes = Array2::from_shape_fn((rows, columns), |(i, j)| f32::from((seed as usize + 31 * i + 7 * j) as u8));
        let fractions = bytes.mapv(|value| (value - 100.0) / 7.0);
        for (name, vectors) in [("a.fvecs", &fractions), ("a.npy", &fractions), ("a.bvecs", &bytes)] {
            let path = folder.path().join(name);
            let vectors = if transposed { vectors.t() } else { vectors.view() };
            write_vectors(&path, vectors, true).unwrap();
            prop_assert_eq!(read_vectors(&path).unwrap(), vectors);
        }
    }

    #[test]
    fn ids_come_back(rows in 1..20usize, columns in 1..20usize, seed in any::<i32>()) {
        let folder = tempfile::tempdir().unwrap();
        let small = Array2::from_shape_fn((rows, columns), |(i, j)| i64::from(seed.wrapping_add((31 * i + j) as i32)));
        let large = small.mapv(|id| id.wrapping_mul(1 << 40));
        for (name, ids) in [("a.ivecs", &small), ("a.npy", &large)] {
            let path = folder.path().join(name);
            write_ids(&path, ids.view(), true).unwrap();
            prop_assert_eq!(&read_ids(&path).unwrap(), ids);
            write_labels(&path, ids.row(0), true).unwrap();
            prop_assert_eq!(read_ids(&path).unwrap(), ids.row(0).insert_axis(Axis(1)));
        }
    }
}
