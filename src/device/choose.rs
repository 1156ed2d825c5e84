//! Which adapters there are and which one to take.
//!
//! Behind GL, of 4.3 or ES 3.1 and later with eight storage buffers a shader stage, all operations are there and right, but
//! not in all variants: without subgroups, without [checks](super::Options::checked), and with no pipeline cache but the
//! driver's own, which compiles at the first dispatch rather than ahead of it.
//!
//! Direct3D 12 needs Microsoft's DXC: `dxcompiler.dll`, 1.8.2502 or later, beside the program or on the `PATH`, or wgpu's
//! feature `static-dxc`. Without it wgpu falls back to FXC, which Windows has: that takes no barrier after a loop that
//! threads leave at different times, and 10 GB and more for the tiles of `knn`.

use super::{gpu::Gpu, matrices};
use crate::{Error, Result};

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// Its index: `gpu:INDEX` opens it.
    pub index: usize,
    /// Its name as the driver gives it.
    pub name: String,
    /// Discrete, integrated, virtual, cpu (a software rasteriser) or other.
    pub kind: String,
    /// The API it is reached through.
    pub backend: String,
    /// Its driver and the driver's version.
    pub driver: String,
    /// Whether it runs on the CPU: never taken by [`Device::auto`](super::Device::auto).
    pub software: bool,
    /// Why it cannot be used at all, if so.
    pub unusable: Option<String>,
    /// Whether [`Device::auto`](super::Device::auto) takes it.
    pub auto: bool,
    /// Features that the kernels would use.
    pub features: Vec<&'static str>,
    /// Limits that the kernels adapt to, by their WebGPU names.
    pub limits: Vec<(&'static str, u64)>,
}

/// Every adapter of this machine, in a stable order.
#[must_use]
pub fn adapters() -> Vec<AdapterSummary> {
    let found = super::block_on(find());
    let auto = best(&found).map(|(_, summary)| summary.index);
    found.into_iter().map(|(_, summary)| AdapterSummary { auto: Some(summary.index) == auto, ..summary }).collect()
}

pub(super) type Found = (wgpu::Adapter, AdapterSummary);

pub(super) async fn find() -> Vec<Found> {
    let instance = wgpu::Instance::new(descriptor());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    // Drivers list in any order: the same machine must give the same indices.
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        (rank(&info), info.name, info.driver, info.driver_info)
    });
    adapters
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| (summarise(&adapter, index), adapter))
        .map(|(s, a)| (a, s))
        .collect()
}

/// How adapters are looked for, unless the environment says otherwise.
///
/// wgpu would check with a kernel of its own, before each dispatch whose workgroups the GPU counts, that they are not too
/// many. This crate's kernels count them. Behind Direct3D 12 it is that check that tells a kernel how many there are.
fn descriptor() -> wgpu::InstanceDescriptor {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    if cfg!(not(windows)) {
        descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    }
    descriptor.with_env()
}

/// Lower is better: real before software, dedicated before shared, native API before GL.
fn rank(info: &wgpu::AdapterInfo) -> (bool, u8, u8) {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let backend = match info.backend {
        wgpu::Backend::Vulkan | wgpu::Backend::Metal => 0,
        wgpu::Backend::Dx12 => 1,
        wgpu::Backend::BrowserWebGpu => 2,
        wgpu::Backend::Gl => 3,
        wgpu::Backend::Noop => 4,
    };
    (is_software(info), kind, backend)
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    info.device_type == wgpu::DeviceType::Cpu
        || info.backend == wgpu::Backend::Noop
        || ["llvmpipe", "softpipe", "swiftshader", "microsoft basic render"].iter().any(|known| name.contains(known))
}

/// Why an adapter cannot be used at all, if so.
fn unusable(backend: wgpu::Backend, features: wgpu::Features, limits: &wgpu::Limits) -> Option<String> {
    // wgpu does not tell by what it compiles; with FXC there are no subgroups, with DXC there are where the GPU has them.
    if backend == wgpu::Backend::Dx12 && !features.contains(wgpu::Features::SUBGROUP) {
        return Some("Direct3D 12 needs dxcompiler.dll, 1.8.2502 or later, beside the program".into());
    }
    Gpu::missing(limits).err().map(|error| error.to_string())
}

