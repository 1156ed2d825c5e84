//! What the tests share: the devices they run on, data, and how answers are judged.
#![allow(dead_code, unused_imports, reason = "each test file takes what it needs")]

mod closest;
mod inputs;
pub mod npy;
pub mod program;

use std::sync::OnceLock;

use cellprobe::{
    Device,
    device::{Options, adapters},
    wgpu,
};
pub use closest::*;
pub use inputs::*;

/// Bytes that a binding may have on the devices that split everything.
pub const SMALL_BINDING: u64 = 8192;

/// The CPU, and every Vulkan, Metal or DX12 adapter in two forms: as it is used, and with bounds checks, without
/// subgroups, with packed integers and with small bindings and dispatches.
///
/// `CELLPROBE_TEST_DEVICES` may say `cpu` for the CPU alone, or `all` to include GL, which software adapters run
/// very slowly. Opened once for all tests of a file, which share the compiled kernels.
pub fn devices() -> Vec<Device> {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    let split = Options::default().checked(true).subgroups(false).max_binding(1 << 19).max_workgroups(5);
    let split = split.packed_integers(true);
    DEVICES.get_or_init(|| open(&[Options::default(), split])).clone()
}

/// The CPU, and every adapter in every variant of the kernels, and once with everything split small.
pub fn devices_in_variants() -> Vec<Device> {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    let trusted = Options::default();
    let checked = trusted.clone().checked(true).subgroups(false);
    let split = trusted.clone().checked(true).packed_integers(true).max_binding(SMALL_BINDING).max_workgroups(3);
    let plain = trusted.clone().subgroups(false).packed_integers(true);
    DEVICES.get_or_init(|| open(&[trusted, plain, checked, split])).clone()
}

/// The devices that are GPUs.
pub fn gpus() -> Vec<Device> {
    devices().into_iter().filter(Device::is_gpu).collect()
}

/// Every adapter but those behind GL, found as a program of its own would find them.
pub fn own_adapters() -> Vec<wgpu::Adapter> {
    if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
        return vec![];
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all() - wgpu::Backends::GL));
    adapters.into_iter().filter(|adapter| adapter.get_info().backend != wgpu::Backend::Noop).collect()
}

/// A device and queue of `adapter`, opened with `features` as far as it has them.
pub fn own_device(
    adapter: &wgpu::Adapter,
    limits: &wgpu::Limits,
    features: wgpu::Features,
) -> (wgpu::Device, wgpu::Queue) {
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: limits.clone(),
        required_features: adapter.features() & features,
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor)).expect("the adapter has what is asked of it")
}

/// A device and queue of each of [`own_adapters`].
pub fn own_devices(limits: &wgpu::Limits, features: wgpu::Features) -> Vec<(wgpu::Device, wgpu::Queue)> {
    own_adapters().iter().map(|adapter| own_device(adapter, limits, features)).collect()
}

fn open(variants: &[Options]) -> Vec<Device> {
    let wanted = std::env::var("CELLPROBE_TEST_DEVICES").unwrap_or_default();
    let mut devices = vec![Device::cpu()];
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none());
    for adapter in usable.filter(|adapter| wanted != "cpu" && (adapter.backend != "gl" || wanted == "all")) {
        for options in variants {
            match Device::open(&format!("gpu:{}", adapter.index), options) {
                Ok(device) => devices.push(device),
                Err(error) => panic!("{} ({}) cannot be opened: {error}", adapter.name, adapter.backend),
            }
        }
    }
    if devices.len() == 1 {
        eprintln!(
            "\n*** NO GPU IS TESTED: there is no Vulkan, Metal or DX12 adapter, or the CPU alone was asked for ***\n"
        );
    }
    for device in &devices {
        eprintln!("testing on {} ({})", device.name(), device.variant());
    }
    devices
}

/// A file of `tests/golden`, or of the folder that `CELLPROBE_GOLDEN` names.
pub fn golden(name: &str) -> std::path::PathBuf {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::env::var_os("CELLPROBE_GOLDEN").map_or_else(|| here.into(), std::path::PathBuf::from).join(name)
}
