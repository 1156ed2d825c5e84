//! Which entries of lists a scan is to look at.

pub(super) mod gpu;
pub(super) mod reference;

use std::ops::Range;

use crate::{Device, DeviceArray, Error, Result, Work, device::Backend};

/// A bit for each entry or row: whether it is looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mask {
    len: usize,
    /// Bit `i % 32` of word `i / 32`; one column.
    words: DeviceArray<u32>,
}

impl Mask {
    /// A mask on `device` of `len` bits, each as `is_set` says.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn new(device: &Device, len: usize, is_set: impl FnMut(usize) -> bool) -> Result<Self> {
        Self::of_words(device, len, words(len, is_set))
    }

    /// [`Mask::new`] of whole words; what is past the last bit is zero.
    pub(crate) fn of_words(device: &Device, len: usize, words: Vec<u32>) -> Result<Self> {
        Ok(Mask { len, words: device.upload(words, 1)? })
    }

    /// Number of bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bits on the device, bit `i % 32` of word `i / 32`; one column. What is past the last bit is zero.
    #[must_use]
    pub fn words(&self) -> &DeviceArray<u32> {
        &self.words
    }

    /// The bits, if they are on the CPU.
    pub(super) fn host(&self) -> Result<Bits<'_>> {
        self.words.host("a mask").map(Bits)
    }

    /// Fails unless it has a bit for each of `entries`.
    pub(super) fn check(&self, entries: usize) -> Result<()> {
        if self.len == entries {
            return Ok(());
        }
        Err(Error::Length { what: "bits of a mask", expected: entries, found: self.len })
    }
}

/// The words of a mask of `len` bits, each as `is_set` says.
pub(crate) fn words(len: usize, mut is_set: impl FnMut(usize) -> bool) -> Vec<u32> {
    let word =
        |first: usize| (first..len.min(first + 32)).fold(0, |word, bit| word | u32::from(is_set(bit)) << (bit - first));
    (0..len).step_by(32).map(word).collect()
}

/// The bits of a mask on the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits<'a>(pub &'a [u32]);

impl Bits<'_> {
    /// Whether an entry is set; none past the end is.
    pub(crate) fn is_set(self, entry: usize) -> bool {
        self.0.get(entry / 32).is_some_and(|word| word >> (entry % 32) & 1 == 1)
    }

    /// The bits of 64 entries from one on.
    pub(super) fn lanes(self, first: usize) -> u64 {
        let word = |number: usize| u128::from(self.0.get(number).copied().unwrap_or(0));
        let (number, shift) = (first / 32, first % 32);
        ((word(number) | word(number + 1) << 32 | word(number + 2) << 64) >> shift) as u64
    }

    /// How many of these entries are set.
    pub(super) fn count(self, entries: Range<usize>) -> usize {
        // Bits of a word below one.
        let below = |bit: usize| (1_u64 << bit) as u32;
        let words = self.0.iter().enumerate().take(entries.end.div_ceil(32)).skip(entries.start / 32);
        let count = |(number, &word): (usize, &u32)| {
            let first = 32 * number;
            let end = below(entries.end.saturating_sub(first).min(32)).wrapping_sub(1);
            let begin = below(entries.start.saturating_sub(first).min(32)).wrapping_sub(1);
            (word & end & !begin).count_ones() as usize
        };
        words.map(count).sum()
    }
}

/// The mask of entries that stand for rows, entry `i` for row `ids[i]` (one column, each below the number of rows): a bit is
/// set where the row's is.
///
/// # On a GPU
/// What it cannot do without: reading each row number once. A row's bit is found in a cache.
///
/// # Errors
/// [`Error::OtherDevice`], [`Error::OutOfMemory`]; [`Error::Limit`] if the row numbers exceed a binding.
pub fn mask(work: &mut Work, rows: &Mask, ids: &DeviceArray<u32>) -> Result<Mask> {
    let words = match &mut work.0 {
        Backend::Cpu => {
            let (rows, ids) = (rows.host()?, ids.host("ids")?);
            DeviceArray::on_host(words(ids.len(), |entry| rows.is_set(ids[entry] as usize)), 1)
        }
        Backend::Gpu(recording) => gpu::mask(recording, &rows.words, ids)?,
    };
    Ok(Mask { len: ids.rows(), words })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Bits;

    proptest! {
        #[test]
        fn set_bits_are_counted(words in prop::collection::vec(any::<u32>(), 0..6), a in 0_usize..200, b in 0_usize..200) {
            let (bits, entries) = (Bits(&words), a.min(b)..a.max(b));
            let lanes = (0..64).filter(|lane| bits.is_set(a + lane)).fold(0_u64, |lanes, lane| lanes | 1 << lane);
            prop_assert_eq!(bits.lanes(a), lanes);
            prop_assert_eq!(bits.count(entries.clone()), entries.filter(|&entry| bits.is_set(entry)).count());
        }
    }
}
