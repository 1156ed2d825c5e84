//! Vectors that meet panels, a group of them at a time.

use super::{Form, Reach, Rounding, group_size};

/// Vectors packed to be broadcast: group after group, their first columns, their second columns, and so on.
pub(in crate::ops) struct Groups {
    values: Vec<f32>,
    /// What each vector's sums begin with, where that is the vectors' affair; infinite for padding.
    starts: Vec<f32>,
    /// Of each vector.
    roundings: Vec<Rounding>,
    /// Numbers of a vector.
    depth: usize,
}

/// Vectors that meet panels together.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Group<'a, const N: usize> {
    pub values: &'a [[f32; N]],
    pub starts: &'a [f32; N],
    pub roundings: &'a [Rounding; N],
}

impl Groups {
    pub(in crate::ops) fn pack<'a>(vectors: impl Iterator<Item = &'a [f32]>, dimension: usize, form: Form<'_>) -> Self {
        let (size, depth) = (group_size(), form.depth(dimension));
        let mut groups = Groups { values: vec![], starts: vec![], roundings: vec![], depth };
        let mut centred = vec![];
        for (index, vector) in vectors.enumerate() {
            let lane = index % size;
            if lane == 0 {
                groups.values.resize(groups.values.len() + size * depth, 0.0);
                groups.starts.resize(index + size, f32::INFINITY);
                groups.roundings.resize(index + size, Rounding::default());
            }
            let first = index / size * size * depth + lane;
            let places = groups.values[first..].iter_mut().step_by(size);
            let (Form::Centred(centre) | Form::Rounded(centre, _)) = form else {
                places.zip(vector).for_each(|(place, &value)| *place = value);
                groups.starts[index] = 0.0;
                continue;
            };
            centred.clear();
            centred.extend(vector.iter().zip(centre).map(|(value, centre)| value - centre));
            let half = 0.5 * centred.iter().fold(0.0, |sum, value| sum + value * value);
            groups.starts[index] = half;
            if let Form::Rounded(_, integers) = form {
                groups.roundings[index] = integers.round(&centred, (2.0 * half).sqrt(), places);
            } else {
                places.zip(&centred).for_each(|(place, &value)| *place = value);
            }
        }
        groups
    }

    /// What bounds the error of a vector's sums, if they are centred.
    pub(in crate::ops) fn reach(&self, vector: usize) -> Reach {
        Reach { norm: (2.0 * self.starts[vector]).sqrt(), error: self.roundings[vector].error }
    }

    /// Groups of `N`.
    pub(in crate::ops) fn groups<const N: usize>(&self) -> impl Iterator<Item = Group<'_, N>> + Clone {
        let values = self.values.as_chunks().0.chunks_exact(self.depth);
        let each = self.starts.as_chunks().0.iter().zip(self.roundings.as_chunks().0);
        values.zip(each).map(|(values, (starts, roundings))| Group { values, starts, roundings })
    }
}

/// A vector of a group.
pub(super) struct Single {
    values: Vec<[f32; 1]>,
    start: [f32; 1],
    rounding: [Rounding; 1],
}

impl Single {
    pub(super) fn new<const N: usize>(group: Group<'_, N>, lane: usize) -> Self {
        Single {
            values: group.values.iter().map(|values| [values[lane]]).collect(),
            start: [group.starts[lane]],
            rounding: [group.roundings[lane]],
        }
    }

    pub(super) fn group(&self) -> Group<'_, 1> {
        Group { values: &self.values, starts: &self.start, roundings: &self.rounding }
    }
}
