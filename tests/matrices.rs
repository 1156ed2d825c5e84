//! Cooperative matrices change nothing that is found.

mod common;

use cellprobe::{Device, Metric};
use common::*;

/// The devices that multiply cooperative matrices, and compute them rightly. `CELLPROBE_TEST_MATRICES` wants one at least.
fn with_matrices(devices: Vec<Device>) -> Vec<Device> {
    let own =
        |device: &Device| device.variant().split(", as ").next().is_some_and(|kernels| kernels.contains("matrices"));
    let found: Vec<_> = devices.into_iter().filter(own).collect();
    assert!(
        !found.is_empty() || std::env::var_os("CELLPROBE_TEST_MATRICES").is_none(),
        "no device multiplies matrices"
    );
    if found.is_empty() {
        eprintln!("\n*** NOT TESTED: cooperative matrices, which no device here multiplies ***\n");
    }
    found
}

#[test]
fn matrices_go_through_many_tiles() {
    const DIMENSION: usize = 32;
    let mut numbers = Numbers::new(9);
    // Of so many rows a sample is taken, and what is near lies in it alone, or outside of it alone; so many queries leave a
    // slab more tiles than one without.
    for (queries, rows, k) in [(67, 40_000, 10), (1030, 8200, 3)] {
        let asked = numbers.vector(Kind::Even, queries * DIMENSION);
        let even = numbers.vector(Kind::Even, rows * DIMENSION);
        let near = |eighth: usize| -> Vec<f32> {
            let is_near = |place: usize| place / DIMENSION / 128 % 8 == eighth;
            let value = |(place, value): (usize, &f32)| if is_near(place) { *value } else { value + 9.0 };
            even.iter().enumerate().map(value).collect()
        };
        let bases = [(near(0), Metric::L2), (near(1), Metric::L2), (even.clone(), Metric::InnerProduct)];
        for device in &with_matrices(devices()) {
            for (base, metric) in &bases {
                check_knn(device, &asked, base, DIMENSION, k, *metric, Kind::Even);
            }
        }
    }
}

#[test]
fn matrices_change_nothing_that_is_found() {
    for device in &with_matrices(devices_in_variants()) {
        for (few, many, dimension) in [(65, 8193, 45), (130, 8300, 32)] {
            let mut numbers = Numbers::new((many * dimension) as u64);
            for (kind, rows) in hard_to_round(&mut numbers, many, dimension) {
                let mut others = rows[..(few - 3) * dimension].to_vec();
                others.extend(numbers.vector(Kind::Even, dimension));
                // Far from all rows.
                others.extend(numbers.vector(Kind::Far, dimension));
                others.extend(vec![-1e6; dimension]);
                // Among others that are not whole.
                let kind = if matches!(kind, Kind::Whole) { Kind::Even } else { kind };
                check_knn(device, &others, &rows, dimension, 10, Metric::L2, kind);
                check_knn(device, &others, &rows, dimension, 10, Metric::InnerProduct, kind);
                check_nearest(device, &rows, &others, dimension, Metric::L2, kind);
            }
        }
    }
}
