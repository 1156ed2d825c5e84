//! Where a GPU's time goes: how often every kernel ran, for how long, on how much.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Gpu,
    pool::Lease,
    wait::{READ_BACK, Waiting},
};
use crate::Result;

/// What a GPU did since it was opened or since the last [`Device::take_profile`](super::Device::take_profile), kernel by
/// kernel.
///
/// Prints as a table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// Whether the kernels were timed. Otherwise they were only counted: the device has no timestamps, or was opened
    /// without [`Options::profile`](super::Options::profile).
    pub timed: bool,
    /// The kernels, in the order of their first use.
    pub stages: Vec<Stage>,
}

/// What one kernel did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// The operation: the shader's file name.
    pub operation: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// How often it was dispatched.
    pub dispatches: u64,
    /// Seconds between the beginning and the end of its dispatches, if all of them were timed.
    pub seconds: Option<f64>,
    /// Workgroups, those aside whose number the GPU itself found.
    pub workgroups: u64,
    /// Bytes of the buffers that it was given, each time it was: what it can have read or written.
    pub bytes: u64,
}

impl Profile {
    /// Seconds of all kernels together, if they were timed.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.timed.then(|| self.stages.iter().filter_map(|stage| stage.seconds).sum())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<34}{:>11}{:>12}{:>12}{:>12}", "kernel", "dispatches", "ms", "workgroups", "MB bound")?;
        for stage in &self.stages {
            let name = format!("{} ({})", stage.operation, stage.entry);
            let time = stage.seconds.map_or("-".into(), |seconds| format!("{:.4}", 1e3 * seconds));
            let megabytes = stage.bytes as f64 / 1e6;
            write!(f, "\n{name:<34}{:>11}{time:>12}{:>12}{megabytes:>12.2}", stage.dispatches, stage.workgroups)?;
        }
        if !self.timed {
            f.write_str("\nnot timed: the device has no timestamps, or was opened without profiling")?;
        }
        Ok(())
    }
}

/// Dispatches whose queries are resolved together. A query set holds the beginning and the end of each.
const TOGETHER: u32 = 1024;

/// Dispatches that may wait for their times to be read; more are only counted.
const MOST_PENDING: usize = 1 << 16;

/// Collects the [`Profile`] of a device.
pub(super) struct Profiler {
    /// Without timestamps, nothing is timed.
    queries: Option<wgpu::QuerySet>,
    collected: Mutex<Collected>,
}

#[derive(Default)]
struct Collected {
    stages: Vec<Tally>,
    pending: Vec<Pending>,
}

struct Tally {
    stage: Stage,
    timed: u64,
    seconds: f64,
}

/// Times that are on their way: a beginning and an end for each of some dispatches.
struct Pending {
    staging: Arc<Lease>,
    stages: Vec<(&'static str, &'static str)>,
}

