//! MS-Numpress, in which converters store arrays in a third of their size
//! ([Teleman et al. 2014](https://doi.org/10.1074/mcp.O114.037879)).

/// How an array is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numpress {
    /// What is left of a fixed-point number when the two before it are carried on in a line.
    Linear,
    /// Whole numbers, rounded.
    Positive,
    /// Logarithms in 16 bits.
    Logarithmic,
}

impl Numpress {
    /// The numbers; `None` if the bytes end where they should not.
    pub fn decode(self, bytes: &[u8]) -> Option<Vec<f64>> {
        match self {
            Numpress::Linear => linear(bytes),
            Numpress::Positive => {
                let mut halves = Halves { bytes, at: 0 };
                let mut numbers = Vec::new();
                while !halves.ended() {
                    numbers.push(f64::from(halves.integer()? as u32));
                }
                Some(numbers)
            }
            Numpress::Logarithmic => {
                let (factor, rest) = factor(bytes)?;
                let (words, []) = rest.as_chunks::<2>() else { return None };
                Some(words.iter().map(|&word| (f64::from(u16::from_le_bytes(word)) / factor).exp_m1()).collect())
            }
        }
    }
}

fn linear(bytes: &[u8]) -> Option<Vec<f64>> {
    let (factor, rest) = factor(bytes)?;
    let (start, rest) = rest.split_at(rest.len().min(8));
    let (start, []) = start.as_chunks::<4>() else { return None };
    let mut integers: Vec<i64> = start.iter().map(|&bytes| u32::from_le_bytes(bytes).into()).collect();
    let mut halves = Halves { bytes: rest, at: 0 };
    while let [.., before, last] = integers[..]
        && !halves.ended()
    {
        let difference = i64::from(halves.integer()?);
        integers.push(last.wrapping_mul(2).wrapping_sub(before).wrapping_add(difference));
    }
    Some(integers.into_iter().map(|integer| integer as f64 / factor).collect())
}

/// The factor that the numbers were multiplied by.
fn factor(bytes: &[u8]) -> Option<(f64, &[u8])> {
    let (factor, rest) = bytes.split_first_chunk()?;
    Some((f64::from_be_bytes(*factor), rest))
}

/// Bytes read by halves, the upper one first.
struct Halves<'a> {
    bytes: &'a [u8],
    /// Halves read so far.
    at: usize,
}

impl Halves<'_> {
    fn next(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 2)?;
        let half = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
        self.at += 1;
        Some(half.into())
    }

    /// Whether nothing is left but a half of zeros that fills up the last byte.
    fn ended(&self) -> bool {
        let left = 2 * self.bytes.len() - self.at;
        left == 0 || left == 1 && self.bytes.last().is_some_and(|byte| byte.trailing_zeros() >= 4)
    }

    /// An integer: how many of its eight halves are left out, zeros (up to 8) or ones (8 less), and the others, lowest
    /// first.
    fn integer(&mut self) -> Option<i32> {
        let head = self.next()?;
        let (left_out, mut bits) = if head <= 8 { (head, 0) } else { (head - 8, !(u32::MAX >> (4 * (head - 8)))) };
        for place in 0..8 - left_out {
            bits |= self.next()? << (4 * place);
        }
        Some(bits as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded by `pynumpress` 0.1.5.
    #[test]
    fn arrays_of_the_reference_encoder() {
        let mzs = [100.0001, 100.5, 133.0648, 500.25, 1999.9999];
        let counts = [0.0, 1.0, 17.0, 255.0, 70_000.0, 3.0];
        let linear = "412e84800000000064e1f5052082fd05148549e100f6e1f310cd091834";
        for (numpress, text, numbers, tolerance) in [
            (Numpress::Linear, linear, &mzs[..], 1e-9),
            (Numpress::Linear, &linear[..32], &mzs[..2], 1e-9),
            (Numpress::Linear, &linear[..24], &mzs[..1], 1e-9),
            (Numpress::Positive, "8716116ff307111730", &counts, 0.0),
            (Numpress::Logarithmic, "40b388000000000000008a0d74384e6ce5d9131b", &counts, 1e-3),
        ] {
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
            let decoded = numpress.decode(&bytes).unwrap();
            assert_eq!(decoded.len(), numbers.len());
            for (decoded, number) in decoded.iter().zip(numbers) {
                assert!((decoded - number).abs() <= tolerance * number.max(1.0), "{numpress:?}: {decoded} {number}");
            }
        }
    }

    #[test]
    fn bytes_cut_off_are_no_array() {
        for numpress in [Numpress::Linear, Numpress::Positive, Numpress::Logarithmic] {
            for bytes in [&[0xff][..], &[0x12, 0x34, 0x51], &[0; 13]] {
                let _no_panic = numpress.decode(bytes);
            }
        }
        assert_eq!(Numpress::Positive.decode(&[0x01]), None);
        assert_eq!(Numpress::Logarithmic.decode(&[0; 9]), None);
        assert_eq!(Numpress::Linear.decode(&[0; 7]), None);
    }
}
