//! How fast every operation and every index is, on one device and on another.
//!
//! ```
//! use cellprobe::{Device, bench::{self, Size}};
//! # fn main() -> cellprobe::Result<()> {
//! # let tiny = Size { rows: 300, dimension: 8, nlist: 4, queries: 2, m: 4, nprobe: 2 };
//! let rows = bench::run(&[Device::cpu()], tiny, |step| eprintln!("{}", step.name))?;
//! for row in rows {
//!     println!("{}: {:.3} ms, {:.1} {}", row.name, 1e3 * row.seconds[0], row.rate(0), row.amount.unit);
//! }
//! # Ok(())
//! # }
//! ```

mod indexes;
mod operations;

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

pub use indexes::indexes;
pub use operations::operations;

use crate::{Device, Error, Result};

/// Neighbours of each query.
const NEIGHBORS: usize = 10;

/// Bits of a sub-quantizer's code.
const NBITS: usize = 8;

/// A case is run at least this often, and again until it has taken [`LONG_ENOUGH`] or was run [`MOST_RUNS`] times.
const FEWEST_RUNS: usize = 3;
const MOST_RUNS: usize = 25;
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows to group, encode and search, at least 256.
    pub rows: usize,
    /// Numbers in a row.
    pub dimension: usize,
    /// Centroids of k-means and of inverted lists, at most as many as rows.
    pub nlist: usize,
    /// Queries of a search.
    pub queries: usize,
    /// Sub-quantizers, of 8 bits; divides the dimension.
    pub m: usize,
    /// Lists that a search visits.
    pub nprobe: usize,
}

impl Size {
    /// 10,000 rows: seconds, even on a software rasteriser.
    pub const SMALL: Size = Size { rows: 10_000, dimension: 64, nlist: 64, queries: 64, m: 8, nprobe: 8 };
    /// 100,000 rows.
    pub const MEDIUM: Size = Size { rows: 100_000, dimension: 128, nlist: 256, queries: 256, m: 16, nprobe: 16 };
    /// A million rows: what a discrete GPU is for; 0.5 GB of vectors.
    pub const LARGE: Size = Size { rows: 1_000_000, dimension: 128, nlist: 1024, queries: 1024, m: 16, nprobe: 32 };
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "small" => Ok(Size::SMALL),
            "medium" => Ok(Size::MEDIUM),
            "large" => Ok(Size::LARGE),
            _ => Err(Error::parameter("size", name, "one of small, medium, large")),
        }
    }
}

/// What an [`Amount`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Additions, subtractions and multiplications of distances, three a dimension.
    Gflop,
    /// Bytes read and written, once each, in GB.
    Gbyte,
    /// Queries.
    Query,
    /// Rows.
    Row,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Gflop => "GFLOP/s",
            Unit::Gbyte => "GB/s",
            Unit::Query => "queries/s",
            Unit::Row => "rows/s",
        })
    }
}

/// What a case does in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// How many of the unit.
    pub number: f64,
    /// What is counted.
    pub unit: Unit,
}

impl Amount {
    fn new(number: usize, unit: Unit) -> Self {
        let scale = if matches!(unit, Unit::Gflop | Unit::Gbyte) { 1e-9 } else { 1.0 };
        Amount { number: number as f64 * scale, unit }
    }

    /// `count` distances of vectors of `dimension`.
    fn distances(count: usize, dimension: usize) -> Self {
        Self::new(3 * count * dimension, Unit::Gflop)
    }

    /// `count` numbers of 4 bytes.
    fn words(count: usize) -> Self {
        Self::new(4 * count, Unit::Gbyte)
    }
}

/// Something to run on a device, with its data there already.
pub struct Case {
    name: String,
    amount: Amount,
    run: Box<dyn Fn() -> Result<()>>,
}

impl Case {
    fn new(name: impl Into<String>, amount: Amount, run: impl Fn() -> Result<()> + 'static) -> Self {
        Case { name: name.into(), amount, run: Box::new(run) }
    }

    /// The operation, or what is done with which index.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a run does.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Runs it once, to its end.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn run(&self) -> Result<()> {
        (self.run)()
    }

    /// Seconds that a run takes: the median of several after one that is not counted.
    fn measure(&self) -> Result<f64> {
        self.run()?;
        let start = Instant::now();
        let mut times = vec![];
        while times.len() < FEWEST_RUNS || (times.len() < MOST_RUNS && start.elapsed() < LONG_ENOUGH) {
            let start = Instant::now();
            self.run()?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("amount", &self.amount).finish_non_exhaustive()
    }
}

/// What is being measured.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The case.
    pub name: &'a str,
    /// Where it runs.
    pub device: &'a Device,
    /// Cases measured before it, on all devices.
    pub done: usize,
    /// Cases to measure, on all devices.
    pub of: usize,
}

/// How fast a case is.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The operation, or what is done with which index.
    pub name: String,
    /// What a run does.
    pub amount: Amount,
    /// Seconds that a run takes, for each device.
    pub seconds: Vec<f64>,
}

impl Row {
    /// What device number `device` does in a second; 0 if there is no such device.
    #[must_use]
    pub fn rate(&self, device: usize) -> f64 {
        self.seconds.get(device).map_or(0.0, |seconds| self.amount.number / seconds)
    }

    /// How many times as fast as the first device the last one is.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        match (self.seconds.first(), self.seconds.last()) {
            (Some(first), Some(last)) => first / last,
            _ => 1.0,
        }
    }
}

/// Measures every operation and every index on each of `devices`, one after the other, and tells `progress` before
/// each case.
///
/// # Errors
/// [`Error::Parameter`] or [`Error::TooFewPoints`] for a size that does not fit itself, [`Error::OutOfMemory`],
/// [`Error::DeviceLost`].
pub fn run(devices: &[Device], size: Size, mut progress: impl FnMut(Step<'_>)) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = vec![];
    let of = devices.len() * (operations::COUNT + indexes::COUNT);
    let mut done = 0;
    for make in [operations, indexes] {
        let first = rows.len();
        for (number, device) in devices.iter().enumerate() {
            for (place, case) in make(device, size)?.into_iter().enumerate() {
                progress(Step { name: &case.name, device, done, of });
                let seconds = case.measure()?;
                done += 1;
                if number == 0 {
                    rows.push(Row { name: case.name, amount: case.amount, seconds: vec![seconds] });
                } else if let Some(row) = rows.get_mut(first + place) {
                    row.seconds.push(seconds);
                }
            }
        }
    }
    Ok(rows)
}

/// Random rows, the same every time.
fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || random.random())
}
