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
    /// Square tiles of queries and rows.
    Square,
    /// Tiles of a few queries, with the bits of square ones.
    Wide,
    /// A few queries, so many numbers at a time: see `shaders/shared/few.wgsl`.
    Few { width: usize },
}

impl Way {
    pub(super) const ALL: [Way; 4] = [Way::Square, Way::Wide, Way::Few { width: 1 }, Way::Few { width: WIDE }];

    /// The fastest, or with `alike` that of tiles, which give a query the same bits however many others there are.
    pub(super) fn of(queries: &DeviceArray<f32>, alike: bool) -> Self {
        match queries.rows() {
            0..=Tiling::FEW if alike => Way::Wide,
            0..=Tiling::FEW if queries.columns().is_multiple_of(WIDE) => Way::Few { width: WIDE },
            0..=Tiling::FEW => Way::Few { width: 1 },
            _ => Way::Square,
        }
    }

    const fn tiling(self) -> Option<Tiling> {
        match self {
            Way::Square => Some(Tiling::SQUARE),
            Way::Wide => Some(Tiling::WIDE),
            Way::Few { .. } => None,
        }
    }

    /// Queries that a workgroup takes.
    pub(super) const fn left(self) -> usize {
        match self.tiling() {
            Some(tiling) => tiling.left,
            None => LANES,
        }
    }

    /// Rows that it takes at a time: without tiles four to an invocation.
    pub(super) const fn right(self) -> usize {
        match self.tiling() {
            Some(tiling) => tiling.right,
            None => 4 * THREADS / LANES,
        }
    }

    /// Fewest rows worth a workgroup of their own.
    pub(super) fn least_rows(self) -> usize {
        match self {
            Way::Square => 4 * self.right(),
            Way::Wide | Way::Few { .. } => self.right(),
        }
    }

    /// Numbers that are one element to it.
    pub(super) fn width(self) -> usize {
        match self {
            Way::Square | Way::Wide => 1,
            Way::Few { width } => width,
        }
    }

    pub(super) fn numbers(self) -> Vec<(&'static str, u32)> {
        self.tiling().map_or_else(
            || {
                let numbers = [("LEFT", LANES), ("RIGHT", self.right()), ("THREADS", THREADS), ("LANES", LANES)];
                numbers.map(|(name, number)| (name, number as u32)).to_vec()
            },
            Tiling::numbers,
        )
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
