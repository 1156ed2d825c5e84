//! Reads the .npy files of `tests/golden`: little-endian, C order, version 1.0.

use std::{fs, path::Path};

use ndarray::{Array, Dimension};

/// The array in `tests/golden/NAME.npy`, whose numbers are of type `T`.
pub fn read<T: bytemuck::Pod, D: Dimension>(name: &str) -> Array<T, D> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("npy");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).unwrap();
    let inside = |open, close| header.split_once(open).and_then(|(_, rest)| rest.split_once(close)).unwrap().0;
    assert!(inside("'descr': '", "'").ends_with(&size_of::<T>().to_string()), "{}: {header}", path.display());
    let mut shape = D::zeros(D::NDIM.unwrap());
    let lengths = inside("(", ")").split(',').filter_map(|length| length.trim().parse().ok());
    shape.slice_mut().iter_mut().zip(lengths).for_each(|(target, length)| *target = length);
    Array::from_shape_vec(shape, bytemuck::pod_collect_to_vec(&bytes[header_end..])).unwrap()
}
