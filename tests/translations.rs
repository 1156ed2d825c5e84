//! Every kernel can be had in the languages of Direct3D and Metal, which no machine that runs these tests may have.

use std::{collections::HashSet, path::PathBuf};

use cellprobe::device::{RenderedShader, rendered_shaders};
use naga::{
    AddressSpace, GlobalVariable, Module, ShaderStage,
    back::{hlsl, msl},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

/// Kernels but those with extensions of wgpu's own, which only Vulkan's drivers are given.
fn kernels() -> impl Iterator<Item = (RenderedShader, Module, ModuleInfo)> {
    let common = rendered_shaders().into_iter().filter(|shader| !shader.wgsl.contains("enable wgpu_"));
    common.map(|shader| {
        let module = naga::front::wgsl::parse_str(&shader.wgsl).unwrap();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
        (shader, module, info)
    })
}

fn title(shader: &RenderedShader) -> String {
    format!("{} {}", shader.name, shader.variant)
}

/// HLSL as wgpu has it written, with and without checks.
fn hlsl(shader: &RenderedShader, module: &Module, info: &ModuleInfo, checked: bool) -> String {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_4,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: checked,
        restrict_indexing: checked,
        force_loop_bounding: checked,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, shader.entry.into())) };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    written.unwrap_or_else(|error| panic!("{}: {error}", title(shader)));
    text
}

/// What lies in workgroup memory.
fn shared(module: &Module) -> impl Iterator<Item = &GlobalVariable> {
    let variables = module.global_variables.iter().map(|(_, variable)| variable);
    variables.filter(|variable| variable.space == AddressSpace::WorkGroup)
}

/// Bytes of workgroup memory, rounded up as Vulkan counts them.
fn workgroup_bytes(module: &Module) -> u32 {
    shared(module).map(|variable| module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum()
}

/// Whether its workgroup memory is not more than a device of Direct3D's has.
fn fits_direct3d(module: &Module) -> bool {
    workgroup_bytes(module) <= 32 << 10
}

/// What is defined more than once: naga tells types apart by their aliases, and their functions by what they are.
fn defined_twice(hlsl: &str) -> Vec<&str> {
    let mut seen = HashSet::new();
    let definitions = hlsl.lines().filter(|line| line.ends_with('{') && !line.starts_with([' ', '{']));
    definitions.filter(|line| !seen.insert(*line)).collect()
}

/// Where `CELLPROBE_HLSL` names a folder, what it translates to is kept there, for Direct3D's own compiler: see `dxc.py`.
#[test]
fn every_kernel_can_be_had_in_hlsl() {
    let folder = std::env::var_os("CELLPROBE_HLSL").map(PathBuf::from);
    for (shader, module, info) in kernels() {
        for checked in [false, true] {
            let text = hlsl(&shader, &module, &info, checked);
            assert!(defined_twice(&text).is_empty(), "{}: {:?}", title(&shader), defined_twice(&text));
            if let Some(folder) = folder.as_ref().filter(|_| !checked && fits_direct3d(&module)) {
                let name = format!("{}.{}.{}.hlsl", shader.name, shader.variant, shader.entry);
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
    }
}

#[test]
fn every_kernel_can_be_had_in_metals_language() {
    for (shader, module, info) in kernels() {
        for lang_version in [(2, 1), (3, 0)] {
            let options = msl::Options { lang_version, fake_missing_bindings: true, ..Default::default() };
            let pipeline = msl::PipelineOptions {
                entry_point: Some((ShaderStage::Compute, shader.entry.into())),
                ..Default::default()
            };
            let (_, translation) = msl::write_string(&module, &info, &options, &pipeline)
                .unwrap_or_else(|error| panic!("{}: {error}", title(&shader)));
            // Metal takes no more of them.
            assert!(shared(&module).count() <= 31, "{}", title(&shader));
            for name in translation.entry_point_names {
                name.unwrap_or_else(|error| panic!("{}: {error:?}", title(&shader)));
            }
        }
    }
}

#[test]
fn what_is_defined_twice_is_seen() {
    let text = "float4 Zero() {\n    return (float4)0;\n}\nuint4 Zero(uint a) {\n}\nfloat4 Zero() {\n}\n";
    assert_eq!(defined_twice(text), ["float4 Zero() {"]);
}
