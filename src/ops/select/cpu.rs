//! The k smallest of rows on the CPU.

use rayon::prelude::*;

use crate::ops::{Ranked, panels::Merge, row, top::Top};

/// Columns that one thread looks through before another may take over.
const PIECE: usize = 16_384;

pub(super) fn select(values: &[f32], rows: usize, columns: usize, k: usize) -> Vec<Ranked> {
    let mut found = vec![Ranked::NONE; rows * k];
    found.par_chunks_mut(k).enumerate().for_each(|(index, found)| {
        let pieces = row(values, columns, index).par_chunks(PIECE).enumerate();
        let top = pieces.fold(
            || Top::new(k),
            |mut top, (piece, values)| {
                (0..).zip(values).for_each(|(column, &value)| top.offer(value, (piece * PIECE) as u32 + column));
                top
            },
        );
        top.reduce(|| Top::new(k), Top::merge).write(found);
    });
    found
}
