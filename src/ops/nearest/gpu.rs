//! Bindings and dispatch of `shaders/nearest.wgsl` and `shaders/nearest_products.wgsl`.

use super::Nearest;
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Part, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        is_l2,
        products::{self, Centre, Packed, SIDE},
        tile::{TILE, Tiling},
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        output_place: u32,
        columns: u32,
        centroids: u32,
        centroid_place: u32,
        centroid_number: u32,
    }
}

params! {
    struct ProductParams {
        rows: u32,
        row_place: u32,
        output_place: u32,
        columns: u32,
        centroid_place: u32,
        centroid_number: u32,
        tiles: u32,
        halves_place: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let kernels = |metric| {
        [
            by_products(metric),
            by_differences(metric, Tiling::SQUARE, true),
            by_differences(metric, Tiling::SQUARE, false),
            by_differences(metric, Tiling::TALL, false),
        ]
    };
    [Metric::L2, Metric::InnerProduct].into_iter().flat_map(kernels).collect()
}

/// By differences; `listed` rows alone, or all.
fn by_differences(metric: Metric, tiling: Tiling, listed: bool) -> Kernel {
    let mut flags = if is_l2(metric) { vec!["L2"] } else { vec![] };
    if listed {
        flags.push("LISTED");
    }
    Kernel {
        name: "nearest",
        source: include_str!("../../../shaders/nearest.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: tiling.numbers(),
        flags,
    }
}

fn by_products(metric: Metric) -> Kernel {
    let mut numbers = products::NUMBERS.to_vec();
    numbers.push(("TILE", TILE as u32));
    Kernel {
        name: "nearest_products",
        source: include_str!("../../../shaders/nearest_products.wgsl"),
        params: ProductParams::WGSL,
        entry: "main",
        numbers,
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
    let nearest = Nearest { labels: recording.array(rows.rows(), 1)?, distances: recording.array(rows.rows(), 1)? };
    let per_part = [rows.rows_per_part(), nearest.labels.rows_per_part()];
    let call = Call { rows, centroids, metric, nearest: &nearest };
    let most_packed = products::most_packed(recording.device(), rows.columns());
    if most_packed > 0 && products::pay(rows.rows(), centroids.rows(), rows.columns()) {
        let most_rows = recording.device().max_workgroups().saturating_mul(TILE);
        let centre = Centre::of(recording, centroids, metric)?;
        for stretch in bounded_segments(centroids.rows(), &[centroids.rows_per_part()], most_packed) {
            let packed = centre.pack(recording, centroids, &stretch)?;
            for segment in bounded_segments(rows.rows(), &per_part, most_rows) {
                call.by_products(recording, &segment, &stretch, &centre, &packed)?;
            }
        }
    } else {
        for stretch in segments(centroids.rows(), &[centroids.rows_per_part()]) {
            for segment in segments(rows.rows(), &per_part) {
                call.by_differences(recording, &segment, &stretch, None)?;
            }
        }
    }
    Ok(nearest)
}

struct Call<'a> {
    rows: &'a DeviceArray<f32>,
    centroids: &'a DeviceArray<f32>,
    metric: Metric,
    nearest: &'a Nearest,
}

impl Call<'_> {
    /// Compares a segment of rows with a stretch of centroids, then by differences those that are in doubt.
    fn by_products(
        &self,
        recording: &mut Recording,
        segment: &Segment,
        stretch: &Segment,
        centre: &Centre,
        packed: &Packed,
    ) -> Result<()> {
        let list = recording.list(segment.rows)?;
        let (rows_part, row_place) = self.rows.part(segment.first_row)?;
        let (labels_part, output_place) = self.nearest.labels.part(segment.first_row)?;
        let (centroids_part, centroid_place) = self.centroids.part(stretch.first_row)?;
        let params = ProductParams {
            rows: segment.rows as u32,
            row_place: row_place as u32,
            output_place: output_place as u32,
            columns: self.rows.columns() as u32,
            centroid_place: centroid_place as u32,
            centroid_number: stretch.first_row as u32,
            tiles: packed.tiles as u32,
            halves_place: packed.halves_place as u32,
        };
        let mut buffers = vec![
            ("rows", rows_part),
            ("packed", &packed.buffer),
            ("centroids", centroids_part),
            ("labels", labels_part),
            ("distances", self.nearest.distances.part(segment.first_row)?.0),
            ("listed", &list),
        ];
        if is_l2(self.metric) {
            buffers.extend([("centre", &centre.buffer), ("reach", &packed.reach)]);
        }
        recording.expect(segment.rows * stretch.rows * self.rows.columns());
        recording.dispatch(by_products(self.metric), &params, &buffers, segment.rows.div_ceil(SIDE))?;
        self.by_differences(recording, segment, stretch, Some(&list))
    }

    /// Compares the rows of a list, or all of a segment.
    fn by_differences(
        &self,
        recording: &mut Recording,
        segment: &Segment,
        stretch: &Segment,
        list: Option<&Part>,
    ) -> Result<()> {
        let (rows_part, row_place) = self.rows.part(segment.first_row)?;
        let (labels_part, output_place) = self.nearest.labels.part(segment.first_row)?;
        let (centroids_part, centroid_place) = self.centroids.part(stretch.first_row)?;
        let params = Params {
            rows: segment.rows as u32,
            row_place: row_place as u32,
            output_place: output_place as u32,
            columns: self.rows.columns() as u32,
            centroids: stretch.rows as u32,
            centroid_place: centroid_place as u32,
            centroid_number: stretch.first_row as u32,
        };
        let mut buffers = vec![
            ("rows", rows_part),
            ("centroids", centroids_part),
            ("labels", labels_part),
            ("distances", self.nearest.distances.part(segment.first_row)?.0),
        ];
        let Some(list) = list else {
            let tiling = if self.centroids.rows() > Tiling::FEW { Tiling::SQUARE } else { Tiling::TALL };
            let kernel = by_differences(self.metric, tiling, false);
            recording.expect(segment.rows * stretch.rows * self.rows.columns());
            return recording.dispatch(kernel, &params, &buffers, segment.rows.div_ceil(tiling.left));
        };
        buffers.push(("listed", list));
        let kernel = by_differences(self.metric, Tiling::SQUARE, true);
        // A squared difference is two operations where a product is one.
        recording.expect_at_most(2 * segment.rows * stretch.rows * self.rows.columns(), "nearest_products");
        recording.dispatch_listed(kernel, &params, &buffers, (list, 0), segment.rows.div_ceil(TILE))
    }
}
