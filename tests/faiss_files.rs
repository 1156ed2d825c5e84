//! Index files of faiss are read for what they are and written again to the same bytes.

mod stored;

use cellprobe::{
    Device, Error, Index, Metric,
    storage::faiss::{Flat, Header, IdMap, PqLayout, Stored, read, read_file, write, write_file},
};
use ndarray::Array2;
use proptest::prelude::*;
use stored::{any_stored, bytes_of, goldens};

/// The golden file of that name.
fn golden(name: &str) -> Stored {
    read_file(format!("{}/tests/golden/index/{name}.faiss", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn golden_flat(name: &str) -> Flat {
    let Stored::Flat(flat) = golden(name) else { panic!("{name} is no flat index") };
    flat
}

#[test]
fn every_golden_file_is_written_again_to_the_same_bytes() {
    let goldens = [goldens("index"), goldens("variants")].concat();
    assert_eq!(goldens.len(), 24);
    for (name, bytes) in goldens {
        let known = read(&bytes[..], Some(bytes.len() as u64)).unwrap();
        assert_eq!(known, read(&bytes[..], None).unwrap(), "{name}");
        assert!(bytes_of(&known) == bytes, "{name}");
    }
}

#[test]
fn every_golden_file_has_the_header_that_its_name_says() {
    for (name, bytes) in goldens("index") {
        let metric = if name.contains("ip") { Metric::InnerProduct } else { Metric::L2 };
        let ntotal = match name.as_str() {
            "idmap_flat_l2" => 50,
            "ivfflat_ids" => 200,
            "ivfflat_sparse" => 3,
            _ => 2000,
        };
        let header = Header { dimension: 32, ntotal, is_trained: true, metric };
        assert_eq!(read(&bytes[..], None).unwrap().header(), header, "{name}");
    }
}

#[test]
fn product_quantizers_keep_their_codebooks_and_codes() {
    for (name, m, nbits) in [("pq_m4n8_l2", 4, 8), ("pq_m4n8_ip", 4, 8), ("pq_m8n4_l2", 8, 4), ("pq_m4n6_l2", 4, 6)] {
        let Stored::Pq(pq) = golden(name) else { panic!("{name} is no PQ index") };
        assert_eq!((pq.codebook.dimension, pq.codebook.m, pq.codebook.nbits), (32, m, nbits), "{name}");
        assert_eq!(pq.codebook.centroids.len(), 32 << nbits, "{name}");
        assert_eq!(pq.codes.len(), 2000 * m * nbits / 8, "{name}");
        assert_eq!(pq.layout, PqLayout::plain(&pq.codebook), "{name}");
    }
}

#[test]
fn fast_scan_codes_are_unpacked_to_the_codes_of_the_plain_index() {
    let (Stored::Pq(plain), Stored::Pq(mut fast)) = (golden("pq_m8n4_l2"), golden("pqfs_m8n4_l2")) else {
        panic!("both are PQ indexes")
    };
    assert_eq!(fast.layout, PqLayout::fast_scan());
    assert!(fast.codes == plain.codes);
    fast.layout = plain.layout;
    assert_eq!(bytes_of(&Stored::Pq(fast)), bytes_of(&Stored::Pq(plain)));
}

#[test]
fn inverted_lists_hold_the_vectors_under_their_ids() {
    let flat = golden_flat("flat_l2");
    for (name, nlist, nprobe, full) in
        [("ivfflat_l2", 16, 4, true), ("ivfflat_ids", 8, 8, true), ("ivfflat_sparse", 16, 1, false)]
    {
        let Stored::IvfFlat(index) = golden(name) else { panic!("{name} is no IVF index") };
        assert_eq!((index.lists.sizes.len(), index.ivf.nprobe), (nlist, nprobe), "{name}");
        assert_eq!(index.ivf.quantizer.header().ntotal, nlist, "{name}");
        assert_eq!(index.lists.sizes.iter().all(|&size| size > 0), full, "{name}");
        for (id, vector) in index.lists.ids.iter().zip(index.lists.entries.chunks_exact(32)) {
            let row = if name == "ivfflat_ids" { (id - 1_000_000_000_000) / 7 } else { *id } as usize;
            assert_eq!(vector, &flat.vectors[32 * row..][..32], "{name}: {id}");
        }
    }
}

#[test]
fn inverted_codes_keep_what_they_are_codes_of() {
    for (name, by_residual) in [("ivfpq_l2_res", true), ("ivfpq_ip_nores", false)] {
        let Stored::IvfPq(index) = golden(name) else { panic!("{name} is no IVF-PQ index") };
        assert_eq!(index.by_residual, by_residual);
        assert_eq!((index.codebook.m, index.codebook.nbits, index.codebook.code_size()), (4, 8, 4));
        assert_eq!((index.lists.sizes.len(), index.lists.sizes.iter().sum()), (16, 2000));
        let mut ids = index.lists.ids.clone();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..2000));
    }
}

#[test]
fn an_id_map_keeps_the_ids_beside_the_index() {
    let Stored::IdMap(map) = golden("idmap_flat_l2") else { panic!("it is an id map") };
    assert!(!map.two_way);
    assert_eq!(map.ids, (0..50).map(|row| 7 * row + 1_000_000_000_000).collect::<Vec<i64>>());
    let Stored::Flat(flat) = *map.index else { panic!("it maps a flat index") };
    assert_eq!(flat.vectors, golden_flat("flat_l2").vectors[..50 * 32]);
}

#[test]
fn an_untrained_inverted_file_has_lists_without_a_quantizer() {
    let Stored::IvfFlat(mut index) = golden("ivfflat_sparse") else { panic!("it is an IVF index") };
    let Stored::Flat(quantizer) = &mut *index.ivf.quantizer else { panic!("its quantizer is flat") };
    quantizer.header.ntotal = 0;
    quantizer.vectors.clear();
    index.ivf.header.ntotal = 0;
    index.lists.entries.clear();
    index.lists.ids.clear();
    index.lists.sizes.fill(0);
    let mut written = Vec::new();
    assert!(matches!(
        write(&Stored::IvfFlat(index.clone()), &mut written),
        Err(Error::Length { what: "inverted lists", expected: 0, found: 16 })
    ));
    index.ivf.header.is_trained = false;
    let untrained = Stored::IvfFlat(index);
    assert_eq!(read(&bytes_of(&untrained)[..], None).unwrap(), untrained);
}

#[test]
fn what_does_not_fit_together_is_not_written() {
    let refused = |stored: Stored| {
        let mut bytes = Vec::new();
        let error = write(&stored, &mut bytes).unwrap_err();
        assert!(bytes.is_empty(), "{error}");
        error
    };
    let mut flat = golden_flat("flat_l2");
    flat.vectors.pop();
    assert!(matches!(refused(Stored::Flat(flat.clone())), Error::Length { expected: 64000, found: 63999, .. }));
    flat.vectors.push(f32::NAN);
    assert!(matches!(refused(Stored::Flat(flat.clone())), Error::NotFinite { row: 1999, column: 31, .. }));
    flat.vectors[63999] = 0.0;
    flat.header.metric = Metric::Cosine;
    assert!(matches!(refused(Stored::Flat(flat.clone())), Error::Parameter { name: "metric", .. }));
    flat.header.metric = Metric::L2;
    let map = IdMap { index: Box::new(Stored::Flat(flat.clone())), ids: vec![1], two_way: true };
    assert!(matches!(refused(Stored::IdMap(map)), Error::Length { expected: 2000, found: 1, .. }));
    let deep = (0..17).fold(Stored::Flat(flat), |index, _| Stored::Normalized(Box::new(index)));
    assert!(matches!(refused(deep), Error::Limit { allowed: 16, .. }));
}

#[test]
fn what_does_not_fit_together_is_no_index() {
    let refused = |stored: Stored| {
        let error = Index::from_stored(stored, &Device::cpu()).unwrap_err();
        assert!(matches!(error, Error::Length { .. } | Error::NotFinite { .. }), "{error:?}");
    };
    let mut flat = golden_flat("flat_l2");
    flat.vectors[5] = f32::NAN;
    refused(Stored::Flat(flat.clone()));
    flat.vectors.truncate(100);
    refused(Stored::Flat(flat));
    let Stored::Pq(mut pq) = golden("pq_m4n8_l2") else { panic!("it is a PQ index") };
    pq.codes.pop();
    refused(Stored::Pq(pq));
    for change in 0..4 {
        let Stored::IvfFlat(mut index) = golden("ivfflat_l2") else { panic!("it is an IVF index") };
        match change {
            0 => drop(index.lists.ids.pop()),
            1 => index.lists.sizes[3] += 1,
            2 => drop(index.lists.sizes.pop()),
            _ => index.lists.entries.truncate(64),
        }
        refused(Stored::IvfFlat(index));
        let Stored::IvfPq(mut index) = golden("ivfpq_l2_res") else { panic!("it is an IVF-PQ index") };
        match change {
            0 => drop(index.lists.ids.pop()),
            1 => index.lists.sizes[3] += 1,
            2 => drop(index.codebook.centroids.pop()),
            _ => index.lists.entries.truncate(64),
        }
        refused(Stored::IvfPq(index));
    }
}

#[test]
fn an_index_takes_rows_whatever_its_identifiers_were() {
    let mut flat = golden_flat("flat_l2");
    flat.header.ntotal = 4;
    flat.vectors.truncate(4 * 32);
    let rows = Array2::from_shape_fn((2, 32), |(row, column)| (row * 5 + column) as f32);
    let map = IdMap { index: Box::new(Stored::Flat(flat)), ids: vec![-5, 70, 70, 1], two_way: false };
    let mut index = Index::from_stored(Stored::IdMap(map), &Device::cpu()).unwrap();
    for (ids, twice) in [([70, 8], 70), ([8, 1], 1), ([9, 9], 9)] {
        let error = index.add_with_ids(rows.view(), &ids).unwrap_err();
        assert!(matches!(error, Error::DuplicateId { id } if id == twice), "{error:?}");
    }
    let error = index.add_with_ids(rows.view(), &[8, -1]).unwrap_err();
    assert!(matches!(&error, Error::Parameter { name: "id", value, .. } if value == "-1"), "{error:?}");
    index.add(rows.view()).unwrap();
    index.add_with_ids(rows.view(), &[8, 9]).unwrap();
    let ids: Vec<i64> = (0..8).filter_map(|row| index.id_of(row)).collect();
    assert_eq!(ids, [-5, 70, 70, 1, 71, 72, 8, 9]);
}

proptest! {
    #[test]
    fn any_index_is_read_as_it_was_written(stored in any_stored()) {
        let bytes = bytes_of(&stored);
        let length = bytes.len() as u64;
        prop_assert_eq!(&read(&bytes[..], Some(length)).unwrap(), &stored);
        prop_assert_eq!(&read(&bytes[..], None).unwrap(), &stored);
    }
}

/// Writes the files that `faiss_reads_ours.py` opens with faiss, into the folder that it names.
#[test]
#[ignore = "run by tests/faiss_reads_ours.py"]
fn write_files_for_faiss() {
    let folder = std::env::var("CELLPROBE_FAISS_FILES").expect("the folder to write to");
    let write_as = |name: &str, stored: &Stored| write_file(stored, format!("{folder}/{name}.faiss"), true).unwrap();
    for (name, _) in goldens("index") {
        let stored = golden(&name);
        write_as(&name, &stored);
        let ids = (0..stored.header().ntotal as i64).map(|row| 3 * row + 5).collect();
        for (prefix, two_way) in [("idmap_of", false), ("idmap2_of", true)] {
            let ids = Vec::clone(&ids);
            let map = IdMap { index: Box::new(stored.clone()), ids, two_way };
            write_as(&format!("{prefix}_{name}"), &Stored::IdMap(map));
        }
        write_as(&format!("normalized_{name}"), &Stored::Normalized(Box::new(stored)));
    }
    let Stored::Pq(mut pq) = golden("pq_m8n4_l2") else { panic!("it is a PQ index") };
    pq.layout = PqLayout::fast_scan();
    write_as("fast_scan_of_pq_m8n4_l2", &Stored::Pq(pq));
}
