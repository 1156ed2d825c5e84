//! How long work takes: so long that a watchdog stops none of it, and as few submissions as that allows.
//!
//! Some systems reset a GPU that is at work on one thing for about two seconds. Kernels are known by how many
//! operations they do; how many of those a second hold is learnt from submissions, kernel by kernel.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Operations a second before any were seen, of the slowest GPU of its kind: multiply-adds, or words moved.
fn at_first(kind: wgpu::DeviceType) -> f64 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 5e10,
        wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 1e10,
        wgpu::DeviceType::Cpu => 5e8,
    }
}

/// Seconds that a submission may take unless told otherwise.
const USUAL: f64 = 0.3;

/// A submission that takes so many times as long as it may says how slow a kernel is; others may have waited for the CPU.
const SLOW: f64 = 2.0;

/// How much faster than thought something may be at a time.
const STEP: f64 = 4.0;

/// How fast a GPU is.
pub(super) struct Pace {
    first: f64,
    longest: f64,
    rates: Mutex<HashMap<&'static str, f64>>,
}

/// What is submitted together, in seconds by kernel.
#[derive(Clone, Default)]
pub(super) struct Load {
    by_operation: HashMap<&'static str, Work>,
    /// Seconds that all of it should take.
    pub(super) seconds: f64,
    /// Seconds that what the GPU decides about may take on top.
    pub(super) uncertain: f64,
}

#[derive(Clone, Copy, Default)]
struct Work {
    operations: f64,
    seconds: f64,
}

impl Pace {
    /// The pace of a device that should not take longer than that for what it is given together.
    pub(super) fn new(kind: wgpu::DeviceType, longest: Option<Duration>) -> Self {
        // Nothing watches a software rasteriser.
        let usual = if kind == wgpu::DeviceType::Cpu { f64::INFINITY } else { USUAL };
        let longest = longest.map_or(usual, |longest| longest.as_secs_f64());
        Pace { first: at_first(kind), longest, rates: Mutex::default() }
    }

    /// Seconds that one submission may take.
    pub(super) fn longest(&self) -> f64 {
        self.longest
    }

    fn rate(&self, operation: &'static str) -> f64 {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(operation).copied().unwrap_or(self.first)
    }

    /// Seconds that some operations of a kernel should take.
    pub(super) fn seconds(&self, operation: &'static str, operations: f64) -> f64 {
        operations / self.rate(operation)
    }

    /// Learns from what a load took. With `exact` it was waited for; otherwise it may have been done before.
    pub(super) fn learn(&self, load: &Load, took: f64, exact: bool) {
        let most = load.by_operation.iter().max_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds));
        // One kernel must have had most of the time to learn about it.
        let Some((&operation, work)) = most.filter(|(_, work)| work.seconds > 0.6 * load.seconds) else { return };
        let before = self.rate(operation);
        let seen = work.operations / took.max(1e-9);
        let faster = seen > before;
        if !(faster || exact && took > SLOW * self.longest) {
            return;
        }
        let rate = if faster { seen.min(STEP * before) } else { seen.max(before / STEP) };
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).insert(operation, rate);
    }
}

impl Load {
    /// Seconds that all of it may take.
    pub(super) fn most(&self) -> f64 {
        self.seconds + self.uncertain
    }

    pub(super) fn add(&mut self, operation: &'static str, operations: f64, seconds: f64) {
        let work = self.by_operation.entry(operation).or_default();
        work.operations += operations;
        work.seconds += seconds;
        self.seconds += seconds;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Load, Pace};

    fn load(pace: &Pace, operation: &'static str, operations: f64) -> Load {
        let mut load = Load::default();
        load.add(operation, operations, pace.seconds(operation, operations));
        load
    }

    #[test]
    fn rates_follow_what_was_seen_step_by_step() {
        let pace = Pace::new(wgpu::DeviceType::Cpu, Some(Duration::from_millis(5)));
        assert!((pace.seconds("knn", 5e8) - 1.0).abs() < 1e-9);
        // A hundred times as fast: not believed at once.
        for expected in [0.25, 0.0625, 0.015_625, 0.01, 0.01] {
            pace.learn(&load(&pace, "knn", 5e8), 0.01, true);
            assert!((pace.seconds("knn", 5e8) - expected).abs() < 1e-9, "{}", pace.seconds("knn", 5e8));
        }
        assert!((pace.seconds("nearest", 5e8) - 1.0).abs() < 1e-9, "each kernel has its own");
        pace.learn(&load(&pace, "knn", 5e8), 0.02, false);
        assert!((pace.seconds("knn", 5e8) - 0.01).abs() < 1e-9, "it may have been done before");
        pace.learn(&load(&pace, "knn", 5e8), 0.02, true);
        assert!((pace.seconds("knn", 5e8) - 0.02).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_learnt_from_a_mixture() {
        let pace = Pace::new(wgpu::DeviceType::Cpu, Some(Duration::from_millis(5)));
        let mut mixture = load(&pace, "knn", 5e8);
        mixture.add("nearest", 5e8, 1.0);
        pace.learn(&mixture, 0.01, true);
        assert!((pace.seconds("knn", 5e8) - 1.0).abs() < 1e-9);
    }
}
