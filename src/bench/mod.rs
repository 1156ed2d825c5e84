//! How fast every operation and every index is, on one device and on another.
//!
//! ```
//! use cellprobe::{Device, bench::{self, Size}};
//! # fn main() -> cellprobe::Result<()> {
//! # let tiny = Size { rows: 300, dimension: 8, nlist: 4, queries: 2, m: 4, nprobe: 2 };
//! let rows = bench::run(&[Device::cpu()], tiny, |step| eprintln!("{}", step.name))?;
//! for row in rows {
//!     println!("{}: {:.3} ms, {:.1} {}", row.name, 1e3 * row.measured[0].seconds, row.rate(0), row.amount.unit);
//! }
//! # Ok(())
//! # }
//! ```

mod indexes;
mod operations;
mod peak;
mod plot;

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use ndarray::Array2;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

pub use indexes::indexes;
pub use operations::operations;
pub(crate) use peak::kernels as peak_kernels;
pub use peak::{Peak, peak};
pub use plot::plot;

use crate::{Device, Error, Result, device::Profile};

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
    /// Multiply-adds of distances, one a dimension and two each.
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
        Amount { number: number as f64, unit }
    }
}

/// What a run cannot do without, 0 where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Needed {
    /// GFLOP: multiply-adds of distances, one a dimension and two each.
    pub gflop: f64,
    /// GB to read and to write, once each.
    pub gbyte: f64,
}

impl Needed {
    /// `count` distances of vectors of `dimension`, and `words` of 4 bytes read or written.
    fn new(count: usize, dimension: usize, words: usize) -> Self {
        Needed { gflop: 2e-9 * count as f64 * dimension as f64, gbyte: 4e-9 * words as f64 }
    }

    /// Distances if there are any, otherwise bytes.
    fn amount(self) -> Amount {
        if self.gflop > 0.0 {
            Amount { number: self.gflop, unit: Unit::Gflop }
        } else {
            Amount { number: self.gbyte, unit: Unit::Gbyte }
        }
    }

    /// Seconds that it takes at a peak: those of the multiply-adds or those of the bytes, whichever are more.
    #[must_use]
    pub fn seconds_at(&self, peak: &Peak) -> f64 {
        (self.gflop / peak.gflops).max(self.gbyte / peak.gbytes)
    }
}

/// Something to run on a device, with its data there already.
pub struct Case {
    name: String,
    amount: Amount,
    needed: Needed,
    run: Box<dyn Fn() -> Result<()>>,
}

impl Case {
    fn new(name: impl Into<String>, amount: Amount, needed: Needed, run: impl Fn() -> Result<()> + 'static) -> Self {
        Case { name: name.into(), amount, needed, run: Box::new(run) }
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

    /// Measures several runs after one that is not counted.
    fn measure(&self, device: &Device) -> Result<Measured> {
        self.run()?;
        device.take_profile()?;
        let before = device.counters();
        let start = Instant::now();
        let mut times = vec![];
        while times.len() < FEWEST_RUNS || (times.len() < MOST_RUNS && start.elapsed() < LONG_ENOUGH) {
            let start = Instant::now();
            self.run()?;
            times.push(start.elapsed().as_secs_f64());
        }
        let (after, runs) = (device.counters(), times.len());
        times.sort_by(f64::total_cmp);
        Ok(Measured {
            seconds: times[runs / 2],
            fastest: times[0],
            slowest: times[runs - 1],
            runs,
            submissions: (after.submissions - before.submissions) as f64 / runs as f64,
            read_backs: (after.read_backs - before.read_backs) as f64 / runs as f64,
            profile: device.take_profile()?,
        })
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

/// What several runs of a case on a device took.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Seconds that a run takes: the median.
    pub seconds: f64,
    /// Seconds of the fastest run.
    pub fastest: f64,
    /// Seconds of the slowest run.
    pub slowest: f64,
    /// Number of runs.
    pub runs: usize,
    /// Submissions of a run, none on the CPU.
    pub submissions: f64,
    /// Read-backs of a run, none on the CPU.
    pub read_backs: f64,
    /// What the kernels did in all runs together, if the device was opened with
    /// [`Options::profile`](crate::device::Options::profile).
    pub profile: Profile,
}

/// How fast a case is.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The operation, or what is done with which index.
    pub name: String,
    /// What a run does.
    pub amount: Amount,
    /// What a run cannot do without.
    pub needed: Needed,
    /// What each device took.
    pub measured: Vec<Measured>,
}

impl Row {
    /// What device number `device` does in a second; 0 if there is no such device.
    #[must_use]
    pub fn rate(&self, device: usize) -> f64 {
        self.measured.get(device).map_or(0.0, |measured| self.amount.number / measured.seconds)
    }

    /// How many times as fast as the first device another is; 0 if there is no such device.
    #[must_use]
    pub fn ratio(&self, device: usize) -> f64 {
        match (self.measured.first(), self.measured.get(device)) {
            (Some(first), Some(other)) => first.seconds / other.seconds,
            _ => 0.0,
        }
    }

    /// What part of the time that device number `device` takes it would take at its peak; 0 where what the case needs
    /// is not known.
    #[must_use]
    pub fn share(&self, device: usize, peak: &Peak) -> f64 {
        self.measured.get(device).map_or(0.0, |measured| self.needed.seconds_at(peak) / measured.seconds)
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
                let measured = case.measure(device)?;
                done += 1;
                if number == 0 {
                    let Case { name, amount, needed, .. } = case;
                    rows.push(Row { name, amount, needed, measured: vec![measured] });
                } else if let Some(row) = rows.get_mut(first + place) {
                    row.measured.push(measured);
                }
            }
        }
    }
    Ok(rows)
}

/// The rows and the queries that are searched, for others to be measured on: every number is from 0 to 1.
#[must_use]
pub fn vectors(size: Size) -> (Array2<f32>, Array2<f32>) {
    (random(size.rows, size.dimension, 1), random(size.queries, size.dimension, 2))
}

/// Random rows, the same every time.
fn random(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || random.random())
}
