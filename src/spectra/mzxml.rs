//! mzXML, read one spectrum at a time.

use std::{io::BufRead, path::Path, sync::Arc};

use quick_xml::events::{BytesStart, Event};

use super::{
    Flaw, Peak, Reason, Rejected, Spectrum, binary,
    draft::{Draft, TimeUnit},
    elements::{Elements, Kind, attribute, attributes, xml_reader},
    reader::{OverText, Parser, Reader, Tally},
    values::{self, Charges},
};
use crate::Result;

/// Reads the fragment spectra of an mzXML file ([Pedrioli and others 2004](https://doi.org/10.1038/nbt1031), schema 2
/// and 3).
///
/// Scans stand side by side or in each other. Survey scans (MS1) and scans that say they are not centroided are counted
/// as rejected, and so is a scan whose peaks are damaged or encoded in a way that is not read. Peaks are pairs of 32-bit
/// or 64-bit floats in network byte order, plain or zlib. The first of several precursors is taken. The number of the
/// scan is kept as the field `SCANS`. Where the XML is broken, the scan is lost and the next one read; a count of scans
/// that is not right is a flaw. The index at the end is not used, so a file may be cut off.
pub type MzxmlReader<R> = Reader<Mzxml<R>>;

/// The format of [`MzxmlReader`].
#[derive(Debug)]
pub struct Mzxml<R> {
    scans: Elements<R>,
    /// How many scans the file says there are; nothing once they were counted.
    promised: Option<usize>,
}

impl<R: BufRead> OverText for Mzxml<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        Mzxml { scans: Elements::new(text, file, Kind { name: "scan", nested: true }), promised: None }
    }
}

impl<R: BufRead> Parser for Mzxml<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let Mzxml { scans, promised } = self;
        let spectrum = scans.next_spectrum(TimeUnit::Seconds, tally, |scans, draft, rejected| {
            if draft.spectrum.source.index == 0 {
                *promised = scans.above().and_then(scan_count);
            }
            read(&scans.xml(), draft, rejected)
        })?;
        if spectrum.is_some() {
            return Ok(spectrum);
        }
        if self.promised.take().is_some_and(|count| count != tally.begun) {
            tally.rejected.flaw(Flaw::SpectrumCount);
        }
        Ok(None)
    }
}

/// The number of scans of a run, by what stands above them.
fn scan_count(above: &str) -> Option<usize> {
    let mut reader = xml_reader(above);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) if tag.local_name().as_ref() == "msRun" => {
                return attribute(&tag, "scanCount")?.parse().ok();
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Reads a scan into a draft.
///
/// # Errors
/// Why it cannot be used. What was read before is in the draft all the same.
fn read(xml: &str, draft: &mut Draft, rejected: &mut Rejected) -> Result<(), Reason> {
    let mut parts = Parts::default();
    let mut reader = xml_reader(xml);
    let well_formed = loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => parts.start(&tag, draft, rejected),
            Ok(Event::Empty(tag)) => {
                parts.start(&tag, draft, rejected);
                parts.end(tag.local_name().as_ref(), draft, rejected);
            }
            Ok(Event::End(tag)) => parts.end(tag.local_name().as_ref(), draft, rejected),
            Ok(Event::Text(text)) => parts.text.push_str(&text.into_inner()),
            Ok(Event::CData(text)) => parts.text.push_str(&text.into_inner()),
            Ok(Event::Eof) => break parts.whole,
            Err(_) => break false,
            Ok(_) => {}
        }
    };
    if draft.spectrum.ms_level == Some(1) {
        Err(Reason::SurveySpectrum)
    } else if parts.profile {
        Err(Reason::Profile)
    } else if !well_formed {
        Err(Reason::Unreadable)
    } else {
        draft.spectrum.peaks = parts.peaks;
        Ok(())
    }
}

/// What was found of a scan.
#[derive(Default)]
struct Parts {
    /// Precursors so far, of which the first counts.
    precursors: usize,
    profile: bool,
    encoding: Encoding,
    /// The text of the element that is open.
    text: String,
    peaks: Vec<Peak>,
    /// Whether everything that is of use could be read.
    whole: bool,
}

