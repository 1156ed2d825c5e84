//! What one kind of index does its own way. The rest, in `mod.rs`, is written once.

use std::future::Future;

use ndarray::ArrayView2;

use super::Training;
use crate::{Device, DeviceArray, Metric, Result, Work, kmeans::Warning, ops::Ranked};

/// What every index has.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) device: Device,
    pub(super) dimension: usize,
    pub(super) metric: Metric,
}

/// What a search is to find.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub(super) k: usize,
    pub(super) nprobe: Option<usize>,
    /// Whether exact distances rank what is found anyway.
    pub(super) reranked: bool,
}

/// A kind of index. Rows and queries come checked and, for cosine, normalised. Nothing changes in place: what a step
/// gives replaces the kind when all of it went well.
pub trait Kind: Clone + Send + Sync {
    /// What messages call it.
    const NAME: &'static str;

    /// Whether rows can be added.
    fn is_trained(&self) -> bool;

    /// Itself, trained on rows, and what they did not really allow.
    fn train(
        &self,
        context: &Context,
        rows: ArrayView2<'_, f32>,
        training: &Training,
    ) -> impl Future<Output = Result<(Self, Vec<Warning>)>> + Send;

    /// What rows become on their way in: what is kept of them, and where it belongs.
    type Encoded: Send;

    /// Records the encoding of rows, as many at a time as one likes.
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained), [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    fn encode(&self, context: &Context, work: &mut Work, rows: &DeviceArray<f32>) -> Result<Self::Encoded>;

    /// Itself with rows that have been encoded, numbered from `first` on.
    fn append(
        &self,
        context: &Context,
        rows: Vec<Self::Encoded>,
        first: usize,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// Itself with rows that candidates name by rank instead of number.
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained), [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self>;

    /// The nearest rows of each query.
    ///
    /// # Errors
    /// [`Error::NotTrained`](crate::Error::NotTrained), [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    fn search(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted,
    ) -> Result<DeviceArray<Ranked>>;

    /// Bytes on the device that a query takes beside itself and its neighbours.
    fn query_bytes(&self, nprobe: Option<usize>) -> usize;

    /// Itself on another device.
    fn moved(&self, context: &Context, device: &Device) -> impl Future<Output = Result<Self>> + Send;
}

/// An array on another device.
pub(super) async fn moved<T: bytemuck::Pod + Send + Sync>(
    array: &DeviceArray<T>,
    from: &Device,
    to: &Device,
) -> Result<DeviceArray<T>> {
    to.upload(from.work().read(array.clone()).await?, array.columns())
}
