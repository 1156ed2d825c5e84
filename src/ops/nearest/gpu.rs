//! Bindings and dispatch of `shaders/nearest.wgsl`, `shaders/nearest_products.wgsl` and `shaders/nearest_matrices.wgsl`.

use super::Nearest;
use crate::{
    DeviceArray, Metric, Result,
    device::{Kernel, Part, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        is_l2,
        matrices::{self, DIFFERENCE, MEASURE_BYTES},
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

params! {
    struct MatrixParams {
        rows: u32,
        row_place: u32,
        output_place: u32,
        columns: u32,
        centroids: u32,
        centroid_place: u32,
        centroid_number: u32,
        tiles: u32,
        depth: u32,
        centroid_measures: u32,
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    let kernels = |metric| {
        [
            by_products(metric),
            by_differences(metric, Tiling::SQUARE, true),
            by_differences(metric, Tiling::SQUARE, false),
            by_differences(metric, Tiling::TALL, false),
        ]
    };
    let matrices = (variant.matrices > 0).then(|| by_matrices(variant));
    [Metric::L2, Metric::InnerProduct].into_iter().flat_map(kernels).chain(matrices).collect()
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

fn by_matrices(variant: Variant) -> Kernel {
    let mut numbers = matrices::numbers(variant);
    numbers.push(("TILE", TILE as u32));
    Kernel {
        name: "nearest_matrices",
        source: include_str!("../../../shaders/nearest_matrices.wgsl"),
        params: MatrixParams::WGSL,
        entry: "main",
        numbers,
        flags: vec!["L2", "MATRICES"],
    }
}

pub(super) fn nearest(
    recording: &mut Recording,
    rows: &DeviceArray<f32>,
    all: usize,
    centroids: &DeviceArray<f32>,
    metric: Metric,
) -> Result<Nearest> {
    rows.check_on(recording.device(), "rows")?;
    centroids.check_on(recording.device(), "centroids")?;
    let nearest = Nearest { labels: recording.array(rows.rows(), 1)?, distances: recording.array(rows.rows(), 1)? };
    let per_part = [rows.rows_per_part(), nearest.labels.rows_per_part()];
    let call = Call { rows, centroids, metric, nearest: &nearest };
    let most_packed = products::most_packed(recording.device(), rows.columns());
    if is_l2(metric) && matrices::pay(recording.device(), centroids.rows(), all, rows.columns()) {
        call.all_by_matrices(recording, &per_part)?;
    } else if most_packed > 0 && products::pay(all, centroids.rows(), rows.columns()) {
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
        // A squared difference is two operations where a product is one.
        self.by_differences(recording, segment, stretch, Some((&list, 2, "nearest_products")))
    }

    /// Compares all rows with all centroids by matrices.
    fn all_by_matrices(&self, recording: &mut Recording, per_part: &[usize]) -> Result<()> {
        let &Call { rows, centroids, metric, .. } = self;
        let (row_bytes, columns) = (matrices::row_bytes(rows.columns()), rows.columns());
        let most_rows = matrices::most_rows(recording.device(), rows.rows(), columns);
        let most_measured = recording.device().max_part() as usize / MEASURE_BYTES / 2 / SIDE * SIDE;
        let most_rows = most_rows.min(recording.device().max_workgroups().saturating_mul(TILE)).min(most_measured);
        let centre = Centre::of(recording, centroids, metric)?;
        let unused = recording.largest()?;
        let stretches = bounded_segments(centroids.rows(), &[centroids.rows_per_part()], most_rows);
        let segments = bounded_segments(rows.rows(), per_part, most_rows);
        let longest = |segments: &[Segment]| {
            segments.iter().map(|segment| segment.rows).max().unwrap_or(0).next_multiple_of(SIDE)
        };
        let (most_centroids, most_rows) = (longest(&stretches), longest(&segments));
        let packed_centroids = recording.scratch(most_centroids * row_bytes)?;
        let packed_rows = recording.scratch(most_rows * row_bytes)?;
        let measures = recording.scratch((most_rows + most_centroids) * MEASURE_BYTES)?;
        for stretch in &stretches {
            let packed = matrices::Packed { rows: &packed_centroids, measures: &measures, measures_place: most_rows };
            packed.pack(recording, centroids, stretch, &centre, &unused)?;
            for segment in &segments {
                let packed = matrices::Packed { rows: &packed_rows, measures: &measures, measures_place: 0 };
                packed.pack(recording, rows, segment, &centre, &unused)?;
                let buffers = [("packed", &packed_rows), ("base", &packed_centroids), ("measures", &measures)];
                self.by_matrices(recording, segment, stretch, most_rows, &buffers)?;
            }
        }
        Ok(())
    }

    /// Compares a segment of rows with a stretch of centroids, then by differences those that are in doubt.
    fn by_matrices(
        &self,
        recording: &mut Recording,
        segment: &Segment,
        stretch: &Segment,
        centroid_measures: usize,
        packed: &[(&'static str, &Part)],
    ) -> Result<()> {
        let list = recording.list(segment.rows)?;
        let (rows_part, row_place) = self.rows.part(segment.first_row)?;
        let (labels_part, output_place) = self.nearest.labels.part(segment.first_row)?;
        let (centroids_part, centroid_place) = self.centroids.part(stretch.first_row)?;
        let params = MatrixParams {
            rows: segment.rows as u32,
            row_place: row_place as u32,
            output_place: output_place as u32,
            columns: self.rows.columns() as u32,
            centroids: stretch.rows as u32,
            centroid_place: centroid_place as u32,
            centroid_number: stretch.first_row as u32,
            tiles: stretch.rows.div_ceil(SIDE) as u32,
            depth: matrices::depth(self.rows.columns()) as u32,
            centroid_measures: centroid_measures as u32,
        };
        let mut buffers = vec![
            ("rows", rows_part),
            ("centroids", centroids_part),
            ("labels", labels_part),
            ("distances", self.nearest.distances.part(segment.first_row)?.0),
            ("listed", &list),
        ];
        buffers.extend(packed.iter().copied());
        let variant = recording.device().variant();
        recording.expect(segment.rows * stretch.rows * self.rows.columns());
        recording.dispatch(by_matrices(variant), &params, &buffers, segment.rows.div_ceil(SIDE))?;
        self.by_differences(recording, segment, stretch, Some((&list, DIFFERENCE, "nearest_matrices")))
    }

    /// Compares the rows of a list, each difference taking as long as so many terms of another kernel, or all of a segment.
    fn by_differences(
        &self,
        recording: &mut Recording,
        segment: &Segment,
        stretch: &Segment,
        list: Option<(&Part, usize, &'static str)>,
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
        let Some((list, terms, paced_as)) = list else {
            let tiling = if self.centroids.rows() > Tiling::FEW { Tiling::SQUARE } else { Tiling::TALL };
            let kernel = by_differences(self.metric, tiling, false);
            recording.expect(segment.rows * stretch.rows * self.rows.columns());
            return recording.dispatch(kernel, &params, &buffers, segment.rows.div_ceil(tiling.left));
        };
        buffers.push(("listed", list));
        let kernel = by_differences(self.metric, Tiling::SQUARE, true);
        recording.expect_at_most(terms * segment.rows * stretch.rows * self.rows.columns(), paced_as);
        recording.dispatch_listed(kernel, &params, &buffers, (list, 0), segment.rows.div_ceil(TILE))
    }
}
