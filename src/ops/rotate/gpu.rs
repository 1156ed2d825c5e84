//! Bindings and dispatch of `shaders/rotate.wgsl`.
//!
//! # What bounds it
//! A multiply-add for each number of the matrix and row: many rows meet it in tiles, as [`products`](crate::ops::products)
//! have them (97 % of the multiply-add peak by their machine code), and what comes out is written once. Fewer than
//! a tile's worth, where most of it would be for nothing, take an invocation a number, two rows a workgroup; they read the
//! whole matrix, 64 KiB for 128 columns, out of a cache, and wait for it: eight columns at a time.
//!
//! Sums are in the order of the columns either way.

use ndarray::ArrayView2;

use crate::{
    Device, DeviceArray, Result,
    device::{Kernel, Recording, Variant, bounded_segments, params, segments},
    ops::{
        products::{self, DEPTH, SIDE},
        tile::THREADS,
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        columns: u32,
        rotated_place: u32,
        rotated_columns: u32,
        // Tiles of the matrix: how many, the first of them, and where it and its bias lie.
        tiles: u32,
        first_tile: u32,
        tile_place: u32,
        bias_place: u32,
    }
}

/// Fewer rows do not make up for a tile.
const FEWEST_ROWS: usize = 65;

/// Rows of a workgroup that makes a number an invocation.
const FEW: usize = THREADS / SIDE;

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(false), kernel(true)]
}

fn kernel(few: bool) -> Kernel {
    Kernel {
        name: "rotate",
        source: include_str!("../../../shaders/rotate.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: products::NUMBERS.to_vec(),
        flags: if few { vec!["FEW"] } else { vec![] },
    }
}

/// A matrix as the kernels take it.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// [`SIDE`] of the matrix's rows each, transposed, filled up with zeros.
    tiles: DeviceArray<f32>,
    /// What is added to them.
    bias: DeviceArray<f32>,
}

impl Packed {
    pub(super) fn new(device: &Device, matrix: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Result<Self> {
        let (rows, columns) = matrix.dim();
        let (padded, depth) = (rows.next_multiple_of(SIDE), columns.next_multiple_of(DEPTH));
        let mut tiles = vec![0.0; padded * depth];
        for ((row, column), &value) in matrix.indexed_iter() {
            tiles[(row / SIDE * depth + column) * SIDE + row % SIDE] = value;
        }
        let mut added = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        added.resize(padded, 0.0);
        Ok(Packed { tiles: device.upload(tiles, SIDE * depth)?, bias: device.upload(added, SIDE)? })
    }
}

pub(super) fn rotate(
    recording: &mut Recording,
    rows: &DeviceArray<f32>,
    Packed { tiles, bias }: &Packed,
    rotated_columns: usize,
) -> Result<DeviceArray<f32>> {
    rows.check_on(recording.device(), "rows")?;
    tiles.check_on(recording.device(), "a matrix")?;
    let rotated: DeviceArray<f32> = recording.array(rows.rows(), rotated_columns)?;
    let few = rows.rows() < FEWEST_ROWS;
    let rows_of_group = if few { FEW } else { SIDE };
    let per_part = [rows.rows_per_part(), rotated.rows_per_part()];
    for stretch in segments(tiles.rows(), &[tiles.rows_per_part(), bias.rows_per_part()]) {
        let (tiles, tile_place) = tiles.part(stretch.first_row)?;
        let (bias, bias_place) = bias.part(stretch.first_row)?;
        let most = (recording.device().max_workgroups() / stretch.rows).max(1).saturating_mul(rows_of_group);
        for segment in bounded_segments(rows.rows(), &per_part, most) {
            let (part, row_place) = rows.part(segment.first_row)?;
            let (output, rotated_place) = rotated.part(segment.first_row)?;
            let params = Params {
                rows: segment.rows as u32,
                row_place: row_place as u32,
                columns: rows.columns() as u32,
                rotated_place: rotated_place as u32,
                rotated_columns: rotated_columns as u32,
                tiles: stretch.rows as u32,
                first_tile: stretch.first_row as u32,
                tile_place: tile_place as u32,
                bias_place: bias_place as u32,
            };
            let buffers = [("rows", part), ("packed", tiles), ("bias", bias), ("rotated", output)];
            recording.expect(segment.rows * rows.columns() * stretch.rows * SIDE);
            recording.dispatch(kernel(few), &params, &buffers, segment.rows.div_ceil(rows_of_group) * stretch.rows)?;
        }
    }
    Ok(rotated)
}
