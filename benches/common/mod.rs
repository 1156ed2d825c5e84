//! Runs the cases of `cellprobe bench` under criterion.

use std::time::Duration;

use cellprobe::{
    Device, Result,
    bench::{Case, Size},
    device::{Options, adapters},
};
use criterion::Criterion;

/// Benchmarks `cases` on the CPU and on every GPU of this machine, software ones by any API but GL left in.
pub fn compare(criterion: &mut Criterion, cases: fn(&Device, Size) -> Result<Vec<Case>>) {
    let gpus = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    let wanted = std::iter::once("cpu".to_owned()).chain(gpus.map(|adapter| format!("gpu:{}", adapter.index)));
    for device in wanted.map(|wanted| Device::open(&wanted, &Options::default()).expect(&wanted)) {
        for case in cases(&device, Size::SMALL).expect("the inputs of the cases") {
            let mut group = criterion.benchmark_group(case.name());
            group.sample_size(10).measurement_time(Duration::from_secs(2));
            group.bench_function(device.name(), |bencher| bencher.iter(|| case.run().expect("a run")));
        }
    }
}
