//! Searches give what faiss 1.15 gave, on every device, and its files come back byte for byte.

mod common;
mod stored;

use cellprobe::{
    Device, FlatIndex, Index, Metric, Neighbors, Search,
    storage::{faiss, read_ids, read_vectors},
};
use common::{devices, golden};
use ndarray::{Array2, s};
use proptest::prelude::*;
use stored::{any_stored, bytes_of, goldens};

/// Whether there are references made from real data. They are not committed: `CELLPROBE_GOLDEN` names their folder.
fn has(name: &str) -> bool {
    let there = golden(&format!("in/{name}.npy")).exists();
    if !there {
        eprintln!("\n*** SKIPPED: there is no {name}.npy: CELLPROBE_GOLDEN names no folder with it ***\n");
    }
    there
}

fn vectors(name: &str) -> Array2<f32> {
    read_vectors(golden(&format!("{name}.npy"))).unwrap()
}

fn ids(name: &str) -> Array2<i64> {
    read_ids(golden(&format!("{name}.npy"))).unwrap()
}

/// Ids and distances of a search by faiss.
struct Expected {
    ids: Array2<i64>,
    scores: Array2<f32>,
    /// Relative difference that is rounding.
    tolerance: f32,
}

impl Expected {
    fn read(name: &str, tolerance: f32) -> Self {
        let (ids, scores) = (ids(&format!("{name}_I")), vectors(&format!("{name}_D")));
        Expected { ids, scores, tolerance }
    }

    /// Fails unless scores agree rank by rank, and ids too but for ties.
    fn check(&self, found: &Neighbors, what: &str) {
        let (ids, scores) = (found.ids(), found.scores());
        assert_eq!(ids.dim(), self.ids.dim(), "{what}");
        for ((query, rank), &expected) in self.scores.indexed_iter() {
            let score = scores[[query, rank]];
            let allowed = self.tolerance * expected.abs().max(1.0);
            assert!((score - expected).abs() <= allowed, "{what}: query {query}, rank {rank}: {score} for {expected}");
            let id = ids[[query, rank]];
            if id != self.ids[[query, rank]] {
                // Another order among equals, or another one of equals at the last rank.
                let elsewhere = self.ids.row(query).iter().position(|&other| other == id);
                let partner = elsewhere.map_or(self.scores[[query, scores.ncols() - 1]], |at| self.scores[[query, at]]);
                assert!((partner - expected).abs() <= allowed, "{what}: query {query}, rank {rank}: id {id}");
            }
        }
    }
}

fn flat(device: &Device, base: &Array2<f32>, metric: Metric) -> FlatIndex {
    let mut index = FlatIndex::new(device, base.ncols(), metric).unwrap();
    index.add(base.view()).unwrap();
    index
}

fn check_flat(name: &str, base: &str, queries: &str) {
    let (base, queries) = (vectors(base), vectors(queries));
    for (metric, suffix) in [(Metric::L2, "l2"), (Metric::InnerProduct, "ip")] {
        let ids = ids(&format!("flat/{name}_{suffix}_I"));
        let scores = vectors(&format!("flat/{name}_{suffix}_D64"));
        let expected = Expected { tolerance: 1e-5, ids, scores };
        for device in &devices() {
            let found = flat(device, &base, metric).search(queries.view(), expected.ids.ncols()).unwrap();
            expected.check(&found, &format!("{name} {suffix} on {device:?}"));
        }
    }
}

#[test]
fn flat_search_finds_what_f64_finds() {
    check_flat("base32", "in/base32", "in/query32");
}

#[test]
fn flat_search_of_word_vectors_finds_what_f64_finds() {
    if has("wink_base") {
        check_flat("wink", "in/wink_base", "in/wink_query");
    }
}

#[test]
fn flat_search_of_images_finds_what_f64_finds() {
    if has("fmnist_base_u8") {
        check_flat("fmnist", "in/fmnist_base_u8", "in/fmnist_query_u8");
    }
}

#[test]
fn equal_distances_go_by_id() {
    let base = vectors("flat/ties_base");
    let queries = base.slice(s![..;3, ..]).to_owned();
    let (ids, scores) = (ids("flat/ties_l2_I"), vectors("flat/ties_l2_D"));
    for device in &devices() {
        let found = flat(device, &base, Metric::L2).search(queries.view(), ids.ncols()).unwrap();
        assert_eq!(found.ids(), ids, "{device:?}");
        Expected { ids: ids.clone(), scores: scores.clone(), tolerance: 1e-5 }.check(&found, &format!("{device:?}"));
    }
}

