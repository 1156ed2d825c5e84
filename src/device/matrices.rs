//! Which cooperative matrices a device multiplies.

use super::shader::Variant;

/// What kernels of cooperative matrices need: a subgroup multiplies, numbers are f16.
pub(super) const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SUBGROUP_BARRIER)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);

/// Whether an adapter may multiply such. Metal has matrices of f32 alone.
pub(super) fn are_offered(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().backend == wgpu::Backend::Vulkan && adapter.features().contains(FEATURES)
}

/// Rows and columns of the matrices of f16, with sums of f32, that a device multiplies; 0 where it has none of a size that
/// kernels are made for, or too little workgroup memory.
pub(super) fn matrix_side(device: &wgpu::Device) -> u32 {
    if !device.features().contains(FEATURES) {
        return 0;
    }
    let bytes = device.limits().max_compute_workgroup_storage_size;
    let info = device.adapter_info();
    let fits = |side: &u32| {
        let lanes = Variant::matrix_lanes(*side);
        bytes >= Variant::matrix_bytes(*side)
            && lanes.contains(&info.subgroup_min_size)
            && lanes.contains(&info.subgroup_max_size)
    };
    sides(device).into_iter().filter(|side| [8, 16].contains(side)).filter(fits).max().unwrap_or(0)
}

#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn sides(device: &wgpu::Device) -> Vec<u32> {
    use ash::{khr::cooperative_matrix, vk};

    // SAFETY: nothing is done to the device.
    let Some(device) = (unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }) else { return vec![] };
    let instance = device.shared_instance();
    let matrices = cooperative_matrix::Instance::new(instance.entry(), instance.raw_instance());
    // SAFETY: the physical device is of this instance, and has the extension, whose feature was asked for.
    let known = unsafe { matrices.get_physical_device_cooperative_matrix_properties(device.raw_physical_device()) };
    let (half, single) = (vk::ComponentTypeKHR::FLOAT16, vk::ComponentTypeKHR::FLOAT32);
    known
        .unwrap_or_default()
        .into_iter()
        .filter(|matrix| {
            matrix.scope == vk::ScopeKHR::SUBGROUP
                && [matrix.a_type, matrix.b_type, matrix.c_type, matrix.result_type] == [half, half, single, single]
                && matrix.m_size == matrix.n_size
                && matrix.n_size == matrix.k_size
        })
        .map(|matrix| matrix.m_size)
        .collect()
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn sides(_: &wgpu::Device) -> Vec<u32> {
    vec![]
}
