//! k-means and every index, on the CPU and on every GPU.

mod common;

use cellprobe::bench::indexes;
use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    common::compare(criterion, indexes);
}

criterion_group!(benches, all);
criterion_main!(benches);
