//! Rows rounded to 8-bit integers, which a GPU looks through before the rows themselves.
//!
//! # Why
//! A scan of inverted lists is bound by reading rows: of f32 numbers, with the query's through the same cache, it leaves 13 %
//! of a compute unit's multiply-adds on RDNA2 and RDNA3. Comparing all queries with all rows is bound by multiply-adds.
//! Integers of 8 bits are a quarter of the bytes, and four of their products, with the sum, are one instruction: as many a
//! clock as multiply-adds on RDNA2 and RDNA3, half as many on NVIDIA's GPUs since Ampere. By the counts of
//! [`ceilings`](crate::ops::ceilings), in products:
//!
//! | | f32 | 8 bits |
//! | --- | --- | --- |
//! | `flat_scan`, a query after the other | 13 % | 200 %, bound by the cache |
//! | `knn`, 128 queries with 128 rows | 96 % | 389 % |
//!
//! Integers are not the rows, but tell what rows are no nearer than. Of a row x = x' + e the norm of e is known, and of a
//! query q = q' + f that of f: |q - x| ≥ |q' - x'| - |e| - |f| (the triangle inequality), and q·x ≤ q'·x' + |e||q| + |x'||f|
//! (Cauchy-Schwarz). The entries that by this may be nearest, some more than k, are ranked by the exact distances of the
//! rows. Where the k-th of those is nearer than what was left out can be, the outcome is that of the rows; queries where it
//! is not are listed on the GPU and their rows are scanned, in the same submission. Vectors are taken less a mean for
//! squared distances. `flat_scan` rounds queries to 16 bits, high bytes and low ones: that takes no more reading, and leaves
//! only the rows' error. `knn` rounds both to 8, anew for each search.
//!
//! How many entries may be among the k nearest by their bounds, of 200 queries to 60,000 word vectors of 100 dimensions and
//! to 60,000 images (Fashion-MNIST, 784); it is no more for 4 or 16 of 256 lists:
//!
//! | rows, query | k | word vectors: mean, most | images: mean, most | inner products: most |
//! | --- | --- | --- | --- | --- |
//! | 8 bits, 16 bits | 10 | 12.2, 18 | 12.1, 19 | 21, 25 |
//! | 8 bits, 16 bits | 100 | 118, 136 | 113, 136 | 148, 158 |
//! | 8 bits, 8 bits | 10 | 15.1, 27 | 14.5, 27 | 31, 56 |
//! | 8 bits, 8 bits | 100 | 141, 172 | 127, 159 | 195, 244 |
//! | f16, exact | 10 | 10.1, 11 | 10.1, 11 | |
//! | f16, exact | 100 | 101, 104 | 101, 103 | |
//!
//! `flat_scan` keeps 1.5 k + 16 and `knn` 2 k + 16: none of those queries has to be looked at again.
//!
//! # What was tried and is not done
//! - Rows of f16, which `unpack2x16float` reads everywhere: twice the bytes of 8 bits, and an instruction to unpack and two
//!   to multiply for two numbers, where eight products of 8 bits are two. What it saves are candidates, of which there are
//!   few either way.
//! - Scanning lists for queries of 8 bits: half of the instructions, but reading bounds the scan, and up to twice the
//!   candidates.
//! - Cauchy-Schwarz for squared distances, |x - q|² ≥ |x'|² + |q'|² - 2 x'·q' - 2 |e||q|: images keep up to 55 for k = 10,
//!   since what is near is much nearer than the norms.
//! - Inner products of all queries with all rows: f32 products are final there, and images would keep up to 244 for
//!   k = 100.

pub(super) mod gpu;

use super::is_l2;
use crate::{DeviceArray, Error, Metric, Result, Work, device::Backend};

/// Columns of a quad: 16 bytes.
const QUAD: usize = 16;

/// Fewer columns save too little.
const FEWEST_COLUMNS: usize = 32;

/// Fewer numbers to be read take less time than what goes with bounds, seven short kernels: 64 MiB of f32 are 130 µs at
/// 500 GB/s and 20 µs at 3 TB/s.
const FEWEST_NUMBERS: usize = 1 << 24;

/// A copy of rows that is rounded to 8-bit integers: see [`round`].
#[derive(Clone, Debug)]
pub struct RoundedRows {
    len: usize,
    columns: usize,
    metric: Metric,
    /// None where scans do without.
    on_gpu: Option<gpu::Blocks>,
}

/// A copy of `rows` that [`flat_scan`](super::flat_scan) can look through first, for this metric. It takes a byte a
/// number and 16 a row, what is begun of 16 columns or 32 rows included; on the CPU, and on a GPU that does without packed
/// integers ([`Options::packed_integers`](crate::device::Options::packed_integers)), it is empty.
///
/// # Errors
/// [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn round(work: &mut Work, rows: &DeviceArray<f32>, metric: Metric) -> Result<RoundedRows> {
    let on_gpu = match &mut work.0 {
        Backend::Cpu => rows.host("rows").map(|_| None)?,
        Backend::Gpu(recording) => gpu::round(recording, rows, metric)?,
    };
    Ok(RoundedRows { len: rows.rows(), columns: rows.columns(), metric, on_gpu })
}

