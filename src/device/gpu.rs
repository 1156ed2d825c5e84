//! A wgpu device with what was read from it once: name, features, limits, the variant of the kernels it runs.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures::FutureExt;

use super::{
    Device, Options,
    groups::Bound,
    matrices::{self, matrix_side},
    pace::{Load, Pace},
    packed::multiplies_packed,
    pipelines::{Kept, Pipelines},
    pool::{Lease, Pool},
    profile::{Profile, Profiler},
    shader::Variant,
    wait::poll,
};
use crate::{Error, Result};

/// What has been asked of a GPU since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Command buffers submitted.
    pub submissions: u64,
    /// Read-backs waited for.
    pub read_backs: u64,
    /// Bytes that were copied to the GPU: arrays, and the numbers that kernels are told.
    pub uploaded_bytes: u64,
    /// Buffers made, rather than used again: see [`Options::pooled_bytes`](super::Options::pooled_bytes).
    pub buffers: u64,
    /// Bind groups made, rather than used again: those of a caller's buffers always are.
    pub bind_groups: u64,
    /// Kernels compiled. Each is when it is first needed, with the others that the same work needs.
    pub pipelines: u64,
}

#[derive(Clone)]
pub(crate) struct Gpu(Arc<Inner>);

pub(super) struct Inner {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) kept: Option<Arc<Kept>>,
    pub(super) variant: Variant,
    /// Bytes that one binding, and so one part of an array, may have.
    pub(super) max_part: u64,
    pub(super) max_workgroups: u32,
    pub(super) uniform_alignment: u64,
    pub(super) options: Options,
    /// The kernels that were taken before these and computed something wrongly, and what.
    pub(super) avoided: Vec<String>,
    pub(super) profiler: Option<Profiler>,
    pool: Arc<Pool>,
    pub(super) pace: Arc<Pace>,
    name: String,
    /// Why the device was lost, if it was. Only a device that this crate opened reports here.
    lost: Arc<Mutex<Option<String>>>,
    submissions: AtomicU64,
    read_backs: AtomicU64,
    uploaded_bytes: AtomicU64,
    compiled: AtomicU64,
    bound: AtomicU64,
}

/// What variants of the same device have in common.
#[derive(Default)]
struct Shared {
    pipelines: Arc<Pipelines>,
    kept: Option<Arc<Kept>>,
    lost: Arc<Mutex<Option<String>>>,
    avoided: Vec<String>,
}

/// What a part of an array is used for.
pub(super) const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Bytes that a part of an array has at most, whatever a device allows: kernels count them in 32 bits.
const MAX_PART: u64 = u32::MAX as u64;

/// Bytes that go to the GPU together while the next are copied. wgpu makes memory to write to for each, but takes those of up
/// to 64 MiB in all from one block that it keeps.
const PIECE: usize = 16 << 20;

/// Bytes that one thread copies.
const COPIED: usize = 1 << 20;

/// Features that this crate makes use of.
pub(super) const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::PIPELINE_CACHE);

/// What no kernel can do without.
pub(super) fn least_limits() -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffers_per_shader_stage: 8,
        max_compute_invocations_per_workgroup: 256,
        max_compute_workgroup_size_x: 256,
        max_compute_workgroup_storage_size: 16_384,
        ..wgpu::Limits::downlevel_defaults()
    }
}

/// All of what kernels adapt to, of the limits `offered`.
pub(super) fn best_limits(offered: &wgpu::Limits) -> wgpu::Limits {
    let best = wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        max_compute_workgroup_storage_size: offered.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: offered.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: offered.max_compute_workgroup_size_x,
        max_compute_workgroups_per_dimension: offered.max_compute_workgroups_per_dimension,
        min_storage_buffer_offset_alignment: offered.min_storage_buffer_offset_alignment,
        min_uniform_buffer_offset_alignment: offered.min_uniform_buffer_offset_alignment,
        ..wgpu::Limits::default()
    };
    best.or_worse_values_from(offered)
}

