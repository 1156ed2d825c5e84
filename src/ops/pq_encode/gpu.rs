//! Bindings and dispatch of `shaders/pq_encode.wgsl` and `shaders/pq_encode_short.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Segment, Variant, bounded_segments, params, segments},
    ops::{
        Codebook, Nearest,
        selection::SCRATCH_BYTES,
        tile::{THREADS, TILE, Tiling},
    },
};

params! {
    struct Params {
        rows: u32,
        row_place: u32,
        label_place: u32,
        // Labels past it are taken for it.
        last_label: u32,
        code_place: u32,
        columns: u32,
        m: u32,
        nbits: u32,
        ksub: u32,
        dsub: u32,
        words: u32,
        // Sub-quantizers whose codes fill whole words.
        together: u32,
    }
}

/// Columns of subvectors that are kept in registers, with as many zeros as they are short of.
const WIDTHS: [usize; 5] = [2, 4, 8, 12, 16];

/// Invocations of a workgroup that encodes short subvectors, and rows of each.
const SHORT_THREADS: usize = 64;
const SHORT_ROWS: usize = 4;

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    let variants = [None, Some("RESIDUAL"), Some("LABELS")];
    let widths = WIDTHS.into_iter().flat_map(|width| [(width, width - 1), (width, width)]);
    let shorts = widths.flat_map(|(width, dsub)| variants.map(|variant| short(width, dsub, variant)));
    variants.map(assign).into_iter().chain([pack()]).chain(shorts).collect()
}

fn kernel(entry: &'static str, flags: Vec<&'static str>) -> Kernel {
    Kernel {
        name: "pq_encode",
        source: include_str!("../../../shaders/pq_encode.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: Tiling::SQUARE.numbers(),
        flags,
    }
}

fn assign(variant: Option<&'static str>) -> Kernel {
    kernel("assign", ["ASSIGN", "L2"].into_iter().chain(variant).collect())
}

fn pack() -> Kernel {
    kernel("pack", vec![])
}

/// Columns that are kept in registers for subvectors of so many; none where they are too many for that.
fn width_of(dsub: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|&width| dsub <= width)
}

