//! The element of a spectrum: its terms and arrays.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};

use super::arrays::Arrays;
use crate::spectra::{
    Polarity, Reason, Rejected,
    draft::Draft,
    elements::{attribute, attributes, xml_reader},
    values::{self, Charges},
};

/// A term of the PSI-MS vocabulary, with its value and unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Term {
    pub accession: String,
    pub value: String,
    pub unit: String,
}

impl Term {
    fn of(tag: &BytesStart) -> Self {
        let mut term = Term::default();
        for (name, value) in attributes(tag) {
            match name.as_str() {
                "accession" => term.accession = value,
                "value" => term.value = value,
                "unitAccession" => term.unit = value,
                _ => {}
            }
        }
        term
    }
}

/// What stands above the spectra.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// How many spectra the file says there are.
    pub spectra: Option<usize>,
    /// Terms that spectra share and refer to by the name of their group.
    groups: HashMap<String, Vec<Term>>,
}

impl Header {
    pub fn read(xml: &str) -> Self {
        let mut header = Header::default();
        let mut group = None;
        let mut reader = xml_reader(xml);
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag) | Event::Empty(tag)) => match tag.local_name().as_ref() {
                    "referenceableParamGroup" => group = attribute(&tag, "id"),
                    "spectrumList" => header.spectra = attribute(&tag, "count").and_then(|count| count.parse().ok()),
                    "cvParam" => {
                        if let Some(group) = &group {
                            header.groups.entry(group.clone()).or_default().push(Term::of(&tag));
                        }
                    }
                    _ => {}
                },
                Ok(Event::End(tag)) if tag.local_name().as_ref() == "referenceableParamGroup" => group = None,
                Ok(Event::Eof) | Err(_) => return header,
                Ok(_) => {}
            }
        }
    }
}

/// Reads a spectrum into a draft.
///
/// # Errors
/// Why it cannot be used. What was read before is in the draft all the same.
pub(super) fn read(
    xml: &str,
    header: Option<&Header>,
    draft: &mut Draft,
    rejected: &mut Rejected,
) -> Result<(), Reason> {
    let mut parts = Parts::default();
    let mut reader = xml_reader(xml);
    let well_formed = loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => parts.start(&tag, header, draft, rejected),
            Ok(Event::Empty(tag)) => {
                parts.start(&tag, header, draft, rejected);
                parts.end(tag.local_name().as_ref());
            }
            Ok(Event::End(tag)) => parts.end(tag.local_name().as_ref()),
            Ok(Event::Text(text)) => parts.arrays.push_text(&text.into_inner()),
            Ok(Event::CData(text)) => parts.arrays.push_text(&text.into_inner()),
            Ok(Event::Eof) => break true,
            Err(_) => break false,
            Ok(_) => {}
        }
    };
    draft.spectrum.precursor_mz = draft.spectrum.precursor_mz.or(parts.isolated);
    if draft.spectrum.ms_level == Some(1) || draft.spectrum.ms_level.is_none() && parts.survey {
        Err(Reason::SurveySpectrum)
    } else if parts.profile {
        Err(Reason::Profile)
    } else if !well_formed {
        Err(Reason::Unreadable)
    } else {
        draft.spectrum.peaks = parts.arrays.peaks(rejected).ok_or(Reason::Unreadable)?;
        Ok(())
    }
}

/// Where in a spectrum the reading is, and what was found.
#[derive(Default)]
struct Parts {
    /// Selected ions so far, of which the first counts.
    ions: usize,
    in_product: bool,
    survey: bool,
    profile: bool,
    /// The middle of the isolation window.
    isolated: Option<f64>,
    arrays: Arrays,
}

impl Parts {
    fn start(&mut self, tag: &BytesStart, header: Option<&Header>, draft: &mut Draft, rejected: &mut Rejected) {
        match tag.local_name().as_ref() {
            "spectrum" => {
                if let Some(id) = attribute(tag, "id") {
                    let scan = id.split_whitespace().find_map(|part| part.strip_prefix("scan="));
                    let scan = scan.map(|scan| ("SCANS".to_owned(), scan.to_owned()));
                    draft.spectrum.fields.extend(scan);
                    draft.spectrum.fields.push(("NATIVEID".to_owned(), id));
                }
                if let Some(length) = attribute(tag, "defaultArrayLength") {
                    rejected.note(draft.take_field("number of peaks", &length));
                }
            }
            "selectedIon" => self.ions += 1,
            "product" => self.in_product = true,
            "binaryDataArray" => self.arrays.begin(),
            "binary" => self.arrays.binary = true,
            "cvParam" => self.take_term(&Term::of(tag), draft, rejected),
            "referenceableParamGroupRef" => {
                let terms = attribute(tag, "ref").and_then(|group| header?.groups.get(&group));
                for term in terms.into_iter().flatten() {
                    self.take_term(term, draft, rejected);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "product" => self.in_product = false,
            "binary" => self.arrays.binary = false,
            "binaryDataArray" => self.arrays.end(),
            _ => {}
        }
    }

    fn take_term(&mut self, term: &Term, draft: &mut Draft, rejected: &mut Rejected) {
        if self.arrays.take_term(&term.accession) {
            return;
        }
        let Term { accession, value, unit } = term;
        let spectrum = &mut draft.spectrum;
        match accession.as_str() {
            "MS:1000511" => rejected.note(draft.take_field("ms level", value)),
            "MS:1000579" => self.survey = true,
            "MS:1000128" => self.profile = true,
            "MS:1000130" => spectrum.polarity = Some(Polarity::Positive),
            "MS:1000129" => spectrum.polarity = Some(Polarity::Negative),
            // The start of a scan, in minutes where the unit is not one of seconds.
            "MS:1000016" if spectrum.retention_time.is_none() => {
                let unit = if unit == "UO:0000010" { " s" } else { "" };
                rejected.note(draft.take_field("scan start time", &format!("{value}{unit}")));
            }
            "MS:1000744" if self.ions <= 1 => rejected.note(draft.take_field("selected ion m/z", value)),
            "MS:1000041" if self.ions <= 1 => rejected.note(draft.take_field("charge", value)),
            "MS:1000633" if self.ions <= 1 => {
                let Charges { magnitudes, .. } = values::charges(value).unwrap_or_default();
                draft.charges.magnitudes.extend(magnitudes);
            }
            "MS:1000827" if !self.in_product && self.isolated.is_none() => self.isolated = values::positive(value),
            "MS:1000045" => draft.take_if_missing("COLLISION_ENERGY", value),
            _ => {}
        }
    }
}
