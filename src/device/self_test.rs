//! Whether a GPU computes what it should, before anybody relies on it: drivers miscompile.
//!
//! It takes 53 kernels, which is most of the time, and 71 small submissions: the first time a device is opened 12 s with
//! lavapipe and 9 s with `SwiftShader`, on 2 cores; 0.07 and 0.15 s once the outcome is kept. That was before kernels for
//! any k and for packed integers came, which it takes as well. With them an H100 is open after 0.22 s the first time, 0.18 s
//! once the outcome is kept and 0.12 s without a self-test.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Device, Gpu, Kind, Options, Variant, block_on, cache, shader};
use crate::{Error, Result, verify};

/// What each variant that this process tested computes wrongly, by [`Gpu::described`]. It depends on the machine alone,
/// so that it is the same whoever asks.
static FOUND: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

impl Device {
    /// Compares the main operations with the CPU's on small data and gives the device in the first variant of its kernels
    /// that is right: itself, unless its driver miscompiles them. Then, in this order, it is the same device without
    /// cooperative matrices, without subgroup operations, without packed integers, and with bounds checks and loop guards; a
    /// warning is logged, and [`Device::variant`] says so.
    ///
    /// Devices that this crate opens have been tested: see [`Options::self_test`]. One that was
    /// [handed over](Device::from_wgpu) is tested when this is called, which submits work of its own and waits for it;
    /// [`Device::counters`] leave that out. Arrays of the device go with what this gives only if that is the same device:
    /// test it before anything is on it.
    ///
    /// What was found is remembered, by device, driver, variant and version of this crate, in the process and in
    /// [`Options::cache`].
    ///
    /// # Errors
    /// [`Error::SelfTest`] if no variant is right; [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn self_test(&self) -> Result<Device> {
        block_on(self.self_test_async())
    }

    /// [`Device::self_test`], which blocks as long as kernels are compiled, but not otherwise if they are known to be
    /// right.
    ///
    /// # Errors
    /// As [`Device::self_test`].
    pub async fn self_test_async(&self) -> Result<Device> {
        match &self.kind {
            Kind::Cpu => Ok(self.clone()),
            Kind::Gpu(gpu) => Ok(Device { kind: Kind::Gpu(gpu.self_tested().await?), reason: self.reason.clone() }),
        }
    }
}

impl Gpu {
    /// This device in the first variant that computes what it should.
    pub(super) async fn self_tested(&self) -> Result<Gpu> {
        let mut gpu = self.clone();
        loop {
            let wrong = gpu.wrong().await?;
            if wrong.is_empty() {
                return Ok(gpu);
            }
            let Some(options) = gpu.next_variant() else {
                return Err(Error::SelfTest { device: self.name().into(), wrong });
            };
            let next = gpu.in_variant(options, Some(&wrong))?;
            log::warn!("{} computes {wrong} wrongly with {}", gpu.name(), gpu.kernels_name());
            log::warn!("{} runs with {} instead, which may be slower", gpu.name(), next.kernels_name());
            gpu = next;
        }
    }

    /// Kernels that ask less of the compiler than these.
    fn next_variant(&self) -> Option<Options> {
        let options = self.inner().options.clone();
        let Variant { subgroup_lanes, packed_integers, matrices, .. } = self.variant();
        if matrices > 0 {
            return Some(options.matrices(false));
        }
        match (subgroup_lanes > 1, packed_integers, options.checked) {
            (true, ..) => Some(options.subgroups(false)),
            (false, true, _) => Some(options.packed_integers(false)),
            (false, false, false) if Self::has_checks(&self.inner().device.adapter_info()) => {
                Some(options.checked(true))
            }
            (false, false, _) => None,
        }
    }

