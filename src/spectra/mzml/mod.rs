//! mzML, read one spectrum at a time.

mod arrays;
mod numpress;
mod spectrum;

use std::{io::BufRead, path::Path, sync::Arc};

use self::spectrum::Header;
use super::{
    Flaw, Spectrum,
    draft::TimeUnit,
    elements::{Elements, Kind},
    reader::{OverText, Parser, Reader, Tally},
};
use crate::Result;

/// Reads the fragment spectra of an mzML file ([HUPO-PSI](https://www.psidev.info/mzML) 1.1).
///
/// Survey spectra (MS1) and spectra in profile mode are counted as rejected, and so is a spectrum whose arrays are
/// damaged or encoded in a way that is not read. Arrays may be of integers or floats, plain, zlib or MS-Numpress. The
/// first of several precursors is taken, and the middle of the isolation window where no ion is selected. The native
/// identifier is kept as the field `NATIVEID`, its scan number as `SCANS`. Where the XML is broken, the spectrum is lost
/// and the next one read; a count of spectra that is not right is a flaw. The index at the end is not used, so a file may be cut off.
pub type MzmlReader<R> = Reader<Mzml<R>>;

/// The format of [`MzmlReader`].
#[derive(Debug)]
pub struct Mzml<R> {
    spectra: Elements<R>,
    header: Option<Header>,
}

impl<R: BufRead> OverText for Mzml<R> {
    type Text = R;

    fn over(text: R, file: Arc<Path>) -> Self {
        Mzml { spectra: Elements::new(text, file, Kind { name: "spectrum", nested: false }), header: None }
    }
}

impl<R: BufRead> Parser for Mzml<R> {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let header = &mut self.header;
        let spectrum = self.spectra.next_spectrum(TimeUnit::Minutes, tally, |spectra, draft, rejected| {
            if header.is_none() {
                *header = spectra.above().map(Header::read);
            }
            spectrum::read(&spectra.xml(), header.as_ref(), draft, rejected)
        })?;
        if spectrum.is_some() {
            return Ok(spectrum);
        }
        let promised = self.header.as_mut().and_then(|header| header.spectra.take());
        if promised.is_some_and(|count| count != tally.begun) {
            tally.rejected.flaw(Flaw::SpectrumCount);
        }
        Ok(None)
    }
}
