//! No file, whatever its bytes, makes a reader panic or allocate more than the file could fill.

mod stored;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use cellprobe::{
    Error, Metric, Result,
    storage::{
        VectorFormat, faiss,
        faiss::{Flat, Header, IdMap, Stored},
        read_ids_from, read_vectors_from,
    },
};
use proptest::{prelude::*, sample::Index};
use stored::{Contents, any_stored, bytes_of, goldens};

thread_local! {
    /// The largest allocation that this thread has asked for.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, noting what it is asked for.
struct Watched;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.set(LARGEST.get().max(layout.size()));
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// More than any reader asks for at once beyond what the file can fill: one chunk.
const CHUNK: usize = 1 << 20;
/// The sizes of the lists of an untrained inverted file are bounded by the crate, not by the file.
const UNTRAINED_SIZES: usize = 8 << 20;

const VECTORS: [VectorFormat; 3] = [VectorFormat::Fvecs, VectorFormat::Bvecs, VectorFormat::Npy];
const IDS: [VectorFormat; 2] = [VectorFormat::Ivecs, VectorFormat::Npy];

/// Reads with and without the length known: the same verdict, an offset within the file, little memory.
fn read_both_ways<T>(bytes: &[u8], allowance: usize, read: impl Fn(&[u8], Option<u64>) -> Result<T>) -> Result<T> {
    let measured = |length| {
        LARGEST.set(0);
        let result = read(bytes, length);
        assert!(LARGEST.get() <= 8 * bytes.len() + allowance, "{} bytes for {}", LARGEST.get(), bytes.len());
        match &result {
            Err(Error::Format { offset, message }) => {
                assert!(*offset <= bytes.len() as u64, "{offset} of {}: {message}", bytes.len());
            }
            Err(other) => panic!("not an error of the format: {other}"),
            Ok(_) => {}
        }
        result
    };
    let unknown = measured(None);
    let known = measured(Some(bytes.len() as u64));
    assert_eq!(known.is_ok(), unknown.is_ok());
    known
}

/// Reads an index; one that is read can be written, and is the same again.
fn read_index(bytes: &[u8]) -> Result<Stored> {
    let stored = read_both_ways(bytes, UNTRAINED_SIZES + CHUNK, |bytes, length| faiss::read(bytes, length))?;
    assert_eq!(faiss::read(&bytes_of(&stored)[..], None).unwrap(), stored);
    Ok(stored)
}

/// Reads vectors or identifiers.
fn read_rows(bytes: &[u8], format: VectorFormat, ids: bool) -> Result<[usize; 2]> {
    read_both_ways(bytes, 4 * CHUNK, |bytes, length| {
        if ids {
            read_ids_from(bytes, length, format).map(|rows| rows.dim().into())
        } else {
            read_vectors_from(bytes, length, format).map(|rows| rows.dim().into())
        }
    })
}

/// One index of every kind, of a few hundred bytes each.
fn one_of_each() -> Vec<Stored> {
    let mut contents = Contents::new(1);
    let header = Header { dimension: 4, ntotal: 5, is_trained: true, metric: Metric::InnerProduct };
    let flat = Stored::Flat(Flat { header, vectors: contents.floats(20) });
    vec![
        contents.pq(header, 2, 3, false),
        contents.pq(header, 1, 4, true),
        contents.ivf_flat(header, 3, 0),
        contents.ivf_flat(header, 12, 2),
        contents.ivf_pq(header, 2, 2, 2, true, 1),
        Stored::IdMap(IdMap { index: Box::new(flat.clone()), ids: contents.ids(5), two_way: false }),
        Stored::IdMap(IdMap { index: Box::new(flat.clone()), ids: contents.ids(5), two_way: true }),
        Stored::Normalized(Box::new(flat.clone())),
        flat,
    ]
}

/// A file of every vector format and type of number: what it is and what reads it.
fn vector_files() -> Vec<(Vec<u8>, VectorFormat, bool)> {
    let rows = |width: usize| {
        [
            [3i32.to_le_bytes().to_vec(), vec![1; 3 * width]].concat(),
            [3i32.to_le_bytes().to_vec(), vec![2; 3 * width]].concat(),
        ]
        .concat()
    };
    let mut files = vec![
        (rows(4), VectorFormat::Fvecs, false),
        (rows(1), VectorFormat::Bvecs, false),
        (rows(4), VectorFormat::Ivecs, true),
    ];
    for (descr, width, ids) in [
        ("<f2", 2, false),
        ("<f4", 4, false),
        ("<f8", 8, false),
        ("|u1", 1, false),
        ("|i1", 1, false),
        ("<i4", 4, true),
        ("<i8", 8, true),
    ] {
        for order in ["False", "True"] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3), }}\n");
            files.push((npy(&header, &vec![1; 6 * width]), VectorFormat::Npy, ids));
        }
    }
    files
}