#[test]
fn fewer_rows_than_k_are_padded_as_by_faiss() {
    let base = vectors("in/base32").slice(s![..3, ..]).to_owned();
    let queries = vectors("in/query32").slice(s![..2, ..]).to_owned();
    for (metric, suffix) in [(Metric::L2, "l2"), (Metric::InnerProduct, "ip")] {
        let expected = Expected::read(&format!("flat/pad_{suffix}"), 1e-5);
        for device in &devices() {
            let found = flat(device, &base, metric).search(queries.view(), 5).unwrap();
            assert_eq!(found.ids(), expected.ids, "{suffix} on {device:?}");
            assert!(found.rows().all(|row| row.len() == 3));
            expected.check(&found, &format!("{suffix} on {device:?}"));
        }
    }
}

/// An index file of faiss, read to a device.
fn read(name: &str, device: &Device) -> Index {
    Index::read_file(golden(&format!("index/{name}.faiss")), device).unwrap()
}

#[test]
fn inverted_files_of_faiss_find_what_faiss_finds() {
    let queries = vectors("in/query32");
    let files = [
        ("ivfflat_l2", "ivfflat/l2"),
        ("ivfpq_l2_res", "ivfpq/l2_res"),
        ("ivfpq_l2_nores", "ivfpq/l2_nores"),
        ("ivfpq_ip_res", "ivfpq/ip_res"),
        ("ivfpq_ip_nores", "ivfpq/ip_nores"),
    ];
    for (file, reference) in files {
        for device in &devices() {
            let index = read(file, device);
            for nprobe in [1, 4, 16] {
                let expected = Expected::read(&format!("{reference}_nprobe{nprobe}"), 1e-4);
                let found = index.search_with(queries.view(), &Search::new(10).nprobe(nprobe)).unwrap();
                expected.check(&found, &format!("{file}, nprobe {nprobe} on {device:?}"));
                if nprobe == 4 {
                    assert_eq!(index.search(queries.view(), 10).unwrap(), found, "{file} says so on {device:?}");
                }
            }
        }
    }
}

#[test]
fn an_inverted_file_by_inner_product_finds_what_faiss_finds() {
    // There is no file of it: the lists are made from the reference's centroids.
    let base = vectors("in/base32");
    let queries = vectors("in/query32");
    let centroids = vectors("ivfflat/ip_coarse");
    let list_of = ids("ivfflat/ip_list_of");
    let header = faiss::Header { dimension: 32, ntotal: 16, is_trained: true, metric: Metric::InnerProduct };
    let quantizer = faiss::Flat { header, vectors: centroids.iter().copied().collect() };
    let stored = faiss::Stored::IvfFlat(faiss::IvfFlat {
        ivf: faiss::Ivf {
            header: faiss::Header { ntotal: 0, ..header },
            nprobe: 1,
            quantizer: Box::new(faiss::Stored::Flat(quantizer)),
            direct_map: faiss::DirectMap::None,
        },
        lists: faiss::Lists { sizes: vec![0; 16], entries: vec![], ids: vec![] },
    });
    for device in &devices() {
        let mut index = Index::from_stored(stored.clone(), device).unwrap();
        index.add(base.view()).unwrap();
        let faiss::Stored::IvfFlat(filled) = index.to_stored().unwrap() else { panic!("it is an IVF-Flat index") };
        let mut rows = filled.lists.ids.iter();
        for (list, &size) in filled.lists.sizes.iter().enumerate() {
            for &row in rows.by_ref().take(size) {
                assert_eq!(list_of[[row as usize, 0]], list as i64, "row {row} on {device:?}");
            }
        }
        for nprobe in [1, 4, 16] {
            let expected = Expected::read(&format!("ivfflat/ip_nprobe{nprobe}"), 1e-4);
            index.set_nprobe(nprobe).unwrap();
            expected.check(&index.search(queries.view(), 10).unwrap(), &format!("nprobe {nprobe} on {device:?}"));
        }
    }
}