/// Bytes that the copy of a row takes, where it is worth having.
pub(crate) fn rounded_bytes(columns: usize) -> Option<usize> {
    (columns >= FEWEST_COLUMNS).then(|| 16 * (columns.div_ceil(QUAD) + 1))
}

impl RoundedRows {
    /// Bytes that the copy takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.on_gpu.as_ref().map_or(0, gpu::Blocks::bytes)
    }

    /// Whether scanning so many of the rows, for all queries together, takes less time with the copy.
    pub(crate) fn pays(&self, scanned: usize) -> bool {
        self.on_gpu.is_some() && scanned.saturating_mul(self.columns) >= FEWEST_NUMBERS
    }

    /// What is on a GPU, if something is.
    pub(super) fn blocks(&self) -> Option<&gpu::Blocks> {
        self.on_gpu.as_ref()
    }

    /// Fails unless it may be a copy of `rows` for the metric.
    pub(super) fn check(&self, rows: &DeviceArray<f32>, metric: Metric) -> Result<()> {
        if self.len != rows.rows() {
            return Err(Error::Length { what: "rounded rows", expected: rows.rows(), found: self.len });
        }
        if self.columns != rows.columns() {
            return Err(Error::Dimension { what: "rounded rows", expected: rows.columns(), found: self.columns });
        }
        if is_l2(self.metric) != is_l2(metric) {
            return Err(Error::parameter("metric of rounded rows", self.metric, "that of the scan"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Device, Metric, Result,
        device::{Fault, Options, adapters, block_on},
        ops::{self, Lists, Ranked},
    };

    /// As if every outcome were certain.
    const NO_DOUBT: Fault =
        Fault { kernel: "round_doubt", from: "list_row(query);", to: "_ = atomicLoad(&listed[0]);", checked: true };

    /// As if none were.
    const ALL_IN_DOUBT: Fault =
        Fault { from: "is_none(last_kept) || last_found.y < last_kept.y", to: "false", ..NO_DOUBT };

    const COLUMNS: usize = 40;

    /// Every adapter but those behind GL, with kernels that are compiled as something else.
    fn devices(fault: Fault) -> Result<Vec<Device>> {
        let wanted = std::env::var("CELLPROBE_TEST_DEVICES").unwrap_or_default();
        let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
        let options = Options { fault: Some(fault), cache: None, self_test: false, ..Options::default() };
        let options = options.packed_integers(true);
        let usable = usable.filter(|_| wanted != "cpu");
        usable.map(|adapter| Device::open(&format!("gpu:{}", adapter.index), &options)).collect()
    }

    fn numbers(count: usize, mut state: u32) -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        (0..count).map(|_| next()).collect()
    }

    /// What is found among rows in one list, whose numbers descend, and among the same rows in order.
    fn search(device: &Device, queries: &[f32], rows: &[f32], metric: Metric) -> Result<[Vec<Ranked>; 2]> {
        let count = rows.len() / COLUMNS;
        let uploaded = device.upload(rows.to_vec(), COLUMNS)?;
        let queries = device.upload(queries.to_vec(), COLUMNS)?;
        let lists = Lists {
            offsets: device.upload(vec![0, count as u32], 1)?,
            ids: device.upload((0..count as u32).rev().collect(), 1)?,
        };
        let probes = device.upload(vec![Ranked::new(0.0, 0); queries.rows()], 1)?;
        let mut work = device.work();
        let rounded = ops::round(&mut work, &uploaded, metric)?;
        assert_eq!(rounded.bytes() > 0, device.is_gpu());
        let scanned = ops::flat_scan(&mut work, &queries, &uploaded, Some(&rounded), &lists, &probes, 9, metric)?;
        let scanned = block_on(work.read(scanned))?;
        let mut work = device.work();
        let found = ops::knn(&mut work, &queries, &uploaded, 9, metric)?;
        Ok([scanned, block_on(work.read(found))?])
    }

    fn ids([scanned, found]: [Vec<Ranked>; 2]) -> Vec<u32> {
        scanned.into_iter().chain(found).map(Ranked::id).collect()
    }

    #[test]
    fn rounding_leaves_few_doubts_and_they_are_settled() -> Result<()> {
        let (queries, rows) = (numbers(70 * COLUMNS, 1), numbers(1500 * COLUMNS, 2));
        let equal = vec![0.5; 300 * COLUMNS];
        for metric in [Metric::L2, Metric::InnerProduct] {
            let expected = ids(search(&Device::cpu(), &queries, &rows, metric)?);
            let of_equal = ids(search(&Device::cpu(), &queries, &equal, metric)?);
            for device in devices(NO_DOUBT)? {
                assert_eq!(ids(search(&device, &queries, &rows, metric)?), expected, "{device:?}");
                // What was kept of equal rows does not matter only where they are looked at again.
                assert_ne!(ids(search(&device, &queries, &equal, metric)?), of_equal, "{device:?}");
            }
            for device in devices(ALL_IN_DOUBT)? {
                assert_eq!(ids(search(&device, &queries, &rows, metric)?), expected, "{device:?}");
                assert_eq!(ids(search(&device, &queries, &equal, metric)?), of_equal, "{device:?}");
            }
        }
        Ok(())
    }
}