    /// The operations that are wrong in this variant, as far as is known or is found now.
    async fn wrong(&self) -> Result<String> {
        let key = self.described();
        let name = format!("self_test_{:016x}", cache::hash(&key));
        let found = || FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = found().get(&key) {
            return Ok(wrong.clone());
        }
        let folder = self.inner().options.cache.as_deref();
        let kept = folder.and_then(|folder| String::from_utf8(cache::read(folder, &name)?).ok());
        if let Some(wrong) = kept.as_ref().and_then(|kept| kept.strip_prefix(&key)) {
            found().insert(key, wrong.to_owned());
            return Ok(wrong.to_owned());
        }
        let wrong = self.test().await?;
        if let Some(folder) = folder {
            cache::write(folder, &name, format!("{key}{wrong}").as_bytes());
        }
        found().insert(key, wrong.clone());
        Ok(wrong)
    }

    /// The operations that are wrong in this variant. Nobody else's counters, buffers and times have part in it.
    async fn test(&self) -> Result<String> {
        let options = Options {
            max_binding: None,
            max_workgroups: None,
            profile: false,
            longest_submission: None,
            ..self.inner().options.clone()
        };
        let twin = Device { kind: Kind::Gpu(self.in_variant(options, None)?), reason: "a test".into() };
        Ok(verify::wrong(&twin).await?.join(", "))
    }

    /// What the outcome depends on: the device, its driver, and what it compiles.
    fn described(&self) -> String {
        let info = self.inner().device.adapter_info();
        let wgpu::AdapterInfo { name, vendor, device, backend, driver, driver_info, .. } = info;
        let (version, kernels) = (env!("CARGO_PKG_VERSION"), self.kernels_name());
        let text = shader::fingerprint(self.variant());
        let described = format!(
            "cellprobe {version}\n{name} {vendor:x}:{device:x} ({backend})\n{driver} {driver_info}\n{kernels} {text:016x}\n"
        );
        #[cfg(test)]
        let described = format!("{described}{:?}\n", self.inner().options.fault);
        described
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::super::{choose, options::Fault};
    use super::*;
    use crate::{FlatIndex, IvfFlatIndex, Metric, index::VectorIndex};

    /// A sum over neighbouring invocations that leaves some out; only where there are subgroups.
    const IN_SUBGROUPS: Fault =
        Fault { kernel: "normalise", from: "subgroupShuffleXor(", to: "2.0 * subgroupShuffleXor(", checked: true };

    /// Half the distance, unless indices are checked.
    const UNCHECKED: Fault =
        Fault { kernel: "knn", from: "= ranked(distance", to: "= ranked(0.5 * distance", checked: false };

    /// Always wrong.
    const EVERYWHERE: Fault = Fault { checked: true, ..UNCHECKED };

    /// Every adapter but those behind GL.
    fn adapters() -> Vec<wgpu::Adapter> {
        if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
            return vec![];
        }
        let found = block_on(choose::find()).into_iter();
        let usable = found.filter(|(_, summary)| summary.unusable.is_none() && summary.backend != "gl");
        usable.map(|(adapter, _)| adapter).collect()
    }

    fn with(fault: Fault) -> Options {
        Options { fault: Some(fault), cache: None, ..Options::default().packed_integers(true) }
    }

    fn device(gpu: Gpu) -> Device {
        Device { kind: Kind::Gpu(gpu), reason: "a test".into() }
    }

    /// Fails unless what the index finds on `device` is what it finds on the CPU.
    fn assert_right<K: crate::index::Kind>(index: &VectorIndex<K>, device: &Device, rows: &Array2<f32>) -> Result<()> {
        let queries = rows.slice(s![..10, ..]);
        let found = index.to_device(device)?.search(queries, 5)?;
        assert_eq!(found, index.search(queries, 5)?, "{device:?}");
        Ok(())
    }

