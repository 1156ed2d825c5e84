//! Every device of this machine passes its own verification, in every variant.

use std::time::Instant;

use cellprobe::{
    Device, Result,
    device::{Options, adapters},
    verify,
};

/// The CPU, and every usable adapter with and without checks, and subgroups and packed integers; but not GL, which software adapters run
/// very slowly.
fn devices() -> Result<Vec<Device>> {
    let mut devices = vec![Device::cpu()];
    for adapter in adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl") {
        for (checked, subgroups) in [(false, true), (false, false), (true, true), (true, false)] {
            let options = Options::default().checked(checked).subgroups(subgroups);
            let options = options.packed_integers(subgroups).self_test(false);
            let device = Device::open(&format!("gpu:{}", adapter.index), &options)?;
            let known = |other: &Device| (other.name(), other.variant()) == (device.name(), device.variant());
            if !devices.iter().any(known) {
                devices.push(device);
            }
        }
    }
    Ok(devices)
}

#[test]
fn every_device_passes() -> Result<()> {
    for device in devices()? {
        let start = Instant::now();
        let report = verify::run(&device, |_| {})?;
        println!("{device:?}: {} checks in {:.1?}", report.checks.len(), start.elapsed());
        let failed: Vec<String> = report.checks.iter().filter(|check| !check.ok).map(ToString::to_string).collect();
        assert!(report.ok && failed.is_empty(), "{device:?}:\n{}", failed.join("\n"));
        assert_eq!(report.device, device.name());
    }
    Ok(())
}

#[test]
fn every_operation_is_checked() -> Result<()> {
    let mut seen = 0;
    let report = verify::run(&Device::cpu(), |_| seen += 1)?;
    assert_eq!(seen, report.checks.len());
    let operations = [
        "nearest",
        "knn",
        "select",
        "group",
        "segment_sums",
        "update_centroids",
        "gather",
        "concat",
        "rename",
        "normalise",
        "rotate",
        "pq_encode",
        "pq_interleave",
        "pq_terms",
        "pq_tables",
        "pq_scan",
        "pq_rerank",
        "flat_scan",
        "rerank",
        "kmeans",
        "Flat",
        "PQ",
        "IVF,Flat",
        "IVF,PQ",
    ];
    for operation in operations {
        assert!(report.checks.iter().any(|check| check.operation == operation), "{operation}");
    }
    Ok(())
}
