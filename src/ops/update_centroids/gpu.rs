//! Bindings and dispatch of `shaders/update_centroids.wgsl`.

use super::Updated;
use crate::{
    DeviceArray, Result,
    device::{Kernel, Part, Recording, Variant, params, segments},
    ops::lanes,
};

/// Invocations a workgroup.
const THREADS: usize = 256;
/// Clusters that a thread looks at between two barriers.
const TRIES: u32 = 8;
/// Rounds of the draws before the largest cluster is split.
const ROUNDS: usize = 16;
/// So many that the kernel can count past them.
const MOST_TRIES: usize = i32::MAX as usize;
/// Empty clusters that a dispatch splits others for: where a cluster has a share of one in k, some k / 2048 rounds of tries
/// each.
const SPLITS: usize = 1024;
/// Bytes of what the kernels keep of a cluster.
const CLUSTER_BYTES: usize = 16;

params! {
    struct Params {
        // Of a clustering, and clusterings.
        clusters: u32,
        parts: u32,
        columns: u32,
        // Rows of the history so far.
        history: u32,
        draws: u32,
        // Most draws for one empty cluster.
        tries: u32,
        // Of the sums that are in one buffer.
        first_source: u32,
        source_rows: u32,
        // Of the centroids that are in one buffer.
        first_output: u32,
        output_rows: u32,
    }
}

pub(crate) fn kernels(variant: Variant) -> Vec<Kernel> {
    vec![count(false), count(true), split(), means(variant, false), means(variant, true)]
}

fn kernel(entry: &'static str, lanes: usize, flags: Vec<&'static str>) -> Kernel {
    Kernel {
        name: "update_centroids",
        source: include_str!("../../../shaders/update_centroids.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![
            ("THREADS", THREADS as u32),
            ("LANES", lanes as u32),
            ("TRIES", TRIES),
            ("SPLITS", SPLITS as u32),
        ],
        flags,
    }
}

fn count(history: bool) -> Kernel {
    kernel("count", 1, if history { vec!["HISTORY"] } else { vec![] })
}

fn split() -> Kernel {
    kernel("split", 1, vec![])
}

fn means(variant: Variant, spherical: bool) -> Kernel {
    let mut flags = lanes::flags(variant);
    if spherical {
        flags.push("SPHERICAL");
    }
    kernel("means", lanes::count(variant), flags)
}

pub(super) fn update_centroids(
    recording: &mut Recording,
    sums: &DeviceArray<f32>,
    offsets: &DeviceArray<u32>,
    inertia: &DeviceArray<f32>,
    history: &DeviceArray<f32>,
    draws: &DeviceArray<f32>,
    spherical: bool,
) -> Result<Updated> {
    for (array, name) in [(inertia, "inertia"), (history, "history")] {
        array.check_on(recording.device(), name)?;
    }
    let new_history = recording.array(history.rows() + 1, 2)?;
    let told = [
        ("inertia", inertia.whole("bytes of inertia")?),
        ("history", history.whole("bytes of history")?),
        ("new_history", new_history.whole("bytes of history")?),
    ];
    let parts = Parts { count: 1, history: history.rows(), told: &told };
    let centroids = update(recording, sums, offsets, draws, &parts, spherical)?;
    Ok(Updated { centroids, history: new_history })
}

pub(super) fn update_codewords(
    recording: &mut Recording,
    sums: &DeviceArray<f32>,
    offsets: &DeviceArray<u32>,
    draws: &DeviceArray<f32>,
    m: usize,
) -> Result<DeviceArray<f32>> {
    update(recording, sums, offsets, draws, &Parts { count: m, history: 0, told: &[] }, false)
}

/// Clusterings of as many clusters, one after the other, and what tells how the only one went.
struct Parts<'a> {
    count: usize,
    history: usize,
    told: &'a [(&'static str, &'a Part)],
}

fn update(
    recording: &mut Recording,
    sums: &DeviceArray<f32>,
    offsets: &DeviceArray<u32>,
    draws: &DeviceArray<f32>,
    parts: &Parts<'_>,
    spherical: bool,
) -> Result<DeviceArray<f32>> {
    for (array, name) in [(sums, "sums"), (draws, "draws")] {
        array.check_on(recording.device(), name)?;
    }
    offsets.check_on(recording.device(), "offsets")?;
    let clusters = recording.scratch(sums.rows() * CLUSTER_BYTES)?;
    let progress = recording.scratch(parts.count * size_of::<[u32; 4]>())?;
    let params = Params {
        clusters: (sums.rows() / parts.count) as u32,
        parts: parts.count as u32,
        columns: sums.columns() as u32,
        history: parts.history as u32,
        draws: draws.rows() as u32,
        tries: (ROUNDS * draws.rows()).min(MOST_TRIES) as u32,
        first_source: 0,
        source_rows: 0,
        first_output: 0,
        output_rows: 0,
    };
    let offsets = ("offsets", offsets.whole("bytes of offsets")?);
    let clusters = ("clusters", &clusters);
    let draws = ("draws", draws.whole("bytes of draws")?);
    let progress = ("progress", &progress);
    let buffers = [&[offsets, clusters, progress], parts.told].concat();
    recording.dispatch(count(!parts.told.is_empty()), &params, &buffers, parts.count)?;
    // All may be empty; those of the dispatches that find nothing left take no time.
    for _ in 0..(params.clusters as usize).div_ceil(SPLITS) {
        recording.dispatch(split(), &params, &[offsets, clusters, progress, draws], parts.count)?;
    }
    let centroids = recording.array(sums.rows(), sums.columns())?;
    let kernel = means(recording.device().variant(), spherical);
    let rows_per_group = THREADS / lanes::count(recording.device().variant());
    for output in segments(centroids.rows(), &[centroids.rows_per_part()]) {
        for source in segments(sums.rows(), &[sums.rows_per_part()]) {
            let params = Params {
                first_source: source.first_row as u32,
                source_rows: source.rows as u32,
                first_output: output.first_row as u32,
                output_rows: output.rows as u32,
                ..params
            };
            let buffers = [
                offsets,
                clusters,
                ("sums", sums.part(source.first_row)?.0),
                ("centroids", centroids.part(output.first_row)?.0),
            ];
            recording.dispatch(kernel.clone(), &params, &buffers, output.rows.div_ceil(rows_per_group))?;
        }
    }
    Ok(centroids)
}
