//! The smallest and the largest: every size finds on every device what the CPU finds.
//!
//! Numbers are small and whole, so that all sums are exact and equal distances many: answers must be the same to the bit.

mod common;

use cellprobe::{
    Device, FlatIndex, Index, Metric, Neighbors,
    ops::{self, Lists, Ranked},
};
use common::*;
use ndarray::{Array2, ArrayView2, s};

/// Every adapter with the usual limits, 128 MiB a binding among them.
fn usual() -> Vec<Device> {
    let own = own_devices(&cellprobe::wgpu::Limits::default(), cellprobe::wgpu::Features::SUBGROUP);
    own.into_iter().map(|(device, queue)| Device::from_wgpu(device, queue).unwrap()).collect()
}

fn rows(seed: u64, count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((count, columns), Numbers::new(seed).vector(Kind::Whole, count * columns)).unwrap()
}

/// The same index on every device finds what it finds on the CPU.
fn same_everywhere(index: &Index, queries: ArrayView2<'_, f32>, ks: &[usize], nprobe: Option<usize>) {
    let search = |index: &Index, k| -> Neighbors {
        let mut search = cellprobe::Search::new(k);
        if let Some(nprobe) = nprobe {
            search = search.nprobe(nprobe);
        }
        index.search_with(queries, &search).unwrap()
    };
    for device in &usual() {
        let there = index.to_device(device).unwrap();
        for &k in ks {
            let (found, expected) = (search(&there, k), search(index, k));
            let what = format!("{}, k = {k}, nprobe {nprobe:?} on {device:?}", index.factory());
            assert_eq!(found.scores(), expected.scores(), "{what}");
            assert_eq!(found, expected, "{what}");
        }
    }
}

fn built(factory: &str, rows: ArrayView2<'_, f32>) -> Index {
    let mut index = Index::new(&Device::cpu(), rows.ncols(), factory, Metric::L2).unwrap();
    index.train(rows).unwrap();
    index.add(rows).unwrap();
    index
}

#[test]
fn any_k_up_to_everything() {
    let rows = rows(1, 5500, 8);
    let index = built("Flat", rows.view());
    same_everywhere(&index, rows.slice(s![..3, ..]), &[1, 100, 5000, 5500, 6000], None);
}

#[test]
fn one_list_and_all_of_them() {
    let rows = rows(2, 2000, 8);
    let index = built("IVF16,Flat", rows.view());
    for nprobe in [1, 16] {
        same_everywhere(&index, rows.slice(s![..5, ..]), &[1, 100, 2000], Some(nprobe));
    }
}

#[test]
fn dimensions_of_one_and_of_thousands() {
    for dimension in [1, 3, 2048, 4096] {
        let rows = rows(3, 200, dimension);
        let index = built("Flat", rows.view());
        // Few queries, and so many that products compare them.
        same_everywhere(&index, rows.slice(s![..3, ..]), &[5], None);
        same_everywhere(&index, rows.slice(s![..70, ..]), &[5], None);
    }
}

#[test]
fn one_sub_quantizer_and_many() {
    for m in [1, 7, 64, 128] {
        let rows = rows(4, 600, 2 * m);
        // What codes stand for need not be whole: only the same order is promised where distances differ clearly.
        let index = built(&format!("PQ{m}"), rows.view());
        let queries = rows.slice(s![..3, ..]);
        let expected = index.search(queries, 10).unwrap();
        for device in &usual() {
            let found = index.to_device(device).unwrap().search(queries, 10).unwrap();
            let largest = expected.scores().iter().copied().fold(1.0, f32::max);
            for (found, expected) in found.scores().iter().zip(expected.scores()) {
                assert!(
                    (found - expected).abs() <= 1e-6 * m as f32 * largest,
                    "M = {m} on {device:?}: {found}, {expected}"
                );
            }
        }
    }
}

