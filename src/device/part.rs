//! What kernels are bound to: a stretch of a buffer.

use std::sync::Arc;

use super::pool::Lease;
use crate::{Error, Result};

/// A stretch of a buffer that kernels are bound to. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
    /// Without one, the buffer is the caller's.
    lease: Option<Arc<Lease>>,
}

impl Part {
    /// `size` bytes of a caller's buffer, from a byte on that storage bindings may begin at.
    pub(super) fn new(buffer: wgpu::Buffer, offset: u64, size: u64) -> Self {
        Part { buffer, offset, size, lease: None }
    }

    /// What was asked for of a buffer of the pool's.
    pub(super) fn whole(lease: Arc<Lease>) -> Self {
        let (buffer, size) = (lease.buffer().clone(), lease.size());
        Part { buffer, offset: 0, size, lease: Some(lease) }
    }

    /// Says that somebody else may use the buffer whenever they like.
    pub(super) fn hand_out(&self) {
        if let Some(lease) = &self.lease {
            lease.keep(true);
        }
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Where in the buffer it begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the buffer is the pool's.
    pub(super) fn is_pooled(&self) -> bool {
        self.lease.is_some()
    }

    /// Fails unless the buffer can be copied from, as those of this crate can.
    pub(super) fn check_source(&self) -> Result<()> {
        check_usage(&self.buffer, wgpu::BufferUsages::COPY_SRC)
    }
}

/// Fails unless a buffer may be used so.
pub(super) fn check_usage(buffer: &wgpu::Buffer, needed: wgpu::BufferUsages) -> Result<()> {
    if buffer.usage().contains(needed) {
        return Ok(());
    }
    let named = |usage: wgpu::BufferUsages| usage.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" | ");
    let expected = format!("{} among them", named(needed));
    Err(Error::parameter("usage of a buffer", named(buffer.usage()), expected))
}
