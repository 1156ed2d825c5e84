//! Bindings and dispatch of `shaders/nearest.wgsl`.

use super::Nearest;
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Recording, Variant, params, segments},
    ops::{is_l2, tile},
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        output_place: u32,
        columns: u32,
        centroids: u32,
        centroid_number: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(Metric::L2), kernel(Metric::InnerProduct)]
}

fn kernel(metric: Metric) -> Kernel {
    Kernel {
        name: "nearest",
        source: include_str!("../../../shaders/nearest.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: tile::NUMBERS.to_vec(),
        flags: if is_l2(metric) { vec!["L2"] } else { vec![] },
    }
}

pub(super) fn nearest(
    recording: &mut Recording,
    rows: &DeviceArray<f32>,
    centroids: &DeviceArray<f32>,
    metric: Metric,
) -> Result<Nearest> {
    rows.check_on(recording.device(), "rows")?;
    centroids.check_on(recording.device(), "centroids")?;
    let labels = recording.array(rows.rows(), 1)?;
    let distances = recording.array(rows.rows(), 1)?;
    for segment in segments(rows.rows(), &[rows.rows_per_part(), labels.rows_per_part()]) {
        let (rows_part, row_place) = rows.part(segment.first_row)?;
        let (labels_part, output_place) = labels.part(segment.first_row)?;
        let (distances_part, _) = distances.part(segment.first_row)?;
        for stretch in segments(centroids.rows(), &[centroids.rows_per_part()]) {
            let params = Params {
                rows: segment.rows as u32,
                row_place: row_place as u32,
                output_place: output_place as u32,
                columns: rows.columns() as u32,
                centroids: stretch.rows as u32,
                centroid_number: stretch.first_row as u32,
            };
            let buffers = [
                ("rows", rows_part),
                ("centroids", centroids.part(stretch.first_row)?.0),
                ("labels", labels_part),
                ("distances", distances_part),
            ];
            recording.dispatch(kernel(metric), &params, &buffers, segment.rows.div_ceil(tile::TILE))?;
        }
    }
    Ok(Nearest { labels, distances })
}
