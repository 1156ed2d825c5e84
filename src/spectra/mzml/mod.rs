//! mzML, read one spectrum at a time.

mod arrays;
mod numpress;
mod spectrum;

use std::{io::BufRead, path::Path, sync::Arc};

use self::spectrum::Header;
use super::{
    Flaw, Reason, Spectrum,
    draft::{Draft, TimeUnit},
    elements::{Elements, Extent, Kind},
    reader::{OverText, Parser, Reader, Tally},
    values::Charges,
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
        while let Some((line, extent)) = self.spectra.advance()? {
            if self.header.is_none() {
                self.header = self.spectra.above().map(Header::read);
            }
            let mut draft = Draft::new(tally.begin(&self.spectra.file, line), TimeUnit::Minutes);
            let xml = self.spectra.xml();
            let mut read = spectrum::read(&xml, self.header.as_ref(), &mut draft, &mut tally.rejected);
            if extent != Extent::Whole {
                read = read.and(Err(Reason::Unreadable));
            }
            if extent == Extent::CutOff {
                tally.rejected.flaw(Flaw::Unterminated);
            }
            match read {
                Err(reason) => tally.rejected.add(&draft.spectrum, reason),
                Ok(()) => {
                    if let Some(spectrum) = draft.finish(&Charges::default(), &mut tally.rejected) {
                        return Ok(Some(spectrum));
                    }
                }
            }
        }
        let promised = self.header.as_mut().and_then(|header| header.spectra.take());
        if promised.is_some_and(|count| count != tally.begun) {
            tally.rejected.flaw(Flaw::SpectrumCount);
        }
        Ok(None)
    }
}
