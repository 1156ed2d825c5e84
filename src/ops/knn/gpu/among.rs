//! Closest rows among some of the base: they are copied, so many at a time, and what is found there is named anew.

use crate::{
    DeviceArray, Metric, Result,
    device::Recording,
    ops::{
        Ranked,
        gather::gpu::gather_into,
        rename::gpu::{rename, rename_into},
        select::gpu::choose,
    },
};

pub(in crate::ops::knn) fn knn_among(
    recording: &mut Recording,
    queries: &DeviceArray<f32>,
    base: &DeviceArray<f32>,
    among: &DeviceArray<u32>,
    k: usize,
    (metric, piece_bytes): (Metric, usize),
) -> Result<DeviceArray<Ranked>> {
    among.check_on(recording.device(), "numbers of rows")?;
    base.check_on(recording.device(), "base")?;
    let most = (piece_bytes / (base.columns() * size_of::<f32>())).max(1);
    // Pieces are alike, so that one after the other lies in the same place.
    let pieces = among.rows().div_ceil(most).max(1);
    let per_piece = among.rows().div_ceil(pieces);
    let copied: DeviceArray<f32> = recording.array(per_piece, base.columns())?;
    let mut found = vec![];
    for piece in 0..pieces {
        let first = (piece * per_piece).min(among.rows());
        let rows = copied.first(per_piece.min(among.rows() - first));
        gather_into(recording, base, (among, first), &rows)?;
        found.push((first, super::knn(recording, queries, &rows, k, (metric, false))?));
    }
    if let [(_, found)] = &found[..] {
        return rename(recording, found, among);
    }
    let per_part: Vec<_> = found.iter().map(|(_, found)| found.rows_per_part()).collect();
    choose(recording, queries.rows(), &per_part, pieces * k, k, |recording, batch, candidates| {
        for (piece, (first, found)) in found.iter().enumerate() {
            rename_into(recording, found, batch, (among, *first), (candidates, 0), (pieces * k, piece * k))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::knn_among;
    use crate::{
        Device, Metric, Result,
        device::{Backend, Options, adapters, block_on},
    };

    /// What is found among every third of some rows, so many bytes at a time.
    fn found(device: &Device, piece_bytes: usize, k: usize) -> Result<Vec<(u32, f32)>> {
        const COLUMNS: usize = 5;
        let numbers = |rows: usize| (0..rows * COLUMNS).map(|place| (place * place % 23) as f32).collect();
        let (queries, base) = (device.upload(numbers(40), COLUMNS)?, device.upload(numbers(1000), COLUMNS)?);
        let among = device.upload((0..1000).step_by(3).collect(), 1)?;
        let mut work = device.work();
        let Backend::Gpu(recording) = &mut work.0 else { return Ok(vec![]) };
        let found = knn_among(recording, &queries, &base, &among, k, (Metric::L2, piece_bytes))?;
        Ok(block_on(work.read(found))?.into_iter().map(|one| (one.id(), one.distance())).collect())
    }

    #[test]
    fn pieces_change_nothing() -> Result<()> {
        if std::env::var("CELLPROBE_TEST_DEVICES").is_ok_and(|wanted| wanted == "cpu") {
            return Ok(());
        }
        for adapter in adapters().iter().filter(|adapter| adapter.backend != "gl" && adapter.unusable.is_none()) {
            let device = Device::open(&format!("gpu:{}", adapter.index), &Options::default())?;
            for k in [1, 7, 300] {
                let whole = found(&device, 1 << 20, k)?;
                assert!(whole.iter().all(|(row, _)| row % 3 == 0));
                // A row, 25 and 200 at a time, of 334.
                for rows in [1, 25, 200].into_iter().filter(|&rows| rows * k >= 25) {
                    assert_eq!(found(&device, 20 * rows, k)?, whole, "{rows} at a time, k = {k}, on {device:?}");
                }
            }
        }
        Ok(())
    }
}
