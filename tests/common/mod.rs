//! What the tests share: the devices they run on.
#![allow(dead_code, reason = "each test file takes what it needs")]

pub mod npy;

use std::sync::OnceLock;

use cellprobe::{
    Device,
    device::{Options, adapters},
};

/// The CPU, and every Vulkan, Metal or DX12 adapter in two forms: as it is used, and with bounds checks, without
/// subgroups, and with small bindings and dispatches, so that arrays and dispatches are split.
///
/// `CELLPROBE_TEST_DEVICES` may say `cpu` for the CPU alone, or `all` to include GL, which software adapters run
/// very slowly. Opened once for all tests of a file, which share the compiled kernels.
pub fn devices() -> Vec<Device> {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    let devices = DEVICES.get_or_init(|| {
        let wanted = std::env::var("CELLPROBE_TEST_DEVICES").unwrap_or_default();
        let mut devices = vec![Device::cpu()];
        let split = Options::default().checked(true).subgroups(false).max_binding(1 << 16).max_workgroups(5);
        for adapter in adapters() {
            let usable = adapter.unusable.is_none() && (adapter.backend != "gl" || wanted == "all");
            if !usable || wanted == "cpu" {
                continue;
            }
            for options in [&Options::default(), &split] {
                match Device::open(&format!("gpu:{}", adapter.index), options) {
                    Ok(device) => devices.push(device),
                    Err(error) => panic!("{} ({}) cannot be opened: {error}", adapter.name, adapter.backend),
                }
            }
        }
        if devices.len() == 1 {
            eprintln!("\n*** NO GPU IS TESTED: there is no Vulkan, Metal or DX12 adapter, or the CPU alone was asked for ***\n");
        }
        for device in &devices {
            eprintln!("testing on {} ({})", device.name(), device.variant());
        }
        devices
    });
    devices.clone()
}

/// The devices that are GPUs.
pub fn gpus() -> Vec<Device> {
    devices().into_iter().filter(Device::is_gpu).collect()
}

/// A file of `tests/golden`, or of the folder that `CELLPROBE_GOLDEN` names.
pub fn golden(name: &str) -> std::path::PathBuf {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::env::var_os("CELLPROBE_GOLDEN").map_or_else(|| here.into(), std::path::PathBuf::from).join(name)
}
