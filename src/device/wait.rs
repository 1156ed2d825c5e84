//! Waiting for a GPU.

use std::{
    cell::Cell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytemuck::Pod;
use futures::channel::oneshot;

use super::{Gpu, pool::Lease};
use crate::Result;

/// What a buffer to read back is used for.
pub(super) const READ_BACK: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);

/// Waits for a buffer to be mapped, or for everything that was submitted.
///
/// Inside [`block_on`] the GPU is waited for in place. Elsewhere a short-lived thread waits, so that the caller's
/// executor is not held up; in a browser the event loop does.
pub(super) struct Waiting {
    gpu: Gpu,
    staging: Option<Arc<Lease>>,
    mapped: Mapped,
    receiver: oneshot::Receiver<Outcome>,
    thread: bool,
}

/// Why a buffer cannot be mapped, if so.
pub(super) type Outcome = Result<(), String>;

/// Tells a [`Waiting`], once, that it is over or why it never will be.
#[derive(Clone)]
struct Mapped(Arc<Mutex<Option<oneshot::Sender<Outcome>>>>);

impl Mapped {
    fn tell(&self, outcome: Outcome) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody listens any more if the read was dropped.
            drop(sender.send(outcome));
        }
    }
}

impl Waiting {
    pub(super) fn new(gpu: &Gpu, staging: Arc<Lease>) -> Self {
        let (mut waiting, told) = Self::begin(gpu);
        // Nothing may use it before it is unmapped, which it never is if this is dropped.
        staging.keep(true);
        staging
            .buffer()
            .map_async(wgpu::MapMode::Read, .., move |outcome| told.tell(outcome.map_err(|error| error.to_string())));
        waiting.staging = Some(staging);
        waiting
    }

    /// Waits for everything that was submitted so far.
    pub(super) fn for_all(gpu: &Gpu) -> Self {
        let (waiting, told) = Self::begin(gpu);
        gpu.inner().queue.on_submitted_work_done(move || told.tell(Ok(())));
        waiting
    }

    fn begin(gpu: &Gpu) -> (Self, Mapped) {
        let (sender, receiver) = oneshot::channel();
        let mapped = Mapped(Arc::new(Mutex::new(Some(sender))));
        let told = mapped.clone();
        (Waiting { gpu: gpu.clone(), staging: None, mapped, receiver, thread: false }, told)
    }

    /// The first `bytes`, once they were waited for.
    pub(super) fn read<T: Pod>(self, bytes: usize) -> Result<Vec<T>> {
        let Some(staging) = self.staging else { return Ok(vec![]) };
        let buffer = staging.buffer();
        let view = buffer.get_mapped_range(..).map_err(|error| self.gpu.lost(error))?;
        let data = bytemuck::pod_collect_to_vec::<u8, T>(&view[..bytes]);
        drop(view);
        buffer.unmap();
        staging.keep(false);
        Ok(data)
    }
}

/// Lets the device go on. wgpu panics if it is lost meanwhile.
pub(super) fn poll(device: &wgpu::Device, how: wgpu::PollType) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| device.poll(how))) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("waiting for it failed".into()),
    }
}

impl Future for Waiting {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let device = self.gpu.inner().device.clone();
        let how = if BLOCKING.get() { wgpu::PollType::wait_indefinitely() } else { wgpu::PollType::Poll };
        if let Err(reason) = poll(&device, how) {
            return Poll::Ready(Err(self.gpu.lost(reason)));
        }
        match Pin::new(&mut self.receiver).poll(context) {
            Poll::Ready(Ok(Ok(()))) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(Err(reason))) => Poll::Ready(Err(self.gpu.lost(reason))),
            Poll::Ready(Err(_)) => Poll::Ready(Err(self.gpu.lost("the read-back was cancelled"))),
            Poll::Pending => {
                if !self.thread && cfg!(not(target_arch = "wasm32")) {
                    self.thread = true;
                    let mapped = self.mapped.clone();
                    std::thread::spawn(move || {
                        if let Err(reason) = poll(&device, wgpu::PollType::wait_indefinitely()) {
                            mapped.tell(Err(reason));
                        }
                    });
                }
                Poll::Pending
            }
        }
    }
}

thread_local! {
    /// Whether this thread is inside [`block_on`] and may wait for the GPU in place.
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let before = BLOCKING.replace(true);
    let output = pollster::block_on(future);
    BLOCKING.set(before);
    output
}
