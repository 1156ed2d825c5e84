//! Bindings and dispatch of `shaders/gather.wgsl`.

use bytemuck::Pod;

use crate::{
    DeviceArray, Result,
    device::{Kernel, Recording, Variant, params, segments},
};

/// Invocations a workgroup.
const THREADS: usize = 256;
/// Words that a thread copies where rows are made of so many.
const WIDE: usize = 4;

params! {
    struct Params {
        // Of the rows to write: their elements, and those of a row.
        elements: u32,
        columns: u32,
        first_output: u32,
        // Of the rows to read.
        first_row: u32,
        rows: u32,
    }
}

pub(crate) fn kernels(_: Variant) -> Vec<Kernel> {
    vec![kernel(false), kernel(true)]
}

fn kernel(wide: bool) -> Kernel {
    Kernel {
        name: "gather",
        source: include_str!("../../../shaders/gather.wgsl"),
        params: Params::WGSL,
        entry: "gather",
        numbers: vec![("THREADS", THREADS as u32)],
        flags: if wide { vec!["WIDE"] } else { vec![] },
    }
}

pub(super) fn gather<T: Pod>(
    recording: &mut Recording,
    rows: &DeviceArray<T>,
    order: &DeviceArray<u32>,
) -> Result<DeviceArray<T>> {
    rows.check_on(recording.device(), "rows")?;
    order.check_on(recording.device(), "order")?;
    let gathered: DeviceArray<T> = recording.array(order.rows(), rows.columns())?;
    gather_into(recording, rows, (order, 0), &gathered)?;
    Ok(gathered)
}

/// Writes as many rows as `gathered` has, those that `order` names from number `first` on.
pub(in crate::ops) fn gather_into<T: Pod>(
    recording: &mut Recording,
    rows: &DeviceArray<T>,
    (order, first): (&DeviceArray<u32>, usize),
    gathered: &DeviceArray<T>,
) -> Result<()> {
    let wide = rows.columns().is_multiple_of(WIDE);
    let columns = if wide { rows.columns() / WIDE } else { rows.columns() };
    for output in segments(gathered.rows(), &[gathered.rows_per_part()]) {
        for source in segments(rows.rows(), &[rows.rows_per_part()]) {
            let elements = output.rows * columns;
            let params = Params {
                elements: elements as u32,
                columns: columns as u32,
                first_output: (first + output.first_row) as u32,
                first_row: source.first_row as u32,
                rows: source.rows as u32,
            };
            let buffers = [
                ("rows", rows.part(source.first_row)?.0),
                ("order", order.whole("bytes of row numbers")?),
                ("gathered", gathered.part(output.first_row)?.0),
            ];
            recording.dispatch(kernel(wide), &params, &buffers, elements.div_ceil(THREADS))?;
        }
    }
    Ok(())
}
