//! Vectors that meet panels, a group of them at a time.

use super::{Form, Reach, Rounding, group_size};
use crate::ops::row;

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

/// Vectors in the form that they are packed in.
pub(in crate::ops) struct Vectors {
    /// Row after row.
    values: Vec<f32>,
    starts: Vec<f32>,
    roundings: Vec<Rounding>,
    /// Numbers of a vector.
    depth: usize,
}

impl Vectors {
    pub(in crate::ops) fn new<'a>(vectors: impl Iterator<Item = &'a [f32]>, dimension: usize, form: Form<'_>) -> Self {
        let depth = form.depth(dimension);
        let mut all = Vectors { values: vec![], starts: vec![], roundings: vec![], depth };
        let mut centred = vec![];
        for vector in vectors {
            let (Form::Centred(centre) | Form::Rounded(centre, _)) = form else {
                all.values.extend(vector);
                all.starts.push(0.0);
                all.roundings.push(Rounding::default());
                continue;
            };
            centred.clear();
            centred.extend(vector.iter().zip(centre).map(|(value, centre)| value - centre));
            let half = 0.5 * centred.iter().fold(0.0, |sum, value| sum + value * value);
            all.starts.push(half);
            all.roundings.push(if let Form::Rounded(_, integers) = form {
                let first = all.values.len();
                all.values.resize(first + depth, 0.0);
                integers.round(&centred, (2.0 * half).sqrt(), all.values[first..].iter_mut())
            } else {
                all.values.extend(&centred);
                Rounding::default()
            });
        }
        all
    }

    pub(in crate::ops) fn len(&self) -> usize {
        self.starts.len()
    }

    /// What bounds the error of a vector's sums, if they are centred.
    pub(in crate::ops) fn reach(&self, vector: usize) -> Reach {
        Reach::of(self.starts[vector], self.roundings[vector])
    }
}

impl Groups {
    pub(in crate::ops) fn pack<'a>(vectors: impl Iterator<Item = &'a [f32]>, dimension: usize, form: Form<'_>) -> Self {
        let vectors = Vectors::new(vectors, dimension, form);
        Groups::of(&vectors, 0..vectors.len())
    }

    /// Groups of some vectors.
    pub(in crate::ops) fn of(vectors: &Vectors, chosen: impl ExactSizeIterator<Item = usize>) -> Self {
        let (size, depth) = (group_size(), vectors.depth);
        let padded = chosen.len().next_multiple_of(size);
        let mut groups = Groups {
            values: vec![0.0; padded * depth],
            starts: vec![f32::INFINITY; padded],
            roundings: vec![Rounding::default(); padded],
            depth,
        };
        for (index, vector) in chosen.enumerate() {
            let places = groups.values[index / size * size * depth + index % size..].iter_mut().step_by(size);
            places.zip(row(&vectors.values, depth, vector)).for_each(|(place, &value)| *place = value);
            groups.starts[index] = vectors.starts[vector];
            groups.roundings[index] = vectors.roundings[vector];
        }
        groups
    }

    /// What bounds the error of a vector's sums, if they are centred.
    pub(in crate::ops) fn reach(&self, vector: usize) -> Reach {
        Reach::of(self.starts[vector], self.roundings[vector])
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
