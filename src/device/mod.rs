//! Where work runs: the CPU, a GPU that was found, or somebody's own wgpu device.

mod array;
mod buffer_rows;
mod cache;
mod cancel;
mod choose;
mod gpu;
mod groups;
mod hand_over;
mod matrices;
mod options;
mod pace;
mod packed;
mod part;
mod pipelines;
mod pool;
mod profile;
mod self_test;
mod shader;
mod stream;
mod submit;
mod wait;
mod work;

use std::fmt;

pub use array::DeviceArray;
pub use buffer_rows::BufferRows;
pub use cancel::Cancel;
pub use choose::{AdapterSummary, adapters};
pub use gpu::Counters;
pub use options::Options;
pub use profile::{Profile, Stage};
pub use shader::{RenderedShader, rendered_shaders};
pub use work::Work;

pub(crate) use array::{Segment, bounded_segments, segments};
pub(crate) use gpu::Gpu;
#[cfg(test)]
pub(crate) use options::Fault;
pub(crate) use part::Part;
pub(crate) use shader::{Kernel, Variant, params};
pub(crate) use stream::double_buffered;
pub(crate) use wait::block_on;
pub(crate) use work::{Backend, Recording};

use crate::{Error, Result};
use gpu::{FEATURES, best_limits, least_limits};

/// Where work runs. Cheap to clone; clones are the same device.
///
/// ```
/// let device = cellprobe::Device::cpu();
/// assert_eq!(device.name(), "cpu");
/// ```
#[derive(Clone)]
pub struct Device {
    kind: Kind,
    reason: String,
}

#[derive(Clone)]
enum Kind {
    Cpu,
    Gpu(Gpu),
}

impl Device {
    /// The CPU: threads and SIMD of this machine.
    #[must_use]
    pub fn cpu() -> Self {
        Device { kind: Kind::Cpu, reason: "asked for".into() }
    }

    /// The best real GPU, if its kernels pass their [self-test](Device::self_test), otherwise the CPU; never a software
    /// rasteriser. [`Device::reason`] says why.
    #[must_use]
    pub fn auto() -> Self {
        block_on(Self::auto_async())
    }

    /// [`Device::auto`] without blocking.
    pub async fn auto_async() -> Self {
        Self::auto_with(&Options::default()).await
    }

    async fn auto_with(options: &Options) -> Self {
        let found = choose::find().await;
        let Some((adapter, summary)) = choose::best(&found) else {
            let reason = if found.is_empty() {
                "no GPU adapter was found"
            } else {
                "every adapter is a software one or lacks compute"
            };
            log::info!("cellprobe runs on the cpu: {reason}");
            return Device { kind: Kind::Cpu, reason: reason.into() };
        };
        match Gpu::open(adapter, options).await {
            Ok(gpu) => {
                log::info!("cellprobe runs on {}", summary.name);
                Device { kind: Kind::Gpu(gpu), reason: "the best real GPU".into() }
            }
            Err(error) => {
                log::warn!("cellprobe runs on the cpu: {} could not be opened: {error}", summary.name);
                Device { kind: Kind::Cpu, reason: format!("{} could not be opened: {error}", summary.name) }
            }
        }
    }

    /// The best GPU adapter, a software one if there is nothing better.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if there is no adapter, or what opening it failed with.
    pub fn gpu() -> Result<Self> {
        Self::open("gpu", &Options::default())
    }

    /// The device that `wanted` names: `auto`, `cpu`, `gpu`, or `gpu:` and an adapter's index in [`adapters`]
    /// or a part of its name, of its driver's or of its backend's, in any case.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if none does, or what opening it failed with.
    pub fn open(wanted: &str, options: &Options) -> Result<Self> {
        block_on(Self::open_async(wanted, options))
    }