/// For subvectors of `dsub` columns, at most `width`.
fn short(width: usize, dsub: usize, variant: Option<&'static str>) -> Kernel {
    let quad = width.min(4);
    let flags = [
        ("L2", true),
        ("FOUR", quad == 4),
        ("SECOND_QUAD", width > 4),
        ("THIRD_QUAD", width > 8),
        ("FOURTH_QUAD", width > 12),
        ("WHOLE", width == dsub),
    ];
    let numbers = [("THREADS", SHORT_THREADS), ("WIDTH", width), ("QUAD", quad)];
    Kernel {
        name: "pq_encode_short",
        source: include_str!("../../../shaders/pq_encode_short.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: numbers.map(|(name, number)| (name, number as u32)).to_vec(),
        flags: flags.into_iter().filter_map(|(name, holds)| holds.then_some(name)).chain(variant).collect(),
    }
}

/// Rows of one buffer, from `row_place` on in it.
fn params(codebook: &Codebook, rows: &Segment, row_place: usize) -> Params {
    Params {
        rows: rows.rows as u32,
        row_place: row_place as u32,
        label_place: rows.first_row as u32,
        last_label: 0,
        code_place: 0,
        columns: codebook.dimension() as u32,
        m: codebook.m() as u32,
        nbits: codebook.nbits() as u32,
        ksub: codebook.ksub() as u32,
        dsub: codebook.dsub() as u32,
        words: codebook.words() as u32,
        together: 1,
    }
}

pub(super) fn pq_encode(
    recording: &mut Recording,
    rows: &DeviceArray<f32>,
    codebook: &Codebook,
    residual: Option<(&DeviceArray<f32>, &DeviceArray<u32>)>,
) -> Result<DeviceArray<u32>> {
    rows.check_on(recording.device(), "rows")?;
    codebook.centroids().check_on(recording.device(), "codebook")?;
    let codes: DeviceArray<u32> = recording.array(rows.rows(), codebook.words())?;
    let mut inputs = vec![("codebook", codebook.centroids().whole("bytes of a codebook")?)];
    if let Some((centroids, labels)) = residual {
        centroids.check_on(recording.device(), "centroids")?;
        labels.check_on(recording.device(), "labels")?;
        inputs.push(("centroids", centroids.whole("bytes of the centroids of a residual")?));
        inputs.push(("labels", labels.whole("bytes of labels")?));
    }
    let dsub = codebook.dsub();
    let width = width_of(dsub);
    let most_rows = width.map_or(SCRATCH_BYTES / (codebook.m() * size_of::<u32>()), |_| usize::MAX);
    let variant = residual.map(|_| "RESIDUAL");
    let together = 32 >> codebook.nbits().trailing_zeros();
    for batch in bounded_segments(rows.rows(), &[rows.rows_per_part(), codes.rows_per_part()], most_rows) {
        let (rows_part, row_place) = rows.part(batch.first_row)?;
        let (codes_part, code_place) = codes.part(batch.first_row)?;
        let params =
            Params { code_place: code_place as u32, together: together as u32, ..params(codebook, &batch, row_place) };
        let last_label = residual.map_or(0, |(centroids, _)| centroids.rows().saturating_sub(1) as u32);
        let params = Params { last_label, ..params };
        let mut buffers = vec![("rows", rows_part)];
        buffers.extend(&inputs);
        recording.expect(batch.rows * codebook.ksub() * rows.columns());
        if let Some(width) = width {
            let groups = batch.rows.div_ceil(SHORT_THREADS * SHORT_ROWS) * codebook.m().div_ceil(together);
            buffers.push(("codes", codes_part));
            recording.dispatch(short(width, dsub, variant), &params, &buffers, groups)?;
            continue;
        }
        let subcodes = recording.scratch(batch.rows * codebook.m() * size_of::<u32>())?;
        buffers.push(("subcodes", &subcodes));
        recording.dispatch(assign(variant), &params, &buffers, batch.rows.div_ceil(TILE) * codebook.m())?;
        let buffers = [("subcodes", &subcodes), ("codes", codes_part)];
        recording.dispatch(pack(), &params, &buffers, (batch.rows * codebook.words()).div_ceil(THREADS))?;
    }
    Ok(codes)
}

pub(super) fn pq_nearest(recording: &mut Recording, rows: &DeviceArray<f32>, codebook: &Codebook) -> Result<Nearest> {
    rows.check_on(recording.device(), "rows")?;
    codebook.centroids().check_on(recording.device(), "codebook")?;
    let subvectors = rows.rows() * codebook.m();
    let nearest = Nearest { labels: recording.array(subvectors, 1)?, distances: recording.array(subvectors, 1)? };
    for batch in segments(rows.rows(), &[rows.rows_per_part()]) {
        let (rows_part, row_place) = rows.part(batch.first_row)?;
        let buffers = [
            ("rows", rows_part),
            ("codebook", codebook.centroids().whole("bytes of a codebook")?),
            ("labels", nearest.labels.whole("bytes of labels")?),
            ("distances", nearest.distances.whole("bytes of distances")?),
        ];
        recording.expect(batch.rows * codebook.ksub() * rows.columns());
        let (kernel, rows_a_group) = match width_of(codebook.dsub()) {
            Some(width) => (short(width, codebook.dsub(), Some("LABELS")), SHORT_THREADS * SHORT_ROWS),
            None => (assign(Some("LABELS")), TILE),
        };
        let groups = batch.rows.div_ceil(rows_a_group) * codebook.m();
        recording.dispatch(kernel, &params(codebook, &batch, row_place), &buffers, groups)?;
    }
    Ok(nearest)
}
