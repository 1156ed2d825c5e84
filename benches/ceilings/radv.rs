//! Mesa's RADV as a compiler: WGSL in, machine code and the driver's figures about it out.

use std::{collections::BTreeMap, ffi::CStr};

use ash::{
    khr::{cooperative_matrix, pipeline_executable_properties as executables},
    vk,
};
use naga::{
    AddressSpace, ShaderStage,
    back::spv,
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ValidationFlags, Validator},
};

use super::Outcome;

/// What the driver is known by, as distributions name it.
const DRIVERS: [&str; 2] =
    ["/usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "/usr/share/vulkan/icd.d/radeon_icd.json"];

/// The driver of this machine.
pub fn driver() -> Outcome<&'static str> {
    let found = DRIVERS.into_iter().find(|file| std::path::Path::new(file).exists());
    Ok(found.ok_or("there is no RADV: install Mesa's Vulkan drivers (package mesa-vulkan-drivers or vulkan-radeon)")?)
}

/// A device of RADV's without hardware, as `RADV_FORCE_FAMILY` in the environment names it.
pub struct Compiler {
    _loader: ash::Entry,
    device: ash::Device,
    executables: executables::Device,
}

/// A compiled kernel.
pub struct Compiled {
    /// The driver's figures by their names.
    statistics: Vec<(String, u64)>,
    pub assembly: String,
}

impl Compiled {
    /// A figure of the driver's.
    pub fn figure(&self, name: &str) -> Outcome<u64> {
        let found = self.statistics.iter().find(|(known, _)| known == name);
        Ok(found.map(|(_, value)| *value).ok_or_else(|| format!("the driver does not tell {name}"))?)
    }
}

impl Compiler {
    /// With cooperative matrices, or without.
    pub fn new(matrices: bool) -> Outcome<Self> {
        // SAFETY: the loader is a system library, kept loaded by the entry; every pointer that the calls are given
        // is to a local that outlives them.
        unsafe {
            let loader = ash::Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                loader.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let physical = *instance.enumerate_physical_devices()?.first().ok_or("RADV made no device")?;
            let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let mut extensions = vec![executables::NAME.as_ptr()];
            extensions.extend(matrices.then_some(cooperative_matrix::NAME.as_ptr()));
            let mut properties =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut cooperative =
                vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(matrices);
            let mut version_11 = vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(matrices);
            let mut version_12 = vk::PhysicalDeviceVulkan12Features::default()
                .shader_float16(matrices)
                .vulkan_memory_model(true)
                .vulkan_memory_model_device_scope(true);
            let mut version_13 = vk::PhysicalDeviceVulkan13Features::default()
                .shader_integer_dot_product(true)
                .compute_full_subgroups(true)
                .subgroup_size_control(true);
            let mut info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut properties)
                .push_next(&mut version_11)
                .push_next(&mut version_12)
                .push_next(&mut version_13);
            if matrices {
                info = info.push_next(&mut cooperative);
            }
            let device = instance.create_device(physical, &info, None)?;
            let executables = executables::Device::new(&instance, &device);
            Ok(Compiler { _loader: loader, device, executables })
        }
    }

    /// Compiles an entry point as the library has it compiled: without bounds checks and loop guards.
    pub fn compile(&self, wgsl: &str, entry: &str) -> Outcome<Compiled> {
        let (words, bindings) = spirv(wgsl, entry)?;
        let name = std::ffi::CString::new(entry)?;
        // SAFETY: the handles are this device's; the code was validated; every pointer that the calls are given is to
        // a local that outlives them.
        unsafe {
            let set = self.device.create_descriptor_set_layout(
                &vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings),
                None,
            )?;
            let layout = self
                .device
                .create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&[set]), None)?;
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&name);
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
            let pipelines = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = *pipelines.map_err(|(_, error)| error)?.first().ok_or("no pipeline")?;
            let executable = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let statistics = self.executables.get_pipeline_executable_statistics(&executable)?;
            let compiled = Compiled {
                statistics: statistics.iter().map(|figure| (text(&figure.name), figure.value.u64)).collect(),
                assembly: self.assembly(&executable)?,
            };
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_shader_module(module, None);
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(set, None);
            Ok(compiled)
        }
    }

    /// # Safety
    /// The executable is of a pipeline of this device's that captures its representations.
    unsafe fn assembly(&self, executable: &vk::PipelineExecutableInfoKHR<'_>) -> Outcome<String> {
        // SAFETY: the caller vouches for the executable; the second call finds room as large as the first asked for.
        unsafe {
            let mut all = self.executables.get_pipeline_executable_internal_representations(executable)?;
            let found = all.iter_mut().find(|one| text(&one.name) == "Assembly");
            let place = found.ok_or("the driver does not show its assembly (RADV built without a disassembler?)")?;
            let mut bytes = vec![0_u8; place.data_size];
            place.p_data = bytes.as_mut_ptr().cast();
            let mut count = all.len() as u32;
            let call = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            call(self.device.handle(), executable, &raw mut count, all.as_mut_ptr()).result()?;
            Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
        }
    }
}

/// A name in one of Vulkan's arrays.
fn text(name: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|&byte| byte as u8).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned()
}

/// The words of an entry point, and its bindings.
fn spirv(wgsl: &str, entry: &str) -> Outcome<(Vec<u32>, Vec<vk::DescriptorSetLayoutBinding<'static>>)> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module)?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let mut binding_map = BTreeMap::new();
    let mut bindings = vec![];
    for (_, variable) in module.global_variables.iter() {
        let Some(place) = variable.binding else { continue };
        let binding = place.binding;
        let binding_info = spv::BindingInfo { descriptor_set: place.group, binding, binding_array_size: None };
        binding_map.insert(place, binding_info);
        let ty = match variable.space {
            AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
            _ => vk::DescriptorType::STORAGE_BUFFER,
        };
        bindings.push(
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(ty)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE),
        );
    }
    let options = spv::Options {
        lang_version: (1, 3),
        binding_map,
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
    Ok((spv::write_vec(&module, &info, &options, Some(&pipeline))?, bindings))
}