fn summarise(adapter: &wgpu::Adapter, index: usize) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    AdapterSummary {
        index,
        software: is_software(&info),
        unusable: unusable(info.backend, features, &limits),
        auto: false,
        features: [
            (features.contains(wgpu::Features::SUBGROUP), "subgroups"),
            (features.contains(wgpu::Features::TIMESTAMP_QUERY), "timestamps"),
            (features.contains(wgpu::Features::PIPELINE_CACHE), "pipeline cache"),
            (matrices::are_offered(adapter), "cooperative matrices"),
        ]
        .into_iter()
        .filter_map(|(offered, name)| offered.then_some(name))
        .collect(),
        limits: vec![
            ("maxStorageBufferBindingSize", limits.max_storage_buffer_binding_size),
            ("maxBufferSize", limits.max_buffer_size),
            ("maxComputeWorkgroupStorageSize", u64::from(limits.max_compute_workgroup_storage_size)),
            ("maxComputeInvocationsPerWorkgroup", u64::from(limits.max_compute_invocations_per_workgroup)),
            ("maxComputeWorkgroupsPerDimension", u64::from(limits.max_compute_workgroups_per_dimension)),
            ("subgroupMinSize", u64::from(info.subgroup_min_size)),
            ("subgroupMaxSize", u64::from(info.subgroup_max_size)),
        ],
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        }
        .into(),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        name: info.name,
    }
}

/// The best adapter that is a real GPU and can run the kernels.
pub(super) fn best(found: &[Found]) -> Option<&Found> {
    found.iter().find(|(_, summary)| !summary.software && summary.unusable.is_none())
}

/// What follows `gpu:`; nothing for `gpu` alone.
pub(super) fn part(wanted: &str) -> Result<&str> {
    match wanted.split_once(':') {
        None if wanted == "gpu" => Ok(""),
        Some(("gpu", part)) => Ok(part),
        _ => Err(Error::parameter("device", wanted, "one of auto, cpu, gpu, gpu:<index or part of the name>")),
    }
}

/// The adapter that `gpu` or `gpu:...` asks for; `part` is what follows the colon.
pub(super) fn named<'a>(found: &'a [Found], wanted: &str, part: &str) -> Result<&'a wgpu::Adapter> {
    let usable = |summary: &AdapterSummary| summary.unusable.is_none();
    let matching = match part.parse::<usize>() {
        Ok(index) => found.get(index),
        Err(_) => found.iter().find(|(_, summary)| {
            let text = format!("{} {} {}", summary.name, summary.driver, summary.backend).to_lowercase();
            usable(summary) && text.contains(&part.to_lowercase())
        }),
    };
    matching.filter(|(_, summary)| usable(summary)).map(|(adapter, _)| adapter).ok_or_else(|| {
        let name = |(_, summary): &Found| {
            let AdapterSummary { index, name, backend, unusable, .. } = summary;
            let reason = unusable.as_ref().map_or_else(String::new, |reason| format!(", unusable: {reason}"));
            format!("gpu:{index} {name} ({backend}{reason})")
        };
        let names: Vec<_> = found.iter().map(name).collect();
        Error::NoDevice {
            wanted: wanted.into(),
            found: if names.is_empty() { "cpu only".into() } else { names.join(", ") },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct3d_without_dxc_is_not_usable() {
        let (none, subgroups) = (wgpu::Features::empty(), wgpu::Features::SUBGROUP);
        let reason = |backend, features| unusable(backend, features, &wgpu::Limits::default());
        assert!(reason(wgpu::Backend::Dx12, none).is_some_and(|reason| reason.contains("dxcompiler.dll")));
        assert_eq!(reason(wgpu::Backend::Dx12, subgroups), None);
        assert_eq!(reason(wgpu::Backend::Vulkan, none), None);
        assert!(unusable(wgpu::Backend::Vulkan, none, &wgpu::Limits::downlevel_webgl2_defaults()).is_some());
    }
}
