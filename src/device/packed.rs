//! Whether products of packed integers are fast. wgpu compiles them everywhere, and does not tell.

/// Whether a device has four products of packed 8-bit integers, and their sum, in one instruction, as far as is known.
pub(super) fn multiplies_packed(device: &wgpu::Device) -> bool {
    match device.adapter_info().backend {
        wgpu::Backend::Vulkan => vulkan_multiplies_packed(device),
        // In shader model 6.4, which wgpu asks for where it can.
        wgpu::Backend::Dx12 => true,
        // Metal has no such instruction, and a browser does not tell.
        _ => false,
    }
}

#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn vulkan_multiplies_packed(device: &wgpu::Device) -> bool {
    use ash::vk;

    // SAFETY: nothing is done to the device.
    let Some(device) = (unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }) else { return false };
    let instance = device.shared_instance();
    if instance.instance_api_version() < vk::API_VERSION_1_1 {
        return false;
    }
    // Those who do not know it leave it as it is: false.
    let mut products = vk::PhysicalDeviceShaderIntegerDotProductProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut products);
    // SAFETY: the physical device is of this instance, which has Vulkan 1.1; what the call writes to outlives it.
    unsafe {
        instance.raw_instance().get_physical_device_properties2(device.raw_physical_device(), &mut properties);
    }
    products.integer_dot_product4x8_bit_packed_signed_accelerated == vk::TRUE
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn vulkan_multiplies_packed(_: &wgpu::Device) -> bool {
    false
}
