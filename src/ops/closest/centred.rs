//! Comparisons by inner products of what is centred.

use pulp::Arch;

use super::{
    scan::{FindNear, Found, Near, scan},
    within::Within,
};
use crate::ops::{
    integers::Integers,
    panels::{Form, Groups, Panels, Reach, Sums, width},
    simd::Product,
};

/// Rows of no more columns find groups of centroids first, which takes three operations a centroid less, and look
/// within one. Training 25 sub-quantizers of 4 columns takes 0.82 of the time; at 8 columns nothing is saved.
const LONGEST: usize = 7;

/// Centroids as inner products take them.
pub(super) struct Centred {
    centre: Vec<f32>,
    groups: Groups,
    /// Of all of them.
    reach: Reach,
    integers: Option<Integers>,
    /// Where rows find groups of centroids.
    within: Option<Within>,
}

impl Centred {
    pub(super) fn new(rows: &[f32], dimension: usize, integers: Option<Integers>) -> Self {
        let count = rows.len() / dimension;
        let mut centre = vec![0.0; dimension];
        for row in rows.chunks_exact(dimension) {
            centre.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value / count as f32);
        }
        let groups = Groups::pack(rows.chunks_exact(dimension), dimension, form(&centre, integers));
        let reach = (0..count).map(|row| groups.reach(row)).fold(Reach::default(), Reach::max);
        let within = (dimension <= LONGEST).then(|| Within::new(rows, dimension));
        Centred { centre, groups, reach, integers, within }
    }

    /// What rows find, and by how much the second closest must be further than the closest to be certain.
    pub(super) fn scan(&self, rows: &[f32], stride: usize, panels: &mut Panels, found: &mut Found) {
        panels.repack(rows, stride, self.centre.len(), form(&self.centre, self.integers));
        match self.integers {
            Some(integers) => scan(panels, &self.groups, integers, self.within.is_some(), found),
            None => scan(panels, &self.groups, Product, self.within.is_some(), found),
        }
        found.margins.clear();
        found.margins.resize(panels.starts().len(), 0.0);
        self.add_margins(panels, &mut found.margins);
        if let Some(within) = &self.within {
            within.find(rows, stride, found);
        }
    }

    /// Whether rows find their distances too.
    pub(super) fn finds_distances(&self) -> bool {
        self.within.is_some()
    }

    /// Adds to each number what a difference of two sums of a row is certain from.
    fn add_margins(&self, panels: &Panels, numbers: &mut [f32]) {
        let (halves, errors) = (panels.starts(), panels.errors());
        Arch::new().dispatch(|| {
            for ((number, &half), &error) in numbers.iter_mut().zip(halves).zip(errors) {
                let row = Reach { norm: (2.0 * half).sqrt(), error };
                *number += margin(self.centre.len(), row.norm + self.reach.norm) + row.doubt(self.reach);
            }
        });
    }

    /// The centroids no further from each row than its limit, but for what rounding may change.
    pub(super) fn find_near(&self, rows: &[f32], mut limits: Vec<f32>, panels: &mut Panels, near: &mut Vec<Near>) {
        near.clear();
        near.resize(limits.len(), Near::default());
        let dimension = self.centre.len();
        panels.repack(rows, dimension, dimension, form(&self.centre, self.integers));
        self.add_margins(panels, &mut limits);
        // Nothing is near padding, not even what is infinite.
        limits.resize(limits.len().next_multiple_of(width()), f32::NAN);
        let (groups, limits) = (&self.groups, &limits[..]);
        match self.integers {
            Some(integers) => integers.dispatch(FindNear { panels, groups, sums: integers, limits, near }),
            None => Product.dispatch(FindNear { panels, groups, sums: Product, limits, near }),
        }
    }
}

/// What is packed of rows and centroids.
fn form(centre: &[f32], integers: Option<Integers>) -> Form<'_> {
    integers.map_or(Form::Centred(centre), |integers| Form::Rounded(centre, integers))
}

/// By how much two centred half distances must differ so that differences would order them alike, where `reach` is
/// no less than the norms of a vector and of the longest row together.
///
/// A half distance s is a chain of d products begun with a half norm of d squares, of numbers rounded once when
/// centred: off by (2d + 5)u (|c|²/2 + |r||c|) at most, and a squared difference by (d + 2)u of itself (Higham 2002,
/// section 3.1), which is at most reach². Two of each: (3d + 8)u reach², and a little for the margin's own rounding.
#[inline]
pub(in crate::ops) fn margin(dimension: usize, reach: f32) -> f32 {
    const UNIT: f32 = f32::EPSILON / 2.0;
    1.01 * (3.0 * dimension as f32 + 8.0) * UNIT * reach * reach + f32::MIN_POSITIVE
}