    /// [`Device::open`] without blocking.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_async(wanted: &str, options: &Options) -> Result<Self> {
        match wanted {
            "auto" => Ok(Self::auto_with(options).await),
            "cpu" => Ok(Self::cpu()),
            _ => {
                let part = choose::part(wanted)?;
                let found = choose::find().await;
                let adapter = choose::named(&found, wanted, part)?;
                Ok(Device { kind: Kind::Gpu(Gpu::open(adapter, options).await?), reason: "asked for".into() })
            }
        }
    }

    /// Somebody's own wgpu device: used with the features and limits it has, its error and loss handlers left alone.
    /// [`Device::required_features`] and [`Device::required_limits`] say what to open it with. Nothing is submitted or
    /// waited for here: ask for its [self-test](Device::self_test).
    ///
    /// # Errors
    /// [`Error::Limit`] if its limits on stages and workgroups are below [`Device::least_limits`]. Where those on buffers and
    /// bindings are, work may need more than they allow, and is then an error.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::from_wgpu_with(device, queue, &Options::default())
    }

    /// [`Device::from_wgpu`] with options.
    ///
    /// # Errors
    /// As [`Device::from_wgpu`].
    pub fn from_wgpu_with(device: wgpu::Device, queue: wgpu::Queue, options: &Options) -> Result<Self> {
        Ok(Device { kind: Kind::Gpu(Gpu::new(device, queue, options)?), reason: "handed over by the caller".into() })
    }

    /// Room for so many bytes that nothing else has as long as this lives; none on the CPU.
    pub(crate) fn room(&self, bytes: usize) -> Result<DeviceArray<u32>> {
        match &self.kind {
            Kind::Cpu => Ok(DeviceArray::on_host(vec![], 1)),
            Kind::Gpu(gpu) => DeviceArray::on_gpu(gpu, bytes / size_of::<u32>(), 1),
        }
    }

    /// The wgpu device and queue behind this device; none on the CPU. Buffers of theirs can be handed to
    /// [`DeviceArray::from_wgpu`], and their encoders to [`Work::record`].
    #[must_use]
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        match &self.kind {
            Kind::Cpu => None,
            Kind::Gpu(gpu) => Some((&gpu.inner().device, &gpu.inner().queue)),
        }
    }

    /// What to ask of `adapter` when opening a device for [`Device::from_wgpu`], so that this crate is as fast on it as
    /// on one that it opens itself: subgroups, and pipelines that can be kept on disk, where it has them. All of it is
    /// optional. Cooperative matrices are wgpu's experiment still, and not among them: a program that wants them used enables
    /// [`wgpu::ExperimentalFeatures`] and asks for `EXPERIMENTAL_COOPERATIVE_MATRIX`, `SHADER_F16` and `SUBGROUP_BARRIER` too.
    #[must_use]
    pub fn required_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        adapter.features() & FEATURES
    }

    /// The limits that go with [`Device::required_features`]: all that `adapter` offers of what kernels adapt to,
    /// the size of buffers and bindings, memory and invocations of a workgroup, workgroups of a dispatch and alignment
    /// of offsets. The others are WebGPU's defaults, or less where it offers less. A program with needs of its own can
    /// join both by [`wgpu::Limits::or_better_values_from`].
    #[must_use]
    pub fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
        best_limits(&adapter.limits())
    }

    /// The least limits of a device for [`Device::from_wgpu`]: 8 storage buffers a stage, 256 invocations and 16 KiB of
    /// memory a workgroup. Every WebGPU device has them; [`wgpu::Limits::default`] will do.
    #[must_use]
    pub fn least_limits() -> wgpu::Limits {
        least_limits()
    }

    /// Whether this is a GPU (a software one included).
    #[must_use]
    pub fn is_gpu(&self) -> bool {
        matches!(self.kind, Kind::Gpu(_))
    }

    /// The device's name: `cpu`, or the adapter's name and backend.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Cpu => "cpu",
            Kind::Gpu(gpu) => gpu.name(),
        }
    }

    /// Why this device was taken.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The kernel variants that this device runs, in words: `subgroups of 32 and more, trusted`, and which did not pass
    /// its [self-test](Device::self_test); for the CPU the level of its SIMD: `v3` (x86-64-v3), `v4`, `neon` or `scalar`.
    #[must_use]
    pub fn variant(&self) -> String {
        match &self.kind {
            Kind::Cpu => {
                let arch = format!("{:?}", pulp::Arch::new()).to_lowercase();
                arch.chars().take_while(char::is_ascii_alphanumeric).collect()
            }
            Kind::Gpu(gpu) => gpu.variant_name(),
        }
    }

    /// Whether its kernels make use of cooperative matrices.
    pub(crate) fn multiplies_matrices(&self) -> bool {
        matches!(&self.kind, Kind::Gpu(gpu) if gpu.variant().matrices > 0)
    }

    /// Submissions, read-backs, buffers and bytes copied to it since the device was opened; all zero on the CPU.
    #[must_use]
    pub fn counters(&self) -> Counters {
        match &self.kind {
            Kind::Cpu => Counters::default(),
            Kind::Gpu(gpu) => gpu.counters(),
        }
    }

    /// What each kernel did since the device was opened or since the last call, once all of it is done. Empty for the CPU
    /// and without [`Options::profile`]; counts alone, which [`Profile::timed`] tells, without timestamps.
    ///
    /// ```
    /// use cellprobe::{Device, Metric, device::Options, ops};
    /// # fn main() -> cellprobe::Result<()> {
    /// let device = Device::open("auto", &Options::default().profile(true))?;
    /// let rows = device.upload(vec![0.0, 0.0, 3.0, 4.0], 2)?;
    /// let mut work = device.work();
    /// let nearest = ops::nearest(&mut work, &rows, &rows, Metric::L2)?;
    /// pollster::block_on(work.read(nearest.labels))?;
    /// println!("{}", device.take_profile()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn take_profile(&self) -> Result<Profile> {
        block_on(self.take_profile_async())
    }

    /// [`Device::take_profile`] without blocking.
    ///
    /// # Errors
    /// As [`Device::take_profile`].
    pub async fn take_profile_async(&self) -> Result<Profile> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.take_profile().await,
            Kind::Cpu => Ok(Profile::default()),
        }
    }

    /// The GPU that `what` must be on.
    fn as_gpu(&self, what: &'static str) -> Result<&Gpu> {
        match &self.kind {
            Kind::Cpu => Err(Error::OtherDevice { what }),
            Kind::Gpu(gpu) => Ok(gpu),
        }
    }

    /// Frees the buffers that are kept to be used again, once the GPU is done with them; what arrays hold stays.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn release_memory(&self) -> Result<()> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.release_memory(),
            Kind::Cpu => Ok(()),
        }
    }

    /// Begins to collect work for this device.
    #[must_use]
    pub fn work(&self) -> Work {
        match &self.kind {
            Kind::Cpu => Work::cpu(),
            Kind::Gpu(gpu) => Work::gpu(gpu.clone()),
        }
    }

    /// Copies `data`, row-major with `columns` columns, to the device.
    ///
    /// # Errors
    /// [`Error::Length`] if `data` is not whole rows, [`Error::OutOfMemory`] or [`Error::DeviceLost`].
    pub fn upload<T: bytemuck::Pod + Send + Sync>(&self, data: Vec<T>, columns: usize) -> Result<DeviceArray<T>> {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        if rows * columns != data.len() {
            return Err(Error::Length { what: "elements of an array", expected: rows * columns, found: data.len() });
        }
        match &self.kind {
            Kind::Cpu => Ok(DeviceArray::on_host(data, columns)),
            Kind::Gpu(gpu) => DeviceArray::upload(gpu, &data, rows, columns),
        }
    }

    /// [`Device::upload`] of rows for what submits anyway: many are on their way while the others are copied, once where they
    /// follow each other.
    pub(crate) fn begin_rows(&self, rows: ndarray::ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        match (&self.kind, rows.as_slice()) {
            (Kind::Gpu(gpu), Some(data)) => DeviceArray::upload_by_pieces(gpu, data, rows.nrows(), rows.ncols()),
            (Kind::Gpu(gpu), None) => {
                let data = crate::rows::contiguous(rows);
                DeviceArray::upload_by_pieces(gpu, &data, rows.nrows(), rows.ncols())
            }
            (Kind::Cpu, _) => self.rows(rows),
        }
    }

    /// [`Device::upload`] of rows that the caller keeps: for a GPU they are copied once where they follow each other.
    pub(crate) fn rows(&self, rows: ndarray::ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        match (&self.kind, rows.as_slice()) {
            (Kind::Gpu(gpu), Some(data)) => DeviceArray::upload(gpu, data, rows.nrows(), rows.ncols()),
            _ => self.upload(crate::rows::contiguous(rows), rows.ncols()),
        }
    }

    /// Copies rows to the device.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if there is a NaN or an infinity among them, [`Error::Empty`] if they have no columns,
    /// [`Error::OutOfMemory`] or [`Error::DeviceLost`].
    pub fn matrix(&self, rows: ndarray::ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        crate::rows::check("rows", rows)?;
        self.rows(rows)
    }

    /// Whether `self` and `other` are the same device, so that arrays of one can be used with the other.
    #[must_use]
    pub fn same_as(&self, other: &Device) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Cpu, Kind::Cpu) => true,
            (Kind::Gpu(a), Kind::Gpu(b)) => a.same_as(b),
            _ => false,
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {})", self.name(), self.variant())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
