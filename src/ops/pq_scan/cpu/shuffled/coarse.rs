//! Lookup tables rounded down to bytes.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use pulp::Arch;

/// Most sub-quantizers whose bytes add up to no more than 16 bits.
const MOST: usize = 257;

/// A query's tables in bytes: `scale` times a sum of bytes, plus `bias`, is no more than the sum of the table entries.
pub(super) struct Coarse {
    /// Table after table.
    pub tables: Vec<u8>,
    pub scale: f32,
    pub bias: f32,
}

impl Coarse {
    /// Rounds tables of `ksub` entries to bytes up to `largest`. None for tables that bytes cannot stand for.
    pub(super) fn new(table: &[f32], ksub: usize, largest: u8) -> Option<Self> {
        Arch::new().dispatch(|| Self::rounded(table, ksub, largest))
    }

    #[inline(always)]
    fn rounded(table: &[f32], ksub: usize, largest: u8) -> Option<Self> {
        let tables = || table.as_chunks::<16>().0.chunks_exact(ksub / 16);
        let extents: Vec<_> = tables().map(Extent::of).collect();
        let widest = extents.iter().map(|extent| extent.most - extent.least).fold(0.0, f32::max);
        let scale = widest / f32::from(largest);
        let reach: f64 = extents.iter().map(|extent| f64::from(extent.most.abs().max(extent.least.abs()))).sum();
        let numbers = extents.iter().all(|extent| extent.numbers);
        if extents.len() > MOST || !scale.is_finite() || !reach.is_finite() || !numbers {
            return None;
        }
        // Less than one over the scale, by more than four roundings.
        let steps = if scale.is_normal() { (1.0 - 1e-6) / scale } else { 0.0 };
        let mut bytes = Vec::with_capacity(table.len());
        for (table, extent) in tables().zip(&extents) {
            for entries in table {
                // The nearest integer to half less, which is no more: the lowest bits of a sum that has none for
                // fractions.
                let whole = entries.map(|entry| (entry - extent.least) * steps - 0.5 + 12_582_912.0);
                bytes.extend(whole.map(|whole: f32| whole.to_bits() as u8));
            }
        }
        // More than rounding takes from the exact sum and adds to this one: m + 1 roundings, each of less than 2^-24
        // of all that is summed.
        let slack = reach * (extents.len() as f64 + 8.0) * f64::from(f32::EPSILON);
        let bias = extents.iter().map(|extent| f64::from(extent.least)).sum::<f64>() - slack;
        Some(Coarse { tables: bytes, scale, bias: (bias as f32).next_down() })
    }
}

/// Of the entries of a table.
struct Extent {
    least: f32,
    most: f32,
    /// Whether all are finite.
    numbers: bool,
}

impl Extent {
    #[inline(always)]
    fn of(table: &[[f32; 16]]) -> Self {
        let (mut least, mut most, mut numbers) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16], [0.0; 16]);
        for entries in table {
            for (lane, &entry) in entries.iter().enumerate() {
                least[lane] = if entry < least[lane] { entry } else { least[lane] };
                most[lane] = if entry > most[lane] { entry } else { most[lane] };
                numbers[lane] += entry * 0.0;
            }
        }
        Extent {
            least: least.into_iter().fold(f32::INFINITY, f32::min),
            most: most.into_iter().fold(f32::NEG_INFINITY, f32::max),
            numbers: numbers.into_iter().all(|zero| zero == 0.0),
        }
    }
}
