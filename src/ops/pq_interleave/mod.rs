//! Product-quantizer codes as scans read them.

pub(super) mod cpu;
pub(super) mod gpu;

use super::Codebook;
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// Codes in the order in which the scans of their device read them.
///
/// On the CPU, that is byte after byte, without padding. On a GPU, blocks of 32 codes, a byte a look-up: a
/// sub-quantizer's number, or two where numbers are of 4 bits (those of 5 to 7 take a byte as well). Sixteen look-ups of a code lie side by side,
/// then the same of the next code, so that neighbouring threads load neighbouring 16 bytes; what is left of a code goes
/// in words of four look-ups. Code `i` of a block has look-up `n ^ (i % 16)` at place `n` of its sixteen: threads side by
/// side look up different sub-quantizers at a time, which [`pq_scan`](super::pq_scan) has in different banks. Codes of
/// fewer than sixteen look-ups have eight side by side instead.
#[derive(Clone, Debug)]
pub struct PqCodes {
    array: DeviceArray<u32>,
    len: usize,
    m: usize,
    nbits: usize,
}

/// Puts `codes`, rows as [`pq_encode`](super::pq_encode) gives them, in the order that scans read.
///
/// # Errors
/// [`Error::Dimension`] if the codes are not the codebook's, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn pq_interleave(work: &mut Work, codes: &DeviceArray<u32>, codebook: &Codebook) -> Result<PqCodes> {
    if codes.columns() != codebook.words() {
        return Err(Error::Dimension { what: "codes", expected: codebook.words(), found: codes.columns() });
    }
    let array = match &mut work.0 {
        Backend::Cpu => {
            let (rows, size) = (codes.host("codes")?, codebook.code_size());
            // Whole words are the same bytes already.
            if size == codebook.words() * 4 {
                codes.clone()
            } else {
                DeviceArray::on_host(cpu::pack(rows, codebook.words(), size), 1)
            }
        }
        Backend::Gpu(recording) => gpu::interleave(recording, codes, codebook)?,
    };
    Ok(PqCodes { array, len: codes.rows(), m: codebook.m(), nbits: codebook.nbits() })
}

impl PqCodes {
    /// Number of codes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the codes take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.array.bytes()
    }

    /// The codes as they came: a row of [`Codebook::words`] words each.
    ///
    /// # Errors
    /// [`Error::OtherDevice`], [`Error::OutOfMemory`].
    pub fn rows(&self, work: &mut Work) -> Result<DeviceArray<u32>> {
        match &mut work.0 {
            Backend::Cpu if self.code_size().is_multiple_of(4) => self.array.host("codes").map(|_| self.array.clone()),
            Backend::Cpu => {
                let codes = self.host()?;
                Ok(DeviceArray::on_host(cpu::unpack(&codes), codes.words()))
            }
            Backend::Gpu(recording) => gpu::restore(recording, self),
        }
    }

    /// Bytes of a code.
    fn code_size(&self) -> usize {
        (self.m * self.nbits).div_ceil(8)
    }

    /// The codes on the CPU.
    pub(super) fn host(&self) -> Result<cpu::Codes<'_>> {
        Ok(cpu::Codes::new(self.array.host("codes")?, self.len, self.code_size()))
    }

    /// Fails unless they are `entries` codes of `codebook`.
    pub(super) fn check(&self, codebook: &Codebook, entries: usize) -> Result<()> {
        if self.len != entries {
            return Err(Error::Length { what: "codes", expected: entries, found: self.len });
        }
        if self.m != codebook.m() {
            return Err(Error::Dimension { what: "codes", expected: codebook.m(), found: self.m });
        }
        if self.nbits != codebook.nbits() {
            return Err(Error::parameter("nbits of codes", self.nbits, "that of their codebook"));
        }
        Ok(())
    }
}
