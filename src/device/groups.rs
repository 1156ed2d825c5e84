//! Bind groups that are used again: a small search is 266,000 instructions of the host with them, 343,000 without.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a kernel was bound to before, as long as the pool has all of the buffers.
///
/// A bind group keeps its buffers alive, so that those of a buffer go when it goes.
#[derive(Default)]
pub(super) struct Groups(Mutex<HashMap<Bound, Used>>);

/// What a kernel is bound to.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Bound {
    pub(super) layout: wgpu::BindGroupLayout,
    /// Each binding's place, buffer, first byte and bytes.
    pub(super) bindings: Vec<(u32, wgpu::Buffer, u64, u64)>,
}

struct Used {
    group: wgpu::BindGroup,
    /// The turn of its last use.
    since: u64,
}

impl Bound {
    /// Makes the bind group.
    pub(super) fn group(&self, device: &wgpu::Device) -> wgpu::BindGroup {
        let entries: Vec<_> = (self.bindings.iter())
            .map(|(place, buffer, offset, size)| {
                let (offset, size) = (*offset, wgpu::BufferSize::new(*size));
                let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
                wgpu::BindGroupEntry { binding: *place, resource }
            })
            .collect();
        let label = Some("cellprobe");
        device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout: &self.layout, entries: &entries })
    }
}

impl Groups {
    fn known(&self) -> MutexGuard<'_, HashMap<Bound, Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bind group of `bound`, which `make` makes if there was none before.
    pub(super) fn get(&self, bound: Bound, turn: u64, make: impl FnOnce(&Bound) -> wgpu::BindGroup) -> wgpu::BindGroup {
        if let Some(used) = self.known().get_mut(&bound) {
            used.since = turn;
            return used.group.clone();
        }
        let group = make(&bound);
        self.known().insert(bound, Used { group: group.clone(), since: turn });
        group
    }

    /// Drops the groups of a buffer.
    pub(super) fn forget(&self, buffer: &wgpu::Buffer) {
        self.known().retain(|bound, _| bound.bindings.iter().all(|(_, bound, ..)| bound != buffer));
    }

    /// Drops those that were last used in this turn or before.
    pub(super) fn drop_until(&self, turn: u64) {
        self.known().retain(|_, used| used.since > turn);
    }
}
