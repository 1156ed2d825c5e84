//! Rows times a matrix on the CPU: the matrix in panels, which rows meet in groups.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use ndarray::ArrayView2;
use pulp::Simd;
use rayon::prelude::*;

use crate::ops::{
    panels::{BLOCK, Form, Groups, Keep, Panels, VECTORS},
    simd::Product,
};

/// A matrix as [`rotate`] takes it.
pub(super) struct Packed {
    panels: Panels,
    bias: Vec<f32>,
}

impl Packed {
    pub(super) fn new(matrix: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Self {
        let lines: Vec<f32> = matrix.iter().copied().collect();
        let bias = bias.map_or_else(|| vec![0.0; matrix.nrows()], <[f32]>::to_vec);
        Packed { panels: Panels::pack(&lines, matrix.ncols()), bias }
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} rows)", self.bias.len())
    }
}

/// Where a rotated row goes.
struct Rotated<'a> {
    row: &'a mut [f32],
    bias: &'a [f32],
}

impl Keep for Rotated<'_> {
    #[inline(always)]
    fn offer<S: Simd>(&mut self, _: S, first: u32, distances: [S::f32s; VECTORS]) {
        let found: &[f32] = bytemuck::cast_slice(&distances);
        let first = first as usize;
        // What panels add up is minus the product.
        let places = self.row[first..].iter_mut().zip(&self.bias[first..]);
        places.zip(found).for_each(|((place, bias), distance)| *place = bias - distance);
    }
}

pub(super) fn rotate(rows: &[f32], columns: usize, packed: &Packed, rotated_columns: usize) -> Vec<f32> {
    let Packed { panels, bias } = packed;
    let mut rotated = vec![0.0; rows.len() / columns * rotated_columns];
    let blocks = rotated.par_chunks_mut(BLOCK * rotated_columns).zip(rows.par_chunks(BLOCK * columns));
    blocks.for_each(|(rotated, rows)| {
        let groups = Groups::pack(rows.chunks_exact(columns), columns, Form::Plain);
        let mut kept: Vec<_> = rotated.chunks_exact_mut(rotated_columns).map(|row| Rotated { row, bias }).collect();
        panels.offer(0, &groups, 0, Product, &mut kept);
    });
    rotated
}
