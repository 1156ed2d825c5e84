//! Every way a call can fail.

use std::path::PathBuf;

/// What every fallible call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way a call can fail. A mismatch carries both of its sides, and the value it was called on is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Rows of another dimension than the index, codebook or centroids they meet.
    #[error("{what} has dimension {found}, expected {expected}")]
    Dimension {
        /// The rows that do not fit.
        what: &'static str,
        /// The dimension they should have.
        expected: usize,
        /// The dimension they have.
        found: usize,
    },
    /// Two things that go in pairs, of different lengths.
    #[error("{what}: expected {expected}, got {found}")]
    Length {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// No rows, or rows of no columns, where there must be some.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// A value that the parameter does not admit.
    #[error("{name} = {value} is not possible: {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What it was given.
        value: String,
        /// What it admits.
        expected: String,
    },
    /// A NaN or an infinity in the input.
    #[error("{what}: row {row}, column {column} is {value}; every number must be finite")]
    NotFinite {
        /// The rows that hold it.
        what: &'static str,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Fewer training points than centroids to place.
    #[error("{centroids} centroids need at least {centroids} training points, got {points}")]
    TooFewPoints {
        /// Points given.
        points: usize,
        /// Centroids asked for.
        centroids: usize,
    },
    /// An index or quantizer was used before it was trained.
    #[error("the {what} is not trained yet: call train first")]
    NotTrained {
        /// What is not trained.
        what: &'static str,
    },
    /// An identifier that is already in the index, or twice among those to add.
    #[error("id {id} occurs twice")]
    DuplicateId {
        /// The identifier.
        id: i64,
    },
    /// Somebody cancelled the work: see [`Cancel`](crate::device::Cancel).
    #[error("cancelled")]
    Cancelled,
    /// No device answers to the request.
    #[error("no device matches \"{wanted}\"; there are: {found}")]
    NoDevice {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// Data that lives on one device met a call on another.
    #[error("{what} is on another device than the call that uses it")]
    OtherDevice {
        /// The data.
        what: &'static str,
    },
    /// The device could not allocate.
    #[error("{device}: out of memory allocating {bytes} bytes")]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// The size of the allocation that failed.
        bytes: u64,
    },
    /// The device went away: unplugged, reset by its driver, or destroyed by its owner.
    #[error("{device} was lost: {reason}")]
    DeviceLost {
        /// The device's name.
        device: String,
        /// What the driver said.
        reason: String,
    },
    /// A GPU computes something wrongly, whatever the variant of the kernels: see
    /// [`Device::self_test`](crate::Device::self_test).
    #[error(
        "{device} computes {wrong} wrongly, whatever the variant of the kernels: a bug in its driver or in this crate"
    )]
    SelfTest {
        /// The device's name.
        device: String,
        /// The operations that are wrong.
        wrong: String,
    },
    /// A hard limit of the device or of a format.
    #[error("{limit} is {allowed}, {asked} was asked for")]
    Limit {
        /// The limit.
        limit: &'static str,
        /// What it allows.
        allowed: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The GPU driver or wgpu refused a call: a bug in this crate or in a driver.
    #[error("{device}: {message}")]
    Gpu {
        /// The device's name.
        device: String,
        /// What wgpu said.
        message: String,
    },
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file whose contents cannot be right.
    #[error("byte {offset}: {message}")]
    Format {
        /// Where in the (uncompressed) file.
        offset: u64,
        /// What is wrong there.
        message: String,
    },
    /// An error in a particular file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
}

impl Error {
    /// A parameter's value that is not possible.
    pub(crate) fn parameter(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Error::Parameter { name, value: value.to_string(), expected: expected.into() }
    }

    /// Whether it says that something is too large for the device of that name: less of it at a time may do.
    pub(crate) fn exceeds(&self, device: &str) -> bool {
        match self {
            Error::OutOfMemory { device: exhausted, .. } => exhausted == device,
            Error::Limit { limit, .. } => {
                *limit == "bytes a buffer" || limit.starts_with("bytes of ") && *limit != "bytes of memory"
            }
            Error::File { source, .. } => source.exceeds(device),
            _ => false,
        }
    }

    /// Names the file that an error is about.
    pub(crate) fn in_file(self, path: impl Into<PathBuf>) -> Self {
        Error::File { path: path.into(), source: Box::new(self) }
    }
}
