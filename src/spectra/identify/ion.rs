//! Which spectra may be compared: those of ions that can be the same.

use std::collections::BTreeMap;

use crate::spectra::{Polarity, Spectrum};

/// What is known of an ion. What is not known agrees with everything: a spectrum without a charge is compared with
/// those of every charge, one that may be 2+ or 3+ with both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ion {
    polarity: Option<Polarity>,
    /// In ascending order; empty if unknown.
    charges: Vec<i32>,
}

impl Ion {
    pub(super) fn of(spectrum: &Spectrum) -> Self {
        let mut charges = spectrum.charges.clone();
        charges.sort_unstable();
        charges.dedup();
        Ion { polarity: spectrum.polarity, charges }
    }

    pub(super) fn agrees(&self, other: &Ion) -> bool {
        let polarity = match (self.polarity, other.polarity) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let unknown = self.charges.is_empty() || other.charges.is_empty();
        polarity && (unknown || self.charges.iter().any(|charge| other.charges.contains(charge)))
    }
}

/// The numbers of spectra by their ions.
pub(super) fn groups<'a>(spectra: impl IntoIterator<Item = &'a Spectrum>) -> Vec<(Ion, Vec<u32>)> {
    let mut groups: BTreeMap<Ion, Vec<u32>> = BTreeMap::new();
    for (number, spectrum) in spectra.into_iter().enumerate() {
        groups.entry(Ion::of(spectrum)).or_default().push(number as u32);
    }
    groups.into_iter().collect()
}
