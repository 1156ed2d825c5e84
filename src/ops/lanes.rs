//! How many invocations share a row where one dot product is one row's.

use crate::device::Variant;

/// Invocations that share a row: they read 64 consecutive bytes, or what the smallest subgroup has.
pub(super) fn count(variant: Variant) -> usize {
    match variant.subgroup_lanes {
        1 => 8,
        lanes => 1 << lanes.min(16).ilog2(),
    }
}

pub(super) fn flags(variant: Variant) -> Vec<&'static str> {
    if variant.subgroup_lanes > 1 { vec!["SUBGROUPS"] } else { vec![] }
}
