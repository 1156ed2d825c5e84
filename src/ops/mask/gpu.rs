//! Bindings and dispatch of `shaders/mask.wgsl`.

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params},
    ops::tile::THREADS,
};

params! {
    struct Params {
        entries: u32,
        // Those that there are bits of.
        rows: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel()]
}

fn kernel() -> Kernel {
    Kernel {
        name: "mask",
        source: include_str!("../../../shaders/mask.wgsl"),
        params: Params::WGSL,
        entry: "main",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: vec![],
    }
}

pub(super) fn mask(
    recording: &mut Recording,
    masks: &DeviceArray<u32>,
    ids: &DeviceArray<u32>,
) -> Result<DeviceArray<u32>> {
    masks.check_on(recording.device(), "a mask")?;
    ids.check_on(recording.device(), "ids")?;
    let words = ids.rows().div_ceil(32);
    let masked: DeviceArray<u32> = recording.array(words, 1)?;
    let buffers = [
        ("masks", masks.whole("bytes of a mask")?),
        ("ids", ids.whole("bytes of ids")?),
        ("masked", masked.whole("bytes of a mask")?),
    ];
    let params = Params { entries: ids.rows() as u32, rows: (32 * masks.rows()).min(u32::MAX as usize) as u32 };
    recording.dispatch(kernel(), &params, &buffers, words.div_ceil(THREADS))?;
    Ok(masked)
}
