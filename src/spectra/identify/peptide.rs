//! Peptides: their sequences as libraries write them, the m/z of their ions, and decoys of their spectra.

use rand::{Rng, seq::SliceRandom};

use crate::spectra::{Peak, Spectrum, Tolerance};

const PROTON: f64 = 1.007_276_466_62;
const WATER: f64 = 18.010_564_684;
const CARBON_MONOXIDE: f64 = 27.994_914_620;

/// Shuffles that are tried for one unlike the sequence.
const SHUFFLES: usize = 10;

/// Residues that stay where they are: proteases cut at them, and P breaks in its own way.
const FIXED: [u8; 3] = [b'K', b'R', b'P'];

/// Monoisotopic masses of residues in Da.
fn residue(letter: u8) -> Option<f64> {
    Some(match letter {
        b'G' => 57.021_463_72,
        b'A' => 71.037_113_79,
        b'S' => 87.032_028_41,
        b'P' => 97.052_763_85,
        b'V' => 99.068_413_91,
        b'T' => 101.047_678_47,
        b'C' => 103.009_184_48,
        b'L' | b'I' => 113.084_063_98,
        b'N' => 114.042_927_44,
        b'D' => 115.026_943_02,
        b'Q' => 128.058_577_50,
        b'K' => 128.094_963_02,
        b'E' => 129.042_593_08,
        b'M' => 131.040_484_61,
        b'H' => 137.058_911_86,
        b'F' => 147.068_413_91,
        b'U' => 150.953_633_4,
        b'R' => 156.101_111_02,
        b'Y' => 163.063_328_53,
        b'W' => 186.079_312_95,
        _ => return None,
    })
}

/// What modifications add in Da, by the names and accessions of Unimod and PSI-MOD, or as a number with its sign.
fn modification(name: &str) -> Option<f64> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "unimod:1" | "acetyl" => 42.010_565,
        "unimod:4" | "carbamidomethyl" => 57.021_464,
        "unimod:5" | "carbamyl" => 43.005_814,
        "unimod:7" | "deamidation" | "deamidated" => 0.984_016,
        "unimod:21" | "phospho" | "phosphorylation" => 79.966_331,
        "unimod:27" | "pyro-glu_e" => -18.010_565,
        "unimod:28" | "unimod:385" | "pyro_glu" | "pyro-glu" | "ammonia-loss" => -17.026_549,
        "unimod:35" | "mod:00425" | "mod:00719" | "oxidation" => 15.994_915,
        "unimod:737" | "tmt6plex" | "tmt10plex" => 229.162_932,
        number => number.strip_prefix('+').unwrap_or(number).parse().ok().filter(|mass: &f64| mass.is_finite())?,
    })
}

/// A peptide: its residues with their masses, modifications included.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Peptide {
    letters: Vec<u8>,
    masses: Vec<f64>,
    n_terminus: f64,
}

impl Peptide {
    /// The peptide that a spectrum's `SEQ` names.
    pub(super) fn of(spectrum: &Spectrum) -> Option<Self> {
        Self::parse(spectrum.field("SEQ")?)
    }

    /// `PEPTC[Carbamidomethyl]IDE`, `PEPTCIDE[5|Carbamidomethyl]`, `PEPTCIDE[5-UNIMOD:4;0-UNIMOD:1]`: places count from 1,
    /// 0 is the N-terminus. `None` for a residue or modification that is not known.
    pub(super) fn parse(sequence: &str) -> Option<Self> {
        let mut peptide = Peptide { letters: Vec::new(), masses: Vec::new(), n_terminus: 0.0 };
        let mut rest = sequence.trim();
        while let Some(letter) = rest.bytes().next() {
            if letter != b'[' {
                peptide.masses.push(residue(letter)?);
                peptide.letters.push(letter);
                rest = &rest[1..];
                continue;
            }
            let (inside, after) = rest[1..].split_once(']')?;
            for part in inside.split(';') {
                peptide.modify(part)?;
            }
            rest = after.strip_prefix('-').unwrap_or(after);
        }
        (!peptide.letters.is_empty()).then_some(peptide)
    }

