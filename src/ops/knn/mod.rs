//! Each query's k closest rows.

mod among;
mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

pub use among::{Subset, knn_among};

use super::Ranked;
use crate::{DeviceArray, Metric, Result, Work, device::Backend};

/// Each of `queries`' `k` closest rows of `base`, nearest first, equal distances by row number; rows past the number
/// of base rows are [`Ranked::NONE`]. One row of `k` a query. Distances and selection are fused: what is held
/// beyond the result is a bounded queue a query.
///
/// # On a GPU
/// What it cannot do without: a multiply-add a query, row and column; reading the base once, 4 bytes a number. From 65
/// queries and rows of 8 columns on, and for k up to 228 (256 for inner products), it compares by products, 128 queries
/// x 128 rows at a time, and is bound by multiply-adds. For squared distances products of what is centred choose some
/// more candidates than k, differences rank them, and queries of which rounding might hide a neighbour are listed on the
/// GPU and searched by differences, in the same submission. A sample of a long base is searched first, a sixty-fourth of
/// it or more (a sixteenth by matrices), for what no neighbour is further away than; up to 8,192 rows are all candidates.
///
/// Where a Vulkan driver multiplies cooperative matrices of f16 with sums of f32, 65 queries and more, 8,193 rows and more of 32
/// columns and more are compared by these for k up to 228, for inner products as well: rows and queries are rounded on the GPU, the base 256
/// MiB at a time or a quarter of it, each product goes with a bound of what that may have changed, and f32 decides as above. On an H100
/// 1,000,000 x 128 take 3.0 ms for 1,024 queries, 87 TFLOP/s of products, and by products of f32 9.9 ms; a tenth of the
/// 3.0 ms is rounding the base, which reads it once and writes half as much.
///
/// Up to 32 queries meet the base eight at a time: eight invocations share a row, of which they read 128 consecutive
/// bytes at a time where columns divide by 4, and add up at its end. That is bound by reading the base: eight queries take
/// about 21 vector instructions a number of it, 2 ps on a NAVI21 whose memory takes 8; more than eight read it again, most
/// of it from a cache. Otherwise differences bound it.
///
/// From k = 257 on, differences put what is within a query's bound on a list, which is cut to the k closest after each
/// of a few stretches of the base. What is listed moves 40 bytes in all: with 1,000,000 rows in no particular order 1.7 MB
/// a query at k = 1,000 and 4.1 MB at 5,000. 64 queries take 62 and 65 dispatches, one alone 26 and 29, and all scan the
/// base once, where passes of 256 took 8 and 40 dispatches and scanned it 4 and 20 times.
///
/// Share of the multiply-add peak for squared distances that the hot loop leaves on NAVI21 and GFX1100, one multiply-add
/// a term, by the counts of [`ceilings`](super::ceilings): 45 % by differences, 64 x 64 at a time; 96 % by products. The
/// selection comes to that: a tile's distances are compared with each query's limit, eight rows at a time.
///
/// # Errors
/// [`Error::Dimension`](crate::Error::Dimension) if they differ in columns,
/// [`Error::Parameter`](crate::Error::Parameter) for a k of 0,
/// [`Error::OtherDevice`](crate::Error::OtherDevice), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn knn(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    search(work, queries, base, k, (metric, false))
}

/// [`knn`], for distances that scores have a part of: differences give a query the same bits however many others there are.
pub(crate) fn knn_alike(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    metric: Metric,
) -> Result<DeviceArray<Ranked>> {
    search(work, queries, base, k, (metric, true))
}

fn search(
    work: &mut Work,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    k: usize,
    (metric, alike): (Metric, bool),
) -> Result<DeviceArray<Ranked>> {
    super::check_columns("queries", queries, base)?;
    super::check_k(k)?;
    match &mut work.0 {
        Backend::Cpu => {
            let rows = cpu::Base { rows: base.host("base")?, dimension: base.columns(), mask: None };
            let ranked = cpu::knn(queries.host("queries")?, rows, k, metric);
            Ok(DeviceArray::on_host(ranked, k))
        }
        Backend::Gpu(recording) => gpu::knn(recording, queries, base, k, (metric, alike)),
    }
}
