//! Every operation, on the CPU and on every GPU.

mod common;

use cellprobe::bench::operations;
use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    common::compare(criterion, operations);
}

criterion_group!(benches, all);
criterion_main!(benches);