    fn modify(&mut self, text: &str) -> Option<()> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let placed = (digits > 0).then(|| text[digits..].strip_prefix(['|', '-'])).flatten();
        let place = match placed {
            Some(_) => text[..digits].parse().ok()?,
            None => self.masses.len(),
        };
        let mass = modification(placed.unwrap_or(text))?;
        match place {
            0 => self.n_terminus += mass,
            place => *self.masses.get_mut(place - 1)? += mass,
        }
        Some(())
    }

    /// The m/z of a, b and y ions of charges up to `charge`, each kind in the same order whatever the sequence.
    fn ions(&self, charge: u32) -> Vec<f64> {
        let total: f64 = self.masses.iter().sum::<f64>() + self.n_terminus;
        let mut before = self.n_terminus;
        let mut ions = Vec::new();
        for mass in &self.masses[..self.masses.len() - 1] {
            before += mass;
            for charge in 1..=charge {
                let protons = f64::from(charge);
                let mz = |neutral: f64| neutral / protons + PROTON;
                ions.extend([mz(before), mz(before - CARBON_MONOXIDE), mz(total - before + WATER)]);
            }
        }
        ions
    }

    /// The same residues in another order; `None` if there is none that differs.
    fn shuffled(&self, random: &mut impl Rng) -> Option<Self> {
        let last = self.letters.len() - 1;
        let movable: Vec<usize> = (0..last).filter(|&place| !FIXED.contains(&self.letters[place])).collect();
        let alike = |other: &Peptide| self.letters.iter().zip(&other.letters).filter(|(a, b)| a == b).count();
        let tries = (0..SHUFFLES).map(|_| {
            let mut order = movable.clone();
            order.shuffle(random);
            let mut other = self.clone();
            for (&to, &from) in movable.iter().zip(&order) {
                other.letters[to] = self.letters[from];
                other.masses[to] = self.masses[from];
            }
            other
        });
        tries.min_by_key(alike).filter(|other| other.letters != self.letters)
    }

    /// The spectrum with the peaks of its ions moved to where those of a shuffled sequence are; others stay. `None` where
    /// no peak moves: that would be the spectrum itself.
    pub(super) fn decoy(&self, spectrum: &Spectrum, tolerance: Tolerance, random: &mut impl Rng) -> Option<Spectrum> {
        let charge = spectrum.charges.iter().map(|charge| charge.unsigned_abs()).max().unwrap_or(2);
        let charge = (charge.saturating_sub(1)).clamp(1, 2);
        let (from, to) = (self.ions(charge), self.shuffled(random)?.ions(charge));
        let moved = |peak: &Peak| {
            let near = from.iter().zip(&to).filter(|(from, _)| tolerance.accepts(peak.mz, **from));
            let nearest = near.min_by(|a, b| (peak.mz - a.0).abs().total_cmp(&(peak.mz - b.0).abs()));
            Peak { mz: nearest.map_or(peak.mz, |(from, to)| peak.mz - from + to), ..*peak }
        };
        let mut peaks: Vec<Peak> = spectrum.peaks.iter().map(moved).filter(|peak| peak.mz > 0.0).collect();
        peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
        (peaks != spectrum.peaks).then(|| Spectrum { peaks, fields: Vec::new(), ..spectrum.clone() })
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    #[test]
    fn spellings_of_one_peptide() {
        let plain = Peptide::parse("PEPTCIDE").unwrap();
        for text in
            ["PEPTC[Carbamidomethyl]IDE", "PEPTCIDE[5|Carbamidomethyl]", "PEPTC[UNIMOD:4]IDE", "PEPTC[+57.021464]IDE"]
        {
            let peptide = Peptide::parse(text).unwrap();
            assert!((peptide.masses[4] - plain.masses[4] - 57.021_464).abs() < 1e-9, "{text}");
            assert_eq!(peptide.letters, plain.letters);
        }
        let ends = Peptide::parse("QIHILR[0-UNIMOD:385;1-UNIMOD:7]").unwrap();
        assert!((ends.n_terminus + 17.026_549).abs() < 1e-9);
        for text in ["", "[Acetyl]", "PEPX", "PEP[", "PEP[9|Oxidation]", "PEP[What]", "é"] {
            assert_eq!(Peptide::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ions_of_a_known_peptide() {
        // b2 and y6 of PEPTIDEK at charge 1, as any fragment calculator gives them.
        let ions = Peptide::parse("PEPTIDEK").unwrap().ions(1);
        let has = |mz: f64| ions.iter().any(|ion| (ion - mz).abs() < 1e-3);
        assert!(has(227.1026) && has(702.3668) && has(147.1128), "{ions:?}");
    }

    #[test]
    fn decoys_keep_the_residues_and_move_the_ions() {
        let peptide = Peptide::parse("ASDFGHK").unwrap();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let other = peptide.shuffled(&mut random).unwrap();
        assert_eq!(other.letters.last(), Some(&b'K'));
        assert!((other.masses.iter().sum::<f64>() - peptide.masses.iter().sum::<f64>()).abs() < 1e-9);
        assert_eq!(Peptide::parse("PPRK").unwrap().shuffled(&mut random), None);
    }
}
