//! Compiled kernels: each compiled once, those that some work needs at the same time, and kept on disk where wgpu can.
//!
//! The 18 kernels of a first `IVF,PQ` addition and search take lavapipe 4.0 s, or 0.1 s where Mesa's own cache has them, and
//! `SwiftShader`, which keeps none, 1.0 s. Neither gains by compiling several at the same time, for each does one after the
//! other: 4.0 and 3.8 s, 1.0 and 1.2 s with one and with two threads on 2 cores. Only drivers of hardware may.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{
    Gpu, Options,
    cache::{self, hash},
    shader::Kernel,
};
use crate::{Error, Result};

/// The kernels of a device.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<HashMap<Kernel, Arc<Pipeline>>>);

/// A kernel, compiled when work that needs it is to be done.
pub(super) struct Pipeline {
    kernel: Kernel,
    /// The bindings that the entry point uses.
    names: Vec<&'static str>,
    /// Whether it can be dispatched in parts.
    pub(super) parts: bool,
    compiled: OnceLock<Compiled>,
    /// Held by who compiles it.
    compiling: Mutex<()>,
}

/// A compiled kernel and the places of its bindings.
pub(super) struct Compiled {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    /// Name and place of each binding that the entry point is given.
    places: Vec<(&'static str, u32)>,
}

impl Pipelines {
    /// The pipeline of `kernel`, whose entry point uses the bindings `names`.
    pub(super) fn get(&self, kernel: Kernel, names: impl Iterator<Item = &'static str>) -> Arc<Pipeline> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = known.get(&kernel) {
            return Arc::clone(pipeline);
        }
        let pipeline = Arc::new(Pipeline {
            parts: kernel.has_parts(),
            names: names.collect(),
            kernel: kernel.clone(),
            compiled: OnceLock::new(),
            compiling: Mutex::default(),
        });
        known.insert(kernel, Arc::clone(&pipeline));
        pipeline
    }
}

/// Compiles what is not compiled yet, on as many threads as there are.
pub(super) fn prepare<'a>(gpu: &Gpu, pipelines: impl Iterator<Item = &'a Arc<Pipeline>>) -> Result<()> {
    let mut missing: Vec<&Arc<Pipeline>> = pipelines.filter(|pipeline| pipeline.compiled.get().is_none()).collect();
    missing.sort_by_key(|pipeline| Arc::as_ptr(pipeline));
    missing.dedup_by_key(|pipeline| Arc::as_ptr(pipeline));
    compile_all(gpu, &missing)?;
    if let Some(kept) = gpu.inner().kept.as_ref().filter(|_| !missing.is_empty()) {
        kept.save();
    }
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
fn compile_all(gpu: &Gpu, missing: &[&Arc<Pipeline>]) -> Result<()> {
    use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
    match missing {
        [one] => one.compiled(gpu).map(drop),
        all => all.par_iter().try_for_each(|pipeline| pipeline.compiled(gpu).map(drop)),
    }
}

#[cfg(target_arch = "wasm32")]
fn compile_all(gpu: &Gpu, missing: &[&Arc<Pipeline>]) -> Result<()> {
    missing.iter().try_for_each(|pipeline| pipeline.compiled(gpu).map(drop))
}

impl Pipeline {
    /// The shader's file name.
    pub(super) fn operation(&self) -> &'static str {
        self.kernel.name
    }

    pub(super) fn entry(&self) -> &'static str {
        self.kernel.entry
    }

    /// What was compiled, now if not before. Who comes while somebody else compiles it waits for that.
    pub(super) fn compiled(&self, gpu: &Gpu) -> Result<&Compiled> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let compiled = compile(gpu, &self.kernel, &self.names)?;
        gpu.count_pipeline();
        Ok(self.compiled.get_or_init(|| compiled))
    }
}

impl Compiled {
    /// The place of the binding `name`.
    pub(super) fn place(&self, name: &str) -> Option<u32> {
        self.places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
    }
}

/// Direct3D's compiler: wgpu has one for all threads, and Microsoft's DXC is for one thread at a time. Two that compiled hung.
static COMPILER: Mutex<()> = Mutex::new(());

fn compile(gpu: &Gpu, kernel: &Kernel, names: &[&'static str]) -> Result<Compiled> {
    let text = kernel.render();
    #[cfg(test)]
    let text = match gpu.inner().options.fault {
        Some(fault) if fault.kernel == kernel.name && (fault.checked || !gpu.inner().options.checked) => {
            text.replace(fault.from, fault.to)
        }
        _ => text,
    };
    let device = &gpu.inner().device;
    let label = Some(kernel.name);
    let mut entries = vec![layout_entry(0, wgpu::BufferBindingType::Uniform)];
    let mut places = vec![];
    for name in names {
        let (place, read_only) = declaration(&text, name).ok_or_else(|| Error::Gpu {
            device: kernel.name.into(),
            message: format!("the kernel has no binding named {name}"),
        })?;
        entries.push(layout_entry(place, wgpu::BufferBindingType::Storage { read_only }));
        places.push((*name, place));
    }
    let behind_d3d = gpu.inner().device.adapter_info().backend == wgpu::Backend::Dx12;
    let _turn = behind_d3d.then(|| COMPILER.lock().unwrap_or_else(PoisonError::into_inner));
    gpu.catching(0, || {
        let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(text.into()) };
        let module = if gpu.inner().options.checked {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the shaders are this crate's own. Every index is bounded by the lengths in `params`, which
            // the dispatching code takes from the arrays it binds, and every loop ends; the checked mode, which
            // the tests run too, shows it.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: gpu.inner().options.checked,
                ..Default::default()
            },
            cache: gpu.inner().kept.as_ref().map(|kept| &kept.cache),
        });
        Compiled { pipeline, layout, places }
    })
}

fn layout_entry(binding: u32, ty: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

/// Place of a storage binding in the text, and whether it is only read.
fn declaration(text: &str, name: &str) -> Option<(u32, bool)> {
    text.lines().find_map(|line| {
        let (place, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(')')?;
        let (access, rest) = rest.trim_start().strip_prefix("var<storage, ")?.split_once('>')?;
        let declared = rest.split(':').next()?.trim();
        (declared == name).then_some((place.parse().ok()?, access == "read"))
    })
}

/// Compiled pipelines in a file, for the next time.
pub(super) struct Kept {
    cache: wgpu::PipelineCache,
    folder: PathBuf,
    name: String,
    /// The hash of what is in the file.
    saved: Mutex<Option<u64>>,
}

impl Kept {
    /// What is kept for a device; nothing where the device cannot, or nothing is to be kept.
    pub(super) fn open(device: &wgpu::Device, options: &Options) -> Option<Arc<Self>> {
        let folder = options.cache.clone()?;
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(&device.adapter_info())?;
        let name = format!("pipelines_{}_{key}", env!("CARGO_PKG_VERSION"));
        let data = cache::read(&folder, &name);
        let saved = Mutex::new(data.as_ref().map(hash));
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("cellprobe"), data: data.as_deref(), fallback: true };
        // SAFETY: the data is what `save` got from `get_data` and wrote under this name, to the bit: files are hashed.
        // wgpu and the driver take none that another device, driver or version of them has made.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Arc::new(Kept { cache, folder, name, saved }))
    }

    /// Writes what there is by now, unless the file has it.
    fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Some(hash(&data));
        if *saved != now {
            cache::write(&self.folder, &self.name, &data);
            *saved = now;
        }
    }
}
