//! Buffers that are used again, and what kernels were bound to with them: making one takes longer than many a kernel.
//!
//! A buffer is leased. The work that uses it holds its lease until it is submitted; what uses the buffer next is
//! submitted later, and a queue keeps that order. So a buffer can be leased anew while the GPU is still at work on it. Work
//! that somebody else submits, nobody knows when, holds its leases until it is done.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::groups::{Bound, Groups};

/// Submissions and recordings that a buffer, or a bind group, waits for another use before it is freed.
const PATIENCE: u64 = 128;

/// Buffers that nothing uses at the moment.
pub(super) struct Pool {
    most_bytes: u64,
    created: AtomicU64,
    free: Mutex<Free>,
    groups: Groups,
}

#[derive(Default)]
struct Free {
    bytes: u64,
    /// Submissions and recordings so far.
    turn: u64,
    /// Buffers that came so far.
    came: u64,
    /// By usage and size.
    buffers: BTreeMap<(u32, u64), Vec<Idle>>,
}

/// A free buffer, which came as number `number` in turn `since`: those of a size stand in that order.
struct Idle {
    buffer: wgpu::Buffer,
    since: u64,
    number: u64,
}

/// A buffer, which goes back to its pool when nobody has it any more.
#[derive(Debug)]
pub(super) struct Lease {
    buffer: wgpu::Buffer,
    /// Bytes that were asked for: the buffer may have more.
    size: u64,
    pool: Weak<Pool>,
    /// Whether somebody else may use the buffer whenever they like, so that it cannot be used again.
    kept: AtomicBool,
}

impl Pool {
    /// A pool of at most so many bytes.
    pub(super) fn new(most_bytes: u64) -> Arc<Self> {
        Arc::new(Pool { most_bytes, created: AtomicU64::new(0), free: Mutex::default(), groups: Groups::default() })
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Buffers made so far.
    pub(super) fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// A free buffer of at least `size`, and not much more. What it holds is left over.
    pub(super) fn take(self: &Arc<Self>, size: u64, usage: wgpu::BufferUsages) -> Option<Arc<Lease>> {
        let mut free = self.free();
        let fitting = (usage.bits(), size)..=(usage.bits(), size + size / 8);
        let (&key, idle) = free.buffers.range_mut(fitting).next()?;
        let Idle { buffer, .. } = idle.pop()?;
        if idle.is_empty() {
            free.buffers.remove(&key);
        }
        free.bytes -= buffer.size();
        Some(self.lease(buffer, size))
    }

    /// Takes charge of a buffer just made.
    pub(super) fn adopt(self: &Arc<Self>, buffer: wgpu::Buffer) -> Arc<Lease> {
        self.created.fetch_add(1, Ordering::Relaxed);
        let size = buffer.size();
        self.lease(buffer, size)
    }

    fn lease(self: &Arc<Self>, buffer: wgpu::Buffer, size: u64) -> Arc<Lease> {
        Arc::new(Lease { buffer, size, pool: Arc::downgrade(self), kept: AtomicBool::new(false) })
    }

    fn put(&self, buffer: wgpu::Buffer) {
        let size = buffer.size();
        if size > self.most_bytes {
            self.groups.forget(&buffer);
            return;
        }
        let mut free = self.free();
        let (since, number) = (free.turn, free.came);
        free.came += 1;
        free.bytes += size;
        free.buffers.entry((buffer.usage().bits(), size)).or_default().push(Idle { buffer, since, number });
        while free.bytes > self.most_bytes {
            free.drop_oldest().iter().for_each(|buffer| self.groups.forget(buffer));
        }
    }

    /// The bind group of `bound`, all of whose buffers are the pool's; `make` makes it if there is none from before.
    pub(super) fn group(&self, bound: Bound, make: impl FnOnce(&Bound) -> wgpu::BindGroup) -> wgpu::BindGroup {
        let turn = self.free().turn;
        self.groups.get(bound, turn, make)
    }

    /// Drops all bind groups: some may have failed to be made.
    pub(super) fn forget_groups(&self) {
        self.groups.drop_until(u64::MAX);
    }

    /// To be called at each submission and recording: frees what has long been idle.
    pub(super) fn next_turn(&self) {
        let mut free = self.free();
        free.turn += 1;
        let Some(turn) = free.turn.checked_sub(PATIENCE) else { return };
        free.drop_until(turn).iter().for_each(|buffer| self.groups.forget(buffer));
        if turn % PATIENCE == 0 {
            self.groups.drop_until(turn);
        }
    }

    /// Frees everything.
    pub(super) fn clear(&self) {
        self.free().drop_until(u64::MAX);
        self.groups.drop_until(u64::MAX);
    }
}

impl Free {
    /// Takes out what has been idle longest.
    fn drop_oldest(&mut self) -> Option<wgpu::Buffer> {
        let firsts = self.buffers.iter().filter_map(|(&key, idle)| Some((idle.first()?.number, key)));
        let (_, key) = firsts.min()?;
        let Entry::Occupied(mut idle) = self.buffers.entry(key) else { return None };
        let Idle { buffer, .. } = idle.get_mut().remove(0);
        self.bytes -= key.1;
        if idle.get().is_empty() {
            idle.remove();
        }
        Some(buffer)
    }

    /// Takes out what has been idle since this turn or longer.
    fn drop_until(&mut self, turn: u64) -> Vec<wgpu::Buffer> {
        let mut dropped = vec![];
        self.buffers.retain(|_, idle| {
            dropped.extend(idle.extract_if(.., |idle| idle.since <= turn).map(|idle| idle.buffer));
            !idle.is_empty()
        });
        self.bytes -= dropped.iter().map(wgpu::Buffer::size).sum::<u64>();
        dropped
    }
}

impl Lease {
    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Keeps the buffer out of the pool for good, or as long as it is mapped.
    pub(super) fn keep(&self, kept: bool) {
        self.kept.store(kept, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        if self.kept.load(Ordering::Relaxed) {
            pool.groups.forget(&self.buffer);
        } else {
            pool.put(self.buffer.clone());
        }
    }
}
