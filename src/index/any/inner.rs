//! What other indexes and files ask of any index.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::Index;
use crate::{
    DeviceArray, Result, Search, Transform,
    index::{
        Accepted, Context, Kind,
        flat::Flat,
        ids::Ids,
        ivf::Ivf,
        ivf_flat::IvfFlat,
        ivf_pq::IvfPq,
        parts::{Begun, OfPart},
        pq::Pq,
        transformed::Placed,
    },
    ops,
};

impl Index {
    /// The index as a file has it behind a transform, rows and all.
    pub(in crate::index) fn placed_behind(mut self, transform: Option<Transform>) -> Result<Self> {
        if let Some(transform) = transform {
            each!(&mut self, index => index.transform = Some(Arc::new(Placed::new(index.device(), transform)?)));
        }
        Ok(self)
    }

    /// Rows as the index's own operations take them.
    pub(in crate::index) fn upload(&self, rows: ArrayView2<'_, f32>) -> Result<DeviceArray<f32>> {
        each!(self, index => index.upload(rows))
    }

    /// A bit for each row.
    pub(in crate::index) fn accepting(&self, accepts: impl FnMut(i64) -> bool) -> Vec<u32> {
        each!(self, index => index.accepting(accepts))
    }

    /// Bits of rows as searches take them.
    pub(in crate::index) fn accepted(&self, words: Vec<u32>) -> Result<Accepted> {
        each!(self, index => index.accepted(words))
    }

    /// Ranks the rows even if they are in the order of their identifiers: they are some of rows that are not.
    pub(in crate::index) fn rank(&mut self) -> Result<()> {
        each!(self, index => index.rank())
    }

    /// The index with these of its rows alone, which ascend and keep their identifiers.
    pub(in crate::index) async fn selected(&self, rows: &[u32]) -> Result<Self> {
        Ok(match self {
            Index::Flat(index) => Index::Flat(index.selected(rows).await?),
            Index::Pq(index) => Index::Pq(index.selected(rows).await?),
            Index::IvfFlat(index) => Index::IvfFlat(index.selected(rows).await?),
            Index::IvfPq(index) => Index::IvfPq(index.selected(rows).await?),
        })
    }

    /// Begins to search a part of an index: see [`VectorIndex::begin`](super::VectorIndex::begin).
    pub(in crate::index) fn begin(
        &self,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        part: OfPart<'_>,
        candidates: usize,
        bytes: usize,
    ) -> Result<Begun<'_>> {
        each!(self, index => index.begin(queries, search, part, candidates, bytes))
    }

    /// Whether queries visit each of `nlist` lists: see [`VectorIndex::visited`](super::VectorIndex::visited).
    pub(in crate::index) async fn visited(
        &self,
        queries: ArrayView2<'_, f32>,
        search: &Search<'_>,
        bytes: usize,
        nlist: usize,
    ) -> Result<Vec<bool>> {
        each!(self, index => index.visited(queries, search, bytes, nlist).await)
    }

    /// Bytes on a device that its centroids take, and at most each of its rows while it is put there.
    pub(in crate::index) fn bytes_on_device(&self) -> (usize, usize) {
        // A row's number, and its name where it is told from that.
        const NAMES: usize = 2 * size_of::<u32>();
        let dimension = each!(self, index => index.context.dimension);
        let vector = size_of::<f32>() * dimension;
        // Codes as they come, and as scans read them.
        let code = |m: usize, nbits: usize| 4 * ((m * nbits).div_ceil(32) + m.div_ceil(4));
        let nlist = self.lists().map_or(0, |(nlist, _)| nlist);
        let matrix = self.transform().map_or(0, |transform| vector * transform.dimension());
        let lists = matrix + nlist * (vector + size_of::<u32>());
        match self {
            Index::Flat(_) => (lists, vector + NAMES),
            Index::IvfFlat(_) => (lists, vector + NAMES + ops::rounded_bytes(dimension).unwrap_or_default()),
            Index::Pq(index) => (matrix + (vector << index.kind.nbits), code(index.kind.m, index.kind.nbits) + NAMES),
            Index::IvfPq(index) => {
                let terms = size_of::<f32>() + size_of::<u32>();
                let (m, nbits) = (index.kind.m, index.kind.nbits);
                (lists + (vector << nbits), code(m, nbits) + NAMES + terms)
            }
        }
    }

    /// Where lists begin, and the rows in them; nothing for an index without lists.
    pub(in crate::index) async fn rows_in_lists(&self) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
        let ivf = match self {
            Index::Flat(_) | Index::Pq(_) => None,
            Index::IvfFlat(index) => index.kind.trained.as_ref().map(|trained| &trained.ivf),
            Index::IvfPq(index) => index.kind.trained.as_ref().map(|trained| &trained.ivf),
        };
        let Some(Ivf { entries, .. }) = ivf else { return Ok(None) };
        let offsets = self.device().work().read(entries.lists.offsets.clone()).await?;
        Ok(Some((offsets, self.device().work().read(entries.rows.clone()).await?)))
    }

    pub(in crate::index) fn context(&self) -> &Context {
        each!(self, index => &index.context)
    }

    pub(in crate::index) fn ids(&self) -> &Ids {
        each!(self, index => &index.ids)
    }

    /// What messages call it.
    pub(in crate::index) fn name(&self) -> &'static str {
        match self {
            Index::Flat(_) => Flat::NAME,
            Index::Pq(_) => Pq::NAME,
            Index::IvfFlat(_) => IvfFlat::NAME,
            Index::IvfPq(_) => IvfPq::NAME,
        }
    }
}
