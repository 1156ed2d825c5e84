//! What several operations take together: inverted lists and codebooks.

use super::mask::{Bits, Mask};
use crate::{DeviceArray, Error, Result};

/// Entries in inverted lists: entry `i` of list `l` for `offsets[l] <= i < offsets[l + 1]`.
#[derive(Clone, Debug)]
pub struct Lists {
    /// nlist + 1 positions, ascending, the first 0 and the last the number of entries; one column.
    pub offsets: DeviceArray<u32>,
    /// Each entry's row number, one column: a permutation of 0..n.
    pub ids: DeviceArray<u32>,
    /// Which entries scans look at, if not all.
    pub mask: Option<Mask>,
}

impl Lists {
    /// Lists of which scans look at all entries.
    #[must_use]
    pub fn new(offsets: DeviceArray<u32>, ids: DeviceArray<u32>) -> Self {
        Lists { offsets, ids, mask: None }
    }

    /// The same lists, of which scans look at these entries alone.
    #[must_use]
    pub fn masked(&self, mask: Mask) -> Self {
        Lists { mask: Some(mask), ..self.clone() }
    }

    /// Number of lists.
    #[must_use]
    pub fn nlist(&self) -> usize {
        self.offsets.rows().saturating_sub(1)
    }

    /// Number of entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.ids.rows()
    }

    /// Whether they are on the CPU and the ids of each list ascend.
    pub(crate) fn ascend(&self) -> bool {
        let (Ok(offsets), Ok(ids)) = (self.offsets.host("offsets"), self.ids.host("ids")) else { return false };
        offsets.windows(2).all(|ends| ids.get(ends[0] as usize..ends[1] as usize).is_some_and(<[u32]>::is_sorted))
    }

    /// Fails unless what is masked are its entries.
    pub(super) fn check_mask(&self) -> Result<()> {
        self.mask.as_ref().map_or(Ok(()), |mask| mask.check(self.entries()))
    }

    pub(super) fn check_on(&self, gpu: &crate::device::Gpu) -> Result<()> {
        self.offsets.check_on(gpu, "list offsets")?;
        self.mask.as_ref().map_or(Ok(()), |mask| mask.words().check_on(gpu, "a mask"))?;
        self.ids.check_on(gpu, "ids")
    }

    /// The buffer of the mask as scans on a GPU take it.
    pub(super) fn mask_buffer(&self) -> Result<Option<(&'static str, &crate::device::Part)>> {
        let words = self.mask.as_ref().map(|mask| mask.words().whole("bytes of a mask"));
        words.transpose().map(|words| words.map(|words| ("masks", words)))
    }

    /// The mask, if lists are on the CPU.
    pub(super) fn host_mask(&self) -> Result<Option<Bits<'_>>> {
        self.mask.as_ref().map(Mask::host).transpose()
    }
}

/// The centroids of a product quantizer (Jégou, Douze, Schmid 2011): `m` sub-quantizers of `2^nbits` centroids each,
/// for subvectors of `dimension / m`.
///
/// A code is `m` numbers of `nbits` bits, the lowest bits first and sub-quantizer 0 lowest, in a row of
/// [`Codebook::words`] words: as little-endian bytes, the code as FAISS stores it, padded to whole words.
#[derive(Clone, Debug)]
pub struct Codebook {
    centroids: DeviceArray<f32>,
    m: usize,
    nbits: usize,
}

impl Codebook {
    /// A codebook of `m * 2^nbits` rows of `dimension / m` numbers, sub-quantizer after sub-quantizer.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless 4 <= `nbits` <= 8 and `m` >= 1, [`Error::Length`] if the rows are not `m * 2^nbits`.
    pub fn new(centroids: DeviceArray<f32>, m: usize, nbits: usize) -> Result<Self> {
        if !(4..=8).contains(&nbits) {
            return Err(Error::parameter("nbits", nbits, "4 to 8"));
        }
        if m == 0 {
            return Err(Error::parameter("M", m, "at least 1"));
        }
        super::check_rows("centroids of a codebook", &centroids, m << nbits)?;
        Ok(Codebook { centroids, m, nbits })
    }

    /// The centroids: row `sub * ksub + code` of `dsub` numbers.
    #[must_use]
    pub fn centroids(&self) -> &DeviceArray<f32> {
        &self.centroids
    }

    /// Number of sub-quantizers.
    #[must_use]
    pub fn m(&self) -> usize {
        self.m
    }

    /// Bits of a sub-quantizer's code.
    #[must_use]
    pub fn nbits(&self) -> usize {
        self.nbits
    }

    /// Centroids of a sub-quantizer.
    #[must_use]
    pub fn ksub(&self) -> usize {
        1 << self.nbits
    }

    /// Dimension of a subvector.
    #[must_use]
    pub fn dsub(&self) -> usize {
        self.centroids.columns()
    }

    /// Dimension of the vectors.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.m * self.dsub()
    }

    /// Bytes of a code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        (self.m * self.nbits).div_ceil(8)
    }

    /// Words of a code on a device.
    #[must_use]
    pub fn words(&self) -> usize {
        (self.m * self.nbits).div_ceil(32)
    }
}

/// The code of sub-quantizer `sub` in the words of a code.
#[must_use]
pub(crate) fn code_at(code: &[u32], sub: usize, nbits: usize) -> usize {
    let (word, shift) = (sub * nbits / 32, sub * nbits % 32);
    let mut value = code[word] >> shift;
    if shift + nbits > 32 {
        value |= code[word + 1] << (32 - shift);
    }
    (value & ((1 << nbits) - 1)) as usize
}