impl Profiler {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let timed = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let queries = timed.then(|| {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("cellprobe"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * TOGETHER,
            })
        });
        Profiler { queries, collected: Mutex::default() }
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, operation: &'static str, entry: &'static str, workgroups: u64, bytes: u64) {
        let mut collected = self.collected();
        let stage = &mut collected.tally(operation, entry).stage;
        stage.dispatches += 1;
        stage.workgroups += workgroups;
        stage.bytes += bytes;
    }

    /// Makes ready to time at most `dispatches`.
    pub(super) fn timer(&self, gpu: &Gpu, dispatches: usize) -> Result<Option<Timer<'_>>> {
        let pending: usize = self.collected().pending.iter().map(|pending| pending.stages.len()).sum();
        let Some(queries) = self.queries.as_ref().filter(|_| dispatches > 0 && pending + dispatches <= MOST_PENDING)
        else {
            return Ok(None);
        };
        let bytes = 16 * dispatches as u64;
        let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let (resolved, staging) = (gpu.lease(bytes, resolve)?, gpu.lease(bytes, READ_BACK)?);
        Ok(Some(Timer { profiler: self, queries, resolved, staging, stages: vec![] }))
    }

    /// Waits for all times that are on their way.
    pub(super) async fn settle(&self, gpu: &Gpu) -> Result<()> {
        let pending = std::mem::take(&mut self.collected().pending);
        let waits: Vec<_> = pending.iter().map(|pending| Waiting::new(gpu, Arc::clone(&pending.staging))).collect();
        let nanoseconds = f64::from(gpu.inner().queue.get_timestamp_period());
        for (Pending { stages, .. }, mut waiting) in pending.into_iter().zip(waits) {
            (&mut waiting).await?;
            let times = waiting.read::<[u64; 2]>(16 * stages.len())?;
            let mut collected = self.collected();
            for ((operation, entry), [begin, end]) in stages.into_iter().zip(times) {
                let tally = collected.tally(operation, entry);
                tally.timed += 1;
                tally.seconds += 1e-9 * nanoseconds * end.saturating_sub(begin) as f64;
            }
        }
        Ok(())
    }

    /// What was collected, to begin anew.
    pub(super) fn take(&self) -> Profile {
        let stages = std::mem::take(&mut self.collected().stages).into_iter();
        let stages = stages.map(|Tally { stage, timed, seconds }| Stage {
            seconds: (timed > 0 && timed == stage.dispatches).then_some(seconds),
            ..stage
        });
        Profile { timed: self.queries.is_some(), stages: stages.collect() }
    }
}

impl Collected {
    fn tally(&mut self, operation: &'static str, entry: &'static str) -> &mut Tally {
        let known =
            self.stages.iter().position(|tally| (tally.stage.operation, tally.stage.entry) == (operation, entry));
        let place = known.unwrap_or_else(|| {
            let stage = Stage { operation, entry, dispatches: 0, seconds: None, workgroups: 0, bytes: 0 };
            self.stages.push(Tally { stage, timed: 0, seconds: 0.0 });
            self.stages.len() - 1
        });
        &mut self.stages[place]
    }
}

/// Times the dispatches of one command buffer, a compute pass each.
pub(super) struct Timer<'a> {
    profiler: &'a Profiler,
    queries: &'a wgpu::QuerySet,
    resolved: Arc<Lease>,
    staging: Arc<Lease>,
    stages: Vec<(&'static str, &'static str)>,
}

impl Timer<'_> {
    /// What the pass of the next dispatch writes.
    pub(super) fn next(
        &mut self,
        operation: &'static str,
        entry: &'static str,
    ) -> wgpu::ComputePassTimestampWrites<'_> {
        let begin = 2 * (self.stages.len() as u32 % TOGETHER);
        self.stages.push((operation, entry));
        wgpu::ComputePassTimestampWrites {
            query_set: self.queries,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        }
    }

    /// To be called after each pass: empties a full query set, so that it can be used again.
    pub(super) fn passed(&self, encoder: &mut wgpu::CommandEncoder) {
        if (self.stages.len() as u32).is_multiple_of(TOGETHER) {
            self.resolve(encoder, TOGETHER);
        }
    }

    fn resolve(&self, encoder: &mut wgpu::CommandEncoder, dispatches: u32) {
        let first = self.stages.len() as u64 - u64::from(dispatches);
        encoder.resolve_query_set(self.queries, 0..2 * dispatches, self.resolved.buffer(), 16 * first);
    }

    /// Ends the command buffer's times. They can be read once it is submitted.
    pub(super) fn finish(self, encoder: &mut wgpu::CommandEncoder) {
        let rest = self.stages.len() as u32 % TOGETHER;
        if rest > 0 {
            self.resolve(encoder, rest);
        }
        let bytes = 16 * self.stages.len() as u64;
        encoder.copy_buffer_to_buffer(self.resolved.buffer(), 0, self.staging.buffer(), 0, bytes);
        let Timer { profiler, staging, stages, .. } = self;
        profiler.collected().pending.push(Pending { staging, stages });
    }
}
