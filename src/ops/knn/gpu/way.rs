//! How workgroups compare queries with rows by differences.

use crate::{
    DeviceArray, Metric,
    device::Variant,
    ops::{
        is_l2, lanes,
        tile::{THREADS, Tiling},
    },
};

/// Invocations that share a row, and queries that they take at a time, where queries are few.
const LANES: usize = 8;

/// Numbers that they load at a time, where rows are made of such.
const WIDE: usize = 4;

#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Tiles of queries and rows.
    Tiles,
    /// A few queries, so many numbers at a time: see `shaders/shared/few.wgsl`.
    Few { width: usize },
}

impl Way {
    pub(super) const ALL: [Way; 3] = [Way::Tiles, Way::Few { width: 1 }, Way::Few { width: WIDE }];

    pub(super) fn of(queries: &DeviceArray<f32>) -> Self {
        match queries.rows() {
            0..=Tiling::FEW if queries.columns().is_multiple_of(WIDE) => Way::Few { width: WIDE },
            0..=Tiling::FEW => Way::Few { width: 1 },
            _ => Way::Tiles,
        }
    }

    /// Queries that a workgroup takes.
    pub(super) const fn left(self) -> usize {
        match self {
            Way::Tiles => Tiling::SQUARE.left,
            Way::Few { .. } => LANES,
        }
    }

    /// Rows that it takes at a time: of few queries four to an invocation.
    pub(super) const fn right(self) -> usize {
        match self {
            Way::Tiles => Tiling::SQUARE.right,
            Way::Few { .. } => 4 * THREADS / LANES,
        }
    }

    /// Fewest rows worth a workgroup of their own.
    pub(super) fn least_rows(self) -> usize {
        match self {
            Way::Tiles => 4 * self.right(),
            Way::Few { .. } => self.right(),
        }
    }

    /// Numbers that are one element to it.
    pub(super) fn width(self) -> usize {
        match self {
            Way::Tiles => 1,
            Way::Few { width } => width,
        }
    }

    pub(super) fn numbers(self) -> Vec<(&'static str, u32)> {
        match self {
            Way::Tiles => Tiling::SQUARE.numbers(),
            Way::Few { .. } => {
                let numbers = [("LEFT", LANES), ("RIGHT", self.right()), ("THREADS", THREADS), ("LANES", LANES)];
                numbers.map(|(name, number)| (name, number as u32)).to_vec()
            }
        }
    }

    pub(super) fn flags(self, variant: Variant, metric: Metric) -> Vec<&'static str> {
        let mut flags = if is_l2(metric) { vec!["L2"] } else { vec![] };
        if let Way::Few { width } = self {
            flags.push("FEW");
            if width == WIDE {
                flags.push("WIDE");
            }
            if lanes::count(variant) >= LANES {
                flags.extend(lanes::flags(variant));
            }
        }
        flags
    }
}