impl Gpu {
    pub(super) async fn open(adapter: &wgpu::Adapter, options: &Options) -> Result<Self> {
        Self::missing(&adapter.limits())?;
        let timestamps = if options.profile { wgpu::Features::TIMESTAMP_QUERY } else { wgpu::Features::empty() };
        let multiplies = options.subgroups && options.matrices && matrices::are_offered(adapter);
        let (matrices, experimental) = if multiplies {
            // SAFETY: of what is experimental only cooperative matrices are used, whose products are compared with the CPU's
            // before anything relies on them, unless that was asked not to be done.
            (matrices::FEATURES, unsafe { wgpu::ExperimentalFeatures::enabled() })
        } else {
            (wgpu::Features::empty(), wgpu::ExperimentalFeatures::disabled())
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("cellprobe"),
            required_features: Device::required_features(adapter) | (adapter.features() & timestamps) | matrices,
            experimental_features: experimental,
            required_limits: Device::required_limits(adapter),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Gpu { device: adapter.get_info().name, message: error.to_string() })?;
        let gpu = Self::new(device, queue, options)?;
        let lost = Arc::clone(&gpu.0.lost);
        gpu.0.device.set_device_lost_callback(move |reason, message| {
            *lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?} {message}"));
        });
        if options.self_test { gpu.self_tested().await } else { Ok(gpu) }
    }

    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue, options: &Options) -> Result<Self> {
        let shared = Shared { kept: Kept::open(&device, options), ..Shared::default() };
        Self::with(device, queue, options.clone(), shared)
    }

    /// The same device with other options, and, if what it computes now is `wrong`, with that said.
    pub(super) fn in_variant(&self, options: Options, wrong: Option<&str>) -> Result<Self> {
        let Inner { device, queue, pipelines, kept, lost, avoided, .. } = self.inner();
        let pipelines = if options.checked == self.0.options.checked { Arc::clone(pipelines) } else { Arc::default() };
        let mut shared = Shared { pipelines, kept: kept.clone(), lost: Arc::clone(lost), avoided: avoided.clone() };
        shared.avoided.extend(wrong.map(|wrong| format!("{wrong} is wrong with {}", self.kernels_name())));
        Self::with(device.clone(), queue.clone(), options, shared)
    }

    fn with(device: wgpu::Device, queue: wgpu::Queue, options: Options, shared: Shared) -> Result<Self> {
        let limits = device.limits();
        Self::missing(&limits)?;
        let info = device.adapter_info();
        let options = Options { checked: options.checked && Self::has_checks(&info), ..options };
        let subgroups = options.subgroups && device.features().contains(wgpu::Features::SUBGROUP);
        let max_binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        Ok(Gpu(Arc::new(Inner {
            name: format!("{} ({})", info.name, info.backend),
            variant: Variant {
                subgroup_lanes: if subgroups { info.subgroup_min_size.clamp(1, 32) } else { 1 },
                packed_integers: options.packed_integers.unwrap_or_else(|| multiplies_packed(&device)),
                matrices: if subgroups && options.matrices { matrix_side(&device) } else { 0 },
                workgroup_bytes: limits.max_compute_workgroup_storage_size,
                invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            },
            // Bindings are of whole sixteens.
            max_part: options.max_binding.map_or(max_binding, |bytes| bytes.min(max_binding)).clamp(256, MAX_PART) / 16
                * 16,
            max_workgroups: options
                .max_workgroups
                .unwrap_or(u32::MAX)
                .clamp(1, limits.max_compute_workgroups_per_dimension),
            uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment),
            avoided: shared.avoided,
            profiler: options.profile.then(|| Profiler::new(&device)),
            pool: Pool::new(options.pooled_bytes),
            pace: Arc::new(Pace::new(info.device_type, options.longest_submission)),
            pipelines: shared.pipelines,
            kept: shared.kept,
            lost: shared.lost,
            options,
            submissions: AtomicU64::new(0),
            read_backs: AtomicU64::new(0),
            uploaded_bytes: AtomicU64::new(0),
            compiled: AtomicU64::new(0),
            bound: AtomicU64::new(0),
            device,
            queue,
        })))
    }

    /// Whether kernels can be compiled with checks. GLSL is given none; but asked for them, workgroup memory would begin as
    /// one assignment of thousands of zeros, which llvmpipe compiles for minutes.
    pub(super) fn has_checks(info: &wgpu::AdapterInfo) -> bool {
        info.backend != wgpu::Backend::Gl
    }

    /// Fails on limits below what every kernel needs.
    pub(super) fn missing(limits: &wgpu::Limits) -> Result<()> {
        let least = least_limits();
        let of = |limits: &wgpu::Limits| {
            [
                ("storage buffers a shader stage", limits.max_storage_buffers_per_shader_stage),
                ("invocations a workgroup", limits.max_compute_invocations_per_workgroup),
                ("invocations a workgroup's row", limits.max_compute_workgroup_size_x),
                ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size),
            ]
        };
        match of(limits).into_iter().zip(of(&least)).find(|((_, allowed), (_, asked))| allowed < asked) {
            Some(((limit, allowed), (_, asked))) => {
                Err(Error::Limit { limit, allowed: allowed.into(), asked: asked.into() })
            }
            None => Ok(()),
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn variant(&self) -> Variant {
        self.0.variant
    }

    /// Bytes that one binding may have.
    pub(crate) fn max_part(&self) -> u64 {
        self.0.max_part
    }

    /// Where storage bindings may begin: bytes that an offset is a multiple of.
    pub(super) fn offset_alignment(&self) -> u64 {
        u64::from(self.0.device.limits().min_storage_buffer_offset_alignment)
    }

    /// Workgroups that a dimension of a dispatch takes.
    pub(crate) fn max_workgroups(&self) -> usize {
        self.0.max_workgroups as usize
    }

    /// Bytes that one buffer may have.
    pub(super) fn max_buffer(&self) -> u64 {
        self.0.device.limits().max_buffer_size
    }

    /// The kernels, in words.
    pub(super) fn kernels_name(&self) -> String {
        format!("{}, {}", self.0.variant, if self.0.options.checked { "checked" } else { "trusted" })
    }

    /// The kernels, and those that they are taken instead of.
    pub(super) fn variant_name(&self) -> String {
        let avoided = self.0.avoided.iter().map(|avoided| format!(", as {avoided}"));
        std::iter::once(self.kernels_name()).chain(avoided).collect()
    }

    pub(super) fn same_as(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            submissions: self.0.submissions.load(Ordering::Relaxed),
            read_backs: self.0.read_backs.load(Ordering::Relaxed),
            uploaded_bytes: self.0.uploaded_bytes.load(Ordering::Relaxed),
            buffers: self.0.pool.created(),
            bind_groups: self.0.bound.load(Ordering::Relaxed),
            pipelines: self.0.compiled.load(Ordering::Relaxed),
        }
    }

    pub(super) fn count_read_back(&self) {
        self.0.read_backs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_pipeline(&self) {
        self.0.compiled.fetch_add(1, Ordering::Relaxed);
    }

    /// What the kernels did since the last call. Profiling is off unless it was asked for.
    pub(super) async fn take_profile(&self) -> Result<Profile> {
        let Some(profiler) = &self.0.profiler else { return Ok(Profile::default()) };
        profiler.settle(self).await?;
        Ok(profiler.take())
    }

    /// The bind group of `bound`, one from before if its buffers are `pooled`.
    pub(super) fn bind(&self, bound: Bound, pooled: bool) -> wgpu::BindGroup {
        let make = |bound: &Bound| {
            self.0.bound.fetch_add(1, Ordering::Relaxed);
            bound.group(&self.0.device)
        };
        if pooled { self.0.pool.group(bound, make) } else { make(&bound) }
    }

    /// Makes all bind groups anew.
    pub(super) fn forget_groups(&self) {
        self.0.pool.forget_groups();
    }

    /// Something was submitted, or recorded for somebody else to submit.
    pub(super) fn next_turn(&self) {
        self.0.pool.next_turn();
    }

    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> Result<()> {
        self.0.submissions.fetch_add(1, Ordering::Relaxed);
        self.next_turn();
        self.catching(0, || self.0.queue.submit([commands])).map(|_| ())
    }

    /// Learns how fast the GPU is from what was just submitted, unless that is little.
    pub(super) fn learn(&self, load: Load, waited_for: bool) {
        // In a browser there is no such clock.
        if cfg!(target_arch = "wasm32") || load.seconds < 0.1 * self.0.pace.longest() {
            return;
        }
        let (pace, start) = (Arc::clone(&self.0.pace), Instant::now());
        let done = move || pace.learn(&load, start.elapsed().as_secs_f64(), waited_for);
        self.0.queue.on_submitted_work_done(done);
    }

    /// The error for a device that is gone, if it is.
    pub(super) fn check_alive(&self) -> Result<()> {
        match &*self.0.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => Err(Error::DeviceLost { device: self.0.name.clone(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn lost(&self, reason: impl fmt::Display) -> Error {
        match self.check_alive() {
            Err(error) => error,
            Ok(()) => Error::DeviceLost { device: self.0.name.clone(), reason: reason.to_string() },
        }
    }

    /// Runs `make` and turns what wgpu reports meanwhile into an error. `bytes` is what it allocates.
    ///
    /// On native backends a scope's verdict is there as soon as it is popped; in a browser it comes later, and
    /// the device's own handler reports it.
    pub(super) fn catching<R>(&self, bytes: u64, make: impl FnOnce() -> R) -> Result<R> {
        self.check_alive()?;
        let device = &self.0.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let refused = validation.pop().now_or_never().flatten();
        let failed = internal.pop().now_or_never().flatten();
        let exhausted = memory.pop().now_or_never().flatten();
        if exhausted.is_some() {
            return Err(Error::OutOfMemory { device: self.0.name.clone(), bytes });
        }
        match refused.or(failed) {
            Some(error) => {
                self.check_alive()?;
                Err(Error::Gpu { device: self.0.name.clone(), message: error.to_string() })
            }
            None => Ok(made),
        }
    }

    /// A buffer of `bytes`, rounded up to what a binding needs. What it holds is left over.
    pub(super) fn lease(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<Arc<Lease>> {
        let size = bytes.max(16).next_multiple_of(16);
        if size > self.max_buffer() {
            return Err(Error::Limit { limit: "bytes a buffer", allowed: self.max_buffer(), asked: size });
        }
        let pool = &self.0.pool;
        if let Some(lease) = pool.take(size, usage) {
            return Ok(lease);
        }
        let descriptor = wgpu::BufferDescriptor { label: Some("cellprobe"), size, usage, mapped_at_creation: false };
        let make = || self.catching(size, || self.0.device.create_buffer(&descriptor));
        let made = match make() {
            Err(Error::OutOfMemory { .. }) => {
                self.release_memory()?;
                make()
            }
            made => made,
        };
        Ok(pool.adopt(made?))
    }

    /// A buffer that begins with `bytes`, from the next submission on.
    pub(super) fn filled(&self, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<Arc<Lease>> {
        let lease = self.lease(bytes.len() as u64, usage | wgpu::BufferUsages::COPY_DST)?;
        self.write(&lease, 0, bytes)?;
        Ok(lease)
    }

    /// [`Gpu::filled`], except that what is much is submitted, piece by piece.
    pub(super) fn filled_by_pieces(&self, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<Arc<Lease>> {
        if bytes.len() <= PIECE {
            return self.filled(bytes, usage);
        }
        let lease = self.lease(bytes.len() as u64, usage | wgpu::BufferUsages::COPY_DST)?;
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            self.write(&lease, (number * PIECE) as u64, piece)?;
            self.catching(0, || self.0.queue.submit([]))?;
        }
        Ok(lease)
    }

    /// Writes `bytes` to a buffer from a place on, with the next submission.
    fn write(&self, lease: &Lease, offset: u64, bytes: &[u8]) -> Result<()> {
        let size = bytes.len().next_multiple_of(4).max(4);
        let whole = wgpu::BufferSize::new(size as u64).unwrap_or(wgpu::BufferSize::MIN);
        // A device that is lost gives no memory to write to; calls that give nothing would be ignored there.
        let view = self.catching(size as u64, || self.0.queue.write_buffer_with(lease.buffer(), offset, whole))?;
        let mut view = view.ok_or_else(|| self.lost("nothing can be written to it"))?;
        copy(Target(view.slice(..bytes.len())), bytes);
        view.slice(bytes.len()..).fill(0);
        self.0.uploaded_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.catching(size as u64, || drop(view))
    }

    /// Frees the buffers that nothing uses, once the GPU is done with them.
    pub(super) fn release_memory(&self) -> Result<()> {
        self.0.pool.clear();
        poll(&self.0.device, wgpu::PollType::wait_indefinitely()).map_err(|reason| self.lost(reason))
    }
}

/// Bytes to write, on any thread.
struct Target<'a>(wgpu::WriteOnly<'a, [u8]>);

// SAFETY: like `&mut [u8]`, it is all there is of a reference to some bytes; wgpu says so of what has a known size alone.
unsafe impl Send for Target<'_> {}

/// Copies what is much by several threads: one alone is slower than the way to a GPU.
fn copy(target: Target<'_>, bytes: &[u8]) {
    let Target(mut target) = target;
    if bytes.len() <= COPIED {
        target.copy_from_slice(bytes);
        return;
    }
    let half = (bytes.len() / 2).next_multiple_of(64);
    let (first, second) = target.split_at(half);
    let (first, second) = (Target(first), Target(second));
    rayon::join(|| copy(first, &bytes[..half]), || copy(second, &bytes[half..]));
}
