//! The index of `cellprobe search`, where it was asked for.

use std::path::Path;

use ndarray::ArrayView2;

use super::{console::Console, rows::Rows};
use crate::{
    Device, Error, Index, Neighbors, Result, Search, StreamedIndex,
    index::{ExactRows, Filter, MultiDeviceIndex, Placement},
    storage::check_ids,
};

/// How much of an index is on a device at a time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Room {
    /// All of it.
    Whole,
    /// What goes in so many bytes, or in as many as there are.
    Pieces(Option<u64>),
}

/// An index where it was asked for.
pub(super) enum Searched {
    OnOne(Box<Index>),
    OnSeveral(MultiDeviceIndex),
    Streamed(Box<StreamedIndex<'static>>),
}

impl Searched {
    /// Reads an index, of which identifiers are written to `output` later.
    pub(super) fn read(
        path: &Path,
        output: Option<&Path>,
        devices: &[Device],
        placement: Placement,
        room: Room,
    ) -> Result<Self> {
        let on = |device: &Device| -> Result<Index> {
            let index = Index::read_file(path, device)?;
            // Before the search, rather than after it.
            if let Some(output) = output {
                check_ids(output, (0..index.ntotal() as u32).filter_map(|row| index.id_of(row)))?;
            }
            Ok(index)
        };
        Ok(match (devices, room) {
            ([device], Room::Whole) => Searched::OnOne(Box::new(on(device)?)),
            ([device], Room::Pieces(memory)) => {
                Searched::Streamed(Box::new(on(&Device::cpu())?.streamed_to(device, memory)?))
            }
            (_, Room::Whole) => Searched::OnSeveral(on(&Device::cpu())?.to_devices(devices, placement)?),
            (_, Room::Pieces(_)) => return Err(Error::parameter("device", "a list", "one, with --memory")),
        })
    }

    /// What it is on.
    pub(super) fn device(&self) -> String {
        match self {
            Searched::OnOne(index) => index.device().name().into(),
            Searched::OnSeveral(index) => index.devices().map(Device::name).collect::<Vec<_>>().join(", "),
            Searched::Streamed(index) => index.device().name().into(),
        }
    }

    pub(super) fn ntotal(&self) -> usize {
        match self {
            Searched::OnOne(index) => index.ntotal(),
            Searched::OnSeveral(index) => index.ntotal(),
            Searched::Streamed(index) => index.ntotal(),
        }
    }

    pub(super) fn is_streamed(&self) -> bool {
        matches!(self, Searched::Streamed(_))
    }

    /// Vectors to re-rank by: on the device, unless they are not read yet or do not fit there.
    pub(super) fn exact_rows<'a>(
        &self,
        rows: &'a Rows,
        ids: Option<&[i64]>,
        console: &Console,
    ) -> Result<ExactRows<'a>> {
        let there = match (self, rows, ids) {
            (Searched::OnOne(index), Rows::Read(rows), None) => index.exact_rows(rows.view()),
            (Searched::OnOne(index), Rows::Read(rows), Some(ids)) => index.exact_rows_with_ids(rows.view(), ids),
            (Searched::OnSeveral(index), Rows::Read(rows), None) => index.exact_rows(rows.view()),
            (Searched::OnSeveral(index), Rows::Read(rows), Some(ids)) => index.exact_rows_with_ids(rows.view(), ids),
            _ => return self.exact_rows_from(rows, ids),
        };
        match there {
            Err(error @ Error::OutOfMemory { .. }) => {
                console.warn(format!("{error}: the vectors to re-rank by stay in the host's memory"));
                self.exact_rows_from(rows, ids)
            }
            there => there,
        }
    }

    fn exact_rows_from<'a>(&self, rows: &'a Rows, ids: Option<&[i64]>) -> Result<ExactRows<'a>> {
        match self {
            Searched::OnOne(index) => index.exact_rows_from(rows, ids),
            Searched::OnSeveral(index) => index.exact_rows_from(rows, ids),
            Searched::Streamed(index) => index.exact_rows_from(rows, ids),
        }
    }

    pub(super) fn filter(&self, accepts: &dyn Fn(i64) -> bool) -> Result<Filter> {
        match self {
            Searched::OnOne(index) => index.filter(accepts),
            Searched::OnSeveral(index) => index.filter(accepts),
            Searched::Streamed(index) => Ok(index.filter(accepts)),
        }
    }

    pub(super) fn search_with(&self, queries: ArrayView2<'_, f32>, search: &Search<'_>) -> Result<Neighbors> {
        match self {
            Searched::OnOne(index) => index.search_with(queries, search),
            Searched::OnSeveral(index) => index.search_with(queries, search),
            Searched::Streamed(index) => index.search_with(queries, search),
        }
    }
}