#[test]
fn a_list_of_one_entry_and_one_of_a_million() {
    let (entries, lists) = (1_000_001_u32, [0, 1, 1_000_001_u32]);
    let rows: Vec<f32> = (0..entries).map(|row| (row.wrapping_mul(2_654_435_761) >> 12) as f32).collect();
    let ids: Vec<u32> = (0..entries).rev().collect();
    let probes = [Ranked::new(0.0, 1), Ranked::new(0.0, 0), Ranked::new(0.0, 0), Ranked::NONE];
    let search = |device: &Device| {
        let rows = device.upload(rows.clone(), 1).unwrap();
        let queries = device.upload(vec![1000.0_f32, 5.0], 1).unwrap();
        let lists = Lists::new(device.upload(lists.to_vec(), 1).unwrap(), device.upload(ids.clone(), 1).unwrap());
        let probes = device.upload(probes.to_vec(), 2).unwrap();
        let mut work = device.work();
        let rounded = ops::round(&mut work, &rows, Metric::L2).unwrap();
        let found =
            ops::flat_scan(&mut work, &queries, &rows, Some(&rounded), &lists, &probes, 100, Metric::L2).unwrap();
        read(work, found)
    };
    let expected = search(&Device::cpu());
    assert!(!expected[99].is_none() && !expected[100].is_none() && expected[101].is_none());
    for device in &usual() {
        assert_eq!(search(device), expected, "{device:?}");
    }
}

#[test]
fn a_million_labels_are_grouped() {
    let labels: Vec<u32> = (0..1_000_001_u32).map(|row| if row == 17 { 0 } else { 1 + row % 3 / 2 }).collect();
    let group = |device: &Device| {
        let mut work = device.work();
        let grouping = ops::group(&mut work, &device.upload(labels.clone(), 1).unwrap(), 3).unwrap();
        work.submit().unwrap();
        (read(device.work(), grouping.offsets), read(device.work(), grouping.order))
    };
    let expected = group(&Device::cpu());
    for device in &usual() {
        assert!(group(device) == expected, "{device:?}");
    }
}

#[test]
fn a_base_of_four_bindings() {
    // 400 MiB, where a binding may have 128.
    let (count, columns) = (102_400, 1024);
    let base = Array2::from_shape_fn((count, columns), |(row, column)| ((row * 31 + column * 17) % 23) as f32);
    let mut queries = base.slice(s![..1, ..]).to_owned();
    queries.row_mut(0).assign(&base.row(count - 1));
    queries[[0, 5]] += 1.0;
    let search = |device: &Device| {
        let mut index = FlatIndex::new(device, columns, Metric::L2).unwrap();
        index.add(base.view()).unwrap();
        index.search(queries.view(), 5).unwrap()
    };
    let expected = search(&Device::cpu());
    // A row is that of 23 before it: the first of its kind comes first.
    assert_eq!((expected.row(0)[0].id, expected.row(0)[0].score), (((count - 1) % 23) as i64, 1.0));
    for device in &usual() {
        assert_eq!(search(device), expected, "{device:?}");
    }
}

/// Parts of an array are as large as a binding may be, whose limit need not be a whole number of rows, or of what buffers are
/// made in.
#[test]
fn parts_of_arrays_are_within_any_limit_of_bindings() {
    let rows = rows(11, 300_000, 3);
    let limits = cellprobe::wgpu::Limits {
        max_storage_buffer_binding_size: (1 << 20) - 4,
        ..cellprobe::wgpu::Limits::default()
    };
    for (own, queue) in own_devices(&limits, cellprobe::wgpu::Features::empty()) {
        let device = Device::from_wgpu(own, queue).unwrap();
        let order = [0, 87_379, 87_380, 87_381, 174_762, 299_999_u32];
        let mut work = device.work();
        let found = ops::gather(&mut work, &device.matrix(rows.view()).unwrap(), &upload(&device, &order, 1)).unwrap();
        let expected: Vec<f32> = order.iter().flat_map(|&row| rows.row(row as usize).to_vec()).collect();
        assert_eq!(read(work, found), expected, "{device:?}");
    }
}

/// However many parts there are, what is kept of each fits a buffer.
#[test]
fn a_base_may_be_in_many_parts() {
    let (base, queries) = (rows(12, 100_000, 8), rows(13, 128, 8));
    let mut index = FlatIndex::new(&Device::cpu(), 8, Metric::L2).unwrap();
    index.add(base.view()).unwrap();
    let expected = index.search(queries.view(), 100).unwrap();
    for (own, queue) in own_devices(&cellprobe::wgpu::Limits::default(), cellprobe::wgpu::Features::SUBGROUP) {
        let options = cellprobe::device::Options::default().max_binding(1 << 16);
        let device = Device::from_wgpu_with(own, queue, &options).unwrap();
        let mut index = FlatIndex::new(&device, 8, Metric::L2).unwrap();
        index.add(base.view()).unwrap();
        assert_eq!(index.search(queries.view(), 100).unwrap(), expected, "{device:?}");
    }
}
