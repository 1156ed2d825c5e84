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

/// Modifications by their numbers in [Unimod](https://www.unimod.org), other names of theirs, and what they add in Da.
const MODIFICATIONS: [(u32, &[&str], f64); 12] = [
    (1, &["acetyl"], 42.010_565),
    (4, &["carbamidomethyl", "cam"], 57.021_464),
    (5, &["carbamyl"], 43.005_814),
    (7, &["deamidation", "deamidated"], 0.984_016),
    (21, &["phospho", "phosphorylation"], 79.966_331),
    (26, &["pyro-carbamidomethyl", "pyro-cmc"], 39.994_915),
    (27, &["pyro-glu_e", "glu->pyro-glu"], -18.010_565),
    (28, &["pyro_glu", "pyro-glu", "gln->pyro-glu"], -17.026_549),
    (35, &["oxidation", "mod:00425", "mod:00719"], 15.994_915),
    (385, &["ammonia-loss"], -17.026_549),
    (737, &["tmt6plex", "tmt10plex"], 229.162_932),
    (765, &["met-loss"], -131.040_485),
];

/// The number in Unimod of a modification and what it adds; `None` if the name is not known.
fn known_modification(name: &str) -> Option<(u32, f64)> {
    let name = name.to_ascii_lowercase();
    let number = name.strip_prefix("unimod:").and_then(|number| number.parse().ok());
    let same = |(unimod, names, _): &&(u32, &[&str], f64)| number == Some(*unimod) || names.contains(&name.as_str());
    MODIFICATIONS.iter().find(same).map(|&(unimod, _, mass)| (unimod, mass))
}

/// What a modification adds in Da, by its name or accession, or as a number with its sign.
fn modification(name: &str) -> Option<f64> {
    let number = || name.strip_prefix('+').unwrap_or(name).parse().ok().filter(|mass: &f64| mass.is_finite());
    known_modification(name).map(|(_, mass)| mass).or_else(number)
}

/// A sequence as libraries write it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) residues: String,
    /// Places, which count from 1 with 0 for the N-terminus, and the names of what is there.
    pub(super) modifications: Vec<(usize, String)>,
}

impl Written {
    /// `PEPTC[Carbamidomethyl]IDE`, `PEPTCIDE[5|Carbamidomethyl]`, `PEPTCIDE[5-UNIMOD:4;0-UNIMOD:1]`,
    /// `PEPTCIDE[0|Acetyl|5|Carbamidomethyl]`. `None` for what is written in another way.
    pub(super) fn parse(sequence: &str) -> Option<Self> {
        let mut written = Written { residues: String::new(), modifications: Vec::new() };
        let mut rest = sequence.trim();
        while let Some(letter) = rest.chars().next() {
            if letter.is_ascii_uppercase() {
                written.residues.push(letter);
                rest = &rest[1..];
                continue;
            }
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            for part in inside.split(';') {
                written.modify(part.trim())?;
            }
            rest = after.strip_prefix('-').unwrap_or(after);
        }
        let last = written.residues.len();
        (last > 0 && written.modifications.iter().all(|(place, _)| *place <= last)).then_some(written)
    }

    /// Reads a name, which is that of the last residue's modification, or places and names.
    fn modify(&mut self, text: &str) -> Option<()> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let Some(placed) = (digits > 0).then(|| text[digits..].strip_prefix(['|', '-'])).flatten() else {
            self.modifications.push((self.residues.len(), text.to_owned()));
            return Some(());
        };
        let (name, more) = placed.split_once('|').map_or((placed, None), |(name, more)| (name, Some(more)));
        self.modifications.push((text[..digits].parse().ok()?, name.trim().to_owned()));
        more.map_or(Some(()), |more| self.modify(more))
    }

    /// The modifications as mzTab has them, by accessions of Unimod or PSI-MOD or by mass: `0-UNIMOD:1,5-UNIMOD:4`, or
    /// `0` where there are none. `None` where one has no accession that is known.
    pub(super) fn accessions(&self) -> Option<String> {
        let accession = |(place, name): &(usize, String)| {
            let upper = name.to_ascii_uppercase();
            if upper.starts_with("UNIMOD:") || upper.starts_with("MOD:") {
                return Some(format!("{place}-{upper}"));
            }
            let by_mass = || modification(name).map(|mass| format!("{place}-CHEMMOD:{mass:+}"));
            known_modification(name).map(|(unimod, _)| format!("{place}-UNIMOD:{unimod}")).or_else(by_mass)
        };
        let all = self.modifications.iter().map(accession).collect::<Option<Vec<_>>>()?;
        Some(if all.is_empty() { "0".to_owned() } else { all.join(",") })
    }
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

    /// A sequence in the spellings of [`Written::parse`]; `None` for a residue or modification that is not known.
    pub(super) fn parse(sequence: &str) -> Option<Self> {
        let Written { residues, modifications } = Written::parse(sequence)?;
        let letters = residues.into_bytes();
        let masses = letters.iter().map(|&letter| residue(letter)).collect::<Option<Vec<_>>>()?;
        let mut peptide = Peptide { letters, masses, n_terminus: 0.0 };
        for (place, name) in modifications {
            let mass = modification(&name)?;
            match place {
                0 => peptide.n_terminus += mass,
                place => *peptide.masses.get_mut(place - 1)? += mass,
            }
        }
        Some(peptide)
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
        let several = Peptide::parse("PEPTCIDE[0|Acetyl|5|Carbamidomethyl]").unwrap();
        assert!((several.masses[4] - plain.masses[4] - 57.021_464).abs() < 1e-9);
        assert!((several.n_terminus - 42.010_565).abs() < 1e-9);
        for text in ["", "[Acetyl]", "PEPX", "PEP[", "PEP[9|Oxidation]", "PEP[What]", "é"] {
            assert_eq!(Peptide::parse(text), None, "{text}");
        }
    }

    #[test]
    fn modifications_by_their_accessions() {
        for (text, accessions) in [
            ("PEPTIDE", Some("0")),
            ("M[Oxidation]PEPTC[UNIMOD:4]K", Some("1-UNIMOD:35,6-UNIMOD:4")),
            ("PEPTCIDE[0|Acetyl|5|Carbamidomethyl]", Some("0-UNIMOD:1,5-UNIMOD:4")),
            ("PEPTK[13.5][mod:00696]", Some("5-CHEMMOD:+13.5,5-MOD:00696")),
            ("PEPTK[-17.03]", Some("5-CHEMMOD:-17.03")),
            ("PEPTK[What]", None),
        ] {
            let written = Written::parse(text).unwrap();
            assert_eq!(written.accessions().as_deref(), accessions, "{text}");
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