/// An `.npy` file of that header.
fn npy(header: &str, numbers: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), numbers].concat()
}

#[test]
fn a_truncated_index_is_an_error_wherever_it_ends() {
    let files = [goldens("index"), goldens("variants")].concat().into_iter().map(|(_, bytes)| bytes);
    for bytes in files.filter(|bytes| bytes.len() < 16_000).chain(one_of_each().iter().map(bytes_of)) {
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            for known in [Some(length as u64), None] {
                match faiss::read(cut, known) {
                    Err(Error::Format { offset, .. }) => assert!(offset <= length as u64),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn bytes_after_the_end_of_an_index_are_an_error_at_its_end() {
    for stored in one_of_each() {
        let mut bytes = bytes_of(&stored);
        let end = bytes.len() as u64;
        bytes.push(0);
        assert!(matches!(read_index(&bytes), Err(Error::Format { offset, .. }) if offset == end));
    }
}

#[test]
fn any_single_byte_of_an_index_can_be_any_other() {
    for mut bytes in one_of_each().iter().map(bytes_of) {
        for place in 0..bytes.len() {
            let was = bytes[place];
            for byte in (0..=255).step_by(3) {
                bytes[place] = byte;
                let _verdict = read_index(&bytes);
            }
            bytes[place] = was;
        }
    }
}

#[test]
fn a_huge_size_anywhere_is_refused_before_anything_is_allocated_for_it() {
    for mut bytes in one_of_each().iter().map(bytes_of) {
        for place in 0..bytes.len() - 8 {
            let was: [u8; 8] = bytes[place..place + 8].try_into().unwrap();
            for size in [u64::MAX, i64::MAX as u64, 1 << 62, (1 << 61) + 1, 1 << 44, u64::from(u32::MAX), 1 << 28] {
                bytes[place..place + 8].copy_from_slice(&size.to_le_bytes());
                let _verdict = read_index(&bytes);
            }
            bytes[place..place + 8].copy_from_slice(&was);
        }
    }
}

#[test]
fn the_wrong_field_is_the_one_blamed() {
    let header = Header { dimension: 2, ntotal: 3, is_trained: true, metric: Metric::L2 };
    let good = bytes_of(&Stored::Flat(Flat { header, vectors: vec![0.5; 6] }));
    let wrong: [(usize, &[u8], u64, &str); 9] = [
        (0, b"IxSQ", 0, "IndexScalarQuantizer"),
        (4, &0i32.to_le_bytes(), 4, "dimension 0"),
        (4, &((1 << 20) + 1i32).to_le_bytes(), 4, "dimension 1048577"),
        (8, &(-1i64).to_le_bytes(), 8, "ntotal is -1"),
        (32, &[2], 32, "is_trained is 2"),
        (33, &23i32.to_le_bytes(), 33, "Jaccard"),
        (33, &0i32.to_le_bytes(), 33, "contradicts"),
        (37, &7u64.to_le_bytes(), 37, "7 items, expected 6"),
        (57, &f32::INFINITY.to_le_bytes(), 57, "not finite"),
    ];
    for (place, field, at, text) in wrong {
        let mut bytes = good.clone();
        bytes[place..place + field.len()].copy_from_slice(field);
        match faiss::read(&bytes[..], None) {
            Err(Error::Format { offset, message }) => {
                assert_eq!(offset, at, "{message}");
                assert!(message.contains(text), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn indexes_nested_too_deep_are_refused() {
    let header = Header { dimension: 1, ntotal: 0, is_trained: true, metric: Metric::L2 };
    let nested = |depth: usize| {
        (0..depth).fold(Stored::Flat(Flat { header, vectors: vec![] }), |index, _| Stored::Normalized(Box::new(index)))
    };
    assert!(read_index(&bytes_of(&nested(16))).is_ok());
    let once = bytes_of(&nested(1));
    let wrapper = &once[..once.len() - bytes_of(&nested(0)).len()];
    let endless = wrapper.repeat(100_000);
    let Err(Error::Format { offset, message }) = read_index(&endless) else { panic!("it is not an index") };
    assert_eq!(offset, 17 * wrapper.len() as u64, "{message}");
}

#[test]
fn a_file_that_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.npy");
    std::fs::write(&path, b"IxF2").unwrap();
    let named = |error: Error| matches!(error, Error::File { path: named, .. } if named == path);
    assert!(named(faiss::read_file(&path).unwrap_err()));
    assert!(named(cellprobe::storage::read_vectors(&path).unwrap_err()));
    assert!(named(cellprobe::storage::read_ids(&path).unwrap_err()));
}

#[test]
fn a_truncated_or_longer_vector_file_is_an_error() {
    for (bytes, format, ids) in vector_files() {
        assert_eq!(read_rows(&bytes, format, ids).unwrap(), [2, 3]);
        for length in 0..bytes.len() {
            let whole_row = format != VectorFormat::Npy && length == bytes.len() / 2;
            assert_eq!(read_rows(&bytes[..length], format, ids).is_ok(), whole_row, "{format:?}, {length}");
        }
        assert!(read_rows(&[&bytes[..], b"\0"].concat(), format, ids).is_err());
    }
}

#[test]
fn any_single_byte_of_a_vector_file_can_be_any_other() {
    for (mut bytes, format, ids) in vector_files() {
        for place in 0..bytes.len() {
            let was = bytes[place];
            for byte in 0..=255 {
                bytes[place] = byte;
                let _verdict = read_rows(&bytes, format, ids);
            }
            bytes[place] = was;
        }
    }
}

#[test]
fn a_header_of_an_array_that_cannot_be_is_refused() {
    let refused = |header: &str| {
        let Err(Error::Format { message, .. }) = read_rows(&npy(header, &[0; 24]), VectorFormat::Npy, false) else {
            panic!("{header} was read")
        };
        message
    };
    let with = |descr: &str, shape: &str| {
        refused(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"))
    };
    assert!(with("'<f4'", "(6,)").contains("1 dimensions"));
    assert!(with("'<f4'", "(1, 2, 3)").contains("3 dimensions"));
    assert!(with("'<f4'", "(4294967296, 4294967296)").contains("too large"));
    assert!(with("'|u1'", "(9223372036854775807, 1)").contains("left in the file"));
    assert!(with("'<f4'", "(18446744073709551616, 1)").contains("too large"));
    assert!(with("'<f4'", "(-2, 3)").contains("missing"));
    assert!(with("'>f4'", "(2, 3)").contains(">f4"));
    assert!(with("'<c8'", "(2, 3)").contains("<c8"));
    assert!(with("[('a', '<f4')]", "(2, 3)").contains("structured"));
    assert!(refused("{'descr': '<f4', 'shape': (2, 3)}").contains("lacks"));
    assert!(refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}").contains("twice"));
    assert!(refused("{'descr': '<f4', 'fortran_order': None, 'shape': (2, 3)}").contains("True"));
    assert!(refused(&"(".repeat(60_000)).contains('{'));
    assert!(refused("").contains('{'));
}

#[test]
fn numbers_that_are_none_are_refused_where_they_stand() {
    let row = [2i32.to_le_bytes(), 1f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    assert!(matches!(read_rows(&row, VectorFormat::Fvecs, false), Err(Error::Format { offset: 8, .. })));
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2)}";
    let numbers = [1f64.to_le_bytes(), 1e300f64.to_le_bytes()].concat();
    let at = 10 + header.len() as u64 + 8;
    let error = read_rows(&npy(header, &numbers), VectorFormat::Npy, false).unwrap_err();
    assert!(matches!(error, Error::Format { offset, .. } if offset == at));
}

proptest! {
    #[test]
    fn damaged_indexes_are_read_or_refused(
        stored in any_stored(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes_of(&stored);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _verdict = read_index(&bytes);
    }

    #[test]
    fn random_bytes_are_no_index(
        kind in prop::sample::select(vec!["IxF2", "IxFI", "IxPq", "IPfs", "IwFl", "IwPQ", "IxMp", "IxPT", ""]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(read_index(&[kind.as_bytes(), &bytes].concat()).is_err());
    }

    #[test]
    fn random_bytes_are_read_as_vectors_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), header in ".{0,80}") {
        for bytes in [bytes.clone(), npy(&header, &bytes), npy(&format!("{{'descr': '<f4', {header}"), &bytes)] {
            for format in VECTORS {
                let _verdict = read_rows(&bytes, format, false);
            }
            for format in IDS {
                let _verdict = read_rows(&bytes, format, true);
            }
        }
    }
}
