//! Rows rounded to 8-bit integers, which a GPU looks through before the rows themselves.
//!
//! # Why
//! A scan of inverted lists is bound by reading rows: of f32 numbers, with the query's through the same cache, it leaves 13 %
//! of a compute unit's multiply-adds on RDNA2 and RDNA3. Integers of 8 bits are a quarter of the bytes, and four of their
//! products, with the sum, are one instruction: by the counts of [`ceilings`](crate::ops::ceilings) 200 %, bound by the
//! cache. An H100 scans 32 of 1,024 lists of 1,000,000 x 128 for 1,024 queries in 3.2 ms, 8 of them for 8,192 in 5.0 ms, where
//! f32 rows took 22.0 ms.
//!
//! Integers are not the rows, but tell what rows are no nearer than. Of a row x = x' + e the norm of e is known, and of a
//! query q = q' + f that of f: |q - x| ≥ |q' - x'| - |e| - |f| (the triangle inequality), and q·x ≤ q'·x' + |e||q| + |x'||f|
//! (Cauchy-Schwarz). The entries that by this may be nearest, some more than k, are ranked by the exact distances of the
//! rows. Where the k-th of those is nearer than what was left out can be, the outcome is that of the rows; queries where it
//! is not are listed on the GPU and their rows are scanned, in the same submission. Vectors are taken less a mean for
//! squared distances. Queries are rounded to 16 bits, high bytes and low ones: that takes no more reading, and leaves
//! only the rows' error.
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
//! 1.5 k + 16 are kept: none of those queries has to be looked at again.
//!
//! # What was tried and is not done
//! - Rows of f16, which `unpack2x16float` reads everywhere: twice the bytes of 8 bits, and an instruction to unpack and two
//!   to multiply for two numbers, where eight products of 8 bits are two. What it saves are candidates, of which there are
//!   few either way.
//! - Scanning lists for queries of 8 bits: half of the instructions, but reading bounds the scan, and up to twice the
//!   candidates.
//! - Cauchy-Schwarz for squared distances, |x - q|² ≥ |x'|² + |q'|² - 2 x'·q' - 2 |e||q|: images keep up to 55 for k = 10,
//!   since what is near is much nearer than the norms.
//! - Comparing all queries with all rows by integers: bound by multiply-adds, of which RDNA would do four in one
//!   instruction. On an H100, which does half as many such instructions, it took 25.0 ms where products of f32 took 12.7
//!   (1,024 queries, 1,000,000 x 128; 178 registers); and among vectors at random, all about equally far away, so many queries
//!   were in doubt that 768 dimensions took five times as long, 2,048 twelve times.

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

    /// The numbers of what is found among rows in one list, whose numbers descend.
    fn search(device: &Device, queries: &[f32], rows: &[f32], metric: Metric) -> Result<Vec<u32>> {
        let count = rows.len() / COLUMNS;
        let uploaded = device.upload(rows.to_vec(), COLUMNS)?;
        let queries = device.upload(queries.to_vec(), COLUMNS)?;
        let lists =
            Lists::new(device.upload(vec![0, count as u32], 1)?, device.upload((0..count as u32).rev().collect(), 1)?);
        let probes = device.upload(vec![Ranked::new(0.0, 0); queries.rows()], 1)?;
        let mut work = device.work();
        let rounded = ops::round(&mut work, &uploaded, metric)?;
        assert_eq!(rounded.bytes() > 0, device.is_gpu());
        let scanned = ops::flat_scan(&mut work, &queries, &uploaded, Some(&rounded), &lists, &probes, 9, metric)?;
        Ok(block_on(work.read(scanned))?.into_iter().map(Ranked::id).collect())
    }

    #[test]
    fn rounding_leaves_few_doubts_and_they_are_settled() -> Result<()> {
        let (queries, rows) = (numbers(70 * COLUMNS, 1), numbers(1500 * COLUMNS, 2));
        let equal = vec![0.5; 300 * COLUMNS];
        for metric in [Metric::L2, Metric::InnerProduct] {
            let expected = search(&Device::cpu(), &queries, &rows, metric)?;
            let of_equal = search(&Device::cpu(), &queries, &equal, metric)?;
            for device in devices(NO_DOUBT)? {
                assert_eq!(search(&device, &queries, &rows, metric)?, expected, "{device:?}");
                // What was kept of equal rows does not matter only where they are looked at again.
                assert_ne!(search(&device, &queries, &equal, metric)?, of_equal, "{device:?}");
            }
            for device in devices(ALL_IN_DOUBT)? {
                assert_eq!(search(&device, &queries, &rows, metric)?, expected, "{device:?}");
                assert_eq!(search(&device, &queries, &equal, metric)?, of_equal, "{device:?}");
            }
        }
        Ok(())
    }
}
