//! What near means.

use std::{fmt, str::FromStr};

use crate::Error;

/// How the closeness of two vectors is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared Euclidean distance: smaller is nearer.
    #[default]
    L2,
    /// Inner product: larger is nearer.
    InnerProduct,
    /// Cosine of the angle: larger is nearer. Indexes normalise copies of what they are given.
    Cosine,
}

impl Metric {
    /// Whether a larger score is a nearer neighbour.
    #[must_use]
    pub fn larger_is_nearer(self) -> bool {
        self != Metric::L2
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::L2 => "l2",
            Metric::InnerProduct => "ip",
            Metric::Cosine => "cosine",
        })
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "l2" => Ok(Metric::L2),
            "ip" => Ok(Metric::InnerProduct),
            "cosine" => Ok(Metric::Cosine),
            _ => Err(Error::parameter("metric", name, "one of l2, ip, cosine")),
        }
    }
}