#[test]
fn code_files_of_faiss_find_what_faiss_finds() {
    let queries = vectors("in/query32");
    for (file, reference) in [
        ("pq_m4n8_l2", "pq/m4n8_l2"),
        ("pq_m4n8_ip", "pq/m4n8_ip"),
        ("pq_m4n6_l2", "pq/m4n6_l2"),
        ("pq_m8n4_l2", "pq/m8n4_l2"),
    ] {
        let expected = Expected::read(reference, 1e-4);
        for device in &devices() {
            let found = read(file, device).search(queries.view(), 10).unwrap();
            expected.check(&found, &format!("{file} on {device:?}"));
        }
    }
}

#[test]
fn reranked_codes_find_what_the_refined_index_of_faiss_finds() {
    let base = vectors("in/base32");
    let queries = vectors("in/query32");
    let expected = Expected::read("pq/m4n8_refine4_l2", 1e-4);
    for device in &devices() {
        let index = read("pq_m4n8_l2", device);
        let exact = index.exact_rows(base.view()).unwrap();
        let found = index.search_with(queries.view(), &Search::new(10).rerank(&exact, 4)).unwrap();
        expected.check(&found, &format!("{device:?}"));
    }
}

#[test]
fn a_fast_scan_file_is_searched_by_exact_tables() {
    let queries = vectors("in/query32");
    // faiss rounds its tables to 8 bits there: a sum of 8 of them is off by a few steps of 1/255 of a table's range.
    let scores = vectors("pq/m8n4_fastscan_l2_D");
    for device in &devices() {
        let found = read("pqfs_m8n4_l2", device).search(queries.view(), 10).unwrap();
        assert_eq!(found, read("pq_m8n4_l2", device).search(queries.view(), 10).unwrap(), "{device:?}");
        for ((query, rank), &expected) in scores.indexed_iter() {
            let score = found.scores()[[query, rank]];
            assert!((score - expected).abs() <= 0.02 * expected, "{device:?}: {query}, {rank}: {score} for {expected}");
        }
    }
}

#[test]
fn identifiers_of_files_are_those_that_are_found() {
    let base = vectors("in/base32");
    let queries = vectors("in/query32");
    let expected = Expected::read("index/ivfflat_ids", 1e-4);
    for device in &devices() {
        let found = read("ivfflat_ids", device).search(queries.view(), 5).unwrap();
        expected.check(&found, &format!("{device:?}"));

        let mapped = read("idmap_flat_l2", device).search(queries.view(), 5).unwrap();
        let plain = flat(device, &base.slice(s![..50, ..]).to_owned(), Metric::L2).search(queries.view(), 5).unwrap();
        assert_eq!(mapped.ids(), plain.ids().mapv(|row| 7 * row + 1_000_000_000_000), "{device:?}");
        assert_eq!(mapped.scores(), plain.scores(), "{device:?}");
    }
}

#[test]
fn files_come_back_byte_for_byte_through_an_index() {
    let written = |index: &Index| bytes_of(&index.to_stored().unwrap());
    for (name, bytes) in [goldens("index"), goldens("variants")].concat() {
        let stored = faiss::read(&bytes[..], None).unwrap();
        let missing = match name.as_str() {
            "ivfflat_pq_quantizer" => Some("a coarse quantizer that is not flat"),
            "ivfpq_direct_map_hashtable" | "ivfpq_untrained" => Some("nbits = 3"),
            _ => None,
        };
        if let Some(missing) = missing {
            let error = Index::from_stored(stored, &Device::cpu()).unwrap_err().to_string();
            assert!(error.contains(missing), "{name}: {error}");
            continue;
        }
        let index = Index::from_stored(stored, &Device::cpu()).unwrap();
        assert!(written(&index) == bytes, "{name} on the cpu");
        for device in &devices()[1..] {
            let moved = index.to_device(device).unwrap();
            assert!(written(&moved) == bytes, "{name} on {device:?}");
            assert!(written(&moved.to_device(&Device::cpu()).unwrap()) == bytes, "{name} back from {device:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_an_index_can_hold_comes_back(stored in any_stored()) {
        if let Ok(index) = Index::from_stored(stored.clone(), &Device::cpu()) {
            prop_assert_eq!(index.to_stored().unwrap(), stored);
        }
    }
}
