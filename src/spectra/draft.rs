//! A spectrum on its way: fields and peaks as they come, put together at the end.

use super::{
    Flaw, Polarity, Reason, Rejected, Source, Spectrum,
    keys::{self, Key},
    values::{self, Charges},
};

/// The unit of retention times that do not say theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Minutes,
}

#[derive(Debug)]
pub(super) struct Draft {
    pub spectrum: Spectrum,
    pub charges: Charges,
    /// How many peaks the file says there are.
    pub peak_count: Option<usize>,
    time_unit: TimeUnit,
}

impl Draft {
    pub fn new(source: Source, time_unit: TimeUnit) -> Self {
        Draft { spectrum: Spectrum::new(source), charges: Charges::default(), peak_count: None, time_unit }
    }

    /// Reads a field if it is one of those that are read, or else keeps it as text.
    pub fn take_field(&mut self, name: &str, value: &str) -> Result<(), Flaw> {
        let key = keys::key(name);
        match self.read_field(key, value) {
            Ok(true) => Ok(()),
            // A field that says that its value is not known, and that is no flaw.
            Err(_) if keys::is_unknown(value) => Ok(()),
            other => {
                let name = match key {
                    Key::Named(_) if keys::is_unknown(value) => return Ok(()),
                    Key::Named(name) => name.to_owned(),
                    _ => name.to_uppercase(),
                };
                self.spectrum.fields.push((name, value.to_owned()));
                other.map(|_| ())
            }
        }
    }

    /// Reads or keeps a field unless the spectrum has it already; a value that cannot be read is none.
    pub fn take_if_missing(&mut self, name: &str, value: &str) {
        let spectrum = &self.spectrum;
        let has = match keys::key(name) {
            Key::Precursor => spectrum.precursor_mz.is_some(),
            Key::Charge => !self.charges.magnitudes.is_empty(),
            Key::Polarity => spectrum.polarity.is_some(),
            Key::Seconds | Key::Time => spectrum.retention_time.is_some(),
            Key::MsLevel | Key::SpectrumType => spectrum.ms_level.is_some(),
            Key::PeakCount => self.peak_count.is_some(),
            Key::Named(name) => spectrum.field(name).is_some(),
            Key::Other => spectrum.field(name).is_some(),
        };
        if !has {
            let _unreadable = self.take_field(name, value);
        }
    }

    /// Whether the field is one of those that are read, or what is wrong with its value.
    fn read_field(&mut self, key: Key, value: &str) -> Result<bool, Flaw> {
        let spectrum = &mut self.spectrum;
        match key {
            Key::Precursor => spectrum.precursor_mz = Some(values::precursor(value).ok_or(Flaw::Precursor)?),
            Key::Charge => self.charges = values::charges(value).ok_or(Flaw::Charge)?,
            Key::Polarity => spectrum.polarity = Some(values::polarity(value).ok_or(Flaw::Polarity)?),
            Key::Seconds => spectrum.retention_time = Some(values::seconds(value).ok_or(Flaw::RetentionTime)?),
            Key::Time => {
                let unit = if self.time_unit == TimeUnit::Minutes { 60.0 } else { 1.0 };
                spectrum.retention_time = Some(values::time(value, unit).ok_or(Flaw::RetentionTime)?);
            }
            Key::MsLevel => spectrum.ms_level = Some(values::ms_level(value).ok_or(Flaw::MsLevel)?),
            Key::SpectrumType => match values::ms_level(value) {
                Some(level) => spectrum.ms_level = Some(level),
                None => return Ok(false),
            },
            Key::PeakCount => self.peak_count = Some(value.parse().map_err(|_| Flaw::PeakCount)?),
            Key::Named(_) | Key::Other => return Ok(false),
        }
        Ok(true)
    }

    /// The spectrum, or nothing if it has no peaks. `default` are the charges of a spectrum that has none.
    pub fn finish(self, default: &Charges, rejected: &mut Rejected) -> Option<Spectrum> {
        let Draft { mut spectrum, charges, peak_count, .. } = self;
        if peak_count.is_some_and(|count| count != spectrum.peaks.len()) {
            rejected.flaw(Flaw::PeakCount);
        }
        if spectrum.peaks.is_empty() {
            rejected.add(&spectrum, Reason::NoPeaks);
            return None;
        }
        let adduct = spectrum.field("ADDUCT").and_then(values::adduct_charge).unwrap_or_default();
        let known = [&charges, default, &adduct];
        let charges = known.into_iter().find(|charges| !charges.magnitudes.is_empty()).unwrap_or(&adduct);
        if charges.sign.is_some() && spectrum.polarity.is_some() && charges.sign != spectrum.polarity {
            rejected.flaw(Flaw::Polarity);
        }
        if !charges.magnitudes.is_empty() {
            let polarity = spectrum.polarity.or(charges.sign).or(adduct.sign).unwrap_or(Polarity::Positive);
            let sign = if polarity == Polarity::Negative { -1 } else { 1 };
            spectrum.charges = charges.magnitudes.iter().map(|magnitude| sign * magnitude).collect();
            spectrum.polarity = Some(polarity);
        }
        if spectrum.ms_level == Some(1) && is_electron_ionization(&spectrum) {
            spectrum.ms_level = None;
        }
        spectrum.peaks.sort_by(|a, b| a.mz.total_cmp(&b.mz));
        Some(spectrum)
    }
}

/// Electron ionization breaks the molecule in the source: what is called MS1 there are fragments all the same.
fn is_electron_ionization(spectrum: &Spectrum) -> bool {
    let instrument = spectrum.field("INSTRUMENT_TYPE").unwrap_or_default();
    let ionization = spectrum.field("IONIZATION").unwrap_or_default();
    instrument.split('-').chain([ionization]).any(|word| word.trim() == "EI")
}
