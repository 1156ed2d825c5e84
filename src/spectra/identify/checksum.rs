//! What tells whether an index and spectra are of one library.

use bytemuck::cast_slice;
use flate2::Crc;

use crate::storage::faiss::Stored;

/// A checksum of the rows of an index: the same however it is wrapped, and whatever its parameters are.
pub(super) fn checksum(index: &Stored) -> u32 {
    let mut sum = Crc::new();
    match index {
        Stored::Flat(index) => sum.update(cast_slice(&index.vectors)),
        Stored::Pq(index) => sum.update(&index.codes),
        Stored::IvfFlat(index) => {
            sum.update(cast_slice(&index.lists.ids));
            sum.update(cast_slice(&index.lists.entries));
        }
        Stored::IvfPq(index) => {
            sum.update(cast_slice(&index.lists.ids));
            sum.update(&index.lists.entries);
        }
        Stored::IdMap(map) => return checksum(&map.index),
        Stored::Normalized(index) => return checksum(index),
        Stored::Transformed(transformed) => return checksum(&transformed.index),
    }
    sum.sum()
}