    #[test]
    fn a_miscompiled_kernel_is_noticed_and_another_variant_taken() -> Result<()> {
        let rows =
            Array2::from_shape_fn((300, 8), |(row, column)| ((row * row * (column + 1) + row * 31) % 211) as f32);
        let mut flat = FlatIndex::new(&Device::cpu(), 8, Metric::L2)?;
        flat.add(rows.view())?;
        let mut lists = IvfFlatIndex::new(&Device::cpu(), 8, 4, Metric::L2)?;
        lists.train(rows.view())?;
        lists.add(rows.view())?;
        for adapter in &adapters() {
            let plain =
                block_on(Gpu::open(adapter, &Options { cache: None, ..Options::default().packed_integers(true) }))?;
            assert!(plain.inner().avoided.is_empty(), "{}", plain.variant_name());
            let subgroups = plain.variant().subgroup_lanes > 1;

            let gpu = block_on(Gpu::open(adapter, &with(IN_SUBGROUPS)))?;
            assert_eq!((gpu.variant().subgroup_lanes, gpu.inner().options.checked), (1, false));
            if subgroups {
                let chosen = "no subgroups, packed integers, trusted";
                let words = format!("{chosen}, as normalise is wrong with {}", plain.kernels_name());
                assert_eq!(gpu.variant_name(), words);
            }
            assert_eq!(gpu.counters(), super::super::Counters::default(), "tests are not counted");
            assert_right(&flat, &device(gpu), &rows)?;

            let gpu = block_on(Gpu::open(adapter, &with(UNCHECKED)))?;
            assert!(gpu.inner().options.checked && gpu.variant().subgroup_lanes == 1);
            assert!(!gpu.variant().packed_integers);
            let avoided = 2 + usize::from(subgroups);
            assert_eq!(gpu.inner().avoided.len(), avoided, "{}", gpu.variant_name());
            assert!(gpu.inner().avoided.iter().all(|avoided| avoided.starts_with("knn")), "{}", gpu.variant_name());
            let checked = device(gpu);
            assert_right(&flat, &checked, &rows)?;
            assert_right(&lists, &checked, &rows)?;

            // Whoever does not ask gets what there is: something wrong.
            let blind = device(block_on(Gpu::open(adapter, &with(UNCHECKED).self_test(false)))?);
            let queries = rows.slice(s![..10, ..]);
            let found = flat.to_device(&blind)?.search(queries, 5)?;
            assert_ne!(found, flat.search(queries, 5)?, "the fault is one");
            let tested = blind.self_test()?;
            assert!(!tested.same_as(&blind));
            assert_right(&flat, &tested, &rows)?;

            match block_on(Gpu::open(adapter, &with(EVERYWHERE))) {
                Err(Error::SelfTest { wrong, .. }) => assert!(wrong.split(", ").any(|wrong| wrong == "knn"), "{wrong}"),
                other => panic!("{:?}", other.map(device)),
            }
        }
        Ok(())
    }

    #[test]
    fn what_was_found_is_kept_for_the_next_time() -> Result<()> {
        // Not what the other test has, for the process remembers it.
        let fault = Fault { to: "3.0 * subgroupShuffleXor(", ..IN_SUBGROUPS };
        for adapter in &adapters() {
            let folder = tempfile::tempdir().map_err(|source| Error::Io { path: "a folder".into(), source })?;
            let options = Options { cache: Some(folder.path().into()), ..with(fault).self_test(false) };
            let gpu = block_on(Gpu::open(adapter, &options))?;
            let name = format!("self_test_{:016x}", cache::hash(&gpu.described()));
            let forget = || FOUND.lock().unwrap_or_else(PoisonError::into_inner).remove(&gpu.described());
            forget();
            let wrong = block_on(gpu.wrong())?;
            assert_eq!(wrong, if gpu.variant().subgroup_lanes > 1 { "normalise" } else { "" });
            let kept = cache::read(folder.path(), &name).unwrap_or_default();
            assert_eq!(kept, format!("{}{wrong}", gpu.described()).as_bytes());

            // What is kept is believed, in this process and by the next.
            cache::write(folder.path(), &name, format!("{}something", gpu.described()).as_bytes());
            assert_eq!(block_on(gpu.wrong())?, wrong);
            forget();
            assert_eq!(block_on(gpu.wrong())?, "something");

            // What is of somebody else is not.
            forget();
            cache::write(folder.path(), &name, b"another device\nsomething");
            assert_eq!(block_on(gpu.wrong())?, wrong);
            forget();
        }
        Ok(())
    }
}
