//! How a GPU is opened.

use std::{path::PathBuf, time::Duration};

use super::cache;

/// How a GPU is opened. The defaults are the fastest; tests and `verify` go through the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// Compile kernels with bounds checks and loop guards. Off by default: the kernels were reviewed, and the
    /// guards cost a lot in a hot loop. Behind GL, whose shaders are given neither, it changes nothing.
    pub checked: bool,
    /// Use subgroup operations where the device has them.
    pub subgroups: bool,
    /// Look through copies of rows first that are rounded to 8-bit integers: see [`ops::round`](crate::ops::round). By
    /// default that is done where four products of them are one instruction, as a Vulkan driver tells: on NVIDIA's GPUs
    /// since 2016, AMD's since RDNA2 and Intel's since Xe. Direct3D 12 is taken to be fast at it, Metal and browsers are not.
    pub packed_integers: Option<bool>,
    /// Choose candidates by cooperative matrices of f16, where the device multiplies such in subgroups (as a Vulkan driver
    /// tells: NVIDIA's GPUs since 2017, AMD's since RDNA3; Intel's have other shapes). What f16 leaves open is decided by f32. On by
    /// default, for devices that this crate opens; one that is handed over needs wgpu's experimental feature.
    pub matrices: bool,
    /// Split arrays into bindings of at most so many bytes, whatever the device allows.
    pub max_binding: Option<u64>,
    /// Split dispatches at so many workgroups a dimension, whatever the device allows.
    pub max_workgroups: Option<u32>,
    /// Time every kernel, for [`Device::take_profile`](super::Device::take_profile), where the device has timestamps.
    /// Kernels then run one after the other, so that work as a whole takes a little longer.
    pub profile: bool,
    /// Bytes of buffers that nothing uses at the moment which are kept to be used again, 1 GiB by default. A larger array is
    /// made anew each time, which took 25 ms for 614 MB on an H100, where a kernel wrote it in 0.5 ms.
    pub pooled_bytes: u64,
    /// Longer work is cut into submissions that take about so long each, so that no watchdog resets the GPU and that it
    /// can be cancelled. `None` is 0.3 s, and whatever it takes on a software rasteriser, which nothing watches.
    pub longest_submission: Option<Duration>,
    /// Compare the main operations with the CPU's when the device is opened, unless that was done before, and take
    /// other kernels if some are wrong: see [`Device::self_test`](super::Device::self_test). On by default. Devices that
    /// are [handed over](super::Device::from_wgpu) are never tested unasked.
    pub self_test: bool,
    /// The folder of what is kept from one run of a program to the next: outcomes of self-tests and, where the device has
    /// [`PIPELINE_CACHE`](wgpu::Features::PIPELINE_CACHE), compiled pipelines. Files there can be deleted at any time. By default `cellprobe` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`,
    /// `~/Library/Caches`, `%LOCALAPPDATA%`); with `None` nothing is kept.
    pub cache: Option<PathBuf>,
    /// What a driver does to a kernel, as far as tests are concerned.
    #[cfg(test)]
    pub(crate) fault: Option<Fault>,
}

/// A kernel that is compiled as something else.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The operation.
    pub kernel: &'static str,
    /// What becomes something else in its WGSL.
    pub from: &'static str,
    /// What it becomes.
    pub to: &'static str,
    /// Whether checked kernels have it too.
    pub checked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            checked: false,
            subgroups: true,
            packed_integers: None,
            matrices: true,
            max_binding: None,
            max_workgroups: None,
            profile: false,
            pooled_bytes: 1 << 30,
            longest_submission: None,
            self_test: true,
            cache: cache::user_folder(),
            #[cfg(test)]
            fault: None,
        }
    }
}

impl Options {
    /// Sets [`Options::checked`].
    #[must_use]
    pub fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// Sets [`Options::subgroups`].
    #[must_use]
    pub fn subgroups(mut self, subgroups: bool) -> Self {
        self.subgroups = subgroups;
        self
    }

    /// Sets [`Options::packed_integers`].
    #[must_use]
    pub fn packed_integers(mut self, packed_integers: bool) -> Self {
        self.packed_integers = Some(packed_integers);
        self
    }

    /// Sets [`Options::matrices`].
    #[must_use]
    pub fn matrices(mut self, matrices: bool) -> Self {
        self.matrices = matrices;
        self
    }

    /// Sets [`Options::max_binding`].
    #[must_use]
    pub fn max_binding(mut self, bytes: u64) -> Self {
        self.max_binding = Some(bytes);
        self
    }

    /// Sets [`Options::max_workgroups`].
    #[must_use]
    pub fn max_workgroups(mut self, groups: u32) -> Self {
        self.max_workgroups = Some(groups);
        self
    }

    /// Sets [`Options::profile`].
    #[must_use]
    pub fn profile(mut self, profile: bool) -> Self {
        self.profile = profile;
        self
    }

    /// Sets [`Options::pooled_bytes`].
    #[must_use]
    pub fn pooled_bytes(mut self, bytes: u64) -> Self {
        self.pooled_bytes = bytes;
        self
    }

    /// Sets [`Options::longest_submission`].
    #[must_use]
    pub fn longest_submission(mut self, longest: Duration) -> Self {
        self.longest_submission = Some(longest);
        self
    }

    /// Sets [`Options::self_test`].
    #[must_use]
    pub fn self_test(mut self, self_test: bool) -> Self {
        self.self_test = self_test;
        self
    }

    /// Sets [`Options::cache`].
    #[must_use]
    pub fn cache(mut self, folder: impl Into<Option<PathBuf>>) -> Self {
        self.cache = folder.into();
        self
    }
}