/// How peaks are written.
struct Encoding {
    precision: String,
    compression: String,
    byte_order: String,
    content: String,
}

impl Default for Encoding {
    fn default() -> Self {
        Encoding {
            precision: "32".to_owned(),
            compression: "none".to_owned(),
            byte_order: "network".to_owned(),
            content: "m/z-int".to_owned(),
        }
    }
}

impl Parts {
    fn start(&mut self, tag: &BytesStart, draft: &mut Draft, rejected: &mut Rejected) {
        self.text.clear();
        match tag.local_name().as_ref() {
            "scan" => {
                self.whole = true;
                attributes(tag).for_each(|(name, value)| self.take_attribute(&name, value, draft, rejected));
            }
            "precursorMz" => {
                self.precursors += 1;
                for (name, value) in attributes(tag).filter(|_| self.precursors == 1) {
                    match name.as_str() {
                        "precursorCharge" => rejected.note(draft.take_field("charge", &value)),
                        "possibleCharges" => {
                            let Charges { magnitudes, .. } = values::charges(&value).unwrap_or_default();
                            draft.charges.magnitudes.extend(magnitudes);
                        }
                        "activationMethod" => draft.take_if_missing("FRAGMENTATION", &value),
                        _ => {}
                    }
                }
            }
            "peaks" => {
                // Peaks that do not end cannot be read.
                self.whole = false;
                self.encoding = Encoding::default();
                for (name, value) in attributes(tag) {
                    match name.as_str() {
                        "precision" => self.encoding.precision = value,
                        "compressionType" => self.encoding.compression = value,
                        "byteOrder" => self.encoding.byte_order = value,
                        "contentType" | "pairOrder" => self.encoding.content = value,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn take_attribute(&mut self, name: &str, value: String, draft: &mut Draft, rejected: &mut Rejected) {
        match name {
            "num" => draft.spectrum.fields.push(("SCANS".to_owned(), value)),
            "msLevel" => rejected.note(draft.take_field("ms level", &value)),
            "polarity" if matches!(value.as_str(), "+" | "-") => rejected.note(draft.take_field("polarity", &value)),
            "retentionTime" => rejected.note(draft.take_field("retention time", &value)),
            "peaksCount" => rejected.note(draft.take_field("number of peaks", &value)),
            "collisionEnergy" => draft.take_if_missing("COLLISION_ENERGY", &value),
            "centroided" => self.profile = matches!(value.as_str(), "0" | "false"),
            _ => {}
        }
    }

    fn end(&mut self, name: &str, draft: &mut Draft, rejected: &mut Rejected) {
        match name {
            "precursorMz" if self.precursors == 1 => {
                rejected.note(draft.take_field("precursor m/z", self.text.trim()));
            }
            "peaks" => {
                let pairs = self.encoding.pairs(&self.text);
                self.whole = pairs.is_some();
                self.peaks = binary::peaks(pairs.unwrap_or_default().into_iter(), rejected);
            }
            _ => {}
        }
        self.text.clear();
    }
}

impl Encoding {
    /// m/z and intensities; `None` if they cannot be read.
    fn pairs(&self, text: &str) -> Option<Vec<(f64, f64)>> {
        if self.byte_order != "network" || self.content != "m/z-int" {
            return None;
        }
        let zlib = match self.compression.as_str() {
            "zlib" => true,
            "none" => false,
            _ => return None,
        };
        let bytes = binary::decode(text, zlib)?;
        let numbers = match self.precision.as_str() {
            "32" => binary::numbers(&bytes, |bytes| f32::from_be_bytes(bytes).into())?,
            "64" => binary::numbers(&bytes, f64::from_be_bytes)?,
            _ => return None,
        };
        let (pairs, []) = numbers.as_chunks::<2>() else { return None };
        Some(pairs.iter().map(|&[mz, intensity]| (mz, intensity)).collect())
    }
}
