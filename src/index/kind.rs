//! What one kind of index does its own way. The rest, in `mod.rs`, is written once.

use std::future::Future;

use ndarray::ArrayView2;

use super::Training;
use crate::{
    Device, DeviceArray, Error, Metric, Result, Work,
    kmeans::Warning,
    ops::{Lists, Mask, Ranked, Subset},
};

/// What every index has.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) device: Device,
    pub(super) dimension: usize,
    pub(super) metric: Metric,
}

/// What a search is to find.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub(super) k: usize,
    pub(super) nprobe: Option<usize>,
    pub(super) accepted: Option<&'a Accepted>,
}

/// Which rows a search may find, as an index's operations take them.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// Of an index without lists.
    Rows(Subset),
    /// Entries of lists.
    Entries(Mask),
}

impl Wanted<'_> {
    /// The lists of which the wanted entries are scanned.
    pub(super) fn of_lists(&self, lists: &Lists) -> Result<Lists> {
        match self.accepted {
            None => Ok(lists.clone()),
            Some(Accepted::Entries(mask)) => Ok(lists.masked(mask.clone())),
            Some(Accepted::Rows(_)) => Err(Error::OtherDevice { what: "a filter" }),
        }
    }
}

/// What a search found.
pub struct Found {
    /// The candidates of each query.
    pub(super) hits: DeviceArray<Ranked>,
    /// The lists that each query visited, where there are lists.
    pub(super) probes: Option<DeviceArray<Ranked>>,
}

/// A kind of index. Rows and queries come checked, for cosine normalised, and transformed if they are. Nothing changes in place: what a step
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
    /// [`Error::NotTrained`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
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
    /// [`Error::NotTrained`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    fn with_ranks(&self, context: &Context, ranks: &DeviceArray<u32>) -> Result<Self>;

    /// Itself with these of its rows alone, which ascend and are numbered anew.
    fn selected(&self, context: &Context, rows: &[u32]) -> impl Future<Output = Result<Self>> + Send;

    /// What of `rows` rows, a bit each, a search may find.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    fn accepted(&self, context: &Context, words: Vec<u32>, rows: usize) -> Result<Accepted>;

    /// The lists that each query visits, where there are lists.
    ///
    /// # Errors
    /// As [`Kind::search`].
    fn probes(
        &self,
        _context: &Context,
        _work: &mut Work,
        _queries: &DeviceArray<f32>,
        _nprobe: Option<usize>,
    ) -> Result<Option<DeviceArray<Ranked>>> {
        Ok(None)
    }

    /// The nearest rows of each query.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    fn search(
        &self,
        context: &Context,
        work: &mut Work,
        queries: &DeviceArray<f32>,
        wanted: Wanted<'_>,
    ) -> Result<Found>;

    /// What [`Kind::search`] found, by distances that are accurate and in their order; nothing where it is so already.
    ///
    /// # Errors
    /// As [`Kind::search`].
    fn settled(
        &self,
        _work: &mut Work,
        _queries: &DeviceArray<f32>,
        _found: &Found,
    ) -> Result<Option<DeviceArray<Ranked>>> {
        Ok(None)
    }

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
